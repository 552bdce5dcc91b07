"""Who may decide a request, in their own right or for somebody who is absent.

Nobody decides their own request, and nobody uses the requester's right for them. Delegation goes one step: who stands
in for somebody cannot hand that on. A right is used once and a person decides once in a request, over all its steps, so
that two clicks are never two approvers. A service account decides only where it is named: whoever has a role can make
any number of accounts with it, and each would be one more approver.
"""

from __future__ import annotations

from collections.abc import Sequence

from tollway.core.approvals.model import Approvers, Case, Delegation, Person, Vote


def entitled(case: Case, person: Person) -> bool:
    """Whether the step that waits names this person, or a role of theirs; the requester never is."""
    if person.name == case.requester or case.step >= len(case.steps):
        return False
    return any(_among(approvers, person) for approvers in _named(case, case.step))


def _named(case: Case, step: int) -> list[Approvers]:
    """Who decides a step of a request as it stands."""
    named = [case.steps[step].approvers]
    return [*named, case.timing.escalate_to] if case.escalated else named


def _among(approvers: Approvers, person: Person) -> bool:
    by_role = bool(approvers.role) and approvers.role in person.roles and not person.machine
    return person.name in approvers.people or by_role


def still_entitled(case: Case, vote: Vote, actor: Person, delegations: Sequence[Delegation], now_ms: int) -> bool:
    """Whether who voted could use the right of that vote today."""
    people = {lent.delegator.name: lent.delegator for lent in lent_to(actor, delegations, now_ms)} | {actor.name: actor}
    holder = people.get(vote.on_behalf_of)
    return holder is not None and any(_among(approvers, holder) for approvers in _named(case, vote.step))


def lent_to(actor: Person, delegations: Sequence[Delegation], now_ms: int) -> list[Delegation]:
    """The delegations that somebody can use now. Nobody lends anything to a service account."""
    return [
        delegation
        for delegation in delegations
        if delegation.delegate == actor.name and not actor.machine and delegation.in_force(now_ms)
    ]


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
        for delegation in lent_to(actor, delegations, now_ms)
        if entitled(case, delegation.delegator) and delegation.delegator.name not in used
    }
    return min(absent, default=None)
