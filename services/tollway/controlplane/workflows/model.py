"""Messages of the contract and rows of approvals. Pure; times are aware datetimes, amounts decimal dollars."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from tollway.core.approvals import model as core


class ApprovalTerms(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Message of the contract: what is asked for."""

    subject: str = ""
    amount: str = ""
    until: datetime | None = None
    project: str = ""
    business_unit: str = ""
    models: list[str] = []
    role: str = ""
    measure: str = ""
    window: str = ""
    model: str = ""
    limit: int | None = None
    description: str = ""


class Approvers(msgspec.Struct, frozen=True, kw_only=True):
    """Message of the contract."""

    people: list[str] = []
    role: str = ""


class ApprovalStep(msgspec.Struct, frozen=True, kw_only=True):
    """Message of the contract."""

    approvers: Approvers = Approvers()
    quorum: int = 0


class ApprovalTiming(msgspec.Struct, frozen=True, kw_only=True):
    """Message of the contract."""

    remind_seconds: int = 0
    escalate_seconds: int = 0
    escalate_to: Approvers = Approvers()
    expire_seconds: int = 0


class ApprovalVote(msgspec.Struct, frozen=True, kw_only=True):
    """Message of the contract."""

    step: int
    actor: str
    on_behalf_of: str
    verdict: str
    reason: str
    at: datetime


class ApprovalComment(msgspec.Struct, frozen=True, kw_only=True):
    """Message of the contract."""

    id: str
    author: str
    text: str
    at: datetime


class Approval(msgspec.Struct, frozen=True, kw_only=True):
    """Message of the contract: a request and what became of it."""

    id: str
    kind: str
    state: str
    requester: str
    reason: str
    terms: ApprovalTerms
    policy_version: int
    rule: str
    outcome: str
    outcome_reason: str
    steps: list[ApprovalStep]
    step: int
    votes: list[ApprovalVote]
    comments: list[ApprovalComment]
    escalated: bool
    created_at: datetime
    updated_at: datetime
    expires_at: datetime
    ended_at: datetime | None
    ended_by: str
    granted: str
    decidable: bool
    revocable: bool = False


class CreateApprovalRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Message of the contract."""

    kind: str
    terms: ApprovalTerms = ApprovalTerms()
    reason: str = ""


class GetApprovalRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Message of the contract."""

    approval: str


class ListApprovalsRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Message of the contract."""

    page_size: int = 0
    page_token: str = ""
    state: str = ""
    kind: str = ""
    requester: str = ""
    decidable: bool = False


class ListApprovalsResponse(msgspec.Struct, frozen=True, kw_only=True):
    """Message of the contract."""

    approvals: list[Approval]
    next_page_token: str = ""


class DecideApprovalRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Message of the contract."""

    approval: str
    verdict: str
    reason: str = ""


class CommentApprovalRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Message of the contract."""

    approval: str
    text: str


class CancelApprovalRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Message of the contract."""

    approval: str


class RevokeApprovalRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Message of the contract."""

    approval: str
    reason: str


class PolicyRule(msgspec.Struct, frozen=True, kw_only=True):
    """Message of the contract."""

    name: str
    when: str = ""
    effect: str
    reason: str = ""
    steps: list[ApprovalStep] = []


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """Message of the contract: one version of the policy of a kind."""

    kind: str
    version: int = 0
    rules: list[PolicyRule] = []
    steps: list[ApprovalStep] = []
    timing: ApprovalTiming = ApprovalTiming()
    note: str = ""
    created_by: str = ""
    created_at: datetime | None = None


class ListPoliciesRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Message of the contract."""


class ListPoliciesResponse(msgspec.Struct, frozen=True, kw_only=True):
    """Message of the contract."""

    policies: list[Policy]


class GetPolicyRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Message of the contract."""

    kind: str
    version: int = 0


class PolicySpec(msgspec.Struct, frozen=True, kw_only=True):
    """Message of the contract."""

    kind: str
    rules: list[PolicyRule] = []
    steps: list[ApprovalStep] = []
    timing: ApprovalTiming = ApprovalTiming()
    note: str = ""


class SetPolicyRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Message of the contract."""

    kind: str
    rules: list[PolicyRule] = []
    steps: list[ApprovalStep] = []
    timing: ApprovalTiming = ApprovalTiming()
    note: str = ""
    version: int | None = None


class DryRunPolicyRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Message of the contract."""

    kind: str
    rules: list[PolicyRule] = []
    steps: list[ApprovalStep] = []
    limit: int = 0


class PolicyTrial(msgspec.Struct, frozen=True, kw_only=True):
    """Message of the contract: what a policy would have said to one past request."""

    approval: str
    requester: str
    created_at: datetime
    outcome_then: str
    rule_then: str
    state: str
    outcome: str
    rule: str
    problem: str


class DryRunPolicyResponse(msgspec.Struct, frozen=True, kw_only=True):
    """Message of the contract."""

    trials: list[PolicyTrial]
    approved: int
    required: int
    rejected: int
    changed: int
    incomplete: bool


class Delegation(msgspec.Struct, frozen=True, kw_only=True):
    """Message of the contract."""

    id: str
    delegator: str
    delegate: str
    starts_at: datetime
    ends_at: datetime
    reason: str
    created_by: str
    created_at: datetime


class CreateDelegationRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Message of the contract."""

    delegate: str
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    reason: str = ""


class ListDelegationsRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Message of the contract."""


class ListDelegationsResponse(msgspec.Struct, frozen=True, kw_only=True):
    """Message of the contract."""

    delegations: list[Delegation]


class RevokeDelegationRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Message of the contract."""

    delegation: str


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """Where a request applies: a project, a unit, or, with neither, the platform. `target` is its subject by id."""

    target: str = ""
    unit_id: UUID | None = None
    project_id: UUID | None = None
    business_unit: str = ""
    project: str = ""


Facts = dict[str, Any]
"""What conditions see, by the name of the variable; JSON-ready, times as RFC 3339."""


class Granted(msgspec.Struct, frozen=True, kw_only=True):
    """What a request gave. `undo` is what taking it back needs; `subject` and `amount_nano` are for sums over time."""

    summary: str
    undo: dict[str, Any]
    subject: str = ""
    amount_nano: int = 0


def steps_of(given: list[ApprovalStep]) -> tuple[core.Step, ...]:
    """Steps of the contract as the state machine has them; a quorum of 0 is 1."""
    return tuple(core.Step(approvers=approvers_of(step.approvers), quorum=step.quorum or 1) for step in given)


def plain_name(name: str) -> str:
    """The one form of a name: users' addresses are kept in lower case. A service account's has no other."""
    return name if name.startswith("service_account:") else name.lower()


def approvers_of(given: Approvers) -> core.Approvers:
    """Approvers of the contract as the state machine has them."""
    return core.Approvers(people=tuple(dict.fromkeys(plain_name(name) for name in given.people)), role=given.role)


def shown_steps(steps: tuple[core.Step, ...]) -> list[ApprovalStep]:
    """Steps as they are shown."""
    return [ApprovalStep(approvers=shown_approvers(step.approvers), quorum=step.quorum) for step in steps]


def shown_approvers(approvers: core.Approvers) -> Approvers:
    """Approvers as they are shown."""
    return Approvers(people=list(approvers.people), role=approvers.role)
