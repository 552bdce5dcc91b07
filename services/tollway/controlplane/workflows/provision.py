"""Gives what was approved and takes it back, by the features that own it, in the transaction of the decision.

Each function notes what it changed, so that taking it back undoes that and nothing else: what somebody has changed
since is left as it is, and said.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any
from uuid import UUID

import msgspec

from tollway.controlplane.call import ApiCode, ApiError, Call
from tollway.controlplane.identity import postgres as identity_rows
from tollway.controlplane.identity import service as identity
from tollway.controlplane.identity.model import ArchiveProjectRequest, CreateProjectRequest, UpdateProjectRequest
from tollway.controlplane.rules import budgets, limits
from tollway.controlplane.rules import postgres as rules_rows
from tollway.controlplane.rules.model import (
    IncreaseBudgetRequest,
    Limit,
    RevokeIncreaseRequest,
    SetBudgetRequest,
    SetLimitsRequest,
)
from tollway.controlplane.rules.rows import BudgetRow
from tollway.controlplane.rules.subjects import resolve
from tollway.controlplane.workflows import roles
from tollway.controlplane.workflows.facts import same_limit
from tollway.controlplane.workflows.model import ApprovalTerms, Granted
from tollway.controlplane.workflows.rows import ApprovalRow
from tollway.core.approvals.model import Kind
from tollway.core.money import format_dollars, parse_dollars

MAX_MODELS = 200
OWNER = "project_owner"


def _stale(message: str) -> ApiError:
    return ApiError(ApiCode.FAILED_PRECONDITION, message)


async def grant(call: Call, row: ApprovalRow) -> Granted:
    """Gives what a request asks for. Raises ApiError, and then nothing is given."""
    givers: dict[Kind, Callable[[Call, ApprovalRow], Awaitable[Granted]]] = {
        Kind.PLATFORM_ACCESS: _give_role,
        Kind.PROJECT: _give_project,
        Kind.MODEL_ACCESS: _give_models,
        Kind.CREDIT: _give_credit,
        Kind.LIMIT: _give_limit,
    }
    try:
        return await givers[row.kind](call, row)
    except ApiError as error:
        raise ApiError(error.code, f"what was asked for cannot be given: {error.message}", field=error.field) from error


async def take_back(call: Call, undo: dict[str, Any]) -> None:
    """Undoes what `grant` noted. Raises ApiError, and then nothing has changed."""
    takers: dict[str, Callable[[Call, dict[str, Any]], Awaitable[None]]] = {
        "nothing": _take_nothing,
        "role": _take_role,
        "project": _take_project,
        "models": _take_models,
        "increase": _take_increase,
        "budget": _take_budget,
        "limit": _take_limit,
    }
    await takers[undo["what"]](call, undo)


async def _take_nothing(call: Call, undo: dict[str, Any]) -> None:
    """There was nothing to give: it was there already."""


# -- credit -----------------------------------------------------------------------------------------------------------


async def _held_budget(call: Call, target: str) -> BudgetRow:
    """The budget of a subject, locked in the order in which all changes of budgets lock."""
    row = await rules_rows.budget(call.db, await resolve(call.db, target, change=True), "_for_update")
    if row is None:
        raise _stale("it has no budget any more")
    return row


async def _give_credit(call: Call, row: ApprovalRow) -> Granted:
    terms, nano = row.terms, parse_dollars(row.terms.amount)
    if terms.until is None:
        held = await _held_budget(call, row.target)
        raised = format_dollars(held.limit_nano + nano)
        await budgets.set_budget(call, SetBudgetRequest(subject=row.target, limit=raised))
        undo = {"what": "budget", "target": row.target, "budget": held.rule_id, "amount_nano": nano}
        summary = f"{terms.amount} US dollars more for {terms.subject}, for good"
    else:
        marker = f"approval {row.id}"
        asked = IncreaseBudgetRequest(subject=row.target, amount=terms.amount, ends_at=terms.until, reason=marker)
        budget = await budgets.increase_budget(call, asked)
        made = next(increase.id for increase in budget.increases if increase.reason == marker)
        undo = {"what": "increase", "target": row.target, "increase": made}
        summary = f"{terms.amount} US dollars more for {terms.subject} until {terms.until:%Y-%m-%d %H:%M} UTC"
    return Granted(summary=summary, undo=undo, subject=row.target, amount_nano=nano)


async def _take_increase(call: Call, undo: dict[str, Any]) -> None:
    await budgets.revoke_increase(call, RevokeIncreaseRequest(subject=undo["target"], increase=undo["increase"]))


async def _take_budget(call: Call, undo: dict[str, Any]) -> None:
    held = await _held_budget(call, undo["target"])
    if held.rule_id != undo["budget"]:
        raise _stale("the budget was removed and another one made since; change that one by hand")
    left = held.limit_nano - undo["amount_nano"]
    if left < 0:
        raise _stale("the budget was lowered below what was given; change it by hand")
    await budgets.set_budget(call, SetBudgetRequest(subject=undo["target"], limit=format_dollars(left)))


# -- limits -----------------------------------------------------------------------------------------------------------


async def _held_limits(call: Call, target: str) -> list[Limit]:
    """The limits of a subject, locked like a change of them."""
    held = await rules_rows.limit_set(call.db, await resolve(call.db, target, change=True), "_for_update")
    if held is None:
        return []
    return [row.view() for row in (await rules_rows.limits(call.db, [held.id]))[held.id]]


async def _set_limit(call: Call, target: str, terms: ApprovalTerms, present: list[Limit], amount: int) -> None:
    wanted = [msgspec.structs.replace(one, amount=amount) if same_limit(one, terms) else one for one in present]
    await limits.set_limits(call, SetLimitsRequest(subject=target, limits=wanted))


async def _give_limit(call: Call, row: ApprovalRow) -> Granted:
    terms, present = row.terms, await _held_limits(call, row.target)
    amount = next((limit.amount for limit in present if same_limit(limit, terms)), None)
    if amount is None or terms.limit is None:
        raise _stale("the limit is gone: there is nothing to raise")
    what = f"{terms.measure} of {terms.subject}"
    if amount >= terms.limit:
        return Granted(summary=f"nothing: the limit on {what} is {amount} already", undo={"what": "nothing"})
    await _set_limit(call, row.target, terms, present, terms.limit)
    undo = {
        "what": "limit",
        "target": row.target,
        "limit": [terms.measure, terms.window, terms.model],
        "from": amount,
        "to": terms.limit,
    }
    return Granted(summary=f"the limit on {what} went from {amount} to {terms.limit}", undo=undo)


async def _take_limit(call: Call, undo: dict[str, Any]) -> None:
    measure, window, model = undo["limit"]
    terms = ApprovalTerms(measure=measure, window=window, model=model)
    present = await _held_limits(call, undo["target"])
    amount = next((limit.amount for limit in present if same_limit(limit, terms)), None)
    if amount != undo["to"]:
        raise _stale(f"the limit was changed since (it is {amount}, and {undo['to']} was given); change it by hand")
    await _set_limit(call, undo["target"], terms, present, undo["from"])


# -- models and projects ----------------------------------------------------------------------------------------------


async def _give_models(call: Call, row: ApprovalRow) -> Granted:
    project = await identity_rows.project(call.db, str(row.project_id), "_for_update")
    if project is None:
        raise _stale("the project is archived")
    added = [] if "*" in project.models else [model for model in row.terms.models if model not in project.models]
    if not added:
        return Granted(summary=f"nothing: project {project.name} has them already", undo={"what": "nothing"})
    if len(project.models) + len(added) > MAX_MODELS:
        raise _stale(f"project {project.name} would have more than {MAX_MODELS} entries; use globs")
    wanted = UpdateProjectRequest(project=str(project.id), models=[*project.models, *added])
    await identity.update_project(call, wanted)
    undo = {"what": "models", "project": str(project.id), "added": added}
    return Granted(summary=f"{', '.join(added)} for project {project.name}", undo=undo, subject=row.target)


async def _take_models(call: Call, undo: dict[str, Any]) -> None:
    project = await identity_rows.project(call.db, undo["project"], "_for_update")
    if project is None:
        raise _stale("the project is archived: nobody has its models any more")
    left = [model for model in project.models if model not in undo["added"]]
    if not left:
        raise _stale("the project would have no models left, which would mean all of them; change it by hand")
    await identity.update_project(call, UpdateProjectRequest(project=str(project.id), models=left))


async def _give_project(call: Call, row: ApprovalRow) -> Granted:
    terms = row.terms
    asked = CreateProjectRequest(
        name=terms.project, description=terms.description, business_unit=str(row.unit_id), models=terms.models
    )
    made = await identity.create_project(call, asked)
    if terms.amount:
        await budgets.set_budget(call, SetBudgetRequest(subject=f"project:{made.id}", limit=terms.amount))
    user = row.facts.get("requester.user_id")
    if user:
        await roles.give(call, OWNER, UUID(user), None, UUID(made.id))
    undo = {"what": "project", "project": made.id}
    return Granted(summary=f"project {made.name} in {made.business_unit}", undo=undo, subject=f"project:{made.id}")


async def _take_project(call: Call, undo: dict[str, Any]) -> None:
    await identity.archive_project(call, ArchiveProjectRequest(project=undo["project"]))


# -- roles ------------------------------------------------------------------------------------------------------------


async def _give_role(call: Call, row: ApprovalRow) -> Granted:
    user, role = UUID(row.facts["requester.user_id"]), row.terms.role
    unit = None if row.project_id is not None else row.unit_id
    undo = await roles.give(call, role, user, unit, row.project_id)
    where = row.terms.subject or "the platform"
    if undo is None:
        return Granted(summary=f"nothing: {row.requester} is {role} of {where} already", undo={"what": "nothing"})
    return Granted(summary=f"the role {role} of {where}", undo={"what": "role", **undo}, subject=row.target)


async def _take_role(call: Call, undo: dict[str, Any]) -> None:
    await roles.take(call, undo)
