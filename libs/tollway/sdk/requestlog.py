"""The request log: search it, read bodies (which is audited), erase."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import quote

from tollway.sdk.codec import timestamp
from tollway.sdk.errors import InvalidAnswer
from tollway.sdk.paging import pages, typed
from tollway.sdk.transport import Transport

_PATH = "/api/v1/request-log"


@dataclass(frozen=True, kw_only=True)
class LoggedRequest:
    """One request without its bodies. `status` 0: the client was gone before there was one."""

    request_id: str = ""
    started_at: datetime | None = None
    duration_ms: int = 0
    project: str = ""
    business_unit: str = ""
    key_public_id: str = ""
    user: str = ""
    endpoint: str = ""
    model: str = ""
    provider: str = ""
    stream: bool = False
    status: int = 0
    outcome: str = ""
    error_code: str = ""
    client_request_id: str = ""
    tags: dict[str, str] = field(default_factory=dict)
    client_address: str = ""
    user_agent: str = ""
    retention_days: int = 0
    kept_until: datetime | None = None
    masked: bool = False
    truncated: bool = False
    plain_bytes: int = 0
    stored_bytes: int = 0


@dataclass(frozen=True, kw_only=True)
class LoggedMessage:
    """One direction. Of `body` (text) and `body_base64` at most one is set; `status` and `streamed` are an answer's."""

    headers: dict[str, str] = field(default_factory=dict)
    body: str = field(default="", repr=False)
    body_base64: str = field(default="", repr=False)
    status: int = 0
    streamed: bool = False


@dataclass(frozen=True, kw_only=True)
class LoggedBodies:
    """One request with its bodies."""

    metadata: LoggedRequest = field(default_factory=LoggedRequest)
    request: LoggedMessage = field(default_factory=LoggedMessage)
    response: LoggedMessage = field(default_factory=LoggedMessage)


@dataclass(frozen=True, kw_only=True)
class _Deleted:
    deleted: int = 0
    more: bool = False


class RequestLog:
    """`/api/v1/request-log`."""

    def __init__(self, transport: Transport) -> None:
        self._transport = transport

    def search(
        self,
        *,
        start: datetime | None = None,
        end: datetime | None = None,
        project: str = "",
        key: str = "",
        model: str = "",
        status: int | None = None,
        outcome: str = "",
        error_code: str = "",
        request_id: str = "",
        tags: Sequence[str] = (),
        user: str = "",
        endpoint: str = "",
        limit: int | None = None,
    ) -> Iterator[LoggedRequest]:
        """Requests, newest first; `end` is exclusive, `tags` are `name=value` and must all be there.

        `request_id` is the ledger's or the client's own.
        """
        query: dict[str, Any] = {
            "from": timestamp(start) if start else None,
            "to": timestamp(end) if end else None,
            "project": project,
            "key": key,
            "model": model,
            "status": None if status is None else str(status),
            "outcome": outcome,
            "error_code": error_code,
            "request_id": request_id,
            "tags": list(tags),
            "user": user,
            "endpoint": endpoint,
        }
        return pages(self._transport, _PATH, "requests", LoggedRequest, query, limit)

    def read(self, request_id: str) -> LoggedBodies:
        """One request with its bodies; that somebody read them is written to the audit log."""
        path = f"{_PATH}/{quote(request_id, safe='')}:read"
        return typed(LoggedBodies, self._transport.call("POST", path, body={}))

    def delete(
        self, *, request_id: str = "", project: str = "", start: datetime | None = None, end: datetime | None = None
    ) -> int:
        """Erases one request, or a project's from `start` to before `end`, for good; returns how many there were."""
        body = {"request_id": request_id, "project": project}
        body |= {"from": timestamp(start)} if start else {}
        body |= {"to": timestamp(end)} if end else {}
        total = 0
        while True:
            done = typed(_Deleted, self._transport.call("POST", f"{_PATH}:delete", body=body))
            total += done.deleted
            if not done.more:
                return total
            if not done.deleted:
                raise InvalidAnswer("the answer says that there is more to delete, and deleted nothing")
