"""Alerts as values: what fires, the channels, the deliveries, and the messages of `AlertService` by field name.

Pure. Times of messages are aware datetimes; the URL and the secret of a channel are in no representation.
"""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

import msgspec


class AlertKind(StrEnum):
    """What an alert is about; docs/guide/alerts.md tells each."""

    BUDGET_THRESHOLD = "budget_threshold"
    BUDGET_EXHAUSTED = "budget_exhausted"
    SPEND_ANOMALY = "spend_anomaly"
    CREDENTIAL_FAILED = "credential_failed"
    SPOOL_PRESSURE = "spool_pressure"
    BODIES_DROPPED = "bodies_dropped"
    QUARANTINED_ROWS = "quarantined_rows"
    UNPARTITIONED_ROWS = "unpartitioned_rows"
    LEDGER_DIFFERENCE = "ledger_difference"
    AUDIT_BROKEN = "audit_broken"
    BOUND_EXCEEDED = "bound_exceeded"
    COUNTERS_AWAY = "counters_away"
    COUNTERS_REBUILT = "counters_rebuilt"
    UNATTRIBUTED = "unattributed"
    NOTICES_LOST = "notices_lost"
    ALERTS_SUPPRESSED = "alerts_suppressed"
    APPROVAL_WAITING = "approval_waiting"
    APPROVAL_ENDED = "approval_ended"


class Severity(StrEnum):
    """How urgent an alert is."""

    INFO = "info"
    WARNING = "warning"
    CRITICAL = "critical"


class ChannelKind(StrEnum):
    """How a channel is told."""

    WEBHOOK = "webhook"
    SLACK = "slack"
    EMAIL = "email"


class Concern(msgspec.Struct, frozen=True, kw_only=True):
    """Whom something concerns, by names; empty where it concerns nobody in particular: the installation."""

    organisation: str = ""
    business_unit: str = ""
    project: str = ""


class Firing(msgspec.Struct, frozen=True, kw_only=True):
    """An alert about to fire. It fires once for each `crossing`: kind, subject, window and threshold in one text.

    `forget_ms`: after this (Unix milliseconds) the crossing cannot happen again, so that its row may go; None: never.
    """

    kind: AlertKind
    severity: Severity
    crossing: str
    summary: str
    scope: str = ""
    subject: str = ""
    concern: Concern = Concern()
    details: dict[str, str] = {}
    occurrences: int = 1
    forget_ms: int | None = None


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """Where and how a channel is told; sealed at rest. `secret` signs what a webhook gets."""

    url: str = ""
    secret: str = ""

    def __repr__(self) -> str:
        return "Target()"


class ChannelRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `alert_channels`; `sealed` opens only with the vault and for this id."""

    id: UUID
    name: str
    kind: ChannelKind
    host: str
    sealed: bytes | None
    data_key: str | None
    fingerprint: bytes | None
    recipients: list[str]
    scope: str
    subject: str
    alerts: list[str]
    revision: int
    created_at: datetime
    updated_at: datetime
    archived_at: datetime | None = None
    managed_by: str | None = None
    applied_digest: bytes | None = None

    def __repr__(self) -> str:
        return f"ChannelRow(id={self.id}, name={self.name!r})"


class AlertChannel(msgspec.Struct, frozen=True, kw_only=True):
    """Message of the contract."""

    id: str
    name: str
    kind: str
    host: str
    recipients: list[str]
    scope: str
    subject: str
    alerts: list[str]
    created_at: datetime
    updated_at: datetime
    etag: str


class AlertChannelSpec(msgspec.Struct, frozen=True, kw_only=True):
    """Message of the contract: a channel as a document declares it."""

    name: str
    kind: str
    url: str = ""
    secret: str = ""
    recipients: list[str] = []
    scope: str = ""
    subject: str = ""
    alerts: list[str] = []

    def __repr__(self) -> str:
        return f"AlertChannelSpec(name={self.name!r}, kind={self.kind!r})"


class CreateAlertChannelRequest(AlertChannelSpec, frozen=True, kw_only=True):
    """Message of the contract."""


class GetAlertChannelRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Message of the contract; id or name."""

    channel: str


class ListAlertChannelsRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Message of the contract."""

    page_size: int = 0
    page_token: str = ""


class ListAlertChannelsResponse(msgspec.Struct, frozen=True, kw_only=True):
    """Message of the contract."""

    channels: list[AlertChannel]
    next_page_token: str = ""


class UpdateAlertChannelRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Message of the contract."""

    channel: str
    url: str = ""
    secret: str = ""
    recipients: list[str] = []
    scope: str = ""
    subject: str = ""
    alerts: list[str] = []
    etag: str = ""

    def __repr__(self) -> str:
        return f"UpdateAlertChannelRequest(channel={self.channel!r})"


class DeleteAlertChannelRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Message of the contract."""

    channel: str
    etag: str = ""


class TestAlertChannelRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Message of the contract."""

    __test__ = False
    channel: str


class TestAlertChannelResponse(msgspec.Struct, frozen=True, kw_only=True):
    """Message of the contract."""

    __test__ = False
    delivered: bool
    status: int
    error: str
    seconds: float


class AlertRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `alerts`."""

    id: UUID
    kind: str
    severity: str
    scope: str
    subject: str
    organisation: str
    business_unit: str
    project: str
    summary: str
    details: dict[str, str]
    occurrences: int
    fired_at: datetime
    last_at: datetime
    acknowledged_at: datetime | None
    acknowledged_by: str | None
    note: str


class Alert(msgspec.Struct, frozen=True, kw_only=True):
    """Message of the contract."""

    id: str
    fired_at: datetime
    kind: str
    severity: str
    scope: str
    subject: str
    organisation: str
    business_unit: str
    project: str
    summary: str
    details: dict[str, str]
    occurrences: int
    last_at: datetime
    acknowledged_at: datetime | None = None
    acknowledged_by: str = ""
    note: str = ""


class ListAlertsRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Message of the contract."""

    page_size: int = 0
    page_token: str = ""
    kind: str = ""
    project: str = ""
    business_unit: str = ""
    open: bool = False


class ListAlertsResponse(msgspec.Struct, frozen=True, kw_only=True):
    """Message of the contract."""

    alerts: list[Alert]
    next_page_token: str = ""


class AcknowledgeAlertRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Message of the contract."""

    alert: str
    note: str = ""


class DeliveryAttempt(msgspec.Struct, frozen=True, kw_only=True):
    """Message of the contract: one try. `error` is empty when it was delivered, and never carries a secret."""

    at: datetime
    status: int = 0
    error: str = ""
    seconds: float = 0.0


class AlertDelivery(msgspec.Struct, frozen=True, kw_only=True):
    """Message of the contract."""

    id: str
    alert: str
    channel: str
    kind: str
    state: str
    created_at: datetime
    next_at: datetime | None
    ended_at: datetime | None
    attempts: list[DeliveryAttempt]
    summary: str


class DeliveryRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `alert_deliveries`, with the names it is shown with."""

    id: UUID
    alert_id: UUID
    channel: str
    kind: str
    summary: str
    state: str
    created_at: datetime
    next_at: datetime | None
    ended_at: datetime | None
    attempts: list[dict[str, Any]]


class ListAlertDeliveriesRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Message of the contract."""

    page_size: int = 0
    page_token: str = ""
    alert: str = ""
    channel: str = ""
    state: str = ""


class ListAlertDeliveriesResponse(msgspec.Struct, frozen=True, kw_only=True):
    """Message of the contract."""

    deliveries: list[AlertDelivery]
    next_page_token: str = ""
