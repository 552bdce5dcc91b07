"""The journal of record: what a process owes the ledger, on disk before it is owed to a provider.

Append-only segments of fixed size, allocated in full before use and mapped into memory: an append is a copy into the
page cache, which survives SIGKILL, and never meets a full disk half-way. One more is always allocated in advance, and
without it nothing new begins: so what is under way can be booked though the disk is full. Each process has a folder of
its own with a lock; the lock of a dead process is free, and whoever takes it books what was left (`adopt`). A segment
is deleted only after everything in it was acknowledged. Never touches the network.
"""

from __future__ import annotations

import mmap
import os
import shutil
from collections.abc import Callable
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from tollway.core.ledger import RequestRow
from tollway.dataplane.outbox.folders import make_folder
from tollway.dataplane.outbox.records import (
    Acknowledged,
    Begun,
    Charges,
    Final,
    Intent,
    Progress,
    Totals,
    Written,
    finished_frames,
    frame,
    read_finished,
)
from tollway.runtime import log

_log = log.get(__name__)
SUFFIX = ".segment"
SPARE = "spare"
"""The file of the segment that is allocated in advance; who reads a journal passes it over."""


class JournalFull(Exception):
    """No space is left for further intents."""


class Position(NamedTuple):
    """A place between two records: the number of a segment, and the offset in it."""

    segment: int
    offset: int


class FinishedFrames(NamedTuple):
    """The frames of `rows` finished requests, one behind the other, and where the next ones are to be looked for."""

    data: bytes
    rows: int
    end: Position


class Segment:
    """One mapped file. `written` is where the next record goes; `open_intents` were begun here and are not over.

    `number` is that of its place in the journal, 0 before it has one.
    """

    def __init__(self, path: Path, size: int) -> None:
        """Allocates the file. Raises OSError."""
        self.path = path
        self.number = 0
        self.size = size
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            os.posix_fallocate(descriptor, 0, size)
            self.map = mmap.mmap(descriptor, size)
        except OSError:
            path.unlink(missing_ok=True)
            raise
        finally:
            os.close(descriptor)
        self.written = 0
        self.shipped = 0
        self.open_intents: set[str] = set()

    def take_place(self, number: int) -> None:
        """Becomes the segment of this number. Raises OSError."""
        path = self.path.with_name(f"{number:08d}{SUFFIX}")
        self.path.rename(path)
        self.path, self.number = path, number

    def append(self, data: bytes) -> bool:
        """Writes `data` when it fits."""
        end = self.written + len(data)
        if end > self.size:
            return False
        self.map[self.written : end] = data
        self.written = end
        return True

    def delete(self) -> None:
        """Unmaps and removes the file."""
        self.map.close()
        self.path.unlink(missing_ok=True)


