"""The state machine of a request.

    pending --approve (last step)--> approved --> revoked
            --reject--> rejected    --cancel--> cancelled    --time--> expired

Every function takes a case and gives the case that follows, or raises Refused and nothing has happened. Whoever stores
cases applies one at a time to each: what is given to the requester is given on the way into `approved`, which is taken
once.
"""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum

import msgspec

from tollway.core.approvals.approvers import right_of
from tollway.core.approvals.model import Case, Delegation, Effect, Outcome, Person, State, Timing, Verdict, Vote


class Refusal(StrEnum):
    """Why a request stays as it is."""

    ENDED = "ended"
    OVERDUE = "overdue"
    OWN_REQUEST = "own_request"
    NOT_APPROVER = "not_approver"
    DECIDED_BEFORE = "decided_before"
    NOT_REQUESTER = "not_requester"
    NOT_GRANTED = "not_granted"


class Refused(Exception):
    """A transition that is not allowed."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.value)
        self.refusal = refusal


class Event(StrEnum):
    """What the passing of time does to a request."""

    REMINDED = "reminded"
    ESCALATED = "escalated"
    EXPIRED = "expired"


_STATES = {Effect.APPROVE: State.APPROVED, Effect.REQUIRE: State.PENDING, Effect.REJECT: State.REJECTED}


def opened(requester: str, outcome: Outcome, timing: Timing, now_ms: int) -> Case:
    """A new request, after the policy's word."""
    return Case(
        requester=requester,
        state=_STATES[outcome.effect],
        steps=outcome.steps,
        timing=timing,
        opened_ms=now_ms,
        remind_ms=now_ms + timing.remind_ms if timing.remind_ms else None,
    )


def overdue(case: Case, now_ms: int) -> bool:
    """Whether a pending request has expired, noted or not."""
    return case.state is State.PENDING and now_ms >= case.expires_ms


def _waiting(case: Case, now_ms: int) -> None:
    if case.state is not State.PENDING:
        raise Refused(Refusal.ENDED)
    if overdue(case, now_ms):
        raise Refused(Refusal.OVERDUE)


def decide(case: Case, actor: Person, verdict: Verdict, delegations: Sequence[Delegation], now_ms: int) -> Case:
    """The case after one more vote; the same case when this person has said the same before.

    One rejection ends it. The approval that fills the quorum of the last step makes it `approved`.
    """
    before = next((vote for vote in case.votes if vote.actor == actor.name), None)
    if before is not None and before.verdict is verdict:
        return case
    if actor.name == case.requester:
        raise Refused(Refusal.OWN_REQUEST)
    _waiting(case, now_ms)
    if before is not None:
        raise Refused(Refusal.DECIDED_BEFORE)
    right = right_of(case, actor, delegations, now_ms)
    if right is None:
        raise Refused(Refusal.NOT_APPROVER)
    vote = Vote(step=case.step, actor=actor.name, on_behalf_of=right, verdict=verdict)
    case = msgspec.structs.replace(case, votes=(*case.votes, vote))
    if verdict is Verdict.REJECT:
        return msgspec.structs.replace(case, state=State.REJECTED)
    if approvals(case) < case.steps[case.step].quorum:
        return case
    short = (step for step in range(len(case.steps)) if _approvals(case, step) < case.steps[step].quorum)
    following = next(short, None)
    if following is None:
        return msgspec.structs.replace(case, state=State.APPROVED)
    return msgspec.structs.replace(case, step=following)


def approvals(case: Case) -> int:
    """How many have approved the step that waits."""
    return _approvals(case, case.step)


def _approvals(case: Case, step: int) -> int:
    return sum(vote.step == step and vote.verdict is Verdict.APPROVE and not vote.void for vote in case.votes)


def standing(case: Case) -> Case:
    """The request with the votes that count: a step that lost one of those it needed waits again."""
    if case.state is not State.PENDING:
        return case
    short = (step for step in range(case.step) if _approvals(case, step) < case.steps[step].quorum)
    return msgspec.structs.replace(case, step=next(short, case.step))


def cancelled(case: Case, actor: str, now_ms: int) -> Case:
    """The requester takes it back."""
    if actor != case.requester:
        raise Refused(Refusal.NOT_REQUESTER)
    if case.state is State.CANCELLED:
        return case
    _waiting(case, now_ms)
    return msgspec.structs.replace(case, state=State.CANCELLED)


def revoked(case: Case) -> Case:
    """What was given is taken back; the same case when it was taken back before."""
    if case.state is State.REVOKED:
        return case
    if case.state is not State.APPROVED:
        raise Refused(Refusal.NOT_GRANTED)
    return msgspec.structs.replace(case, state=State.REVOKED)


def passed(case: Case, now_ms: int) -> tuple[Case, tuple[Event, ...]]:
    """The case after what is due at `now_ms`, and what that was. An expired one is not reminded of."""
    if case.state is not State.PENDING:
        return case, ()
    if overdue(case, now_ms):
        return msgspec.structs.replace(case, state=State.EXPIRED, remind_ms=None), (Event.EXPIRED,)
    events = []
    escalates = case.escalates_ms
    if escalates is not None and now_ms >= escalates:
        case = msgspec.structs.replace(case, escalated=True)
        events.append(Event.ESCALATED)
    if case.remind_ms is not None and now_ms >= case.remind_ms:
        case = msgspec.structs.replace(case, remind_ms=now_ms + case.timing.remind_ms)
        events.append(Event.REMINDED)
    return case, tuple(events)
