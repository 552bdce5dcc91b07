"""What a provider billed, read from its file. Pure: text in, amounts by day and model out.

Four formats: CSV with a header, JSON lines with the same names, and the answers of OpenAI's and Anthropic's cost and
usage interfaces. Days are in UTC. Amounts are added exactly and rounded once, half-even, to a nano-dollar.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date
from decimal import ROUND_HALF_EVEN, Decimal
from enum import StrEnum

import msgspec

from tollway.core.money import NANO_PER_DOLLAR

MAX_RECORDS = 200_000
MAX_LINES = 20_000
"""Days times models of one bill."""
MAX_REMARKS = 20
NO_MODEL = "(no model)"
"""Stands for amounts of which the bill does not say what they are for."""
MAX_DOLLARS = 9_000_000_000
MAX_BIGINT = (1 << 63) - 1


class Format(StrEnum):
    """How the text is written."""

    CSV = "csv"
    JSONL = "jsonl"
    OPENAI = "openai"
    ANTHROPIC = "anthropic"


class BillError(ValueError):
    """The file cannot be read; the message says where and why."""

    def __init__(self, place: str, reason: str) -> None:
        super().__init__(f"{place}: {reason}" if place else reason)


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """One entry of a bill; `cost` is dollars. None: the entry does not tell."""

    place: str
    day: date
    model: str
    cost: Decimal | None = None
    requests: int | None = None
    input_tokens: int | None = None
    output_tokens: int | None = None


class BillLine(msgspec.Struct, frozen=True, kw_only=True):
    """The sums of one day and model."""

    day: date
    model: str
    cost_nano: int | None
    requests: int | None
    input_tokens: int | None
    output_tokens: int | None


class Bill(msgspec.Struct, frozen=True, kw_only=True):
    """A bill by day and model, in that order, with what has to be said of it."""

    format: Format
    lines: list[BillLine]
    remarks: list[str]


def add_up(form: Format, records: Iterable[Record]) -> Bill:
    """The sums of the records by day and model. Raises BillError when there are none, or too many."""
    groups: dict[tuple[date, str], list[Record]] = {}
    remarks: list[str] = []
    for record in _bounded(records):
        if not record.model:
            remarks.append(f"{record.place}: names no model; its amount is shown as {NO_MODEL}")
        groups.setdefault((record.day, record.model or NO_MODEL), []).append(record)
    if not groups:
        raise BillError("", "the file has no amounts")
    if len(groups) > MAX_LINES:
        raise BillError("", f"the file has more than {MAX_LINES} days and models; upload it in parts")
    lines = [_line(day, model, group) for (day, model), group in sorted(groups.items())]
    if len(remarks) > MAX_REMARKS:
        remarks[MAX_REMARKS - 1 :] = [f"and {len(remarks) - MAX_REMARKS + 1} more entries without a model"]
    return Bill(format=form, lines=lines, remarks=remarks)


def _line(day: date, model: str, group: list[Record]) -> BillLine:
    line = BillLine(
        day=day,
        model=model,
        cost_nano=_nano([found.cost for found in group if found.cost is not None]),
        requests=_whole(found.requests for found in group),
        input_tokens=_whole(found.input_tokens for found in group),
        output_tokens=_whole(found.output_tokens for found in group),
    )
    if any(
        abs(sum_ or 0) > MAX_BIGINT for sum_ in (line.cost_nano, line.requests, line.input_tokens, line.output_tokens)
    ):
        raise BillError(f"{day} {model}", "adds up to more than can be stored")
    return line


def _bounded(records: Iterable[Record]) -> Iterator[Record]:
    for count, record in enumerate(records):
        if count >= MAX_RECORDS:
            raise BillError(record.place, f"more than {MAX_RECORDS} entries; upload the file in parts")
        yield record


def _nano(costs: list[Decimal]) -> int | None:
    if not costs:
        return None
    return int((sum(costs, Decimal(0)) * NANO_PER_DOLLAR).to_integral_value(ROUND_HALF_EVEN))


def _whole(counts: Iterable[int | None]) -> int | None:
    told = [count for count in counts if count is not None]
    return sum(told) if told else None
