"""Gives and takes roles of users, in the tables of access: what a decision gives is not bounded by who decides it."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from tollway.controlplane.access import identities, postgres
from tollway.controlplane.access.postgres import Subject
from tollway.controlplane.call import ApiCode, ApiError, Call
from tollway.controlplane.resources import from_ms, snapshot


async def give(call: Call, role: str, user: UUID, unit: UUID | None, project: UUID | None) -> dict[str, Any] | None:
    """Gives a role for good; returns what taking it back needs, None when it was there. Neither place: the platform."""
    holder = await postgres.user(call.db, str(user))
    if holder is None or holder.disabled_at is not None:
        raise ApiError(ApiCode.FAILED_PRECONDITION, "who asked is disabled, or no user any more")
    subject = Subject(user=user)
    known = await postgres.same_binding(call.db, role, subject, unit, project)
    before = None if known is None else await postgres.binding(call.db, known)
    if before is not None and before.expires_at is None:
        return None
    if before is None:
        now = from_ms(call.clock.now_ms())
        binding = await postgres.insert_binding(
            call.db, role, subject, unit, project, expires_at=None, by=call.principal.name, at=now
        )
    else:
        binding = before.id
        await postgres.end_binding(call.db, binding, None)
    await identities.role_changed(call, subject)
    after = await postgres.binding(call.db, binding)
    assert after is not None
    call.audit(f"role:{after.label}", None if before is None else snapshot(before.view()), snapshot(after.view()))
    ended = None if before is None or before.expires_at is None else before.expires_at.isoformat()
    return {"binding": str(binding), "ended": ended}


async def take(call: Call, undo: dict[str, Any]) -> None:
    """Takes back what `give` gave: the role goes, or ends when it would have ended."""
    before = await postgres.binding(call.db, UUID(undo["binding"]))
    if before is None:
        return  # somebody took it away already
    after = None
    if undo["ended"] is None:
        await postgres.delete_binding(call.db, before.id)
    else:
        await postgres.end_binding(call.db, before.id, datetime.fromisoformat(undo["ended"]))
        after = await postgres.binding(call.db, before.id)
    await identities.role_changed(call, before)
    call.audit(f"role:{before.label}", snapshot(before.view()), None if after is None else snapshot(after.view()))
