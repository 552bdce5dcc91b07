"""Use cases of what fired and of its deliveries: list, acknowledge; and the test of a channel."""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Any
from uuid import UUID

from uuid_utils.compat import uuid7

from tollway.controlplane.access import reach
from tollway.controlplane.alerts import postgres
from tollway.controlplane.alerts.channels import opened
from tollway.controlplane.alerts.delivery import Deliverer
from tollway.controlplane.alerts.model import (
    AcknowledgeAlertRequest,
    Alert,
    AlertDelivery,
    AlertRow,
    DeliveryAttempt,
    DeliveryRow,
    ListAlertDeliveriesRequest,
    ListAlertDeliveriesResponse,
    ListAlertsRequest,
    ListAlertsResponse,
    TestAlertChannelRequest,
    TestAlertChannelResponse,
)
from tollway.controlplane.call import ApiCode, ApiError, Call
from tollway.controlplane.credentials.vault import VaultError
from tollway.controlplane.resources import (
    as_uuid,
    from_ms,
    not_found,
    page_limit,
    page_start,
    page_token,
    snapshot,
)

ALERTS = "alerts"
DELIVERIES = "alert-deliveries"
TESTS_AT_ONCE = 4
"""Each holds a connection to the database until its receiver has answered."""


def _bad_token() -> ApiError:
    return ApiError(ApiCode.INVALID, "page_token is not one of this listing", field="page_token")


def _alert(row: AlertRow) -> Alert:
    return Alert(
        id=str(row.id),
        fired_at=row.fired_at,
        kind=row.kind,
        severity=row.severity,
        scope=row.scope,
        subject=row.subject,
        organisation=row.organisation,
        business_unit=row.business_unit,
        project=row.project,
        summary=row.summary,
        details=row.details,
        occurrences=row.occurrences,
        last_at=row.last_at,
        acknowledged_at=row.acknowledged_at,
        acknowledged_by=row.acknowledged_by or "",
        note=row.note,
    )


async def _name(call: Call, scope: str, reference: str) -> str:
    """The name by which alerts know a project or unit."""
    if not reference:
        return ""
    found = await postgres.concern(call.db, scope, reference)
    name: str = getattr(found, scope) if found is not None else reference
    return name


async def list_alerts(call: Call, request: ListAlertsRequest) -> ListAlertsResponse:
    """What fired, newest first, a page at a time."""
    start = page_start(ALERTS, request.page_token)
    before = as_uuid(start) if start else None
    if start and before is None:
        raise _bad_token()
    limit = page_limit(request.page_size)
    rows = await postgres.alerts(
        call.db,
        before,
        request.kind,
        await _name(call, "project", request.project),
        await _name(call, "business_unit", request.business_unit),
        only_open=request.open,
        limit=limit + 1,
        names=await reach.names(call.db, call.reach),
    )
    following = page_token(ALERTS, str(rows[limit - 1].id)) if len(rows) > limit else ""
    return ListAlertsResponse(alerts=[_alert(row) for row in rows[:limit]], next_page_token=following)


async def acknowledge(call: Call, request: AcknowledgeAlertRequest) -> Alert:
    """Notes that somebody has seen an alert; the first to say so is kept."""
    found = as_uuid(request.alert)
    row = await postgres.alert(call.db, found) if found is not None else None
    if row is None:
        raise not_found("alert", request.alert, "alert")
    if row.acknowledged_at is not None:
        return _alert(row)
    await postgres.acknowledge(call.db, row.id, from_ms(call.clock.now_ms()), call.principal.name, request.note)
    after = await postgres.alert(call.db, row.id)
    assert after is not None
    call.audit(f"alert:{row.id}", snapshot(_alert(row)), snapshot(_alert(after)))
    return _alert(after)


def _delivery(row: DeliveryRow) -> AlertDelivery:
    attempts = [
        DeliveryAttempt(
            at=from_ms(tried["at_ms"]), status=tried["status"], error=tried["error"], seconds=tried["seconds"]
        )
        for tried in row.attempts
    ]
    return AlertDelivery(
        id=str(row.id),
        alert=str(row.alert_id),
        channel=row.channel,
        kind=row.kind,
        state=row.state,
        created_at=row.created_at,
        next_at=row.next_at,
        ended_at=row.ended_at,
        attempts=attempts,
        summary=row.summary,
    )


def _position(start: str) -> tuple[datetime, UUID] | None:
    if not start:
        return None
    moment, _, identity = start.partition(" ")
    found = as_uuid(identity)
    try:
        at = datetime.fromisoformat(moment)
    except ValueError:
        raise _bad_token() from None
    if found is None or at.tzinfo is None:
        raise _bad_token()
    return at, found


async def list_deliveries(call: Call, request: ListAlertDeliveriesRequest) -> ListAlertDeliveriesResponse:
    """Deliveries with every try, newest first, a page at a time."""
    before = _position(page_start(DELIVERIES, request.page_token))
    alert_id: UUID | None = None
    if request.alert and (alert_id := as_uuid(request.alert)) is None:
        raise not_found("alert", request.alert, "alert")
    channel_id: UUID | None = None
    if request.channel:
        channel = await postgres.channel(call.db, request.channel)
        if channel is None:
            raise not_found("alert channel", request.channel, "channel")
        channel_id = channel.id
    limit = page_limit(request.page_size)
    names = await reach.names(call.db, call.reach)
    rows = await postgres.deliveries(call.db, before, alert_id, channel_id, request.state, limit + 1, names)
    last = rows[limit - 1] if len(rows) > limit else None
    following = page_token(DELIVERIES, f"{last.created_at.isoformat()} {last.id}") if last is not None else ""
    return ListAlertDeliveriesResponse(deliveries=[_delivery(row) for row in rows[:limit]], next_page_token=following)


class ChannelTest:
    """Sends test messages over a deliverer's channels, a few at a time."""

    def __init__(self, deliverer: Deliverer) -> None:
        self._deliverer = deliverer
        self._free = asyncio.Semaphore(TESTS_AT_ONCE)

    async def run(self, call: Call, request: TestAlertChannelRequest) -> TestAlertChannelResponse:
        """Sends a message now and says what happened; nothing is queued, and nothing fires."""
        row = await postgres.channel(call.db, request.channel)
        if row is None:
            raise not_found("alert channel", request.channel, "channel")
        if self._free.locked():
            raise ApiError(ApiCode.UNAVAILABLE, "other channels are being tested; try again in a few seconds")
        async with self._free:
            try:
                target = await opened(call.db, call.vault, row)
            except VaultError as error:
                raise ApiError(ApiCode.FAILED_PRECONDITION, f"the channel cannot be opened: {error}") from error
            started = call.clock.monotonic()
            outcome = await self._deliverer.send(_sample(call, row.name), row, target, uuid7(), test=True)
        result: dict[str, Any] = {"delivered": outcome.delivered, "status": outcome.status, "error": outcome.error}
        call.audit(f"alert_channel:{row.name}", None, {"test": result})
        return TestAlertChannelResponse(**result, seconds=round(call.clock.monotonic() - started, 3))


def _sample(call: Call, channel: str) -> AlertRow:
    now = from_ms(call.clock.now_ms())
    return AlertRow(
        id=uuid7(),
        kind="test",
        severity="info",
        scope="",
        subject="",
        organisation="",
        business_unit="",
        project="",
        summary=f"a test of the alert channel {channel}, sent by {call.principal.name}",
        details={},
        occurrences=1,
        fired_at=now,
        last_at=now,
        acknowledged_at=None,
        acknowledged_by=None,
        note="",
    )
