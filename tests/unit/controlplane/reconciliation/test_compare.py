"""A bill beside the ledger: what matches, what does not, and what the ledger's side is made of."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollway.controlplane.reconciliation.bills import BillLine
from tollway.controlplane.reconciliation.compare import LedgerSum, compare

DAY = date(2026, 1, 31)
DOLLAR = 1_000_000_000


def billed(cost_nano: int | None, model: str = "m", day: date = DAY) -> BillLine:
    return BillLine(day=day, model=model, cost_nano=cost_nano, requests=None, input_tokens=None, output_tokens=None)


def booked(cost_nano: int, part: str = "first", model: str = "m", day: date = DAY) -> LedgerSum:
    return LedgerSum(day=day, model=model, part=part, attempts=2, input_tokens=10, output_tokens=1, cost_nano=cost_nano)


@pytest.mark.parametrize(
    ("bill", "ledger", "tolerance_ppm", "status"),
    [
        (100 * DOLLAR, 100 * DOLLAR, 0, "matched"),
        (100 * DOLLAR, 99 * DOLLAR, 10_000, "within_tolerance"),
        (100 * DOLLAR, 99 * DOLLAR - 1, 10_000, "over_billed"),
        (100 * DOLLAR, 101 * DOLLAR + 1, 10_000, "under_billed"),
        (100 * DOLLAR, None, 0, "not_in_ledger"),
        (None, 1, 0, "not_billed"),
    ],
)
def test_a_line_has_a_status(bill: int | None, ledger: int | None, tolerance_ppm: int, status: str) -> None:
    found = compare(
        [billed(bill)] if bill is not None else [], [booked(ledger)] if ledger is not None else [], tolerance_ppm
    )
    assert [line.status for line in found.lines] == [status]
    assert found.status == (status if status in ("matched", "within_tolerance") else "different")


def test_parts_stand_beside_the_sum() -> None:
    found = compare([billed(10)], [booked(5), booked(3, "retry"), booked(2, "estimated")], 0)
    (line,) = found.lines
    assert (line.status, line.ledger, line.difference, line.ratio) == ("matched", "0.00000001", "0", "1.000000")
    assert [(part.part, part.cost, part.attempts) for part in line.parts] == [
        ("first", "0.000000005", 2),
        ("retry", "0.000000003", 2),
        ("estimated", "0.000000002", 2),
    ]
    assert [part.part for part in found.parts] == ["first", "retry", "estimated"]


def test_dates_of_versions_in_names_do_not_matter() -> None:
    found = compare([billed(1, "gpt-4o-2024-08-06"), billed(2, "sonnet")], [booked(1, model="gpt-4o")], 0)
    assert [(line.model, line.status) for line in found.lines] == [("gpt-4o", "matched"), ("sonnet", "not_in_ledger")]
    found = compare([billed(2, "sonnet")], [booked(2, model="sonnet-20250929")], 0)
    assert [(line.model, line.status) for line in found.lines] == [("sonnet-20250929", "matched")]
    twice = [booked(2, model="sonnet-20250929"), booked(2, model="sonnet-20260101")]
    assert [line.status for line in compare([billed(2, "sonnet")], twice, 0).lines] == [
        "not_in_ledger",
        "not_billed",
        "not_billed",
    ]


def test_a_bill_of_usage_alone_compares_no_money() -> None:
    found = compare([billed(None)], [booked(5)], 0)
    assert ([line.status for line in found.lines], found.lines[0].billed, found.status) == (
        ["usage_only"],
        "",
        "usage_only",
    )


def test_what_cost_nothing_and_was_not_billed_is_no_line() -> None:
    assert compare([], [booked(0)], 0).lines == []


@given(
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 10**12)), max_size=8),
    st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 10**12)), max_size=8),
)
def test_lines_add_up_to_the_totals(bill: list[tuple[str, int]], ledger: list[tuple[str, int]]) -> None:
    found = compare([billed(cost, model) for model, cost in bill], [booked(cost, model=m) for m, cost in ledger], 0)
    for name, total in (("billed", found.billed_nano), ("ledger", found.ledger_nano)):
        assert sum(Decimal(getattr(line, name) or 0) for line in found.lines) * DOLLAR == total
