"""A bill beside the ledger: lines by day and model, what differs, and of what the ledger's side is made. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from datetime import date
from decimal import ROUND_HALF_EVEN, Decimal

import msgspec

from tollway.controlplane.reconciliation.bills import BillLine
from tollway.controlplane.reconciliation.model import LedgerPart, ReconciliationLine
from tollway.core.money import format_dollars

PARTS = ("first", "retry", "estimated")
MATCHED, WITHIN, DIFFERENT, USAGE_ONLY = "matched", "within_tolerance", "different", "usage_only"
PPM = 1_000_000
_DATED = re.compile(r"-(20[0-9]{2}-[01][0-9]-[0-3][0-9]|20[0-9]{2}[01][0-9][0-3][0-9])$")
_RATIO = Decimal("0.000001")


class LedgerSum(msgspec.Struct, frozen=True, kw_only=True):
    """The ledger's attempts of one part, day and target model, added up."""

    day: date
    model: str
    part: str
    attempts: int
    input_tokens: int
    output_tokens: int
    cost_nano: int


class Compared(msgspec.Struct, frozen=True, kw_only=True):
    """The whole of a comparison; amounts are nano-dollars."""

    lines: list[ReconciliationLine]
    billed_nano: int
    ledger_nano: int
    status: str
    parts: list[LedgerPart]


def compare(bill: Sequence[BillLine], ledger: Sequence[LedgerSum], tolerance_ppm: int) -> Compared:
    """Lines by day and model: all of the bill, and of the ledger what the bill does not name."""
    told: dict[tuple[date, str], list[LedgerSum]] = {}
    for found in ledger:
        told.setdefault((found.day, found.model), []).append(found)
    names = _Names({model for _, model in told})
    groups: dict[tuple[date, str], list[BillLine]] = {}
    for line in bill:
        groups.setdefault((line.day, names.of(line.model)), []).append(line)
    lines = []
    statuses = []
    for day, model in sorted(groups.keys() | told.keys()):
        made = _line(day, model, groups.get((day, model), []), told.get((day, model), []), tolerance_ppm)
        if made is not None:
            lines.append(made)
            statuses.append(made.status)
    return Compared(
        lines=lines,
        billed_nano=sum(line.cost_nano or 0 for line in bill),
        ledger_nano=sum(found.cost_nano for found in ledger),
        status=_overall(statuses),
        parts=_parts(ledger),
    )


def _overall(statuses: Iterable[str]) -> str:
    found = set(statuses)
    if found <= {MATCHED}:
        return MATCHED
    if found == {USAGE_ONLY}:
        return USAGE_ONLY
    return WITHIN if found <= {MATCHED, WITHIN} else DIFFERENT


class _Names:
    """The ledger's names of models. A bill may name one with the date of its version, or the other way round."""

    def __init__(self, names: set[str]) -> None:
        self._names = names
        self._dated: dict[str, list[str]] = {}
        for name in names:
            self._dated.setdefault(_DATED.sub("", name), []).append(name)

    def of(self, billed: str) -> str:
        """The ledger's name of what the bill calls so; the bill's, when it is not to be told."""
        if billed in self._names:
            return billed
        plain = _DATED.sub("", billed)
        if plain in self._names:
            return plain
        dated = self._dated.get(billed, [])
        return dated[0] if len(dated) == 1 else billed


def _line(
    day: date, model: str, bill: Sequence[BillLine], ledger: Sequence[LedgerSum], tolerance_ppm: int
) -> ReconciliationLine | None:
    """One line; None for what the ledger has for nothing and the bill does not name."""
    costs = [line.cost_nano for line in bill if line.cost_nano is not None]
    billed = sum(costs) if costs else None
    booked = sum(found.cost_nano for found in ledger)
    if not bill and not booked:
        return None
    difference = (billed or 0) - booked
    return ReconciliationLine(
        day=day.isoformat(),
        model=model,
        billed=format_dollars(billed) if billed is not None else "",
        ledger=format_dollars(booked),
        difference=format_dollars(difference),
        ratio=str((Decimal(booked) / billed).quantize(_RATIO, ROUND_HALF_EVEN)) if billed else "",
        status=_status(bill, billed, ledger, difference, tolerance_ppm),
        parts=_parts(ledger),
        requests=_sum(line.requests for line in bill),
        input_tokens=_sum(line.input_tokens for line in bill),
        output_tokens=_sum(line.output_tokens for line in bill),
    )


def _status(
    bill: Sequence[BillLine], billed: int | None, ledger: Sequence[LedgerSum], difference: int, tolerance_ppm: int
) -> str:
    if not bill:
        return "not_billed"
    if billed is None:
        return USAGE_ONLY
    if not difference:
        return MATCHED
    if abs(difference) * PPM <= abs(billed) * tolerance_ppm:
        return WITHIN
    if not ledger:
        return "not_in_ledger"
    return "over_billed" if difference > 0 else "under_billed"


def _parts(ledger: Sequence[LedgerSum]) -> list[LedgerPart]:
    """The sums of each part that is there."""
    shown = []
    for part in PARTS:
        found = [one for one in ledger if one.part == part]
        if found:
            shown.append(
                LedgerPart(
                    part=part,
                    attempts=sum(one.attempts for one in found),
                    input_tokens=sum(one.input_tokens for one in found),
                    output_tokens=sum(one.output_tokens for one in found),
                    cost=format_dollars(sum(one.cost_nano for one in found)),
                )
            )
    return shown


def _sum(counts: Iterable[int | None]) -> int | None:
    told = [count for count in counts if count is not None]
    return sum(told) if told else None
