"""The directory store as the rest of the data plane sees it.

One implementation is Redis (`redis_directory`), one is memory (`memory_directory`): the twin for tests and the refuge
when Redis cannot be reached at start. Values are sealed: a store never sees what is in an entry.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple, Protocol


class StoreUnavailable(Exception):
    """The store cannot be reached or does not answer in time."""


class Marker(NamedTuple):
    """What the directory holds: everything up to `version` of `epoch`, when `complete`."""

    epoch: str
    version: int
    complete: bool


class StoredEntry(NamedTuple):
    """An entry at the version of the change that made it; `sealed` is empty for a tombstone."""

    version: int
    sealed: bytes


class Change(NamedTuple):
    """One write to the directory. It loses against a newer version that is already there."""

    lookup: str
    version: int
    sealed: bytes


class SealedCatalog(NamedTuple):
    """The last catalog, as it was received."""

    epoch: str
    version: int
    sealed: bytes


class DirectoryStore(Protocol):
    """All methods raise StoreUnavailable when the store cannot be reached."""

    async def marker(self) -> Marker | None:
        """What the directory holds, or None when there is none."""

    async def set_marker(self, marker: Marker) -> None:
        """Records what the directory holds; an older version of the same epoch never replaces a newer one."""

    async def read(self, epoch: str, lookup: str) -> tuple[StoredEntry | None, Marker | None]:
        """An entry of the epoch, and the marker as it was at the same moment."""

    async def apply(self, epoch: str, changes: Sequence[Change]) -> None:
        """Writes entries, each only if it is newer than what is there."""

    async def save_catalog(self, catalog: SealedCatalog) -> None:
        """Keeps the catalog unless a newer one of the same epoch is there."""

    async def load_catalog(self) -> SealedCatalog | None:
        """The catalog that was kept, or None."""

    async def lead(self, replica: str, seconds: float) -> bool:
        """Whether `replica` is the one that writes, for the next `seconds`; renewed by asking again."""

    async def drop_epochs_but(self, epoch: str) -> int:
        """Removes the entries of other epochs; returns how many."""

    async def close(self) -> None:
        """Gives the connections back."""
