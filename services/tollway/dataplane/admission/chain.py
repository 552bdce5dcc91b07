"""Which rules hold for a request: those of its organisation, unit, project, user, key and model."""

from __future__ import annotations

from collections.abc import Iterator

from tollway.core.catalog import glob_match
from tollway.core.rules import Chain, Limit, Mode, Rules
from tollway.dataplane.config.directory import Principal
from tollway.dataplane.config.holder import Route

ORGANISATION = "organisation"
GLOB_CACHE_LIMIT = 10_000
_matches: dict[tuple[str, str], bool] = {}


def chain_of(principal: Principal) -> Chain:
    """The rules that hold for whatever a principal asks for; worked out once for each catalog and key."""
    chain = principal.chain
    if chain is None:
        chain = principal.chain = _chain(principal)
    return chain


def _chain(principal: Principal) -> Chain:
    found = list(_subjects(principal))
    budgets = tuple(
        (rules.budget, subject) for rules, subject in found if rules.budget and rules.budget.mode is Mode.HARD
    )
    return Chain(budgets, tuple((limit, subject) for rules, subject in found for limit in rules.limits))


def _subjects(principal: Principal) -> Iterator[tuple[Rules, str]]:
    """Rules and the ledger's name of their subject, the widest first."""
    project, entry = principal.project, principal.entry
    pushed = principal.routes.catalog.rules
    for key, subject in (
        (ORGANISATION, project.organisation),
        (f"business_unit:{project.business_unit}", project.business_unit),
        (f"project:{project.id}", project.id),
        (f"user:{entry.user}", entry.user),
    ):
        rules = pushed.get(key)
        if rules is not None:
            yield rules, subject
    if entry.rules is not None:
        yield entry.rules, entry.key_id


def limits_for(principal: Principal, route: Route) -> list[tuple[Limit, str]]:
    """The limits of a request: the principal's that count this model, and the model's own."""
    names = (route.name, *route.also) if route.also else (route.name,)
    limits = [pair for pair in chain_of(principal).limits if any(counts(pair[0].model, name) for name in names)]
    for name in names:
        own = principal.routes.catalog.rules.get(f"model:{name}")
        if own is not None:
            limits += [(limit, name) for limit in own.limits]
    return limits


def counts(pattern: str, model: str) -> bool:
    """Whether a limit's glob takes in a model."""
    if pattern == "*":
        return True
    question = (pattern, model)
    answer = _matches.get(question)
    if answer is None:
        if len(_matches) >= GLOB_CACHE_LIMIT:
            _matches.clear()
        answer = _matches[question] = glob_match(pattern, model)
    return answer
