"""Budgets and limits of a document: objects of their own, named by their subject, so that a document which does not
name one leaves it to others.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from tollway.controlplane.call import Call
from tollway.controlplane.configuration.document import ROOT
from tollway.controlplane.configuration.model import BudgetSpec, Configuration, LimitsSpec
from tollway.controlplane.configuration.plan import Desired, Kind, Present, Ref, Step, read_applied
from tollway.controlplane.db.statements import Database
from tollway.controlplane.rules import budgets, checks, limits, postgres
from tollway.controlplane.rules.model import WINDOWS, Limit, Scope, SetBudgetRequest, SetLimitsRequest, reference
from tollway.controlplane.rules.rows import Terms, terms_form
from tollway.core.rules import Mode, Period

Spec = tuple[Scope, str, BudgetSpec | None, LimitsSpec | None, str]
"""Scope and name of a subject, what holds for it, and where the document has it."""


def _specs(document: Configuration) -> Iterator[Spec]:
    for index, organisation in enumerate(document.organisations):
        path = f"{ROOT}.organisations[{index}]"
        yield Scope.ORGANISATION, organisation.name, organisation.budget, organisation.limits, path
    for index, unit in enumerate(document.business_units):
        yield Scope.BUSINESS_UNIT, unit.name, unit.budget, unit.limits, f"{ROOT}.business_units[{index}]"
    for index, user in enumerate(document.users):
        path = f"{ROOT}.users[{index}]"
        yield Scope.USER, checks.user_name(user.name, f"{path}.name"), user.budget, user.limits, path
    for index, model in enumerate(document.models):
        yield Scope.MODEL, model.name, None, model.limits, f"{ROOT}.models[{index}]"
    for index, project in enumerate(document.projects):
        path = f"{ROOT}.projects[{index}]"
        yield Scope.PROJECT, project.name, project.budget, project.limits, path
        for number, key in enumerate(project.keys):
            where = f"{path}.keys[{number}]"
            yield Scope.KEY, f"{project.name}/{key.name}", key.budget, key.limits, where


def _terms(spec: BudgetSpec, path: str) -> Terms:
    """The terms of a budget of the document, with the defaults of what it leaves out. Raises ApiError."""
    default = Terms(limit_nano=0)
    terms = Terms(
        limit_nano=checks.amount(spec.limit, f"{path}.limit"),
        period=Period(spec.period or default.period),
        timezone=checks.timezone(spec.timezone or default.timezone, f"{path}.timezone"),
        fiscal_start=checks.fiscal_start(spec.fiscal_start or default.fiscal_start, f"{path}.fiscal_start"),
        mode=Mode(spec.mode or default.mode),
        carry_over=spec.carry_over,
        alerts=checks.alerts(spec.alerts, f"{path}.alerts"),
    )
    checks.fits(terms, [], f"{path}.limit")
    return terms


def _limit_fields(given: Iterable[Limit]) -> dict[str, Any]:
    """The comparable form of a set of limits."""
    ordered = sorted(given, key=lambda limit: (limit.measure, WINDOWS[limit.window], limit.model))
    names = ("measure", "window", "amount", "model", "on_outage")
    return {"limits": [{name: getattr(limit, name) for name in names} for limit in ordered]}


async def load(db: Database) -> dict[Ref, Present]:
    """The budgets and limits that there are. An empty set that belongs to nobody is as good as none."""
    found: dict[Ref, Present] = {}
    for row in await postgres.budgets(db, Scope):
        ref = (Kind.BUDGET, row.reference)
        found[ref] = Present(*ref, row.id, terms_form(row), row.managed_by, read_applied(row.applied_digest))
    sets = await postgres.limit_sets(db, Scope, managed=True)
    held = await postgres.limits(db, [one.id for one in sets])
    for one in sets:
        ref = (Kind.LIMITS, one.reference)
        fields = _limit_fields(limit.view() for limit in held[one.id])
        found[ref] = Present(*ref, one.id, fields, one.managed_by, read_applied(one.applied_digest))
    return found


def desired(document: Configuration, present: Mapping[Ref, Present]) -> Iterator[Desired]:
    """The budgets and limits of a document. Raises ApiError for what cannot be one."""
    for scope, name, budget, given, path in _specs(document):
        subject = reference(scope, name)
        if budget is not None:
            where = f"{path}.budget"
            yield Desired(Kind.BUDGET, subject, terms_form(_terms(budget, where)), where)
        if given is None:
            continue
        where = f"{path}.limits"
        fields = _limit_fields(checks.limits(given.limits, scope, f"{where}.limits"))
        if fields["limits"] or (Kind.LIMITS, subject) in present:
            yield Desired(Kind.LIMITS, subject, fields, where)


class Rules:
    """Executes the steps of budgets and limits of one document."""

    def __init__(self, call: Call, document: Configuration, present: Mapping[Ref, Present]) -> None:
        self._call = call
        self._present = present
        self._specs = {reference(scope, name): (budget, given) for scope, name, budget, given, _ in _specs(document)}

    async def set_budget(self, step: Step) -> None:
        """Makes a budget, or writes the fields of a step."""
        spec = self._specs[step.name][0]
        assert spec is not None
        default = Terms(limit_nano=0)
        request = SetBudgetRequest(
            subject=step.name,
            limit=spec.limit,
            period=spec.period or default.period.value,
            timezone=spec.timezone or default.timezone,
            fiscal_start=spec.fiscal_start or default.fiscal_start,
            mode=spec.mode or default.mode.value,
            carry_over=spec.carry_over,
            alerts=spec.alerts,
        )
        await budgets.set_budget(self._call, request)

    async def set_limits(self, step: Step) -> None:
        """Makes a set of limits, or replaces it."""
        spec = self._specs[step.name][1]
        assert spec is not None
        await limits.set_limits(self._call, SetLimitsRequest(subject=step.name, limits=spec.limits))

    async def remove_budget(self, step: Step) -> None:
        """Removes a budget that the document does not name, whatever became of its subject meanwhile."""
        await budgets.remove_by_id(self._call, self._present[step.kind, step.name].identity, step.name)

    async def remove_limits(self, step: Step) -> None:
        """Empties a set of limits that the document does not name."""
        await limits.clear_by_id(self._call, self._present[step.kind, step.name].identity, step.name)
