"""The state machine under concurrent hands: decided once, never by the requester, never when it is over."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from tollway.core.approvals.machine import Refusal, Refused, cancelled, decide, opened, passed, revoked
from tollway.core.approvals.model import (
    Approvers,
    Case,
    Delegation,
    Effect,
    Outcome,
    Person,
    State,
    Step,
    Timing,
    Verdict,
)

NAMES = ["ana", "bob", "cem", "dia", "eva"]
ROLES = {"ana": "manager", "bob": "manager", "cem": "finance", "dia": "", "eva": ""}
PEOPLE = {name: Person(name=name, roles=frozenset({role} - {""})) for name, role in ROLES.items()}
ENDED = {State.REJECTED, State.CANCELLED, State.EXPIRED, State.REVOKED}
people = st.sampled_from(NAMES)
approvers = st.builds(
    Approvers,
    people=st.lists(people, unique=True, min_size=1, max_size=3).map(tuple),
    role=st.sampled_from(["", "manager", "finance"]),
)
steps = st.lists(st.builds(Step, approvers=approvers, quorum=st.integers(1, 3)), min_size=1, max_size=3).map(tuple)
timings = st.builds(
    Timing,
    remind_ms=st.sampled_from([0, 10]),
    escalate_ms=st.sampled_from([0, 20]),
    escalate_to=approvers,
    expire_ms=st.sampled_from([15, 40, 100]),
)


class Hands(RuleBasedStateMachine):
    """Several hands on one request. Each reads it, and what it then does meets the request as it is by then."""

    def __init__(self) -> None:
        super().__init__()
        self.case = Case(requester="", state=State.REJECTED, steps=(), timing=Timing(), opened_ms=0)
        self.now = 0
        self.granted = self.taken_back = 0
        self.over = False
        self.delegations: list[Delegation] = []

    @initialize(requester=people, steps=steps, timing=timings)
    def ask(self, requester: str, steps: tuple[Step, ...], timing: Timing) -> None:
        self.case = opened(requester, Outcome(effect=Effect.REQUIRE, steps=steps), timing, self.now)

    def put(self, after: Case) -> None:
        """What the store does under its lock: what is given is given on the way into `approved`."""
        before, self.case = self.case, after
        if before.state is not after.state:
            assert before.state not in ENDED, "an ended request came back"
            self.granted += after.state is State.APPROVED
            self.taken_back += after.state is State.REVOKED

    @rule(actor=people, verdict=st.sampled_from([Verdict.APPROVE] * 4 + [Verdict.REJECT]), clicks=st.integers(1, 2))
    def vote(self, actor: str, verdict: Verdict, clicks: int) -> None:
        for _ in range(clicks):
            before = self.case
            try:
                after = decide(before, PEOPLE[actor], verdict, self.delegations, self.now)
            except Refused:
                assert self.case == before
                continue
            if after != before:
                assert before.state is State.PENDING
                assert self.now < before.expires_ms
                assert len(after.votes) == len(before.votes) + 1
            self.put(after)

    @rule(delegator=people, delegate=people, length=st.integers(1, 30))
    def stand_in(self, delegator: str, delegate: str, length: int) -> None:
        self.delegations.append(
            Delegation(delegator=PEOPLE[delegator], delegate=delegate, starts_ms=self.now, ends_ms=self.now + length)
        )

    @rule(actor=people)
    def cancel(self, actor: str) -> None:
        try:
            self.put(cancelled(self.case, actor, self.now))
        except Refused:
            return
        assert actor == self.case.requester

    @rule()
    def revoke(self) -> None:
        try:
            self.put(revoked(self.case))
        except Refused:
            assert self.case.state not in (State.APPROVED, State.REVOKED)

    @rule(length=st.integers(1, 12), noticed=st.booleans())
    def wait(self, length: int, noticed: bool) -> None:
        self.now += length
        if noticed:
            self.put(passed(self.case, self.now)[0])

    @invariant()
    def given_once_and_only_with_approval(self) -> None:
        reached = self.case.state in (State.APPROVED, State.REVOKED)
        assert self.granted == reached
        assert self.taken_back == (self.case.state is State.REVOKED)

    @invariant()
    def everyone_counts_once_and_nobody_for_themselves(self) -> None:
        actors = Counter(vote.actor for vote in self.case.votes)
        rights = Counter(vote.on_behalf_of for vote in self.case.votes)
        assert not [name for name, votes in (actors + rights).items() if actors[name] > 1 or rights[name] > 1]
        assert self.case.requester not in actors
        assert self.case.requester not in rights

    @invariant()
    def approval_needs_the_quorum_of_every_step(self) -> None:
        if self.granted:
            yes = Counter(vote.step for vote in self.case.votes if vote.verdict is Verdict.APPROVE)
            assert [yes[number] for number in range(len(self.case.steps))] == [s.quorum for s in self.case.steps]

    @invariant()
    def every_right_was_entitled(self) -> None:
        for vote in self.case.votes:
            allowed = [self.case.steps[vote.step].approvers]
            if self.case.escalated:
                allowed.append(self.case.timing.escalate_to)
            right = PEOPLE[vote.on_behalf_of]
            assert any(right.name in a.people or a.role in right.roles for a in allowed)


Hands.TestCase.settings = settings(max_examples=40, stateful_step_count=25, deadline=None)
TestHands = Hands.TestCase


def case(requester: str = "dia", **changed: object) -> Case:
    """A request that one manager decides."""
    outcome = Outcome(effect=Effect.REQUIRE, steps=(Step(approvers=Approvers(role="manager")),))
    return opened(requester, outcome, Timing(expire_ms=100, **changed), 0)  # type: ignore[arg-type]


def refusal(call: object, *given: object) -> Refusal:
    """Why a transition is refused."""
    with pytest.raises(Refused) as caught:
        call(*given)  # type: ignore[operator]
    return caught.value.refusal


def test_nobody_approves_their_own_request_also_not_through_a_delegation() -> None:
    own = case("ana")
    for delegator in ("bob", "ana"):
        stands = [Delegation(delegator=PEOPLE[delegator], delegate="ana", starts_ms=0, ends_ms=50)]
        assert refusal(decide, own, PEOPLE["ana"], Verdict.APPROVE, stands, 1) is Refusal.OWN_REQUEST
    to_eva = [Delegation(delegator=PEOPLE["ana"], delegate="eva", starts_ms=0, ends_ms=50)]
    assert refusal(decide, own, PEOPLE["eva"], Verdict.APPROVE, to_eva, 1) is Refusal.NOT_APPROVER


def test_a_delegation_holds_in_its_time_and_goes_one_step() -> None:
    first = Delegation(delegator=PEOPLE["ana"], delegate="eva", starts_ms=10, ends_ms=20)
    second = Delegation(delegator=PEOPLE["eva"], delegate="cem", starts_ms=0, ends_ms=50)
    assert refusal(decide, case(), PEOPLE["eva"], Verdict.APPROVE, [first], 9) is Refusal.NOT_APPROVER
    assert refusal(decide, case(), PEOPLE["eva"], Verdict.APPROVE, [first], 20) is Refusal.NOT_APPROVER
    assert refusal(decide, case(), PEOPLE["cem"], Verdict.APPROVE, [first, second], 15) is Refusal.NOT_APPROVER
    done = decide(case(), PEOPLE["eva"], Verdict.APPROVE, [first], 19)
    assert done.state is State.APPROVED
    assert done.votes[0].on_behalf_of == "ana"


def test_an_expired_request_is_not_approved_even_before_it_is_noticed() -> None:
    assert refusal(decide, case(), PEOPLE["ana"], Verdict.APPROVE, [], 100) is Refusal.OVERDUE
    assert decide(case(), PEOPLE["ana"], Verdict.APPROVE, [], 99).state is State.APPROVED


def test_who_clicks_twice_gets_the_same_answer_and_who_comes_late_is_told() -> None:
    done = decide(case(), PEOPLE["ana"], Verdict.APPROVE, [], 1)
    assert decide(done, PEOPLE["ana"], Verdict.APPROVE, [], 2) is done
    assert refusal(decide, done, PEOPLE["bob"], Verdict.APPROVE, [], 2) is Refusal.ENDED
    assert refusal(decide, done, PEOPLE["ana"], Verdict.REJECT, [], 2) is Refusal.ENDED


def test_escalation_lets_others_decide_and_reminders_repeat() -> None:
    waiting = case(escalate_ms=30, escalate_to=Approvers(people=("cem",)), remind_ms=20)
    assert refusal(decide, waiting, PEOPLE["cem"], Verdict.APPROVE, [], 29) is Refusal.NOT_APPROVER
    waiting, events = passed(waiting, 30)
    assert events == ("escalated", "reminded")
    assert decide(waiting, PEOPLE["cem"], Verdict.APPROVE, [], 31).state is State.APPROVED
    assert passed(waiting, 49)[1] == ()
    assert passed(waiting, 50)[1] == ("reminded",)
    assert passed(waiting, 100)[1] == ("expired",)
