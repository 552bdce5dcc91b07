"""What a dead process left is known to the nano-dollar, whatever was rotated, deleted, acknowledged or cut off."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tollway.core.ledger import AttemptRow, Outcome, RequestRow
from tollway.core.pricing import Price
from tollway.dataplane.outbox.journal import Journal, JournalFull
from tollway.dataplane.outbox.orphans import Estate, adopt, read_estate
from tollway.dataplane.outbox.records import Begun, Charges, Intent, Progress, Totals, common_of, is_budget
from tollway.wire.usage_codec import decode_row

PRICE = Price(version="v1", input=1_000_000_000, output=2_000_000_000)  # a token of input costs 1000, of output 2000
SEGMENT = 2048
BUDGETS = ("b1:0", "b2:0")
RATE = "r1:60000"
NUMBER = st.integers(0, 1 << 16)


def row(name: str, costs: tuple[int, ...] = (0,), padding: int = 0) -> RequestRow:
    """A request with one attempt for each cost."""
    attempts = tuple(
        AttemptRow(
            id=f"{name}-{n}",
            number=n,
            provider="p",
            provider_kind="openai",
            target_model="m",
            started_ms=10,
            cost_nano=cost,
        )
        for n, cost in enumerate(costs, 1)
    )
    return RequestRow(
        stream=True,
        id=name, organisation="o", business_unit="b", project="p", key_id="k", key_public_id="kk",
        endpoint="/v1/chat/completions", model="m", started_ms=10, attempts=attempts, tags={"x": "y" * padding},
    )  # fmt: skip


def in_short(intent: Intent) -> Begun:
    """The same, as the first call of a request is written."""
    request = intent.request
    (attempt,) = request.attempts
    amounts = tuple(amount for _, amount in intent.reserved)
    return Begun(
        common_of(intent), request.id, attempt.id, request.started_ms, attempt.started_ms, request.client_request_id,
        None, intent.input_estimate, amounts,
    )  # fmt: skip


class Life:
    """A process with its journal, and what is true of it: kept apart, by sums alone."""

    def __init__(self, root: Path, capacity: int = 64 * SEGMENT) -> None:
        self.journal = Journal(root, "one", segment_bytes=SEGMENT, capacity=capacity)
        self.journal.totals = lambda: Totals(self.epoch, {k: v for k, v in self.spent.items() if v})
        self.epoch = "e0"
        self.spent = dict.fromkeys(BUDGETS, 0)
        """Of each budget, in this life of the counters."""
        self.open: dict[str, Intent] = {}
        self.marks: dict[str, Progress] = {}
        self.finished: list[tuple[str, Charges]] = []
        self.acknowledged = 0
        self.noted = 0
        """How many rows a successor knows to be in the ledger: there was room in the last segment to say so."""
        self.reads: list[tuple[int, Callable[[], None]]] = []
        self.mark()

    def intend(self, name: str, reserved: int, tokens: int, padding: int = 0) -> None:
        """A call begins: each budget is charged what it may cost, a rate one request."""
        charges = (*((budget, reserved) for budget in BUDGETS), (RATE, 1))
        before = self.open.get(name)
        attempts = len(before.request.attempts) + 1 if before is not None else 1
        intent = Intent(row(name, (0,) * attempts, padding), PRICE, tokens, reserved=charges)
        if attempts == 1:
            self.journal.begin(in_short(intent))
        else:
            self.journal.intend(intent)
        self.open[name] = intent
        self.marks.pop(name, None)

    def progress(self, name: str, chars: int) -> None:
        """A stream comes further."""
        self.marks[name] = Progress(name, 99, chars)
        self.journal.progress(self.marks[name])

    def finish(self, name: str, cost: int, padding: int) -> None:
        """A call is booked, then settled: in this order, as in a request."""
        del self.open[name]
        self.marks.pop(name, None)
        charges = (*((budget, cost) for budget in BUDGETS), (RATE, 1))
        self.finished.append((name, charges))
        self.journal.finish(row(name, (cost,), padding), charges)
        for budget in BUDGETS:
            self.spent[budget] += cost

    def read(self, limit: int) -> None:
        """Rows go out to the ledger."""
        rows, acknowledge = self.journal.unshipped(limit)
        expected = [name for name, _ in self.finished[self.acknowledged :]][:limit]
        assert [decode_row(found).id for found in rows] == expected
        self.reads = [(self.acknowledged + len(rows), acknowledge)]

    def acknowledge(self) -> None:
        """The ledger has what was read last."""
        for count, done in self.reads:
            self.acknowledged = count
            last = self.journal._segments[-1]
            before = last.written
            done()
            if last.written > before:
                self.noted = count
        self.reads = []

    def mark(self) -> None:
        """A new life of the counters begins: what the ledger does not have is spent in it."""
        owed = self.owed(self.acknowledged)
        self.spent = {budget: owed.get(budget, 0) for budget in BUDGETS}
        self.journal.mark(Totals(self.epoch, {k: v for k, v in self.spent.items() if v}))

    def owed(self, since: int) -> dict[str, int]:
        """What all rows but the first `since` charge."""
        sums: dict[str, int] = {}
        for _, charges in self.finished[since:]:
            add(sums, charges)
        return sums

    def lost(self) -> dict[str, int]:
        """What the calls under way cost, as far as it is known: never more than was reserved."""
        sums: dict[str, int] = {}
        for name, intent in self.open.items():
            mark = self.marks.get(name)
            known = 1000 * intent.input_estimate + 2000 * -(-(mark.output_chars if mark else 0) // 4)
            cost = min([known, *(amount for account, amount in intent.reserved if is_budget(account))])
            add(sums, tuple((account, cost if is_budget(account) else amount) for account, amount in intent.reserved))
        return sums

    def crash(self) -> Path:
        """What SIGKILL leaves: the files as they are, the lock free."""
        os.close(self.journal._lock)
        return self.journal.folder


def add(sums: dict[str, int], charges: Charges) -> None:
    for account, amount in charges:
        sums[account] = sums.get(account, 0) + amount


def estate_of(folder: Path) -> tuple[Estate, list[RequestRow]]:
    """What a journal comes to, and its rows."""
    estate = Estate()
    rows = [found for part in read_estate(folder, 1234, estate) for found in part]
    assert estate.rows == len(rows)
    return estate, rows


def check(life: Life, estate: Estate, rows: list[RequestRow]) -> None:
    """The estate says what is true."""
    lost = life.lost()
    assert estate.epoch == life.epoch
    assert {budget: estate.totals.get(budget, 0) for budget in BUDGETS} == {
        budget: life.spent[budget] + lost.get(budget, 0) for budget in BUDGETS
    }
    assert set(estate.totals) <= set(BUDGETS)
    owed = life.owed(life.noted)
    add(owed, tuple(lost.items()))
    assert {account: estate.owed.get(account, 0) for account in (*BUDGETS, RATE)} == {
        account: owed.get(account, 0) for account in (*BUDGETS, RATE)
    }
    ids = [found.id for found in rows]
    assert len(ids) == len(set(ids))
    unknown = {name for name, _ in life.finished[life.acknowledged :]} | set(life.open)
    assert unknown <= set(ids) <= {name for name, _ in life.finished} | set(life.open)
    for found in rows:
        if found.id in life.open:
            assert found.outcome == Outcome.LOST
            reserved = dict(life.open[found.id].reserved)
            assert sum(attempt.cost_nano for attempt in found.attempts) <= min(reserved[b] for b in BUDGETS)


STEPS = st.lists(
    st.tuples(st.sampled_from(("intend", "finish") * 4 + ("progress", "read", "acknowledge", "life")), NUMBER, NUMBER),
    max_size=60,
)


def step(life: Life, kind: str, which: int, much: int, name: str) -> None:
    """One thing that happens to a process."""
    names = list(life.open)
    if kind == "intend":
        again = names[which % len(names)] if names and which % 5 == 0 else name
        if again in life.open and len(life.open[again].request.attempts) > 3:
            return  # a record must fit into a segment
        life.intend(again, much, which % 40, padding=which % 500)
    elif kind == "finish" and names:
        # Some rows fill much of a segment, so that segments end at every kind of record.
        life.finish(names[which % len(names)], much, padding=which % 700)
    elif kind == "progress" and names:
        life.progress(names[which % len(names)], much % 300)
    elif kind == "read":
        life.read(1 + which % 12)
    elif kind == "acknowledge":
        life.acknowledge()
    elif kind == "life" and not life.reads:
        life.epoch = name
        life.mark()


@settings(max_examples=60, deadline=None)
@given(steps=STEPS)
def test_a_journal_is_worth_what_its_process_did(steps: list[tuple[str, int, int]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        life = Life(Path(folder) / "journals")
        for number, (kind, which, much) in enumerate(steps):
            step(life, kind, which, much, f"n{number}")
            owed = life.owed(life.acknowledged)
            assert life.journal.owed() | dict.fromkeys(owed, 0) | life.journal.owed() == owed
        left = life.crash()
        estate, rows = estate_of(left)
        check(life, estate, rows)
        assert estate_of(left) == (estate, rows)


def test_totals_are_exact_when_a_row_begins_a_segment(tmp_path: Path) -> None:
    """A row is settled before it is written: the totals at the head of its segment must not count it twice."""
    life = Life(tmp_path)
    for number in range(3):
        life.intend(f"r{number}", 1000, 1)
    life.finish("r0", 1000, padding=1500)
    assert len(list(life.journal.folder.glob("*.segment"))) == 2
    assert estate_of(life.crash())[0].totals == dict.fromkeys(BUDGETS, 3000)


def test_deleted_segments_stay_in_the_totals(tmp_path: Path) -> None:
    life = Life(tmp_path)
    for number in range(60):
        life.intend(f"r{number}", 10, 1, padding=100)
        life.finish(f"r{number}", 7, padding=0)
        life.read(100)
        life.acknowledge()
    assert len(list(life.journal.folder.glob("*.segment"))) == 1
    assert life.journal._segments[0].number > 3
    life.intend("last", 5, 0)
    estate, rows = estate_of(life.crash())
    assert [found.id for found in rows][-1] == "last"
    assert estate.totals == dict.fromkeys(BUDGETS, 60 * 7)
    assert {account: amount for account, amount in estate.owed.items() if amount} == {RATE: 1}


def test_what_is_owed_after_a_part_was_acknowledged(tmp_path: Path) -> None:
    life = Life(tmp_path)
    for number in range(20):
        life.intend(f"r{number}", 10, 1)
        life.finish(f"r{number}", number, padding=0)
    life.read(13)
    life.acknowledge()
    assert life.journal.owed()["b1:0"] == sum(range(13, 20))
    estate = estate_of(life.crash())[0]
    assert (estate.owed["b1:0"], estate.owed[RATE]) == (sum(range(13, 20)), 7)
    assert estate.totals["b1:0"] == sum(range(20))


@given(
    before=st.integers(0, 5000),
    reserved=st.lists(st.integers(5000, 9000), min_size=1, max_size=3),
    tokens=st.integers(0, 40),
    chars=st.integers(0, 400),
)
def test_a_lost_call_is_charged_no_more_than_was_reserved_for_the_whole_request(
    before: int, reserved: list[int], tokens: int, chars: int
) -> None:
    """Its attempts that were over are booked as they are; the one that was lost costs at most what is left."""
    with tempfile.TemporaryDirectory() as folder:
        journal = Journal(Path(folder) / "journals", "one", segment_bytes=SEGMENT, capacity=4 * SEGMENT)
        charges = tuple((f"b{n}:0", amount) for n, amount in enumerate(reserved))
        journal.intend(Intent(row("r", (before, 0)), PRICE, tokens, reserved=charges))
        journal.progress(Progress("r", 99, chars))
        os.close(journal._lock)
        estate, (found,) = estate_of(journal.folder)
        cost = sum(attempt.cost_nano for attempt in found.attempts)
        assert found.attempts[0].cost_nano == before
        assert cost == min(before + 1000 * tokens + 2000 * -(-chars // 4), *reserved)
        assert estate.owed == {account: cost for account, _ in charges}
        assert estate.totals == estate.owed


def test_an_estate_is_the_same_for_whoever_takes_it_next(tmp_path: Path) -> None:
    life = Life(tmp_path)
    life.intend("lost", 50_000, 3)
    life.intend("done", 10, 1)
    life.finish("done", 4, padding=0)
    life.crash()
    (first,) = adopt(tmp_path, 7)
    rows = [found for part in first.parts() for found in part]
    estate = first.estate
    first.shipped("e7")
    first.release()
    (second,) = adopt(tmp_path, 7)
    assert [found for part in second.parts() for found in part] == rows
    assert (second.estate, second.shipped_in, second.holder) == (estate, "e7", "one")
    check(life, second.estate, rows)
    second.forget()
    assert list(adopt(tmp_path, 7)) == []


def test_a_full_journal_loses_no_total(tmp_path: Path) -> None:
    life = Life(tmp_path, capacity=3 * SEGMENT)
    life.intend("held", 10, 0)

    def fill() -> None:
        for number in range(1000):
            life.intend(f"r{number}", 10, 0, padding=100)
            life.finish(f"r{number}", 3, padding=0)

    with pytest.raises(JournalFull):
        fill()
    life.finish("held", 10, padding=0)  # a row goes beyond the capacity: what was admitted is booked
    booked = len(life.finished)
    estate = estate_of(life.crash())[0]
    assert estate.rows == booked
    assert estate.totals["b1:0"] == 3 * (booked - 1) + 10
