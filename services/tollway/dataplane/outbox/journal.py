"""The journal of record: what a process owes the ledger, on disk before it is owed to a provider.

Append-only segments of fixed size, allocated in full before use and mapped into memory: an append is a copy into the
page cache, which survives SIGKILL, and never meets a full disk half-way. Each process has a folder of its own with a
lock; the lock of a dead process is free, and whoever takes it books what was left (`adopt`). A segment is deleted only
after everything in it was acknowledged. Never touches the network.
"""

from __future__ import annotations

import fcntl
import mmap
import os
import shutil
from collections.abc import Callable
from pathlib import Path

from tollway.core.ledger import RequestRow
from tollway.dataplane.outbox.records import Final, Framed, Intent, Progress, Record, frame, frames, settle_lost
from tollway.runtime import log

_log = log.get(__name__)
LOCK = "lock"
SUFFIX = ".segment"


class JournalFull(Exception):
    """No space is left for further intents."""


class Segment:
    """One mapped file. `written` is where the next record goes; `open_intents` were begun here and are not over."""

    def __init__(self, path: Path, size: int) -> None:
        self.path = path
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
        self.folder = root / name
        unborn = root / f".{name}"  # not seen by those who look for orphans until its lock is held
        unborn.mkdir(parents=True)
        self._lock = _take_lock(unborn)
        unborn.rename(self.folder)
        self._segment_bytes = segment_bytes
        self._limit = max(2, capacity // segment_bytes)
        self._count = 0
        self._segments = [self._new_segment()]
        self._homes: dict[str, Segment] = {}
        self.wake: Callable[[], None] = lambda: None
        """Called when there is something to ship."""

    def _new_segment(self) -> Segment:
        self._count += 1
        return Segment(self.folder / f"{self._count:08d}{SUFFIX}", self._segment_bytes)

    def has_room(self) -> bool:
        """Whether a billable request may begin: a tenth of the space is kept for those already under way."""
        return len(self._segments) <= self._limit * 9 // 10 or self._segments[-1].written < self._segment_bytes // 2

    @property
    def backlog_bytes(self) -> int:
        """What is not acknowledged yet."""
        return sum(segment.written - segment.shipped for segment in self._segments)

    def intend(self, intent: Intent) -> None:
        """Writes an intent. Raises JournalFull when there is no room: then the call must not be made."""
        segment = self._write(intent)
        request_id = intent.request.id
        if request_id not in self._homes:
            self._homes[request_id] = segment
            segment.open_intents.add(request_id)

    def progress(self, mark: Progress) -> None:
        """Writes how far a stream has come."""
        self._write(mark)

    def finish(self, row: RequestRow) -> None:
        """Writes the row of a request that is over; from here on it will reach the ledger."""
        self._write(Final(row))
        home = self._homes.pop(row.id, None)
        if home is not None:
            home.open_intents.discard(row.id)
        self.wake()

    def _write(self, record: Record) -> Segment:
        data = frame(record)
        segment = self._segments[-1]
        if segment.append(data):
            return segment
        if len(self._segments) >= self._limit or len(data) > self._segment_bytes:
            raise JournalFull("the journal has reached its size")
        try:
            segment = self._new_segment()
        except OSError as error:
            raise JournalFull(f"the journal cannot grow: {error.strerror}") from error
        self._segments.append(segment)
        segment.append(data)
        return segment

    def unshipped(self, limit: int) -> tuple[list[RequestRow], Callable[[], None]]:
        """Up to `limit` rows in the order they were finished, and what to call once they are acknowledged."""
        rows: list[RequestRow] = []
        reached: list[tuple[Segment, int]] = []
        for segment in self._segments:
            position = segment.shipped
            for item in frames(memoryview(segment.map), position, segment.written):
                position = item.end
                if isinstance(item.record, Final):
                    rows.append(item.record.request)
                    if len(rows) >= limit:
                        break
            reached.append((segment, position))
            if len(rows) >= limit:
                break
        return rows, lambda: self._acknowledge(reached)

    def _acknowledge(self, reached: list[tuple[Segment, int]]) -> None:
        for segment, position in reached:
            segment.shipped = position
        for segment in self._segments[:-1]:
            if segment.shipped < segment.written or segment.open_intents:
                break
            self._segments.remove(segment)
            segment.delete()

    def close(self) -> None:
        """Releases the lock; deletes the folder when nothing is owed."""
        owed = self.backlog_bytes or any(segment.open_intents for segment in self._segments)
        for segment in self._segments:
            segment.map.close()
        os.close(self._lock)
        if not owed:
            shutil.rmtree(self.folder, ignore_errors=True)


def _take_lock(folder: Path) -> int:
    """The descriptor of the folder's lock. Raises BlockingIOError while another process holds it."""
    descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


class Orphan:
    """The journal of a dead process, taken over: its rows, to be shipped and then forgotten."""

    def __init__(self, folder: Path, lock: int, rows: list[RequestRow]) -> None:
        self.folder = folder
        self._lock = lock
        self.rows = rows

    def forget(self) -> None:
        """Deletes the folder; call it only after every row was acknowledged."""
        shutil.rmtree(self.folder)
        os.close(self._lock)

    def release(self) -> None:
        """Gives the folder up for someone else to take."""
        os.close(self._lock)


def adopt(root: Path, now_ms: int) -> list[Orphan]:
    """Takes over the journals whose processes are gone. Reading them twice gives the same rows with the same ids."""
    found = []
    for folder in sorted(root.glob("[!.]*")):
        try:
            lock = _take_lock(folder)
        except (BlockingIOError, NotADirectoryError, FileNotFoundError):
            continue
        if not folder.is_dir():  # it was forgotten by another between the listing and the lock
            os.close(lock)
            continue
        rows = lost_and_finished(folder, now_ms)
        _log.info("journal of a dead process taken over", journal=folder.name, rows=len(rows))
        found.append(Orphan(folder, lock, rows))
    return found


def lost_and_finished(folder: Path, now_ms: int) -> list[RequestRow]:
    """The rows of a journal: finished ones as they are, unfinished ones booked from what is known."""
    intents: dict[str, Intent] = {}
    marks: dict[str, Progress] = {}
    rows: list[RequestRow] = []
    for path in sorted(folder.glob(f"*{SUFFIX}")):
        data = path.read_bytes()
        item: Framed
        for item in frames(data, 0, len(data)):
            record = item.record
            if isinstance(record, Intent):
                intents[record.request.id] = record
                marks.pop(record.request.id, None)
            elif isinstance(record, Progress):
                marks[record.request_id] = record
            else:
                intents.pop(record.request.id, None)
                rows.append(record.request)
    rows.extend(settle_lost(intent, marks.get(request_id), now_ms) for request_id, intent in intents.items())
    return rows
