"""Journals of dead processes: taken over, read, booked.

Reading one twice gives the same rows with the same ids: whoever was interrupted is followed by another.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterable
from pathlib import Path

import msgspec

from tollway.core.ledger import RequestRow
from tollway.dataplane.outbox.folders import orphans
from tollway.dataplane.outbox.journal import SUFFIX
from tollway.dataplane.outbox.records import (
    Charges,
    Final,
    Framed,
    Intent,
    Progress,
    Totals,
    frames,
    is_budget,
    lost_charges,
    settle_lost,
)
from tollway.runtime import log

_log = log.get(__name__)
SHIPPED = "shipped"


class Estate(msgspec.Struct):
    """What a dead process left: its rows, unfinished ones booked from what is known.

    `totals` is what it spent of each budget in the life `epoch` of the counters; `owed` what those rows charge that the
    ledger was not known to have.
    """

    rows: list[RequestRow] = []
    epoch: str = ""
    totals: dict[str, int] = {}
    owed: dict[str, int] = {}


class Orphan:
    """The journal of a dead process, taken over. `holder` is the name under which it held budgets and limits."""

    def __init__(self, folder: Path, lock: int, estate: Estate) -> None:
        self.folder = folder
        self.holder = folder.name
        self._lock = lock
        self.estate = estate

    @property
    def shipped_in(self) -> str | None:
        """The life of the counters in which all rows were acknowledged, empty: none was known; None: they were not."""
        try:
            return (self.folder / SHIPPED).read_text()
        except FileNotFoundError:
            return None

    def shipped(self, epoch: str) -> None:
        """Notes that all rows were acknowledged, in this life of the counters."""
        (self.folder / SHIPPED).write_text(epoch)

    def forget(self) -> None:
        """Deletes the folder; call it only after every row was acknowledged."""
        shutil.rmtree(self.folder)
        os.close(self._lock)

    def release(self) -> None:
        """Gives the folder up for someone else to take."""
        os.close(self._lock)


def adopt(root: Path, now_ms: int) -> list[Orphan]:
    """Takes over the journals whose processes are gone."""
    found = []
    for folder, lock in orphans(root):
        estate = read_estate(folder, now_ms)
        _log.info("journal of a dead process taken over", journal=folder.name, rows=len(estate.rows))
        found.append(Orphan(folder, lock, estate))
    return found


def read_estate(folder: Path, now_ms: int) -> Estate:
    """What is in the journal of a process that is gone."""
    estate = Estate()
    intents: dict[str, Intent] = {}
    marks: dict[str, Progress] = {}
    finished: list[tuple[int, int, Charges]] = []
    acknowledged = (0, 0)
    for path in sorted(folder.glob(f"*{SUFFIX}")):
        data = path.read_bytes()
        number = int(path.stem)
        item: Framed
        for item in frames(data, 0, len(data)):
            record = item.record
            if isinstance(record, Intent):
                intents[record.request.id] = record
                marks.pop(record.request.id, None)
            elif isinstance(record, Progress):
                marks[record.request_id] = record
            elif isinstance(record, Final):
                intents.pop(record.request.id, None)
                estate.rows.append(record.request)
                finished.append((number, item.end, record.charges))
                _add(estate.totals, (charge for charge in record.charges if is_budget(charge[0])))
            elif isinstance(record, Totals):
                estate.epoch, estate.totals = record.epoch, dict(record.spent)
            else:
                acknowledged = (record.segment, record.position)
    for number, end, charges in finished:
        if (number, end) > acknowledged:
            _add(estate.owed, charges)
    for request_id, intent in intents.items():
        row = settle_lost(intent, marks.get(request_id), now_ms)
        estate.rows.append(row)
        charges = lost_charges(intent, row)
        _add(estate.owed, charges)
        _add(estate.totals, (charge for charge in charges if is_budget(charge[0])))
    return estate


def _add(sums: dict[str, int], charges: Iterable[tuple[str, int]]) -> None:
    for account, amount in charges:
        sums[account] = sums.get(account, 0) + amount
