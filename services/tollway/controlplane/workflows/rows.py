"""The rows of approvals, and what they become: cases of the state machine, messages, entries of the audit log. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from tollway.controlplane.call import Grant
from tollway.controlplane.resources import from_ms
from tollway.controlplane.workflows.model import (
    Approval,
    ApprovalComment,
    ApprovalTerms,
    ApprovalVote,
    Delegation,
    Facts,
    Place,
    Policy,
    PolicyRule,
    shown_approvers,
    shown_steps,
)
from tollway.controlplane.workflows.model import ApprovalTiming as ShownTiming
from tollway.core.approvals.machine import standing
from tollway.core.approvals.model import Case, Effect, Kind, Rule, State, Step, Timing, Verdict, Vote
from tollway.core.approvals.model import Policy as CorePolicy


class VoteRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `approval_votes`. `void`: who voted, or whose right it was, has been disabled since."""

    approval_id: UUID
    step: int
    actor: str
    on_behalf_of: str
    verdict: Verdict
    reason: str
    at: datetime
    void: bool = False

    def view(self) -> ApprovalVote:
        """The vote as it is shown."""
        return ApprovalVote(
            step=self.step,
            actor=self.actor,
            on_behalf_of=self.on_behalf_of,
            verdict=self.verdict.value,
            reason=self.reason,
            at=self.at,
        )


class CommentRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `approval_comments`."""

    id: UUID
    author: str
    text: str
    at: datetime

    def view(self) -> ApprovalComment:
        """The comment as it is shown."""
        return ApprovalComment(id=str(self.id), author=self.author, text=self.text, at=self.at)


class ApprovalRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `approvals`, with what it gave. `unit_id` is the unit that the project belongs to now."""

    id: UUID
    kind: Kind
    state: State
    requester: str
    reason: str
    terms: ApprovalTerms
    target: str
    unit_id: UUID | None
    project_id: UUID | None
    business_unit: str
    project: str
    facts: Facts
    policy_version: int
    rule: str
    outcome: Effect
    outcome_reason: str
    steps: tuple[Step, ...]
    step: int
    timing: Timing
    escalated: bool
    created_at: datetime
    updated_at: datetime
    remind_at: datetime | None
    ended_at: datetime | None
    ended_by: str
    granted: str | None = None

    @property
    def place(self) -> Place:
        """Where it applies."""
        return Place(
            target=self.target,
            unit_id=self.unit_id,
            project_id=self.project_id,
            business_unit=self.business_unit,
            project=self.project,
        )

    def case(self, votes: Sequence[VoteRow]) -> Case:
        """The request as the state machine sees it, by the votes that count."""
        found = Case(
            requester=self.requester,
            state=self.state,
            steps=self.steps,
            timing=self.timing,
            opened_ms=milliseconds(self.created_at),
            step=self.step,
            votes=tuple(
                Vote(step=v.step, actor=v.actor, on_behalf_of=v.on_behalf_of, verdict=v.verdict, void=v.void)
                for v in votes
            ),
            escalated=self.escalated,
            remind_ms=None if self.remind_at is None else milliseconds(self.remind_at),
        )
        return standing(found)

    def view(
        self, case: Case, votes: Sequence[VoteRow], comments: Sequence[CommentRow], *, now_ms: int, decidable: bool
    ) -> Approval:
        """The request as it is shown: one whose time is over is expired, noted or not."""
        late = self.state is State.PENDING and now_ms >= case.expires_ms
        return Approval(
            id=str(self.id),
            kind=self.kind.value,
            state=(State.EXPIRED if late else self.state).value,
            requester=self.requester,
            reason=self.reason,
            terms=self.terms,
            policy_version=self.policy_version,
            rule=self.rule,
            outcome=self.outcome.value,
            outcome_reason=self.outcome_reason,
            steps=shown_steps(self.steps),
            step=case.step,
            votes=[vote.view() for vote in votes],
            comments=[comment.view() for comment in comments],
            escalated=self.escalated,
            created_at=self.created_at,
            updated_at=self.updated_at,
            expires_at=from_ms(case.expires_ms),
            ended_at=from_ms(case.expires_ms) if late else self.ended_at,
            ended_by=self.ended_by,
            granted=self.granted or "",
            decidable=decidable,
        )


class PolicyDocument(msgspec.Struct, frozen=True, kw_only=True):
    """What a version of a policy says, as it is stored."""

    rules: tuple[Rule, ...]
    steps: tuple[Step, ...]
    timing: Timing

    def policy(self) -> CorePolicy:
        """The policy as it is judged by."""
        return CorePolicy(rules=self.rules, steps=self.steps, timing=self.timing)


class PolicyRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `approval_policies`; version 0 is what holds while none is set."""

    kind: Kind
    version: int
    document: PolicyDocument
    note: str = ""
    created_by: str = ""
    created_at: datetime | None = None

    def view(self) -> Policy:
        """The policy as it is shown."""
        document = self.document
        return Policy(
            kind=self.kind.value,
            version=self.version,
            rules=[
                PolicyRule(
                    name=rule.name,
                    when=rule.when,
                    effect=rule.effect.value,
                    reason=rule.reason,
                    steps=shown_steps(rule.steps),
                )
                for rule in document.rules
            ],
            steps=shown_steps(document.steps),
            timing=ShownTiming(
                remind_seconds=document.timing.remind_ms // 1000,
                escalate_seconds=document.timing.escalate_ms // 1000,
                escalate_to=shown_approvers(document.timing.escalate_to),
                expire_seconds=document.timing.expire_ms // 1000,
            ),
            note=self.note,
            created_by=self.created_by,
            created_at=self.created_at,
        )


class DelegationRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `approval_delegations`."""

    id: UUID
    delegator: str
    user_id: UUID | None
    delegate: str
    starts_at: datetime
    ends_at: datetime
    reason: str
    created_by: str
    created_at: datetime

    def view(self) -> Delegation:
        """The delegation as it is shown."""
        return Delegation(
            id=str(self.id),
            delegator=self.delegator,
            delegate=self.delegate,
            starts_at=self.starts_at,
            ends_at=self.ends_at,
            reason=self.reason,
            created_by=self.created_by,
            created_at=self.created_at,
        )


class RoleRow(msgspec.Struct, frozen=True, kw_only=True):
    """A role that somebody holds, and where."""

    user_id: UUID
    role: str
    unit_id: UUID | None
    project_id: UUID | None

    @property
    def grant(self) -> Grant:
        """The role with its scope; what it permits is not in it."""
        return Grant(role=self.role, permissions=frozenset(), unit=self.unit_id, project=self.project_id)


class HomeRow(msgspec.Struct, frozen=True, kw_only=True):
    """Where a service account lives; `unit_id` is also set for one that lives in a project. Both None: the platform."""

    id: UUID
    unit_id: UUID | None
    project_id: UUID | None


class GrantRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `approval_grants`."""

    approval_id: UUID
    summary: str
    undo: dict[str, Any]
    revoked_at: datetime | None


def milliseconds(at: datetime) -> int:
    """A time as Unix milliseconds."""
    return round(at.timestamp() * 1000)
