"""Requests for what one may not give oneself, the policies that decide them, and who stands in for whom."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from tollway.sdk.identity import present, segment
from tollway.sdk.paging import pages, typed
from tollway.sdk.threads import aiterable, awaitable
from tollway.sdk.transport import Transport


@dataclass(frozen=True, kw_only=True)
class ApprovalTerms:
    """What is asked for; docs/guide/approvals.md tells which fields each kind takes."""

    subject: str = ""
    amount: str = ""
    until: datetime | None = None
    project: str = ""
    business_unit: str = ""
    models: list[str] = field(default_factory=list)
    role: str = ""
    measure: str = ""
    window: str = ""
    model: str = ""
    limit: int | None = None
    description: str = ""


@dataclass(frozen=True, kw_only=True)
class Approvers:
    """These people, and whoever holds `role` where the request applies."""

    people: list[str] = field(default_factory=list)
    role: str = ""


@dataclass(frozen=True, kw_only=True)
class ApprovalStep:
    """`quorum` different approvers."""

    approvers: Approvers = field(default_factory=Approvers)
    quorum: int = 1


@dataclass(frozen=True, kw_only=True)
class ApprovalTiming:
    """When approvers are reminded, others may decide too, and a request expires; seconds, 0: never."""

    remind_seconds: int = 0
    escalate_seconds: int = 0
    escalate_to: Approvers = field(default_factory=Approvers)
    expire_seconds: int = 0


@dataclass(frozen=True, kw_only=True)
class ApprovalVote:
    """What one approver said; `on_behalf_of` is whose right was used."""

    step: int = 0
    actor: str = ""
    on_behalf_of: str = ""
    verdict: str = ""
    reason: str = ""
    at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class ApprovalComment:
    """What somebody said about a request."""

    id: str = ""
    author: str = ""
    text: str = ""
    at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class Approval:
    """A request. `state` is pending, approved, rejected, cancelled, expired or revoked.

    `outcome` is what the policy said (approve, require or reject), `rule` which of its rules; `granted` tells in words
    what was given, `decidable` whether you may decide it now, and `revocable`, for one request, whether you may take
    back what it gave.
    """

    id: str = ""
    kind: str = ""
    state: str = ""
    requester: str = ""
    reason: str = ""
    terms: ApprovalTerms = field(default_factory=ApprovalTerms)
    policy_version: int = 0
    rule: str = ""
    outcome: str = ""
    outcome_reason: str = ""
    steps: list[ApprovalStep] = field(default_factory=list)
    step: int = 0
    votes: list[ApprovalVote] = field(default_factory=list)
    comments: list[ApprovalComment] = field(default_factory=list)
    escalated: bool = False
    created_at: datetime | None = None
    updated_at: datetime | None = None
    expires_at: datetime | None = None
    ended_at: datetime | None = None
    ended_by: str = ""
    granted: str = ""
    decidable: bool = False
    revocable: bool = False


@dataclass(frozen=True, kw_only=True)
class PolicyRule:
    """When `when` holds (a condition; empty: always), `effect` (approve, require or reject) is what happens."""

    name: str = ""
    when: str = ""
    effect: str = ""
    reason: str = ""
    steps: list[ApprovalStep] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Policy:
    """One version of how requests of a kind are decided: the first rule that holds, else `steps`."""

    kind: str = ""
    version: int = 0
    rules: list[PolicyRule] = field(default_factory=list)
    steps: list[ApprovalStep] = field(default_factory=list)
    timing: ApprovalTiming = field(default_factory=ApprovalTiming)
    note: str = ""
    created_by: str = ""
    created_at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class PolicyTrial:
    """What a policy would have said to one past request."""

    approval: str = ""
    requester: str = ""
    created_at: datetime | None = None
    outcome_then: str = ""
    rule_then: str = ""
    state: str = ""
    outcome: str = ""
    rule: str = ""
    problem: str = ""


@dataclass(frozen=True, kw_only=True)
class DryRun:
    """Trials of a policy, newest request first; `incomplete`: the time was over before all were tried."""

    trials: list[PolicyTrial] = field(default_factory=list)
    approved: int = 0
    required: int = 0
    rejected: int = 0
    changed: int = 0
    incomplete: bool = False


@dataclass(frozen=True, kw_only=True)
class Delegation:
    """`delegate` decides for `delegator` for a time."""

    id: str = ""
    delegator: str = ""
    delegate: str = ""
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    reason: str = ""
    created_by: str = ""
    created_at: datetime | None = None


class Approvals:
    """`/api/v1/approvals`."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def create(self, kind: str, reason: str, **terms: Any) -> Approval:
        """Asks for something: `create("credit", "launch week", subject="project:demo", amount="50")`."""
        if terms.get("limit") is not None:
            terms["limit"] = str(terms["limit"])
        body = present(kind=kind, reason=reason, terms=present(**terms))
        return typed(Approval, self._transport.call("POST", "/api/v1/approvals", body=body))

    def get(self, approval: str) -> Approval:
        """One request with its comments."""
        return typed(Approval, self._transport.call("GET", _approval(approval)))

    def list(
        self, *, state: str = "", kind: str = "", requester: str = "", decidable: bool = False, limit: int | None = None
    ) -> Iterator[Approval]:
        """Requests that you may see, newest first; `decidable`: those that you may decide now."""
        query = {"state": state, "kind": kind, "requester": requester, "decidable": decidable}
        return pages(self._transport, "/api/v1/approvals", "approvals", Approval, query, limit)

    def approve(self, approval: str, *, reason: str = "") -> Approval:
        """Approves; said twice it counts once."""
        return self._do(approval, "decide", verdict="approve", reason=reason)

    def reject(self, approval: str, reason: str) -> Approval:
        """Rejects, which ends the request."""
        return self._do(approval, "decide", verdict="reject", reason=reason)

    def comment(self, approval: str, text: str) -> Approval:
        """Says something about a request."""
        return self._do(approval, "comment", text=text)

    def cancel(self, approval: str) -> Approval:
        """Takes one's own request back while it waits."""
        return self._do(approval, "cancel")

    def revoke(self, approval: str, reason: str) -> Approval:
        """Takes back what a request gave."""
        return self._do(approval, "revoke", reason=reason)

    def _do(self, approval: str, what: str, **body: str) -> Approval:
        return typed(Approval, self._transport.call("POST", f"{_approval(approval)}:{what}", body=body))


