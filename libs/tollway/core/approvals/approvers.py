"""Who may decide a request, in their own right or for somebody who is absent.

Nobody decides their own request, and nobody uses the requester's right for them. Delegation goes one step: who stands
in for somebody cannot hand that on. A right is used once and a person decides once in a request, over all its steps, so
that two clicks are never two approvers.
"""

from __future__ import annotations

from collections.abc import Sequence

from tollway.core.approvals.model import Approvers, Case, Delegation, Person


def entitled(case: Case, person: Person) -> bool:
    """Whether the step that waits names this person, or a role of theirs; the requester never is."""
    if person.name == case.requester or case.step >= len(case.steps):
        return False
    named = [case.steps[case.step].approvers]
    if case.escalated:
        named.append(case.timing.escalate_to)
    return any(_among(approvers, person) for approvers in named)


def _among(approvers: Approvers, person: Person) -> bool:
    return person.name in approvers.people or (bool(approvers.role) and approvers.role in person.roles)


def right_of(case: Case, actor: Person, delegations: Sequence[Delegation], now_ms: int) -> str | None:
    """Whose right `actor` can use now: their own name, that of whom they stand in for, or None.

    Their own goes first; of several absent approvers it is the first by name.
    """
    if actor.name == case.requester or any(vote.actor == actor.name for vote in case.votes):
        return None
    used = {vote.on_behalf_of for vote in case.votes}
    if entitled(case, actor) and actor.name not in used:
        return actor.name
    absent = {
        delegation.delegator.name
        for delegation in delegations
        if delegation.delegate == actor.name
        and delegation.in_force(now_ms)
        and entitled(case, delegation.delegator)
        and delegation.delegator.name not in used
    }
    return min(absent, default=None)
