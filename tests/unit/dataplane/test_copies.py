"""Second copies: what is copied, when, and what is left of it once the ledger has the rows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tollway.core.ledger import AttemptRow, RequestRow
from tollway.dataplane.outbox.copies import BATCH_BYTES, ENTRY_BYTES, LAG_SECONDS, Copies
from tollway.dataplane.outbox.journal import Journal, Position
from tollway.dataplane.outbox.records import Final, Intent, Progress, Totals, frames
from tollway.dataplane.stores.ports import StoreUnavailable
from tollway.testkit.fakes.clock import FakeClock


class Memory:
    """The store in memory. `away` fails before it acts, `mute` after it; `beats` are those that were heard of."""

    def __init__(self) -> None:
        self.streams: dict[str, dict[Position, bytes]] = {}
        self.beats: list[list[str]] = []
        self.calls = 0
        self.away = False
        self.mute = False

    def _called(self) -> None:
        self.calls += 1
        if self.away:
            raise StoreUnavailable("away")

    async def beat(self, holder: str, others: Sequence[str] = ()) -> int:
        self._called()
        self.beats.append([holder, *others])
        return len(self.streams.get(holder, {}))

    async def append(self, holder: str, end: Position, data: bytes) -> None:
        self._called()
        stream = self.streams.setdefault(holder, {})
        if end > max(stream, default=Position(0, 0)):
            stream[end] = data
        if self.mute:
            raise StoreUnavailable("no answer")

    async def trim(self, holder: str, reached: Position) -> None:
        self._called()
        self.streams[holder] = {end: data for end, data in self.streams[holder].items() if end > reached}

    async def drop(self, holder: str) -> None:
        self._called()
        self.streams.pop(holder, None)

    async def forget(self, holder: str) -> None:
        await self.drop(holder)

    def rows(self) -> list[str]:
        """What is in the stream."""
        return [name for stream in self.streams.values() for data in stream.values() for name in ids(data)]


def ids(data: bytes) -> list[str]:
    found = list(frames(data, 0, len(data)))
    assert not data or found[-1].end == len(data)
    assert all(isinstance(item.record, Final) for item in found)
    return [item.record.request.id for item in found if isinstance(item.record, Final)]


def row(name: str, padding: int = 0) -> RequestRow:
    attempt = AttemptRow(
        id=f"{name}-a", number=1, provider="p", provider_kind="openai", target_model="m" * padding, started_ms=1
    )
    return RequestRow(
        id=name, organisation="o", business_unit="b", project="p", key_id="k", key_public_id="kk",
        endpoint="/v1/chat/completions", model="m", started_ms=1, attempts=(attempt,),
    )  # fmt: skip


def make_journal(root: Path, segment_bytes: int = 1 << 16) -> Journal:
    return Journal(root, "one", segment_bytes=segment_bytes, capacity=1 << 22)


class Rig:
    """A journal, its copies, and time that a test moves."""

    def __init__(self, root: Path, *, capacity: int = 1 << 20, segment_bytes: int = 1 << 16) -> None:
        self.journal = make_journal(root, segment_bytes)
        self.store = Memory()
        self.clock = FakeClock()
        self.copies = Copies(self.journal, self.store, self.clock, capacity=capacity, lost_seconds=900)
        self.count = 0

    def finish(self, count: int = 1, padding: int = 0) -> list[str]:
        """Requests that are over."""
        names = [f"r{self.count + n}" for n in range(count)]
        self.count += count
        for name in names:
            self.journal.intend(Intent(row(name, padding), None, 5))
            self.journal.progress(Progress(name, 5, 7))
            self.journal.finish(row(name, padding), (("b1:0", 5),))
        return names

    def acknowledge(self, limit: int = 1000) -> None:
        """The ledger has up to `limit` rows more."""
        self.journal.unshipped(limit)[1]()

    async def wait(self, seconds: float = LAG_SECONDS) -> None:
        """Time goes by in rounds."""
        for _ in range(max(1, round(seconds / 0.25))):
            await self.copies.step()
            self.clock.advance(0.25)
        await self.copies.step()


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path)


async def test_rows_are_copied_when_they_have_waited_for_the_lag_and_not_before(rig: Rig) -> None:
    await rig.wait()
    names = rig.finish(3)
    await rig.wait(LAG_SECONDS - 0.25)
    assert rig.store.rows() == []
    await rig.wait(0.25)
    assert rig.store.rows() == names
    assert rig.copies.rows == 3
    assert rig.copies.behind_seconds == 0


async def test_while_the_ledger_answers_the_store_hears_a_heartbeat_and_nothing_else(rig: Rig) -> None:
    for _ in range(40):
        rig.finish(2)
        await rig.copies.step()
        rig.clock.advance(0.25)
        rig.acknowledge()
    assert rig.store.calls == len(rig.store.beats) == 2
    assert rig.copies.rows == 0


async def test_what_the_ledger_has_is_trimmed(rig: Rig) -> None:
    first = rig.finish(4)
    await rig.wait()
    second = rig.finish(4)
    await rig.wait()
    assert rig.store.rows() == first + second
    rig.acknowledge(4)
    await rig.wait(0.25)
    assert rig.store.rows() == second
    rig.acknowledge()
    await rig.wait(0.25)
    assert rig.store.rows() == []
    assert rig.copies.kept_bytes == 0


async def test_a_full_stream_takes_no_more_until_there_is_room(tmp_path: Path) -> None:
    rig = Rig(tmp_path, capacity=3000)
    names = rig.finish(40)
    await rig.wait(2)
    held = rig.store.rows()
    assert 0 < len(held) < 40
    assert held == names[: len(held)]
    assert sum(len(data) + ENTRY_BYTES for data in rig.store.streams["one"].values()) == rig.copies.kept_bytes <= 3000
    assert rig.copies.behind_seconds > 0.5
    rig.acknowledge(len(held))
    await rig.wait(0.5)
    assert rig.store.rows() == names[len(held) : 2 * len(held)]
    rig.acknowledge()
    await rig.wait(0.5)
    assert rig.copies.behind_seconds == 0


async def test_one_round_appends_one_bounded_batch(tmp_path: Path) -> None:
    rig = Rig(tmp_path, capacity=1 << 24)
    rig.finish(200, padding=5000)
    await rig.wait()
    (data,) = rig.store.streams["one"].values()
    assert BATCH_BYTES - 10_000 < len(data) <= BATCH_BYTES


async def test_a_store_that_is_away_costs_the_copy_alone(rig: Rig) -> None:
    rig.store.away = True
    names = rig.finish(2)
    for _ in range(4):
        with pytest.raises(StoreUnavailable):
            await rig.copies.step()
        rig.clock.advance(1)
    names += rig.finish(2)
    rig.store.away = False
    await rig.wait()
    assert rig.store.rows() == names


async def test_an_answer_that_never_came_adds_nothing_twice(rig: Rig) -> None:
    names = rig.finish(2)
    await rig.wait(0.25)
    rig.store.mute = True
    for _ in range(6):
        rig.clock.advance(0.25)
        with pytest.raises(StoreUnavailable):
            await rig.copies.step()
        names += rig.finish(1)
    rig.store.mute = False
    await rig.wait(1)
    assert rig.store.rows() == names
    assert rig.copies.rows == len(names)
    assert rig.copies.kept_bytes == sum(len(data) + ENTRY_BYTES for data in rig.store.streams["one"].values())
    rig.acknowledge()
    await rig.wait(0.25)
    assert rig.store.rows() == []


async def test_a_copy_that_was_lost_is_made_anew(rig: Rig) -> None:
    names = rig.finish(3)
    await rig.wait()
    rig.store.streams.clear()
    await rig.wait(6)
    assert rig.store.rows() == names


async def test_a_vouched_journal_is_heard_of_until_it_is_settled(rig: Rig) -> None:
    await rig.copies.step()
    rig.copies.vouch("dead")
    await rig.wait(6)
    beats = rig.store.beats
    assert beats[-1] == ["one", "dead"]
    await rig.copies.forget("dead")
    await rig.wait(6)
    assert beats[-1] == ["one"]
    rig.copies.vouch("dead")
    rig.clock.advance(100)
    await rig.copies.step()
    assert beats[-1] == ["one"]


async def test_an_orderly_end_removes_the_copy_unless_something_is_left(rig: Rig) -> None:
    names = rig.finish(3)
    await rig.wait()
    await rig.copies.leave()
    assert rig.store.rows() == names
    rig.acknowledge()
    await rig.copies.leave()
    assert rig.store.streams == {}


STEPS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(("finish", "acknowledge", "intend", "mark")), st.integers(1, 6)),
        st.tuples(st.just("read"), st.integers(100, 2000)),
    ),
    max_size=40,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(STEPS)
def test_reading_in_parts_finds_every_row_once_in_order_and_none_that_the_ledger_has(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int]]
) -> None:
    journal = make_journal(tmp_path_factory.mktemp("journal"), segment_bytes=2048)
    finished: list[str] = []
    known = 0
    place = journal.acknowledged
    seen: list[str] = []

    def read(limit: int) -> bool:
        nonlocal place
        found = journal.unacknowledged(place, journal.end, limit)
        assert len(found.data) <= limit
        names = ids(found.data)
        assert len(names) == found.rows
        assert not set(names) & set(finished[:known])
        place = found.end
        seen.extend(names)
        return bool(names)

    for kind, much in steps:
        if kind == "finish":
            for _ in range(much):
                journal.finish(row(f"r{len(finished)}"))
                finished.append(f"r{len(finished)}")
        elif kind == "intend":
            journal.intend(Intent(row(f"open{much}"), None, 1))
        elif kind == "mark":
            journal.mark(Totals("e", {"b1:0": much}))
        elif kind == "acknowledge":
            rows, acknowledge = journal.unshipped(much)
            acknowledge()
            known += len(rows)
        else:
            read(much)
    while read(1500):
        assert len(seen) <= len(finished)
    assert place == journal.end
    assert seen == sorted(seen, key=lambda name: int(name[1:]))
    assert set(finished[known:]) <= set(seen)
    assert len(set(seen)) == len(seen)
    journal.close()
