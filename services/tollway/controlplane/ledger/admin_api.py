"""The methods of `LedgerService`: the comparison of the roll-ups with the rows, and retention by command."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
import psycopg

from tollway.controlplane.call import ApiCode, ApiError, Call, Method
from tollway.controlplane.ledger.periods import FIRST, LAST, day_of
from tollway.controlplane.ledger.service import Ledger
from tollway.controlplane.ledger.verify import Difference, Finding, verify
from tollway.controlplane.resources import from_ms


class VerifyLedgerRequest(msgspec.Struct, frozen=True, kw_only=True):
    """The period; the answer is about its first piece."""

    from_: datetime | None = msgspec.field(default=None, name="from")
    to: datetime | None = None


class VerifyLedgerResponse(msgspec.Struct, frozen=True, kw_only=True):
    """What was compared and what differs; see `verify.Piece`."""

    begins: datetime
    ends: datetime
    compared: int
    different: int
    differences: list[Difference]
    findings: list[Finding]
    clean: bool


class RetainLedgerRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Days of rows to keep; 0: the setting's."""

    days: int = 0
    dry_run: bool = False


class RetainLedgerResponse(msgspec.Struct, frozen=True, kw_only=True):
    """The partitions that went, or would go, and the first day that can still have rows."""

    partitions: list[str]
    horizon: str


async def verify_ledger(call: Call, request: VerifyLedgerRequest) -> VerifyLedgerResponse:
    """`LedgerService.Verify`. It reads only, in one snapshot."""
    now = from_ms(call.clock.now_ms())
    end = request.to or now
    begin = request.from_ or day_of(max(min(now, end), FIRST)) - timedelta(days=1)
    if end < begin:
        raise ApiError(ApiCode.INVALID, "the period ends before it begins", field="to")
    if end > LAST:
        raise ApiError(ApiCode.INVALID, "lies beyond the calendar", field="to")
    piece = await verify(call.db, begin, end)
    return VerifyLedgerResponse(**msgspec.structs.asdict(piece), clean=piece.clean)


def methods(ledger: Ledger) -> dict[str, Method]:
    """The service's methods. Retention works outside the call's transaction: a drop must not keep its locks."""

    async def retain_ledger(call: Call, request: RetainLedgerRequest) -> RetainLedgerResponse:
        days = request.days or ledger.retention_days
        if not days:
            raise ApiError(
                ApiCode.INVALID, "say how many days to keep, or set TOLLWAY_LEDGER_RETENTION_DAYS", field="days"
            )
        today = datetime.fromtimestamp(call.clock.now_ms() / 1000, UTC).date()
        try:
            done = await ledger.retain(today, days, dry_run=request.dry_run)
        except psycopg.errors.LockNotAvailable as error:
            raise ApiError(ApiCode.UNAVAILABLE, "writers left no moment for the drop; try again") from error
        shown = done.horizon.isoformat() if done.horizon is not None else ""
        if done.partitions and not request.dry_run:
            call.audit("ledger:rows", None, {"days": days, "dropped": done.partitions, "horizon": shown})
        return RetainLedgerResponse(partitions=done.partitions, horizon=shown)

    service = "tollway.control.v1.LedgerService"
    return {
        f"{service}/Verify": Method(VerifyLedgerRequest, verify_ledger),
        f"{service}/Retain": Method(RetainLedgerRequest, retain_ledger),
    }
