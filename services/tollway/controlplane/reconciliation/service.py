"""Use cases of reconciliation: take a provider's bill in, show it beside the ledger.

The bill is stored as it was added up; the ledger's side is read anew each time, so that adjustments count.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import msgspec
from uuid_utils.compat import uuid7

from tollway.controlplane.call import ApiCode, ApiError, Call
from tollway.controlplane.catalog import postgres
from tollway.controlplane.db.statements import Database, Statements
from tollway.controlplane.reconciliation.bills import MAX_BIGINT, Bill, BillError, BillLine
from tollway.controlplane.reconciliation.compare import PPM, Compared, LedgerSum, compare
from tollway.controlplane.reconciliation.model import (
    GetReconciliationRequest,
    ListReconciliationsRequest,
    ListReconciliationsResponse,
    Reconciliation,
    UploadBillRequest,
)
from tollway.controlplane.reconciliation.reading import read_bill
from tollway.controlplane.resources import as_uuid, from_ms, not_found, page_limit, page_start, page_token
from tollway.core.money import format_dollars

_SQL = Statements(__package__ or "")
LISTING = "reconciliations"
_AFTER_ALL = UUID(int=(1 << 128) - 1)


class _Row(msgspec.Struct, frozen=True, kw_only=True):
    id: UUID
    provider: str
    provider_name: str
    format: str
    first_day: date
    last_day: date
    lines: int
    billed_nano: int
    ledger_nano: int
    status: str
    tolerance_ppm: int
    remarks: list[str]
    note: str
    created_by: str
    created_at: datetime


async def upload_bill(call: Call, request: UploadBillRequest) -> Reconciliation:
    """Stores a bill and compares it. The same text, compared in the same way, is there once."""
    provider = await postgres.provider(call.db, request.provider)
    if provider is None:
        raise not_found("provider", request.provider, "provider")
    try:
        # Reading a large file takes seconds.
        bill = await asyncio.to_thread(read_bill, request.content, request.format, provider.name)
    except BillError as error:
        raise ApiError(ApiCode.INVALID, f"content: {error}", field="content") from None
    tolerance = int(Decimal(request.tolerance or "0") * PPM)
    digest = hashlib.sha256(f"{bill.format}\n{tolerance}\n{request.content}".encode()).digest()
    known = await _SQL.one(call.db, "reconciliation_by_digest", _Row, provider=str(provider.id), digest=digest)
    if known is not None:
        return await _compared(call.db, known)
    row = await _new_row(call, request, bill, str(provider.id), provider.name, tolerance)
    columns: dict[str, Any] = msgspec.structs.asdict(row)
    if not await _SQL.run(call.db, "insert_reconciliation", digest=digest, **columns):
        raise ApiError(ApiCode.ALREADY_EXISTS, "the same bill was uploaded by another call at the same moment")
    await _SQL.run(call.db, "insert_lines", id=row.id, rows=msgspec.json.encode(bill.lines).decode())
    view = await _compared(call.db, row)
    kept = {"provider": view.provider, "first_day": view.first_day, "last_day": view.last_day, "billed": view.billed}
    call.audit(f"reconciliation:{view.id}", None, kept | {"ledger": view.ledger, "status": view.status})
    return view


async def _new_row(
    call: Call, request: UploadBillRequest, bill: Bill, provider: str, provider_name: str, tolerance: int
) -> _Row:
    first, last = bill.lines[0].day, bill.lines[-1].day
    found = compare(bill.lines, await _ledger(call.db, provider, first, last), tolerance)
    if abs(found.billed_nano) > MAX_BIGINT:
        raise ApiError(ApiCode.INVALID, "content: the amounts add up to more than can be stored", field="content")
    return _Row(
        id=uuid7(),
        provider=provider,
        provider_name=provider_name,
        format=bill.format.value,
        first_day=first,
        last_day=last,
        lines=len(bill.lines),
        billed_nano=found.billed_nano,
        ledger_nano=found.ledger_nano,
        status=found.status,
        tolerance_ppm=tolerance,
        remarks=bill.remarks,
        note=request.note,
        created_by=call.principal.name,
        created_at=from_ms(call.clock.now_ms()),
    )


async def _ledger(db: Database, provider: str, first: date, last: date) -> list[LedgerSum]:
    """The ledger's sums of a provider on the UTC days from `first` to `last`."""
    begin = datetime.combine(first, time(), UTC)
    end = datetime.combine(last + timedelta(days=1), time(), UTC)
    return await _SQL.all(
        db, "ledger_sums", LedgerSum, provider=provider, begin=begin, end=end, first_day=first, last_day=last
    )


async def _compared(db: Database, row: _Row) -> Reconciliation:
    lines: Sequence[BillLine] = await _SQL.all(db, "lines", BillLine, id=row.id)
    found = compare(lines, await _ledger(db, row.provider, row.first_day, row.last_day), row.tolerance_ppm)
    return _view(row, found)


def _view(row: _Row, found: Compared | None = None) -> Reconciliation:
    """A row as it is shown: with what was found now or, without it, as it was at the upload."""
    booked = row.ledger_nano if found is None else found.ledger_nano
    return Reconciliation(
        id=str(row.id),
        provider=row.provider_name,
        format=row.format,
        first_day=row.first_day.isoformat(),
        last_day=row.last_day.isoformat(),
        lines=row.lines,
        tolerance=f"{Decimal(row.tolerance_ppm) / PPM:f}",
        note=row.note,
        created_by=row.created_by,
        created_at=row.created_at,
        billed=format_dollars(row.billed_nano),
        ledger=format_dollars(booked),
        difference=format_dollars(row.billed_nano - booked),
        status=row.status if found is None else found.status,
        parts=[] if found is None else found.parts,
        details=[] if found is None else found.lines,
        remarks=[] if found is None else row.remarks,
    )


async def get_reconciliation(call: Call, request: GetReconciliationRequest) -> Reconciliation:
    """A stored bill beside what the ledger says now."""
    found = as_uuid(request.reconciliation)
    row = await _SQL.one(call.db, "reconciliation", _Row, id=found) if found is not None else None
    if row is None:
        raise not_found("reconciliation", request.reconciliation, "reconciliation")
    return await _compared(call.db, row)


async def list_reconciliations(call: Call, request: ListReconciliationsRequest) -> ListReconciliationsResponse:
    """Stored bills, the newest first, as they were at their upload."""
    size = page_limit(request.page_size)
    start = page_start(LISTING, request.page_token)
    before = as_uuid(start) if start else _AFTER_ALL
    if before is None:
        raise ApiError(ApiCode.INVALID, "page_token is not one of this listing", field="page_token")
    rows = await _SQL.all(call.db, "reconciliations", _Row, before=before, provider=request.provider, limit=size + 1)
    following = page_token(LISTING, str(rows[size - 1].id)) if len(rows) > size else ""
    return ListReconciliationsResponse(reconciliations=[_view(row) for row in rows[:size]], next_page_token=following)
