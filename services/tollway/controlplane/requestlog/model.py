"""The messages of `RequestLogService`, mirrored by field name. Bodies are in no representation."""

from __future__ import annotations

from datetime import datetime

import msgspec


class LoggedRequest(msgspec.Struct, frozen=True, kw_only=True):
    """One request without its bodies; names where there are names. `status` 0: the client was gone before."""

    request_id: str
    started_at: datetime
    duration_ms: int
    project: str
    business_unit: str
    key_public_id: str
    user: str
    endpoint: str
    model: str
    provider: str
    stream: bool
    status: int
    outcome: str
    error_code: str
    client_request_id: str
    tags: dict[str, str]
    client_address: str
    user_agent: str
    retention_days: int
    kept_until: datetime
    masked: bool
    truncated: bool
    plain_bytes: int
    stored_bytes: int


class LoggedMessage(msgspec.Struct, frozen=True, kw_only=True):
    """One direction; of `body` and `body_base64` at most one is set. `status` and `streamed` are an answer's."""

    headers: dict[str, str] = {}
    body: str = ""
    body_base64: str = ""
    status: int = 0
    streamed: bool = False

    def __repr__(self) -> str:
        return f"LoggedMessage(status={self.status})"


class LoggedBodies(msgspec.Struct, frozen=True, kw_only=True):
    """Message of the contract."""

    metadata: LoggedRequest
    request: LoggedMessage
    response: LoggedMessage


class SearchRequestLogRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Message of the contract; what is empty does not filter."""

    page_size: int = 0
    page_token: str = ""
    from_: datetime | None = msgspec.field(default=None, name="from")
    to: datetime | None = None
    project: str = ""
    key: str = ""
    model: str = ""
    status: int | None = None
    outcome: str = ""
    error_code: str = ""
    request_id: str = ""
    tags: list[str] = []
    user: str = ""
    endpoint: str = ""


class SearchRequestLogResponse(msgspec.Struct, frozen=True, kw_only=True):
    """A page; `next_page_token` is empty at the end of the period alone."""

    requests: list[LoggedRequest]
    next_page_token: str = ""


class GetLoggedRequestRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Message of the contract."""

    request_id: str


class DeleteLoggedRequestsRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Message of the contract: one request, or a project with a period."""

    request_id: str = ""
    project: str = ""
    from_: datetime | None = msgspec.field(default=None, name="from")
    to: datetime | None = None


class DeleteLoggedRequestsResponse(msgspec.Struct, frozen=True, kw_only=True):
    """Message of the contract."""

    deleted: int
    more: bool
