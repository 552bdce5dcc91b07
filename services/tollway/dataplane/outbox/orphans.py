"""Journals of dead processes: taken over, read, booked.

Reading one twice gives the same rows with the same ids: whoever was interrupted is followed by another. A journal may
be larger than memory: it is read in parts, a segment at a time, and off the event loop.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

import msgspec

from tollway.core.ledger import RequestRow
from tollway.dataplane.outbox.folders import orphans
from tollway.dataplane.outbox.journal import SUFFIX
from tollway.dataplane.outbox.records import (
    Acknowledged,
    Final,
    Intent,
    Progress,
    Record,
    Totals,
    frames,
    is_budget,
    last_acknowledged,
    lost_charges,
    settle_lost,
)

SHIPPED = "shipped"
MAX_ROWS = 500
"""So many rows are in a part at most."""
PART_BYTES = 1 << 18
"""So much of a journal is read for a part at most: a few milliseconds' work."""


class Estate(msgspec.Struct):
    """What a dead process left: how many rows, unfinished ones booked from what is known.

    `totals` is what it spent of each budget in the life `epoch` of the counters; `owed` what those rows charge that the
    ledger was not known to have.
    """

    rows: int = 0
    epoch: str = ""
    totals: dict[str, int] = {}
    owed: dict[str, int] = {}


class Orphan:
    """The journal of a dead process, taken over. `holder` is the name under which it held budgets and limits."""

    def __init__(self, folder: Path, lock: int, now_ms: int) -> None:
        self.folder = folder
        self.holder = folder.name
        self._lock = lock
        self._now_ms = now_ms
        self.estate = Estate()
        """Whole once all `parts` were read."""

    @property
    def shipped_in(self) -> str | None:
        """The life of the counters in which all rows were acknowledged, empty: none was known; None: they were not."""
        try:
            return (self.folder / SHIPPED).read_text()
        except FileNotFoundError:
            return None

    def shipped(self, epoch: str) -> None:
        """Notes that all rows were acknowledged, in this life of the counters."""
        unfinished = self.folder / f"{SHIPPED}.new"
        unfinished.write_text(epoch)
        unfinished.replace(self.folder / SHIPPED)

    def parts(self) -> Iterator[list[RequestRow]]:
        """All its rows, in parts of which some are empty; each takes milliseconds to read. Raises OSError, ValueError
        and msgspec.MsgspecError when it cannot be read.
        """
        self.estate = Estate()
        return read_estate(self.folder, self._now_ms, self.estate)

    def forget(self) -> None:
        """Deletes the folder; call it only after every row was acknowledged."""
        shutil.rmtree(self.folder)
        self.release()

    def release(self) -> None:
        """Gives the folder up for someone else to take, if it was not deleted."""
        lock, self._lock = self._lock, -1
        if lock >= 0:
            os.close(lock)


def adopt(root: Path, now_ms: int) -> Iterator[Orphan]:
    """Takes over the journals whose processes are gone, one after the other; whoever asks for the next has released or
    forgotten the one before, or keeps it.
    """
    for folder, lock in orphans(root):
        yield Orphan(folder, lock, now_ms)


class _Reading:
    """What is known of a journal so far; of requests that are over, nothing but sums."""

    def __init__(self, estate: Estate, acknowledged: tuple[int, int]) -> None:
        self._estate = estate
        self._acknowledged = acknowledged
        self._intents: dict[str, Intent] = {}
        self._marks: dict[str, Progress] = {}

    def take(self, record: Record, place: tuple[int, int]) -> RequestRow | None:
        """Reads on; the row of a request that was finished. `place`: the number of the segment, and the end in it."""
        estate = self._estate
        if isinstance(record, Intent):
            self._intents[record.request.id] = record
            self._marks.pop(record.request.id, None)
        elif isinstance(record, Progress):
            self._marks[record.request_id] = record
        elif isinstance(record, Final):
            self._intents.pop(record.request.id, None)
            self._marks.pop(record.request.id, None)
            estate.rows += 1
            _add(estate.totals, (charge for charge in record.charges if is_budget(charge[0])))
            if place > self._acknowledged:
                _add(estate.owed, record.charges)
            return record.request
        elif isinstance(record, Totals):
            estate.epoch, estate.totals = record.epoch, dict(record.spent)
        return None

    def lost(self, now_ms: int) -> Iterator[RequestRow]:
        """The rows of requests that were not."""
        estate = self._estate
        for request_id, intent in self._intents.items():
            row = settle_lost(intent, self._marks.get(request_id), now_ms)
            charges = lost_charges(intent, row)
            estate.rows += 1
            _add(estate.owed, charges)
            _add(estate.totals, (charge for charge in charges if is_budget(charge[0])))
            yield row


def read_estate(folder: Path, now_ms: int, estate: Estate) -> Iterator[list[RequestRow]]:
    """Reads the journal of a process that is gone into an empty `estate`, and yields its rows in parts.

    First, from the end, the mark that says what the ledger has; then everything, from the beginning.
    """
    paths = sorted(folder.glob(f"*{SUFFIX}"))
    mark: Acknowledged | None = None
    for path in reversed(paths):
        mark = last_acknowledged(path.read_bytes())
        yield []
        if mark is not None:
            break
    reading = _Reading(estate, (0, 0) if mark is None else (mark.segment, mark.position))
    for path in paths:
        data, number = path.read_bytes(), int(path.stem)
        part: list[RequestRow] = []
        begun = 0
        for record, end in frames(data, 0, len(data)):
            row = reading.take(record, (number, end))
            if row is not None:
                part.append(row)
            if len(part) == MAX_ROWS or end - begun >= PART_BYTES:
                yield part
                part, begun = [], end
        yield part
    lost = reading.lost(now_ms)
    while part := list(islice(lost, MAX_ROWS)):
        yield part


def _add(sums: dict[str, int], charges: Iterable[tuple[str, int]]) -> None:
    for account, amount in charges:
        sums[account] = sums.get(account, 0) + amount
