"""The values of approvals: kinds, states, steps, votes, policies. Frozen; nothing here decides anything."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class Kind(StrEnum):
    """What can be asked for."""

    PLATFORM_ACCESS = "platform_access"
    PROJECT = "project"
    MODEL_ACCESS = "model_access"
    CREDIT = "credit"
    LIMIT = "limit"


class State(StrEnum):
    """Where a request stands. What was asked for has been given in `approved`, and taken back in `revoked`."""

    PENDING = "pending"
    APPROVED = "approved"
    REJECTED = "rejected"
    CANCELLED = "cancelled"
    EXPIRED = "expired"
    REVOKED = "revoked"


class Effect(StrEnum):
    """What a policy can say."""

    APPROVE = "approve"
    REQUIRE = "require"
    REJECT = "reject"


class Verdict(StrEnum):
    """What an approver can say."""

    APPROVE = "approve"
    REJECT = "reject"


class Approvers(msgspec.Struct, frozen=True, kw_only=True):
    """Who may decide: these people, and whoever holds `role` where the request applies; empty: no role."""

    people: tuple[str, ...] = ()
    role: str = ""

    def __bool__(self) -> bool:
        return bool(self.people or self.role)


class Step(msgspec.Struct, frozen=True, kw_only=True):
    """One step of a decision: `quorum` different approvers."""

    approvers: Approvers
    quorum: int = 1


class Timing(msgspec.Struct, frozen=True, kw_only=True):
    """When something happens to a request that waits, in milliseconds from its beginning; 0: never.

    Reminders repeat. A request always expires.
    """

    remind_ms: int = 0
    escalate_ms: int = 0
    escalate_to: Approvers = Approvers()
    expire_ms: int = 30 * 86_400_000


class Vote(msgspec.Struct, frozen=True, kw_only=True):
    """What one person said. `on_behalf_of` is whose right was used: the actor's own or that of an absent approver.

    `void`: one of the two has been disabled since; it is not counted.
    """

    step: int
    actor: str
    on_behalf_of: str
    verdict: Verdict
    void: bool = False


class Case(msgspec.Struct, frozen=True, kw_only=True):
    """A request as the state machine sees it. Times are Unix milliseconds; None: never."""

    requester: str
    state: State
    steps: tuple[Step, ...]
    timing: Timing
    opened_ms: int
    step: int = 0
    votes: tuple[Vote, ...] = ()
    escalated: bool = False
    remind_ms: int | None = None

    @property
    def expires_ms(self) -> int:
        """When it ends undecided."""
        return self.opened_ms + self.timing.expire_ms

    @property
    def escalates_ms(self) -> int | None:
        """When others may decide too; None: never, or it has happened."""
        timing = self.timing
        if self.escalated or not timing.escalate_ms or not timing.escalate_to:
            return None
        return self.opened_ms + timing.escalate_ms


class Person(msgspec.Struct, frozen=True, kw_only=True):
    """Someone with the roles that they hold where a request applies. `machine`: a service account."""

    name: str
    roles: frozenset[str] = frozenset()
    machine: bool = False


class Delegation(msgspec.Struct, frozen=True, kw_only=True):
    """`delegate` may use the rights of `delegator` from `starts_ms` to before `ends_ms` (Unix milliseconds)."""

    delegator: Person
    delegate: str
    starts_ms: int
    ends_ms: int

    def in_force(self, now_ms: int) -> bool:
        """Whether it holds at a moment."""
        return self.starts_ms <= now_ms < self.ends_ms


class Rule(msgspec.Struct, frozen=True, kw_only=True):
    """One rule of a policy. `when` is a condition, empty: always; `steps` of `require`, empty: the policy's."""

    name: str
    when: str = ""
    effect: Effect
    reason: str = ""
    steps: tuple[Step, ...] = ()


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """How requests of one kind are decided: the first rule whose condition holds, else `steps`."""

    rules: tuple[Rule, ...] = ()
    steps: tuple[Step, ...]
    timing: Timing = Timing()


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What a policy says to a request. `rule` is empty when none matched.

    `problem` says why a condition could not be evaluated; the effect is then `require`.
    """

    effect: Effect
    rule: str = ""
    reason: str = ""
    steps: tuple[Step, ...] = ()
    problem: str = ""
