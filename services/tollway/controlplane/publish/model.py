"""The values of config push, and the recent changes kept in memory. Pure: no database, no clock, no tasks."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec

from tollway.wire.config_codec import CatalogSnapshot, KeyChange, Position

PART_ENTRIES = 1_000
"""The largest number of entries in one event."""
WINDOW_CHANGES = 10_000
"""How many changed keys are kept in memory, sealed; who is further behind is served from the database."""


class State(msgspec.Struct, frozen=True):
    """What the publisher knows: everything committed up to `position`, and the catalog at that position.

    The catalog's own position is the one of the last change to it, which can be older.
    """

    position: Position
    catalog: CatalogSnapshot


class SubscriberStatus(msgspec.Struct, frozen=True, kw_only=True):
    """One open stream. `behind` counts the versions that have not been sent to it yet."""

    replica: str
    peer: str
    behind: int
    connected_at_ms: int


@dataclass
class PublishCounters:
    """Totals since the process started, ready to be shown as metrics."""

    reads: int = 0
    read_failures: int = 0
    catalogs_sent: int = 0
    changes_sent: int = 0
    heartbeats_sent: int = 0
    snapshots_sent: int = 0
    resumes_from_database: int = 0
    unexplained_keys: int = 0


def tombstone(lookup: str, version: int) -> KeyChange:
    """The end of an entry whose key is gone altogether."""
    return KeyChange(lookup, version, b"")


@dataclass
class ChangeWindow:
    """The latest state of the keys that changed last, in commit order; complete for every position from `floor` on."""

    capacity: int = WINDOW_CHANGES
    floor: int = 0
    _latest: dict[str, tuple[int, KeyChange]] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self._latest)

    def restart(self, version: int) -> None:
        """Forgets everything: only who is at `version` already can go on from here."""
        self._latest.clear()
        self.floor = version

    def add(self, version: int, change: KeyChange) -> None:
        """Takes the state that a key got at `version`; versions never go down from call to call."""
        self._latest.pop(change.lookup, None)
        self._latest[change.lookup] = (version, change)
        while len(self._latest) > self.capacity:
            oldest = next(iter(self._latest))
            self.floor = self._latest.pop(oldest)[0]

    def since(self, version: int) -> list[tuple[int, KeyChange]] | None:
        """What changed after `version`, oldest first, with the version of each change; None when that is not known.

        Costs as much as there is to return, however many changes are kept.
        """
        if version < self.floor:
            return None
        newer = itertools.takewhile(lambda item: item[0] > version, reversed(self._latest.values()))
        return list(newer)[::-1]


def batches(
    changes: Sequence[tuple[int, KeyChange]], start: int, end: int, size: int = PART_ENTRIES
) -> list[tuple[int, tuple[KeyChange, ...]]]:
    """`changes` (in commit order) cut into events: the version that holds after each, and its entries.

    A version that is spread over two events holds only after the second, so that a stream that breaks between them
    resumes before it. `start` is the version that holds now, `end` the one that holds after all of them.
    """
    cut = []
    for first in range(0, len(changes), size):
        part = changes[first : first + size]
        following = changes[first + size : first + size + 1]
        version = max(start, following[0][0] - 1) if following else end
        cut.append((version, tuple(change for _, change in part)))
    return cut or [(end, ())]


def reached(position: Position, other: Position) -> bool:
    """Whether `position` is at or after `other` in the same epoch."""
    return position.epoch == other.epoch and position.version >= other.version