class Policies:
    """`/api/v1/policies`."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def list(self) -> Sequence[Policy]:
        """The present policy of every kind of request."""
        return [typed(Policy, row) for row in self._transport.call("GET", "/api/v1/policies").get("policies", [])]

    def get(self, kind: str, *, version: int = 0) -> Policy:
        """A version of the policy of a kind; 0: the present one."""
        query = {"version": version} if version else {}
        return typed(Policy, self._transport.call("GET", _policy(kind), query=query))

    def set(self, kind: str, policy: Mapping[str, Any], *, version: int | None = None) -> Policy:
        """Makes a new version from `policy` (rules, steps, timing, note); with `version`, only over that one."""
        body = dict(policy) | present(version=None if version is None else str(version))
        return typed(Policy, self._transport.call("PUT", _policy(kind), body=body))

    def dry_run(self, kind: str, policy: Mapping[str, Any], *, limit: int = 0) -> DryRun:
        """What `policy` (rules and steps) would have said to the latest requests. Changes nothing."""
        body = {name: policy[name] for name in ("rules", "steps") if name in policy}
        return typed(DryRun, self._transport.call("POST", f"{_policy(kind)}:dry-run", body=body | {"limit": limit}))


class Delegations:
    """`/api/v1/delegations`."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def create(
        self, delegate: str, ends_at: datetime, *, starts_at: datetime | None = None, reason: str = ""
    ) -> Delegation:
        """Lets somebody decide in your place until `ends_at`."""
        body = present(delegate=delegate, ends_at=ends_at, starts_at=starts_at, reason=reason)
        return typed(Delegation, self._transport.call("POST", "/api/v1/delegations", body=body))

    def list(self) -> Sequence[Delegation]:
        """Delegations by you and to you that are in force or to come."""
        found = self._transport.call("GET", "/api/v1/delegations").get("delegations", [])
        return [typed(Delegation, row) for row in found]

    def revoke(self, delegation: str) -> Delegation:
        """Ends a delegation before its time."""
        return typed(Delegation, self._transport.call("DELETE", f"/api/v1/delegations/{segment(delegation)}"))


class AsyncApprovals:
    """`Approvals` as coroutines."""

    def __init__(self, sync: Approvals) -> None:
        self.create = awaitable(sync.create)
        self.get = awaitable(sync.get)
        self.list = aiterable(sync.list)
        self.approve = awaitable(sync.approve)
        self.reject = awaitable(sync.reject)
        self.comment = awaitable(sync.comment)
        self.cancel = awaitable(sync.cancel)
        self.revoke = awaitable(sync.revoke)


class AsyncPolicies:
    """`Policies` as coroutines."""

    def __init__(self, sync: Policies) -> None:
        self.list = awaitable(sync.list)
        self.get = awaitable(sync.get)
        self.set = awaitable(sync.set)
        self.dry_run = awaitable(sync.dry_run)


class AsyncDelegations:
    """`Delegations` as coroutines."""

    def __init__(self, sync: Delegations) -> None:
        self.create = awaitable(sync.create)
        self.list = awaitable(sync.list)
        self.revoke = awaitable(sync.revoke)


def _approval(approval: str) -> str:
    return f"/api/v1/approvals/{segment(approval)}"


def _policy(kind: str) -> str:
    return f"/api/v1/policies/{segment(kind)}"
