"""Search in the request log: newest first, metadata alone, a bounded number of days a call. Reads only."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec

from tollway.controlplane.access.reach import both, ledger_ids
from tollway.controlplane.call import ApiCode, ApiError, Call, Reach
from tollway.controlplane.db.statements import Database, Statements
from tollway.controlplane.requestlog.model import (
    LoggedRequest,
    SearchRequestLogRequest,
    SearchRequestLogResponse,
)
from tollway.controlplane.requestlog.rows import CLOCK_MS, bound, day_of
from tollway.controlplane.resources import as_uuid, from_ms, page_limit, page_start, page_token
from tollway.core.requestlog import RETENTION_CLASSES

_sql = Statements(__package__ or "")
LISTING = "request_log"
DAYS_A_CALL = 31
"""Days that one call looks at: each has a partition in each class, and every one that is opened costs locks."""
OLDEST = timedelta(days=max(RETENTION_CLASSES) + 1)
AHEAD = timedelta(days=2)
SLACK = timedelta(milliseconds=CLOCK_MS + 1)
"""How far an id's time and the start of its request may lie apart."""


class Row(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `request_log`; `content` only where it was asked for."""

    id: UUID
    day: date
    retention_days: int
    business_unit: str
    project: str
    key_public_id: str
    client_user: str
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
    started_at: datetime
    duration_ms: int
    masked: bool
    truncated: bool
    plain_bytes: int
    stored_bytes: int
    content: bytes | None = None


class _Named(msgspec.Struct):
    id: str
    name: str = ""
    ended: bool = False


async def search(call: Call, asked: SearchRequestLogRequest) -> SearchRequestLogResponse:
    """A page, newest first. It can be short or empty and still have a next one, see `DAYS_A_CALL`. Raises ApiError."""
    size = page_limit(asked.page_size)
    now = from_ms(call.clock.now_ms())
    begin = max(_utc(asked.from_, now - OLDEST, "from"), now - OLDEST)
    end = min(_utc(asked.to, now + AHEAD, "to"), now + AHEAD)
    if asked.from_ and asked.to and asked.to < asked.from_:
        raise ApiError(ApiCode.INVALID, "the period ends before it begins", field="to")
    filters = await _filters(call.db, asked, call.reach)
    before = min(_cursor(asked.page_token), bound(end, SLACK))
    first = bound(begin, -SLACK)
    if (exact := filters["request_id"]) is not None:
        first, before = max(first, exact), min(before, UUID(int=min(exact.int + 1, (1 << 128) - 1)))
    if before <= first:
        return SearchRequestLogResponse(requests=[])
    last_day = _last_day(before)
    oldest = max(day_of(first), last_day - timedelta(days=DAYS_A_CALL - 1))
    await _sql.run(call.db, "plan_for_these_values")
    rows = await _sql.all(
        call.db, "search", Row, first_day=oldest, last_day=last_day, first_id=first, before_id=before, begin=begin,
        end=end, limit=size + 1, **filters,
    )  # fmt: skip
    page = rows[:size]
    following = ""
    if len(rows) > size:
        following = page_token(LISTING, str(page[-1].id))
    elif oldest > day_of(first):
        following = page_token(LISTING, str(bound(datetime.combine(oldest, datetime.min.time(), UTC))))
    return SearchRequestLogResponse(requests=await shown(call.db, page), next_page_token=following)


def _utc(at: datetime | None, default: datetime, field: str) -> datetime:
    try:
        return at.astimezone(UTC) if at is not None else default
    except OverflowError:
        raise ApiError(ApiCode.INVALID, "lies beyond the calendar", field=field) from None


def _last_day(before: UUID) -> date:
    """The day of the largest id below `before`."""
    return day_of(UUID(int=max(before.int - 1, 0)))


def _cursor(token: str) -> UUID:
    """The id before which a page begins; for the first page, beyond every id."""
    last = page_start(LISTING, token)
    if not last:
        return UUID(int=(1 << 128) - 1)
    found = as_uuid(last)
    if found is None:
        raise ApiError(ApiCode.INVALID, "page_token is not one of this listing", field="page_token")
    return found


async def _filters(db: Database, asked: SearchRequestLogRequest, reach: Reach | None) -> dict[str, Any]:
    """The parameters of the statement, narrowed to a reach; None does not filter."""
    for field in ("project", "key", "model", "outcome", "error_code", "request_id", "user", "endpoint"):
        if "\0" in getattr(asked, field):
            raise ApiError(ApiCode.INVALID, "has a NUL character", field=field)
    exact = as_uuid(asked.request_id)
    if exact is not None and exact.version != 7:
        exact = None  # the client's own
    in_projects, of_keys = await ledger_ids(db, reach, asked.project)
    meant = both(await projects(db, asked.project) if asked.project else None, in_projects)
    keys = both(await _keys(db, asked.key) if asked.key else None, of_keys)
    return {
        "project": meant[0] if meant is not None and len(meant) == 1 else None,
        "projects": meant if meant is not None and len(meant) != 1 else None,
        "key": keys[0] if keys is not None and len(keys) == 1 else None,
        "keys": keys if keys is not None and len(keys) != 1 else None,
        "model": asked.model or None,
        "status": asked.status,
        "outcome": asked.outcome or None,
        "error_code": asked.error_code or None,
        "request_id": exact,
        "client_request_id": asked.request_id if asked.request_id and exact is None else None,
        "tags": _tags(asked.tags),
        "client_user": asked.user or None,
        "endpoint": asked.endpoint or None,
    }


def _tags(texts: list[str]) -> str | None:
    tags: dict[str, str] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not name or not equals or "\0" in text:
            raise ApiError(ApiCode.INVALID, "must look like name=value", field="tags")
        if tags.setdefault(name, value) != value:
            raise ApiError(ApiCode.INVALID, f"asks for two values of {name!r}", field="tags")
    return msgspec.json.encode(tags).decode() if tags else None


async def projects(db: Database, text: str) -> list[str]:
    """The ids that a project's id or name means; of namesakes the one in use, else the archived ones.

    A text that is neither stands for itself.
    """
    found = await _sql.all(db, "projects_named", _Named, text=text)
    present = [project.id for project in found if not project.ended]
    return present or [project.id for project in found] or [text]


async def _keys(db: Database, text: str) -> list[str]:
    project, _, name = text.partition("/")
    found = await _sql.all(db, "keys_named", _Named, text=text, project=project, key=name)
    return [key.id for key in found] or [text]


async def shown(db: Database, rows: list[Row]) -> list[LoggedRequest]:
    """Rows as they are shown, with names for ids."""
    texts = {text for row in rows for text in (row.project, row.business_unit)}
    ids = [found for text in texts if (found := as_uuid(text)) is not None]
    names = {named.id: named.name for named in await _sql.all(db, "named", _Named, ids=ids)} if ids else {}
    return [_shown(row, names) for row in rows]


def _shown(row: Row, names: dict[str, str]) -> LoggedRequest:
    same: dict[str, Any] = {name: getattr(row, name) for name in LoggedRequest.__struct_fields__ if hasattr(row, name)}
    kept_until = datetime.combine(row.day, datetime.min.time(), UTC) + timedelta(days=row.retention_days + 1)
    return LoggedRequest(
        **same
        | {
            "request_id": str(row.id),
            "project": names.get(row.project, row.project),
            "business_unit": names.get(row.business_unit, row.business_unit),
            "user": row.client_user,
            "kept_until": kept_until,
        }
    )
