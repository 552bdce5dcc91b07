"""Use cases of the audit log: write what a call recorded, list it, tell where its chain ends."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from uuid_utils.compat import uuid7

from tollway.controlplane.audit import chain, postgres
from tollway.controlplane.audit.chain import Content, Head, Link
from tollway.controlplane.audit.model import (
    AuditEvent,
    AuditHead,
    Change,
    GetAuditHeadRequest,
    ListAuditEventsRequest,
    ListAuditEventsResponse,
    Origin,
)
from tollway.controlplane.audit.origin import agent_class, cleaned
from tollway.controlplane.audit.sealing import seal_key
from tollway.controlplane.call import ApiCode, ApiError, Call
from tollway.controlplane.credentials.vault import Vault
from tollway.controlplane.db.statements import Database
from tollway.controlplane.resources import page_limit, page_start, page_token
from tollway.runtime.log import scrub_text
from tollway.wire.contract import redact

LISTING = "audit"


async def write(call: Call) -> None:
    """Writes what the call recorded, in its transaction. Raises ApiError.

    From here until the commit no other call can write, so it is to be among the last steps.
    """
    if not call.audits:
        return
    who = call.principal
    identity = who.user_id or who.service_account_id
    origin = Origin(
        actor=who.name,
        # What the control plane does by itself comes by no transport.
        actor_kind=who.kind if call.transport or who.kind != "bootstrap" else "system",
        actor_id=str(identity) if identity is not None else "",
        method=call.method.rpartition(".")[2],
        action=call.permission,
        reason=call.reason,
        source=call.source,
        agent=agent_class(call.agent),
        transport=call.transport or "system",
        request_id=call.request_id,
    )
    changes = [Change(record.resource, record.before, record.after) for record in call.audits]
    await append(call.db, call.vault, origin, changes)


async def append(db: Database, vault: Vault, origin: Origin, changes: Sequence[Change]) -> None:
    """Adds an entry for each change at the end of the chain, in the caller's transaction. Raises ApiError.

    Whatever stands under a secret field's name is replaced, and whatever looks like a credential is cut.
    """
    if not changes:
        return
    key = await seal_key(db, vault)
    texts = [_text(value) for change in changes for value in (change.before, change.after)]
    held = await postgres.lock_head(db, texts)
    if held is None:
        raise ApiError(ApiCode.FAILED_PRECONDITION, "the audit log is damaged: the row of its head is gone")
    origin = msgspec.structs.replace(origin, reason=scrub_text(cleaned(origin.reason)))
    if held.seq == 0:
        # The chain begins with a seal: from now on nobody has to vouch for entries without one.
        await postgres.accept(db, 0, held.at, chain.mark(key, postgres.ORGANISATION, 0, chain.FIRST, held.at))
    prior, made = held.hash, list[Link]()
    for n, change in enumerate(changes):
        content = Content(
            organisation=postgres.ORGANISATION,
            seq=held.seq + 1 + n,
            id=uuid7(),
            at=held.at,
            resource=change.resource,
            before=held.texts[2 * n],
            after=held.texts[2 * n + 1],
            **msgspec.structs.asdict(origin),
        )
        prior = chain.digest(prior, content)
        made.append(Link(**msgspec.structs.asdict(content), hash=prior, seal=chain.seal(key, prior)))
    await postgres.insert(db, origin, made)


def _text(value: Mapping[str, Any] | None) -> str:
    return "" if value is None else msgspec.json.encode(_scrubbed(redact(value))).decode()


def _scrubbed(value: Any) -> Any:
    if isinstance(value, str):
        return scrub_text(value)
    if isinstance(value, Mapping):
        return {name: _scrubbed(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_scrubbed(item) for item in value]
    return value


async def list_events(call: Call, request: ListAuditEventsRequest) -> ListAuditEventsResponse:
    """Entries, newest first unless asked otherwise, a page at a time. Raises ApiError."""
    for field in ("resource", "action", "actor", "method", "request_id"):
        if "\0" in getattr(request, field):
            raise ApiError(ApiCode.INVALID, "has a NUL character", field=field)
    cursor = seq_of(page_start(LISTING, request.page_token))
    forward = request.oldest_first
    limit = page_limit(request.page_size)
    rows = await postgres.events(
        call.db,
        oldest_first=forward,
        after=max(request.after, cursor or 0) if forward else request.after,
        before=None if forward else cursor,
        resource=request.resource,
        action=request.action,
        actor=request.actor,
        method=request.method,
        request_id=request.request_id,
        begin=request.from_,
        end=request.to,
        limit=limit + 1,
    )
    following = page_token(LISTING, str(rows[limit - 1].seq)) if len(rows) > limit else ""
    return ListAuditEventsResponse(events=[_shown(row) for row in rows[:limit]], next_page_token=following)


def seq_of(text: str) -> int | None:
    """A number from a page token; None at the beginning. Raises ApiError."""
    if not text:
        return None
    if not text.isascii() or not text.isdigit() or len(text) > 18:
        raise ApiError(ApiCode.INVALID, "page_token is not one of this listing", field="page_token")
    return int(text)


def _shown(row: Link) -> AuditEvent:
    same = {name: getattr(row, name) for name in Content.__struct_fields__ if name != "id"}
    return AuditEvent(id=str(row.id), hash=row.hash.hex(), unproven=row.seal is None, **same)


async def present_head(db: Database) -> Head:
    """The end of the chain. Raises ApiError when its row is gone."""
    found = await postgres.head(db)
    if found is None:
        raise ApiError(ApiCode.FAILED_PRECONDITION, "the audit log is damaged: the row of its head is gone")
    return found


async def get_head(call: Call, _request: GetAuditHeadRequest) -> AuditHead:
    """The end of the chain, to be kept elsewhere."""
    head = await present_head(call.db)
    shown = head.hash.hex()
    return AuditHead(organisation=head.organisation, seq=head.seq, hash=shown, at=head.at, head=f"{head.seq}:{shown}")
