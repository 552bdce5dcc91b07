"""Use cases of channels: create, change, delete, list. URL and secret go into the vault and are never shown again."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

import msgspec
from uuid_utils.compat import uuid7

from tollway.controlplane.access import reach
from tollway.controlplane.alerts import postgres
from tollway.controlplane.alerts.model import (
    AlertChannel,
    AlertKind,
    ChannelKind,
    ChannelRow,
    CreateAlertChannelRequest,
    DeleteAlertChannelRequest,
    GetAlertChannelRequest,
    ListAlertChannelsRequest,
    ListAlertChannelsResponse,
    Target,
    UpdateAlertChannelRequest,
)
from tollway.controlplane.alerts.sending import url_problem
from tollway.controlplane.call import ApiCode, ApiError, Call
from tollway.controlplane.credentials.vault import Peppers, Vault, ensure_peppers, value_fingerprint
from tollway.controlplane.db.statements import Database
from tollway.controlplane.resources import (
    changed_fields,
    check_etag,
    etag,
    from_ms,
    not_found,
    page_limit,
    page_start,
    page_token,
    refuse_id_as_name,
    snapshot,
    taken,
)

LISTING = "alert-channels"
MAX_CHANNELS = 1_000
MIN_SECRET = 16
ALL = "all"
MUTABLE = frozenset({"url", "secret", "recipients", "scope", "subject", "alerts"})
_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_ADDRESS = re.compile(rf"{_ATOM}(\.{_ATOM})*@[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?")
"""A mailbox without quoting (RFC 5322, 3.4.1): it keeps headers whole. Whether there is one only the server knows."""


def place(channel_id: UUID) -> bytes:
    """Associated data of a sealed target: it opens nowhere else."""
    return f"alert channel|{channel_id}".encode()


def view(row: ChannelRow) -> AlertChannel:
    """A channel as it is shown."""
    return AlertChannel(
        id=str(row.id),
        name=row.name,
        kind=row.kind.value,
        host=row.host,
        recipients=row.recipients,
        scope=row.scope,
        subject=row.subject,
        alerts=row.alerts,
        created_at=row.created_at,
        updated_at=row.updated_at,
        etag=etag(row.id, row.revision),
    )


def fingerprint(peppers: Peppers, channel_id: UUID, target: Target) -> bytes:
    """A keyed digest of URL and secret, to tell whether another document's differ."""
    return value_fingerprint(peppers, str(channel_id), msgspec.json.encode([target.url, target.secret]).decode())


async def opened(db: Database, vault: Vault, row: ChannelRow) -> Target:
    """The URL and the secret of a channel; empty ones where it has none. Raises VaultError."""
    if row.sealed is None or row.data_key is None:
        return Target()
    return msgspec.json.decode(await vault.open(db, row.data_key, row.sealed, place(row.id)), type=Target)


async def _channel(call: Call, reference: str, lock: postgres.Lock = "") -> ChannelRow:
    row = await postgres.channel(call.db, reference, lock)
    if row is None:
        raise not_found("alert channel", reference, "channel")
    return row


def _invalid(field: str, message: str) -> ApiError:
    return ApiError(ApiCode.INVALID, f"{field} {message}", field=field)


def _check_target(call: Call, kind: ChannelKind, target: Target, recipients: list[str]) -> None:
    """What a channel of a kind needs, and what it must not have. URLs are not repeated: they can be secrets."""
    if kind is ChannelKind.EMAIL:
        if target.url or target.secret:
            raise _invalid("url" if target.url else "secret", "is for the kinds webhook and slack; e-mail has none")
        if not recipients:
            raise _invalid("recipients", "is required for the kind email")
        for index, address in enumerate(recipients):
            if _ADDRESS.fullmatch(address) is None:
                raise _invalid(f"recipients[{index}]", "is not an e-mail address such as team@example.com")
        return
    if recipients:
        raise _invalid("recipients", "is for the kind email")
    if not target.url:
        raise _invalid("url", f"is required for the kind {kind.value}")
    problem = url_problem(target.url, call.networks) or (None if target.url.isprintable() else "is not a valid URL")
    if problem is not None:
        raise _invalid("url", f"{problem}; private networks are allowed with TOLLWAY_WEBHOOK_NETWORKS")
    if kind is ChannelKind.SLACK and target.secret:
        raise _invalid("secret", "is for the kind webhook: Slack checks no signature")
    if kind is ChannelKind.WEBHOOK and len(target.secret) < MIN_SECRET:
        raise _invalid("secret", f"must have at least {MIN_SECRET} characters: it signs what the webhook gets")


async def _check_scope(call: Call, scope: str, subject: str) -> str:
    """The name of the subject. Raises ApiError when there is none such."""
    if scope == ALL:
        if subject:
            raise _invalid("subject", "needs a scope: organisation, business_unit or project")
        return ""
    if not subject:
        raise _invalid("subject", f"is required for the scope {scope}")
    found = await postgres.concern(call.db, scope, subject)
    if found is None:
        raise not_found(scope.replace("_", " "), subject, "subject")
    name: str = getattr(found, scope)
    return name


