"""Packed bodies on disk until the control plane has them: append-only segments in a folder of the process's own.

What was written survives the death of the process: a successor takes the folder over, with its lock. The size is
bounded; what has no room is refused, and nothing that was accepted is given up. Blocks on the disk, so it is used by
threads alone, never by the event loop; never touches the network.
"""

from __future__ import annotations

import os
import shutil
import struct
import threading
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from tollway.dataplane.outbox.folders import Owned, make_folder, orphans
from tollway.dataplane.outbox.records import HEADER

SUFFIX = ".bodies"
_ABOUT = struct.Struct("<IQQ")  # bodies, plain bytes, when the oldest began


class _Segment:
    """One file. `written` and `shipped` are offsets."""

    __slots__ = ("home", "path", "shipped", "written")

    def __init__(self, home: Owned, path: Path, written: int) -> None:
        self.home = home
        self.path = path
        self.written = written
        self.shipped = 0


class Packed(NamedTuple):
    """A record: bodies packed together. `plain_bytes` is their size unpacked, `oldest_ms` when the first began."""

    bodies: int
    plain_bytes: int
    oldest_ms: int
    data: bytes


class Batch(NamedTuple):
    """The oldest records, and what to call once they are stored. `unreadable`: records that were damaged."""

    records: list[Packed]
    unreadable: int
    acknowledge: Callable[[], None]


class Spool:
    """One process's spool. `capacity` bounds its own segments and those that it took over, together, in bytes."""

    def __init__(self, root: Path, name: str, *, segment_bytes: int, capacity: int) -> None:
        """Raises OSError when the folder cannot be made."""
        self._root = root
        self._home = make_folder(root, name)
        self._segment_bytes = segment_bytes
        self._capacity = capacity
        self._lock = threading.Lock()
        self._segments: list[_Segment] = []
        self._current: _Segment | None = None
        self._descriptor = -1
        self._count = 0
        self.disk_bytes = 0
        self.backlog_bytes = 0
        """What is not acknowledged yet."""

    @property
    def folder(self) -> Path:
        """Where this process writes."""
        return self._home.folder

    def append(self, packed: Packed) -> bool:
        """Writes a record; false when there is no room for it. Raises OSError when the disk takes none."""
        payload = _ABOUT.pack(*packed[:-1]) + packed.data
        record = HEADER.pack(len(payload), zlib.crc32(payload)) + payload
        with self._lock:
            if self._current is not None and self._current.written + len(record) > self._segment_bytes:
                self._end_segment()
            if self.disk_bytes + len(record) > self._capacity:
                return False
            self._write(record)
        return True

    def _write(self, data: bytes) -> None:
        segment = self._current
        if segment is None:
            self._count += 1
            path = self._home.folder / f"{self._count:08d}{SUFFIX}"
            self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            segment = self._current = _Segment(self._home, path, 0)
            self._segments.append(segment)
        view, at = memoryview(data), segment.written
        while view:
            count = os.pwrite(self._descriptor, view, at)
            view, at = view[count:], at + count
        segment.written = at
        self.disk_bytes += len(data)
        self.backlog_bytes += len(data)

    def _end_segment(self) -> None:
        os.close(self._descriptor)
        self._current, self._descriptor = None, -1
        self._clear()

    def batch(self, limit_bytes: int, limit_records: int) -> Batch:
        """Some of the oldest records, together not over `limit_bytes` unpacked unless it is one. Raises OSError."""
        with self._lock:
            places = [(segment, segment.shipped, segment.written) for segment in self._segments]
        records: list[Packed] = []
        reached: list[tuple[_Segment, int]] = []
        size = unreadable = 0
        for segment, position, end in places:
            try:
                opened = segment.path.open("rb")
            except FileNotFoundError:  # somebody has tidied up: what else there is must not wait for it
                unreadable += position < end
                reached.append((segment, end))
                continue
            with opened as file:
                file.seek(position)
                while position < end and len(records) < limit_records:
                    payload = _read_payload(file.read(HEADER.size), file.read, end - position)
                    if payload is None or len(payload) < _ABOUT.size:
                        position, unreadable = end, unreadable + 1
                        break
                    bodies, plain_bytes, oldest_ms = _ABOUT.unpack_from(payload)
                    record = Packed(bodies, plain_bytes, oldest_ms, payload[_ABOUT.size :])
                    if records and size + record.plain_bytes > limit_bytes:
                        break
                    position += HEADER.size + len(payload)
                    size += record.plain_bytes
                    records.append(record)
            reached.append((segment, position))
            if position < end:
                break
        return Batch(records, unreadable, lambda: self._acknowledge(reached))

    def _acknowledge(self, reached: list[tuple[_Segment, int]]) -> None:
        with self._lock:
            for segment, position in reached:
                self.backlog_bytes -= position - segment.shipped
                segment.shipped = position
            current = self._current
            if current is not None and current.shipped == current.written > self._segment_bytes // 2:
                self._end_segment()
            self._clear()

    def _clear(self) -> None:
        """Deletes what is acknowledged whole, and the folders that were taken over and are empty now."""
        over = [s for s in self._segments if s.shipped >= s.written and s is not self._current]
        for segment in over:
            self._segments.remove(segment)
            segment.path.unlink(missing_ok=True)
            self.disk_bytes -= segment.written
            if segment.home != self._home and all(other.home != segment.home for other in self._segments):
                _forget(segment.home)

    def adopt(self) -> int:
        """Takes over the spools of dead processes, while there is room for them; returns how many. Raises OSError."""
        count = 0
        for home in orphans(self._root):
            paths = sorted(home.folder.glob(f"*{SUFFIX}"))
            found = [_Segment(home, path, path.stat().st_size) for path in paths]
            size = sum(segment.written for segment in found)
            with self._lock:
                if size and self.disk_bytes + size > self._capacity and self.disk_bytes:
                    os.close(home.lock)  # for another, or for later
                    continue
                self._segments[:0] = found
                self.disk_bytes += size
                self.backlog_bytes += size
            count += 1
            if not found:
                _forget(home)
        return count

    def close(self) -> None:
        """Gives up every folder: what is left in them is for a successor."""
        with self._lock:
            if self._current is not None:
                self._end_segment()
            self._clear()
            for home in {segment.home for segment in self._segments} - {self._home}:
                os.close(home.lock)
            if any(segment.home == self._home for segment in self._segments):
                os.close(self._home.lock)
            else:
                _forget(self._home)


def _read_payload(header: bytes, read: Callable[[int], bytes], room: int) -> bytes | None:
    """The payload behind a header; None when it is torn."""
    if len(header) < HEADER.size:
        return None
    length, checksum = HEADER.unpack(header)
    if not length or length > room - HEADER.size:
        return None
    payload = read(length)
    return payload if zlib.crc32(payload) == checksum else None


def _forget(home: Owned) -> None:
    """Deletes a folder of which nothing is owed."""
    shutil.rmtree(home.folder, ignore_errors=True)
    os.close(home.lock)
