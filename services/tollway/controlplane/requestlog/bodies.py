"""Reads and erases single bodies. Both are written to the audit log: prompts are somebody's words."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

import msgspec
from uuid_utils.compat import uuid7

from tollway.controlplane.call import ApiCode, ApiError, Call
from tollway.controlplane.db.statements import Statements
from tollway.controlplane.requestlog.content import Unreadable, unpack
from tollway.controlplane.requestlog.ingest import ERASURE_GATE
from tollway.controlplane.requestlog.model import (
    DeleteLoggedRequestsRequest,
    DeleteLoggedRequestsResponse,
    GetLoggedRequestRequest,
    LoggedBodies,
)
from tollway.controlplane.requestlog.rows import bound, day_of
from tollway.controlplane.requestlog.search import DAYS_A_CALL, OLDEST, SLACK, Row, projects, shown
from tollway.controlplane.requestlog.store import ContentRef, ContentStore, StoreUnavailable
from tollway.controlplane.resources import as_uuid, from_ms
from tollway.runtime import log

_log = log.get(__name__)
_sql = Statements(__package__ or "")
ERASED_A_CALL = 5_000


class _Erased(msgspec.Struct):
    id: UUID
    day: date
    retention_days: int
    elsewhere: bool


class Bodies:
    """The use cases that need the contents, wherever they are kept."""

    def __init__(self, contents: ContentStore) -> None:
        self._contents = contents

    async def read(self, call: Call, asked: GetLoggedRequestRequest) -> LoggedBodies:
        """One request with its bodies; leaves an audit entry. Raises ApiError."""
        identifier = _request_id(asked.request_id)
        await _sql.run(call.db, "plan_for_these_values")
        row = await _sql.one(call.db, "one", Row, day=day_of(identifier), id=identifier)
        if row is None:
            raise _absent(asked.request_id)
        content = row.content
        if content is None:
            try:
                content = await self._contents.get(ContentRef(row.retention_days, row.day, row.id))
            except StoreUnavailable as error:
                _log.warning("bodies could not be read", request_id=str(row.id), reason=str(error))
                raise ApiError(ApiCode.UNAVAILABLE, f"the bodies cannot be read now: {error}") from error
        if content is None:
            raise ApiError(
                ApiCode.NOT_FOUND, "the bodies of this request are gone from the object store", field="request_id"
            )
        try:
            request, response = await asyncio.to_thread(unpack, content)
        except Unreadable as error:
            raise ApiError(ApiCode.FAILED_PRECONDITION, str(error), field="request_id") from error
        metadata = (await shown(call.db, [row]))[0]
        call.audit(f"request_log:{row.id}", None, {"project": metadata.project, "user": metadata.user})
        return LoggedBodies(metadata=metadata, request=request, response=response)

    async def erase(self, call: Call, asked: DeleteLoggedRequestsRequest) -> DeleteLoggedRequestsResponse:
        """Erases one request, or a project's of a period, in bounded steps; leaves an audit entry. Raises ApiError.

        What a data plane still holds of it is refused when it arrives. Whoever stores waits meanwhile, so that nothing
        slips in between.
        """
        if bool(asked.request_id) == bool(asked.project):
            raise ApiError(ApiCode.INVALID, "give either request_id, or project with from and to", field="request_id")
        await _sql.run(call.db, "plan_for_these_values")
        if asked.request_id:
            return await self._erase_one(call, asked)
        return await self._erase_period(call, asked)

    async def _erase_one(self, call: Call, asked: DeleteLoggedRequestsRequest) -> DeleteLoggedRequestsResponse:
        if asked.from_ or asked.to:
            raise ApiError(ApiCode.INVALID, "a request has no period; leave from and to out", field="from")
        identifier = _request_id(asked.request_id)
        await _sql.run(call.db, "erasure_gate", lock=ERASURE_GATE)
        await self._remember(call, identifier, None, None, None)
        erased = await _sql.all(call.db, "erase_one", _Erased, day=day_of(identifier), id=identifier)
        await self._erase_contents(erased)
        call.audit(f"request_log:{identifier}", {"erased": len(erased)}, None)
        return DeleteLoggedRequestsResponse(deleted=len(erased), more=False)

    async def _erase_period(self, call: Call, asked: DeleteLoggedRequestsRequest) -> DeleteLoggedRequestsResponse:
        if asked.from_ is None or asked.to is None:
            raise ApiError(ApiCode.INVALID, "a project needs a period: give from and to", field="from")
        now = from_ms(call.clock.now_ms())
        if asked.to > now:
            raise ApiError(ApiCode.INVALID, "must not lie in the future", field="to")
        if asked.to <= asked.from_:
            raise ApiError(ApiCode.INVALID, "the period ends before it begins", field="to")
        begin, end = max(asked.from_.astimezone(UTC), now - OLDEST), asked.to.astimezone(UTC)
        meant = await projects(call.db, asked.project)
        if meant == [asked.project] and as_uuid(asked.project) is None:
            raise ApiError(ApiCode.NOT_FOUND, f"there is no project {asked.project!r}", field="project")
        await _sql.run(call.db, "erasure_gate", lock=ERASURE_GATE)
        for project in meant:
            await self._remember(call, None, project, begin, end)
        erased = await self._delete_days(call, meant, begin, end)
        await self._erase_contents(erased)
        more = len(erased) >= ERASED_A_CALL
        period = {"from": begin.isoformat(), "to": end.isoformat(), "erased": len(erased), "more": more}
        call.audit(f"request_log:{asked.project}", period, None)
        return DeleteLoggedRequestsResponse(deleted=len(erased), more=more)

    async def _delete_days(self, call: Call, meant: list[str], begin: datetime, end: datetime) -> list[_Erased]:
        """Deletes from the newest day on, a month at a time, until there is no more or the step is full."""
        first, before = bound(begin, -SLACK), bound(end, SLACK)
        erased: list[_Erased] = []
        last_day = day_of(before)
        while last_day >= day_of(first) and len(erased) < ERASED_A_CALL:
            first_day = max(day_of(first), last_day - timedelta(days=DAYS_A_CALL - 1))
            erased += await _sql.all(
                call.db, "erase_period", _Erased, projects=meant, first_day=first_day, last_day=last_day,
                first_id=first, before_id=before, begin=begin, end=end, limit=ERASED_A_CALL - len(erased),
            )  # fmt: skip
            last_day = first_day - timedelta(days=1)
        return erased

    async def _remember(
        self, call: Call, request_id: UUID | None, project: str | None, begin: datetime | None, end: datetime | None
    ) -> None:
        at = from_ms(call.clock.now_ms())
        await _sql.run(
            call.db, "insert_erasure", id=uuid7(), request_id=request_id, project=project, begin=begin, end=end, at=at
        )

    async def _erase_contents(self, erased: list[_Erased]) -> None:
        refs = [ContentRef(row.retention_days, row.day, row.id) for row in erased if row.elsewhere]
        if not refs:
            return
        try:
            await self._contents.delete(refs)
        except StoreUnavailable as error:
            _log.warning("bodies could not be erased", bodies=len(refs), reason=str(error))
            raise ApiError(ApiCode.UNAVAILABLE, f"nothing was erased, try again: {error}") from error


def _request_id(text: str) -> UUID:
    found = as_uuid(text)
    if found is None or found.version != 7:
        raise ApiError(ApiCode.INVALID, "is not a request id; search for the client's own id", field="request_id")
    try:
        day_of(found)
    except (OverflowError, ValueError):
        raise _absent(text) from None
    return found


def _absent(text: str) -> ApiError:
    message = f"the log has no request {text!r}: it was not logged, or its retention is over"
    return ApiError(ApiCode.NOT_FOUND, message, field="request_id")