def _check_alerts(alerts: list[str]) -> list[str]:
    known = {kind.value for kind in AlertKind}
    for index, name in enumerate(alerts):
        if name not in known:
            raise _invalid(f"alerts[{index}]", f"must be one of {', '.join(sorted(known))}")
    return sorted(set(alerts))


async def _sealed(call: Call, row: ChannelRow, target: Target) -> ChannelRow:
    """The row with another target."""
    if target == Target():
        return msgspec.structs.replace(row, host="", sealed=None, data_key=None, fingerprint=None)
    peppers = await ensure_peppers(call.db, call.vault)
    data_key, sealed = await call.vault.seal(call.db, msgspec.json.encode(target), place(row.id))
    host = urlsplit(target.url).hostname or ""
    return msgspec.structs.replace(
        row, host=host, sealed=sealed, data_key=data_key, fingerprint=fingerprint(peppers, row.id, target)
    )


async def create_channel(call: Call, request: CreateAlertChannelRequest) -> AlertChannel:
    """A new channel."""
    refuse_id_as_name(request.name)
    kind, scope = ChannelKind(request.kind), request.scope or ALL
    target = Target(url=request.url.strip(), secret=request.secret)
    _check_target(call, kind, target, request.recipients)
    if await postgres.channel_count(call.db) >= MAX_CHANNELS:
        raise ApiError(ApiCode.FAILED_PRECONDITION, f"there are {MAX_CHANNELS} alert channels already; delete some")
    now = from_ms(call.clock.now_ms())
    row = ChannelRow(
        id=uuid7(),
        name=request.name,
        kind=kind,
        host="",
        sealed=None,
        data_key=None,
        fingerprint=None,
        recipients=request.recipients,
        scope=scope,
        subject=await _check_scope(call, scope, request.subject),
        alerts=_check_alerts(request.alerts),
        revision=1,
        created_at=now,
        updated_at=now,
    )
    if not await postgres.insert_channel(call.db, await _sealed(call, row, target)):
        raise taken("alert channel", request.name)
    made = view(await postgres.channel_by_id(call.db, row.id))
    call.audit(f"alert_channel:{made.name}", None, snapshot(made))
    return made


async def get_channel(call: Call, request: GetAlertChannelRequest) -> AlertChannel:
    """A live channel by id or name."""
    return view(await _channel(call, request.channel))


async def list_channels(call: Call, request: ListAlertChannelsRequest) -> ListAlertChannelsResponse:
    """Live channels by name, a page at a time."""
    limit = page_limit(request.page_size)
    names = await reach.names(call.db, call.reach)
    rows = await postgres.channels(call.db, page_start(LISTING, request.page_token), limit + 1, names)
    following = page_token(LISTING, rows[limit - 1].name) if len(rows) > limit else ""
    return ListAlertChannelsResponse(channels=[view(row) for row in rows[:limit]], next_page_token=following)


async def update_channel(call: Call, request: UpdateAlertChannelRequest) -> AlertChannel:
    """Changes where a channel goes and what it gets; the kind stays."""
    row = await _channel(call, request.channel, "_for_update")
    check_etag(request.etag, row.id, row.revision, f"alert channel {row.name!r}")
    fields = changed_fields(call.update_mask, request, MUTABLE)
    before, old = view(row), await opened(call.db, call.vault, row)
    changes: dict[str, Any] = {name: getattr(request, name) for name in fields & {"url", "secret"}}
    target = msgspec.structs.replace(old, **changes)
    wanted: dict[str, Any] = {
        "recipients": request.recipients,
        "scope": request.scope or ALL,
        "subject": request.subject,
        "alerts": request.alerts,
    }
    changed = msgspec.structs.replace(row, **{name: wanted[name] for name in fields & wanted.keys()})
    if changed.scope == ALL and "subject" not in fields:
        changed = msgspec.structs.replace(changed, subject="")
    _check_target(call, row.kind, target, changed.recipients)
    changed = msgspec.structs.replace(
        changed,
        subject=await _check_scope(call, changed.scope, changed.subject),
        alerts=_check_alerts(changed.alerts),
        updated_at=from_ms(call.clock.now_ms()),
    )
    if target != old:
        changed = await _sealed(call, changed, target)
    elif msgspec.structs.replace(changed, updated_at=row.updated_at) == row:
        return before
    await postgres.update_channel(call.db, changed)
    after = view(await postgres.channel_by_id(call.db, row.id))
    call.audit(f"alert_channel:{row.name}", snapshot(before), snapshot(after))
    return after


async def delete_channel(call: Call, request: DeleteAlertChannelRequest) -> AlertChannel:
    """Deletes a channel: its URL and secret are forgotten, what still waits for it is given up."""
    row = await _channel(call, request.channel, "_for_update")
    check_etag(request.etag, row.id, row.revision, f"alert channel {row.name!r}")
    await postgres.archive_channel(call.db, row.id, from_ms(call.clock.now_ms()))
    call.audit(f"alert_channel:{row.name}", snapshot(view(row)), None)
    return view(await postgres.channel_by_id(call.db, row.id))
