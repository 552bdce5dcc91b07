"""Alerts: the channels that are told, what fired, and what became of each delivery."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime

from tollway.sdk.identity import present, segment
from tollway.sdk.paging import pages, typed
from tollway.sdk.threads import aiterable, awaitable
from tollway.sdk.transport import Transport


@dataclass(frozen=True, kw_only=True)
class AlertChannel:
    """Where alerts go. `kind` is webhook, slack or email; of the URL only `host` is shown, the secret never is.

    `scope` is all, organisation, business_unit or project, `subject` the name in it; `alerts` are kinds, empty: all.
    """

    id: str = ""
    name: str = ""
    kind: str = ""
    host: str = ""
    recipients: list[str] = field(default_factory=list)
    scope: str = ""
    subject: str = ""
    alerts: list[str] = field(default_factory=list)
    created_at: datetime | None = None
    updated_at: datetime | None = None
    etag: str = ""


@dataclass(frozen=True, kw_only=True)
class ChannelTest:
    """What became of a test message. `status` is what the receiver answered, 0: nothing."""

    delivered: bool = False
    status: int = 0
    error: str = ""
    seconds: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Alert:
    """What fired. `severity` is info, warning or critical; `occurrences` counts what came after it in its window."""

    id: str = ""
    fired_at: datetime | None = None
    kind: str = ""
    severity: str = ""
    scope: str = ""
    subject: str = ""
    organisation: str = ""
    business_unit: str = ""
    project: str = ""
    summary: str = ""
    details: dict[str, str] = field(default_factory=dict)
    occurrences: int = 0
    last_at: datetime | None = None
    acknowledged_at: datetime | None = None
    acknowledged_by: str = ""
    note: str = ""


@dataclass(frozen=True, kw_only=True)
class DeliveryAttempt:
    """One try of a delivery; `error` is empty when it was taken."""

    at: datetime | None = None
    status: int = 0
    error: str = ""
    seconds: float = 0.0


@dataclass(frozen=True, kw_only=True)
class AlertDelivery:
    """An alert on its way to a channel. `state` is pending, delivered or failed (given up)."""

    id: str = ""
    alert: str = ""
    channel: str = ""
    kind: str = ""
    state: str = ""
    created_at: datetime | None = None
    next_at: datetime | None = None
    ended_at: datetime | None = None
    attempts: list[DeliveryAttempt] = field(default_factory=list)
    summary: str = ""


class AlertChannels:
    """`/api/v1/alert-channels`."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def create(
        self,
        name: str,
        kind: str,
        *,
        url: str = "",
        secret: str = "",
        recipients: Sequence[str] = (),
        scope: str = "all",
        subject: str = "",
        alerts: Sequence[str] = (),
    ) -> AlertChannel:
        """A new channel: `url` of webhook and slack, `secret` (for signatures) of webhook, `recipients` of email."""
        body = present(
            name=name,
            kind=kind,
            url=url or None,
            secret=secret or None,
            recipients=list(recipients),
            scope=scope,
            subject=subject or None,
            alerts=list(alerts),
        )
        return typed(AlertChannel, self._transport.call("POST", "/api/v1/alert-channels", body=body))

    def get(self, channel: str) -> AlertChannel:
        """A channel by id or name."""
        return typed(AlertChannel, self._transport.call("GET", f"/api/v1/alert-channels/{segment(channel)}"))

    def list(self, *, limit: int | None = None) -> Iterator[AlertChannel]:
        """Channels by name."""
        return pages(self._transport, "/api/v1/alert-channels", "channels", AlertChannel, {}, limit)

    def update(
        self,
        channel: str,
        *,
        url: str | None = None,
        secret: str | None = None,
        recipients: Sequence[str] | None = None,
        scope: str | None = None,
        subject: str | None = None,
        alerts: Sequence[str] | None = None,
        etag: str = "",
    ) -> AlertChannel:
        """Changes what is given; with `etag`, only if nobody changed the channel since."""
        body = present(
            url=url,
            secret=secret,
            recipients=recipients,
            scope=scope,
            subject=subject,
            alerts=alerts,
            etag=etag or None,
        )
        path = f"/api/v1/alert-channels/{segment(channel)}"
        return typed(AlertChannel, self._transport.call("PATCH", path, body=body))

    def delete(self, channel: str, *, etag: str = "") -> AlertChannel:
        """Deletes a channel; what still waits for it is given up."""
        path = f"/api/v1/alert-channels/{segment(channel)}"
        return typed(AlertChannel, self._transport.call("DELETE", path, query={"etag": etag}))

    def test(self, channel: str) -> ChannelTest:
        """Sends a test message at once and says what happened."""
        path = f"/api/v1/alert-channels/{segment(channel)}:test"
        return typed(ChannelTest, self._transport.call("POST", path, body={}))


class Alerts:
    """`/api/v1/alerts`, with `channels` and the deliveries."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport
        self.channels = AlertChannels(transport)

    def list(
        self,
        *,
        kind: str = "",
        project: str = "",
        business_unit: str = "",
        only_open: bool = False,
        limit: int | None = None,
    ) -> Iterator[Alert]:
        """What fired, newest first; `only_open`: what nobody has acknowledged."""
        query = {"kind": kind, "project": project, "business_unit": business_unit, "open": only_open}
        return pages(self._transport, "/api/v1/alerts", "alerts", Alert, query, limit)

    def acknowledge(self, alert: str, *, note: str = "") -> Alert:
        """Says that somebody has seen it; the first to say so is kept."""
        path = f"/api/v1/alerts/{segment(alert)}:acknowledge"
        return typed(Alert, self._transport.call("POST", path, body={"note": note}))

    def deliveries(
        self, *, alert: str = "", channel: str = "", state: str = "", limit: int | None = None
    ) -> Iterator[AlertDelivery]:
        """Deliveries with every try, newest first; `state` is pending, delivered or failed."""
        query = {"alert": alert, "channel": channel, "state": state}
        return pages(self._transport, "/api/v1/alert-deliveries", "deliveries", AlertDelivery, query, limit)


class AsyncAlertChannels:
    """`AlertChannels` as coroutines."""

    def __init__(self, sync: AlertChannels) -> None:
        self.create = awaitable(sync.create)
        self.get = awaitable(sync.get)
        self.list = aiterable(sync.list)
        self.update = awaitable(sync.update)
        self.delete = awaitable(sync.delete)
        self.test = awaitable(sync.test)


class AsyncAlerts:
    """`Alerts` as coroutines."""

    def __init__(self, sync: Alerts) -> None:
        self.channels = AsyncAlertChannels(sync.channels)
        self.list = aiterable(sync.list)
        self.acknowledge = awaitable(sync.acknowledge)
        self.deliveries = aiterable(sync.deliveries)
