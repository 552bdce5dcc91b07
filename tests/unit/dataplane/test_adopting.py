"""What dead processes left is booked beside everything else: in parts, off the event loop, and one bad one alone."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path

import pytest

from tollway.core.ledger import RequestRow
from tollway.dataplane.outbox.journal import SUFFIX, Journal
from tollway.dataplane.outbox.orphans import MAX_ROWS, Orphan, adopt
from tollway.dataplane.outbox.shipper import Shipper
from tollway.testkit.fakes.clock import FakeClock


def leave(root: Path, name: str, rows: int) -> None:
    """What a process leaves that was killed."""
    journal = Journal(root, name, segment_bytes=1 << 18, capacity=1 << 24)
    for number in range(rows):
        journal.finish(
            RequestRow(
                id=f"{name}-{number}", organisation="o", business_unit="b", project="p", key_id="k", key_public_id="kk",
                endpoint="/v1/chat/completions", model="m", started_ms=1,
            ),
            (("b1:0", 2),),
        )  # fmt: skip
    os.close(journal._lock)


class Ledger:
    """Takes rows, or does not; `beats` are the turns that others had on the event loop before each batch."""

    def __init__(self) -> None:
        self.batches: list[int] = []
        self.beats: list[int] = []
        self.turns = 0
        self.away = False

    async def ingest(self, replica: str, rows: Sequence[bytes]) -> None:
        self.batches.append(len(rows))
        self.beats.append(self.turns)
        self.turns = 0
        if self.away:
            raise ConnectionError("away")

    async def live(self) -> None:
        while True:
            self.turns += 1
            await asyncio.sleep(0)


class Accounts:
    """Who closes accounts: `closed` are the holders with what their rows charge."""

    def __init__(self, epoch: str = "e1") -> None:
        self.epoch = epoch
        self.settled = bool(epoch)
        self.closed: dict[str, int] = {}
        self.told: list[str | None] = []
        self.refused = ""

    async def close(self, orphan: Orphan) -> bool:
        if orphan.holder == self.refused:
            raise ValueError("cannot be closed")
        self.closed[orphan.holder] = orphan.estate.owed.get("b1:0", 0)
        self.told.append(orphan.shipped_in)
        return True


class Rig:
    def __init__(self, root: Path) -> None:
        self.root = root
        self.ledger, self.accounts = Ledger(), Accounts()
        self.journal = Journal(root, "own", segment_bytes=1 << 16, capacity=1 << 20)
        self.shipper = Shipper("r", self.journal, root, self.ledger, FakeClock())
        self.shipper.executor = self.accounts

    def left(self) -> set[str]:
        return {path.name for path in self.root.iterdir()} - {"own"}


@pytest.fixture
def rig(tmp_path: Path) -> Rig:
    return Rig(tmp_path)


async def test_a_large_journal_is_read_in_parts_while_the_event_loop_runs(rig: Rig) -> None:
    leave(rig.root, "dead", 3000)
    living = asyncio.create_task(rig.ledger.live())
    await rig.shipper.adopt()
    living.cancel()
    assert sum(rig.ledger.batches) == 3000
    assert max(rig.ledger.batches) <= MAX_ROWS
    assert min(rig.ledger.beats) > 0
    assert rig.accounts.closed == {"dead": 6000}
    assert rig.left() == set()


async def test_rows_of_the_living_leave_between_those_of_the_dead(rig: Rig) -> None:
    leave(rig.root, "dead", 3000)
    held = asyncio.Event()

    async def revive() -> None:
        while not rig.ledger.batches:
            await asyncio.sleep(0)
        await rig.shipper.hold()
        sent = len(rig.ledger.batches)
        rig.accounts.epoch = "e2"  # a life that began while the rows were on their way
        await asyncio.sleep(0.05)
        assert len(rig.ledger.batches) == sent < 6
        rig.shipper.release()
        held.set()

    reviving = asyncio.create_task(revive())
    await rig.shipper.adopt()
    await reviving
    assert held.is_set()
    assert rig.accounts.told == ["e2"]


async def test_nothing_is_read_before_it_could_be_booked(rig: Rig) -> None:
    leave(rig.root, "dead", 1)
    (segment,) = (rig.root / "dead").glob(f"*{SUFFIX}")
    segment.chmod(0)
    segment.rename(segment.with_name(f"not-a-number{SUFFIX}"))  # whoever reads it fails
    rig.accounts.settled = False
    (orphan,) = adopt(rig.root, 0)
    assert not await rig.shipper._settle(orphan)
    orphan.shipped("e0")
    rig.accounts.settled, rig.accounts.epoch = True, ""
    assert not await rig.shipper._settle(orphan)
    orphan.release()


async def test_a_ledger_that_is_away_costs_one_part(rig: Rig) -> None:
    leave(rig.root, "dead", 3000)
    rig.ledger.away = True
    await rig.shipper.adopt()
    assert len(rig.ledger.batches) == 1
    assert rig.left() == {"dead"}
    rig.ledger.away = False
    await rig.shipper.adopt()
    assert rig.left() == set()


@pytest.mark.parametrize("bad", ["reading", "closing"])
async def test_one_that_cannot_be_booked_keeps_neither_its_lock_nor_the_others_waiting(rig: Rig, bad: str) -> None:
    for name in ("a", "b", "c"):
        leave(rig.root, name, 3)
    if bad == "reading":
        (rig.root / "b" / f"torn{SUFFIX}").write_bytes(b"")
    rig.accounts.refused = "b" if bad == "closing" else ""
    await rig.shipper.adopt()
    assert set(rig.accounts.closed) == {"a", "c"}
    assert rig.left() == {"b"}
    (orphan,) = adopt(rig.root, 0)
    assert orphan.holder == "b"
    orphan.release()


def test_that_all_was_shipped_is_noted_whole_or_not_at_all(rig: Rig, monkeypatch: pytest.MonkeyPatch) -> None:
    leave(rig.root, "dead", 1)
    (orphan,) = adopt(rig.root, 0)

    def torn(path: Path, text: str) -> int:
        path.write_bytes(b"")
        raise OSError("the disk is full")

    monkeypatch.setattr(Path, "write_text", torn)
    with pytest.raises(OSError):
        orphan.shipped("e1")
    assert orphan.shipped_in is None
    orphan.release()