class Journal:
    """One process's journal. `capacity` bounds all its segments together, in bytes."""

    def __init__(self, root: Path, name: str, *, segment_bytes: int, capacity: int) -> None:
        self.folder, self._lock = make_folder(root, name)
        self._segment_bytes = segment_bytes
        self._limit = max(2, capacity // segment_bytes)
        self._count = 0
        self.wake: Callable[[], None] = lambda: None
        """Called when there is something to ship."""
        self.totals: Callable[[], Totals] = lambda: Totals("", {})
        """What this process has spent of each budget: with it every segment begins."""
        self.acknowledged_since: dict[str, int] = {}
        """What rows charged that the ledger took since the pools were last told everything, by account."""
        self._owed: dict[str, int] = {}
        self._segments: list[Segment] = []
        self._homes: dict[str, Segment] = {}
        self._stuck = False
        self._spare: Segment | None = self._allocated()
        self._next_segment()

    def _allocated(self) -> Segment:
        return Segment(self.folder / SPARE, self._segment_bytes)

    def _next_segment(self) -> Segment:
        """Goes on in the spare segment, and allocates the next spare. Raises OSError when there is none."""
        segment = self._spare or self._allocated()
        segment.take_place(self._count + 1)
        self._count += 1
        self._spare = None
        segment.append(frame(self.totals()))
        segment.shipped = segment.written
        self._segments.append(segment)
        self.provide()
        return segment

    def provide(self) -> None:
        """Allocates the spare segment where it is missing and fits into the capacity; called once in a while."""
        if self._spare is not None or len(self._segments) >= self._limit:
            return
        try:
            self._spare = self._allocated()
        except OSError as error:
            if not self._stuck:
                _log.error("the journal cannot grow: no further request is taken", reason=error.strerror)
            self._stuck = True
            return
        if self._stuck:
            _log.info("the journal can grow again")
            self._stuck = False

    def has_room(self) -> bool:
        """Whether a billable request may begin: the spare segment and a tenth of the capacity are kept for those
        already under way; of the last segment that fits, half.
        """
        count = len(self._segments)
        if count < self._limit and self._spare is None:
            return False
        return count <= self._limit * 9 // 10 or self._segments[-1].written < self._segment_bytes // 2

    @property
    def backlog_bytes(self) -> int:
        """What is not acknowledged yet."""
        return sum(segment.written - segment.shipped for segment in self._segments)

    def intend(self, intent: Intent) -> None:
        """Writes an intent. Raises JournalFull when there is no room: then the call must not be made."""
        self._opened(intent.request.id, self._write(intent))

    def begin(self, begun: Begun) -> None:
        """Writes an intent in short. Raises JournalFull as `intend`."""
        self._opened(begun.request_id, self._write(begun))

    def _opened(self, request_id: str, segment: Segment) -> None:
        if request_id not in self._homes:
            self._homes[request_id] = segment
            segment.open_intents.add(request_id)

    def heard(self) -> None:
        """The pools of budgets and limits know all that was spent."""
        if self.acknowledged_since:
            self.acknowledged_since.clear()

    def progress(self, mark: Progress) -> None:
        """Writes how far a stream has come, where there is room: the last of it is for rows."""
        if self.has_room():
            self._write(mark)

    def mark(self, totals: Totals) -> None:
        """Writes that the counters of budgets began anew."""
        self._write(totals)

    def finish(self, row: RequestRow, charges: Charges = ()) -> None:
        """Writes the row of a request that is over; from here on it will reach the ledger."""
        self._write(Final(row, charges), beyond=True)
        owed = self._owed
        for account, amount in charges:
            owed[account] = owed.get(account, 0) + amount
        home = self._homes.pop(row.id, None)
        if home is not None:
            home.open_intents.discard(row.id)
        self.wake()

    def _write(self, record: Written, *, beyond: bool = False) -> Segment:
        """Writes a record; a row may go `beyond` the capacity: what was admitted is booked."""
        data = frame(record)
        segment = self._segments[-1]
        if segment.append(data):
            return segment
        if (len(self._segments) >= self._limit and not beyond) or len(data) > self._segment_bytes:
            raise JournalFull("the journal has reached its size")
        try:
            segment = self._next_segment()
        except OSError as error:
            raise JournalFull(f"the journal cannot grow: {error.strerror}") from error
        if not segment.append(data):
            raise JournalFull("the record does not fit into a segment behind its totals")
        return segment

    def unshipped(self, limit: int) -> tuple[list[bytes], Callable[[], None]]:
        """Up to `limit` rows, as bytes, in the order of their ends; and what to call when they are acknowledged."""
        rows: list[bytes] = []
        charges: list[Charges] = []
        reached: list[tuple[Segment, int]] = []
        for segment in self._segments:
            position = segment.written
            for data, behind in finished_frames(segment.map, segment.shipped, segment.written):
                final = read_finished(data)
                rows.append(bytes(final.request))
                charges.append(final.charges)
                if len(rows) >= limit:
                    position = behind
                    break
            reached.append((segment, position))
            if len(rows) >= limit:
                break
        return rows, lambda: self._acknowledge(reached, charges)

    @property
    def end(self) -> Position:
        """Where the next record goes."""
        last = self._segments[-1]
        return Position(last.number, last.written)

    @property
    def acknowledged(self) -> Position:
        """Up to where the ledger has everything."""
        for segment in self._segments:
            if segment.shipped < segment.written:
                return Position(segment.number, segment.shipped)
        return self.end

    @property
    def settled(self) -> bool:
        """Whether nothing is owed to the ledger, now or when a request under way is over."""
        return not self.backlog_bytes and not any(segment.open_intents for segment in self._segments)

    def unacknowledged(self, after: Position, before: Position, limit: int) -> FinishedFrames:
        """Frames of finished requests between two positions that the ledger does not have, at most `limit` bytes."""
        found: list[bytes] = []
        size = 0
        end = max(after, self.acknowledged)
        for segment in self._segments:
            if not end.segment <= segment.number <= before.segment:
                continue
            start = end.offset if segment.number == end.segment else segment.shipped
            stop = before.offset if segment.number == before.segment else segment.written
            for data, behind in finished_frames(segment.map, start, stop):
                if size + len(data) > limit:
                    return FinishedFrames(b"".join(found), len(found), end)
                found.append(data)
                size += len(data)
                end = Position(segment.number, behind)
            end = max(end, Position(segment.number, stop))
        return FinishedFrames(b"".join(found), len(found), end)

    def owed(self) -> dict[str, int]:
        """What the rows that were not acknowledged charge, by account: a sum that is kept, whatever the backlog."""
        return dict(self._owed)

    def _acknowledge(self, reached: list[tuple[Segment, int]], charges: list[Charges]) -> None:
        moved = False
        since, owed = self.acknowledged_since, self._owed
        for account, amount in chain.from_iterable(charges):
            since[account] = since.get(account, 0) + amount
            left = owed.get(account, 0) - amount
            if left:
                owed[account] = left
            else:
                owed.pop(account, None)
        for segment, position in reached:
            moved = moved or segment.shipped != position
            segment.shipped = position
        if moved:
            self._note(reached[-1])
        for segment in self._segments[:-1]:
            if segment.shipped < segment.written or segment.open_intents:
                break
            self._segments.remove(segment)
            segment.delete()
        self.provide()

    def _note(self, reached: tuple[Segment, int]) -> None:
        """Marks how far the ledger has come, where there is room; a successor would only send more than it must."""
        last = self._segments[-1]
        segment, position = reached
        caught_up = last.shipped == last.written
        if last.append(frame(Acknowledged(segment.number, position))) and caught_up:
            last.shipped = last.written

    def close(self, *, keep: bool = False) -> None:
        """Releases the lock; deletes the folder when nothing is owed, unless it is to `keep` for a successor."""
        settled = self.settled and not keep
        for segment in self._segments:
            segment.map.close()
        if self._spare is not None:
            self._spare.delete()
        if settled:  # while it is locked: a successor must not meet half a folder
            shutil.rmtree(self.folder, ignore_errors=True)
        os.close(self._lock)
