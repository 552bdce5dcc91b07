"""Reads and writes the tables of approvals. It decides nothing."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from psycopg.types.json import Jsonb
from uuid_utils.compat import uuid7

from tollway.controlplane.access.identities import GROUPS_BELIEVED
from tollway.controlplane.db.statements import Database, Statements
from tollway.controlplane.resources import from_ms
from tollway.controlplane.workflows import holders
from tollway.controlplane.workflows.model import Granted
from tollway.controlplane.workflows.rows import (
    ApprovalRow,
    CommentRow,
    DelegationRow,
    GrantRow,
    PolicyDocument,
    PolicyRow,
    VoteRow,
    milliseconds,
)
from tollway.core.approvals.model import Case, Kind, State

_SQL = Statements(__package__ or "")
_KEEPER_LOCK = 0x61707072_6F766C01
_REQUESTERS, _POLICIES, _TARGETS = 0x61707201, 0x61707202, 0x61707203
MAX_COMMENTS = 500


class Asked(msgspec.Struct, frozen=True):
    """How many requests of a person wait, and how many they made of late."""

    waiting: int
    recent: int


class ManagedPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """A present policy with the declarative set that it belongs to."""

    id: UUID
    kind: Kind
    document: PolicyDocument
    managed_by: str | None
    applied_digest: bytes | None


class _Email(msgspec.Struct):
    email: str


class _Nano(msgspec.Struct):
    nano: int


class _Count(msgspec.Struct):
    found: int


class _Locked(msgspec.Struct):
    locked: bool


class Seen(msgspec.Struct, frozen=True, kw_only=True):
    """What a caller may see: everything, or their own requests, those that name one of `names`, and those of places.

    Also those that ask one of `roles` where it was given: in the unit or project at the same index, None in both:
    everywhere.
    """

    everything: bool
    me: str
    names: list[str]
    units: list[UUID]
    projects: list[UUID]
    roles: list[str] = []
    role_units: list[UUID | None] = []
    role_projects: list[UUID | None] = []


def _json(value: Any) -> Jsonb:
    return Jsonb(msgspec.to_builtins(value))


def _times(case: Case, at_ms: int) -> dict[str, Any]:
    """The columns that say what comes next; none for a request that has ended."""
    pending = case.state is State.PENDING
    remind = case.remind_ms if pending else None
    escalate = case.escalates_ms if pending else None
    return {
        "remind_at": None if remind is None else from_ms(remind),
        "escalate_at": None if escalate is None else from_ms(escalate),
        "ended_at": None if pending else from_ms(at_ms),
    }


async def insert_approval(db: Database, row: ApprovalRow, case: Case) -> None:
    """A new request."""
    named = [step.approvers for step in case.steps] + [case.timing.escalate_to]
    await _SQL.run(
        db,
        "insert_approval",
        id=row.id,
        kind=row.kind.value,
        state=case.state.value,
        requester=row.requester,
        reason=row.reason,
        terms=_json(row.terms),
        target=row.target,
        unit_id=row.unit_id,
        project_id=row.project_id,
        business_unit=row.business_unit,
        project=row.project,
        facts=_json(row.facts),
        policy_version=row.policy_version,
        rule=row.rule,
        outcome=row.outcome.value,
        outcome_reason=row.outcome_reason,
        steps=_json(case.steps),
        timing=_json(case.timing),
        people=sorted({name for approvers in named for name in approvers.people}),
        at=row.created_at,
        expires_at=from_ms(case.expires_ms),
        ended_by=row.ended_by,
        **_times(case, milliseconds(row.created_at)),
    )


async def approval(db: Database, approval_id: UUID, *, lock: bool = False) -> ApprovalRow | None:
    """One request; with `lock`, nobody else changes it until the transaction ends."""
    if lock:
        # Locked first and read afterwards: what the lock waited for is then seen.
        await _SQL.run(db, "lock_approval", id=approval_id)
    return await _SQL.one(db, "approval", ApprovalRow, id=approval_id)


async def approvals(
    db: Database,
    seen: Seen,
    *,
    before: UUID | None,
    state: str,
    kind: str,
    requester: str,
    now: datetime,
    limit: int,
) -> list[ApprovalRow]:
    """Requests that a caller may see, newest first, before an id."""
    return await _SQL.all(
        db,
        "approvals",
        ApprovalRow,
        before=before,
        state=state,
        kind=kind,
        requester=requester,
        now=now,
        limit=limit,
        **msgspec.structs.asdict(seen),
    )


async def past(db: Database, kind: Kind, limit: int) -> list[ApprovalRow]:
    """The latest requests of a kind, newest first."""
    return await _SQL.all(db, "past", ApprovalRow, kind=kind.value, limit=limit)


async def update_approval(db: Database, approval_id: UUID, case: Case, at: datetime, by: str) -> None:
    """Writes where a request stands; `by` is who ended it."""
    await _SQL.run(
        db,
        "update_approval",
        id=approval_id,
        state=case.state.value,
        step=case.step,
        escalated=case.escalated,
        at=at,
        ended_by=by,
        **_times(case, milliseconds(at)),
    )


async def open_of(db: Database, requester: str, now: datetime, since: datetime) -> Asked:
    """What a person has asked for, recent from `since` on; they ask for nothing else until the transaction ends."""
    await _SQL.run(db, "lock_requester", space=_REQUESTERS, requester=requester)
    found = await _SQL.one(db, "open_of", Asked, requester=requester, now=now, since=since)
    return found or Asked(0, 0)


async def lock_target(db: Database, target: str) -> None:
    """Nobody else gives this subject anything, or looks at what it was given, until the transaction ends."""
    await _SQL.run(db, "lock_target", space=_TARGETS, target=target)


async def addresses(
    db: Database,
    *,
    people: Sequence[str],
    roles: Sequence[str],
    unit: UUID | None,
    project: UUID | None,
    but: Sequence[str],
    now: datetime,
    limit: int,
) -> list[str]:
    """The e-mail addresses of users: of `people`, of who has one of `roles` there, and of who stands in for them."""
    found = await _SQL.all(
        db,
        "addresses",
        _Email,
        people=list(people),
        roles=list(roles),
        unit=unit,
        project=project,
        but=list(but),
        now=now,
        limit=limit,
    )
    return [one.email for one in found]


async def due(db: Database, now: datetime, limit: int) -> list[ApprovalRow]:
    """Requests to which something happens by the passing of time, locked; those that somebody has are left out."""
    return await _SQL.all(db, "due", ApprovalRow, now=now, limit=limit)


async def elect(db: Database) -> bool:
    """Whether this process keeps the time until the end of the transaction."""
    found = await _SQL.one(db, "elect", _Locked, lock=_KEEPER_LOCK)
    return found is not None and found.locked


async def insert_vote(db: Database, row: VoteRow) -> None:
    """A vote; the database refuses a second one of a person, and of a right."""
    given = msgspec.structs.asdict(row) | {"verdict": row.verdict.value}
    given["approval"] = given.pop("approval_id")
    del given["void"]
    await _SQL.run(db, "insert_vote", **given)


async def votes(db: Database, approvals: Sequence[UUID]) -> dict[UUID, list[VoteRow]]:
    """The votes of requests, in their order; every id has its list. Those of who is disabled now are void."""
    found: dict[UUID, list[VoteRow]] = {approval_id: [] for approval_id in approvals}
    rows = await _SQL.all(db, "votes", VoteRow, approvals=list(approvals))
    void = await holders.disabled(db, {name for row in rows for name in (row.actor, row.on_behalf_of)})
    for row in rows:
        lost = bool(void & {row.actor, row.on_behalf_of})
        found[row.approval_id].append(msgspec.structs.replace(row, void=lost))
    return found


async def comments_since(db: Database, author: str, since: datetime) -> int:
    """How many comments a person has written from a time on."""
    found = await _SQL.one(db, "comments_since", _Count, author=author, since=since)
    return found.found if found is not None else 0


async def insert_comment(db: Database, approval_id: UUID, author: str, text: str, at: datetime) -> None:
    """A comment."""
    await _SQL.run(db, "insert_comment", id=uuid7(), approval=approval_id, author=author, text=text, at=at)


async def comments(db: Database, approval_id: UUID) -> list[CommentRow]:
    """The comments of a request, oldest first."""
    return await _SQL.all(db, "comments", CommentRow, approval=approval_id, limit=MAX_COMMENTS)


async def insert_grant(db: Database, approval_id: UUID, granted: Granted, at: datetime) -> None:
    """What a request gave; the database refuses to note it a second time."""
    await _SQL.run(
        db,
        "insert_grant",
        approval=approval_id,
        subject=granted.subject,
        amount_nano=granted.amount_nano,
        undo=_json(granted.undo),
        summary=granted.summary,
        at=at,
    )


async def grant(db: Database, approval_id: UUID) -> GrantRow | None:
    """What a request gave, locked."""
    return await _SQL.one(db, "grant", GrantRow, approval=approval_id)


async def revoke_grant(db: Database, approval_id: UUID, at: datetime, by: str) -> bool:
    """Notes that it was taken back; False when it was before."""
    return await _SQL.run(db, "revoke_grant", approval=approval_id, at=at, by=by) == 1


async def granted_since(db: Database, subject: str, since: datetime) -> int:
    """Nano-dollars of credit that requests gave a subject, and that were not taken back."""
    found = await _SQL.one(db, "granted_since", _Nano, subject=subject, since=since)
    return found.nano if found is not None else 0


async def policy(db: Database, kind: Kind, version: int = 0) -> PolicyRow | None:
    """A version of the policy of a kind, 0: the present one."""
    return await _SQL.one(db, "policy", PolicyRow, kind=kind.value, version=version)


async def managed_policies(db: Database) -> list[ManagedPolicy]:
    """The present policy of every kind that has one."""
    return await _SQL.all(db, "managed_policies", ManagedPolicy)


async def lock_policy(db: Database, kind: Kind) -> None:
    """Nobody else changes the policy of this kind until the transaction ends."""
    await _SQL.run(db, "lock_policy", space=_POLICIES, kind=kind.value)


async def insert_policy(
    db: Database, kind: Kind, version: int, document: PolicyDocument, note: str, by: str, at: datetime
) -> None:
    """A new version."""
    await _SQL.run(
        db,
        "insert_policy",
        id=uuid7(),
        kind=kind.value,
        version=version,
        document=_json(document),
        note=note,
        by=by,
        at=at,
    )


async def insert_delegation(db: Database, row: DelegationRow) -> None:
    """A new delegation."""
    await _SQL.run(
        db,
        "insert_delegation",
        id=row.id,
        delegator=row.delegator,
        user=row.user_id,
        delegate=row.delegate,
        starts_at=row.starts_at,
        ends_at=row.ends_at,
        reason=row.reason,
        at=row.created_at,
    )


async def delegations(db: Database, me: str, now: datetime, limit: int, *, everything: bool) -> list[DelegationRow]:
    """Delegations in force or to come: of and to a person, or all."""
    return await _SQL.all(db, "delegations", DelegationRow, me=me, now=now, limit=limit, everything=everything)


async def delegation(db: Database, delegation_id: UUID) -> DelegationRow | None:
    """A delegation that was not taken back, locked."""
    return await _SQL.one(db, "delegation", DelegationRow, id=delegation_id)


async def revoke_delegation(db: Database, delegation_id: UUID, at: datetime) -> None:
    """Ends a delegation."""
    await _SQL.run(db, "revoke_delegation", id=delegation_id, at=at)


async def delegations_to(
    db: Database, delegate: str, now: datetime, limit: int, *, people: Sequence[str] | None, roles: Sequence[str]
) -> list[DelegationRow]:
    """Delegations in force to a person, of those among `people` and of those who hold one of `roles` anywhere.

    `people` None: also of whoever is named in a request that waits. The disabled lend nothing.
    """
    return await _SQL.all(
        db,
        "delegations_to",
        DelegationRow,
        delegate=delegate,
        now=now,
        believed=now - GROUPS_BELIEVED,
        people=None if people is None else list(people),
        roles=list(roles),
        limit=limit,
    )
