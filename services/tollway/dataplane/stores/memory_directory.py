"""The directory in memory: the twin of the Redis store in tests, and the refuge when Redis is gone at start."""

from __future__ import annotations

from collections.abc import Sequence

from tollway.dataplane.stores.ports import Change, Marker, SealedCatalog, StoredEntry


class MemoryDirectory:
    """One process's own directory; it leads itself."""

    def __init__(self) -> None:
        self._marker: Marker | None = None
        self._entries: dict[tuple[str, str], StoredEntry] = {}
        self._catalog: SealedCatalog | None = None

    async def marker(self) -> Marker | None:
        """What the directory holds."""
        return self._marker

    async def set_marker(self, marker: Marker) -> None:
        """Records what the directory holds."""
        current = self._marker
        if current is not None and current.epoch == marker.epoch and current.version > marker.version:
            return
        self._marker = marker

    async def read(self, epoch: str, lookup: str) -> tuple[StoredEntry | None, Marker | None]:
        """An entry and the marker."""
        return self._entries.get((epoch, lookup)), self._marker

    async def apply(self, epoch: str, changes: Sequence[Change]) -> None:
        """Writes what is newer."""
        for change in changes:
            current = self._entries.get((epoch, change.lookup))
            if current is None or current.version < change.version:
                self._entries[epoch, change.lookup] = StoredEntry(change.version, change.sealed)

    async def save_catalog(self, catalog: SealedCatalog) -> None:
        """Keeps the catalog unless a newer one is there."""
        current = self._catalog
        if current is None or current.epoch != catalog.epoch or current.version <= catalog.version:
            self._catalog = catalog

    async def load_catalog(self) -> SealedCatalog | None:
        """The catalog that was kept."""
        return self._catalog

    async def lead(self, replica: str, seconds: float) -> bool:  # noqa: ARG002 - alone, it always leads
        """Always true: nobody else writes here."""
        return True

    async def drop_epochs_but(self, epoch: str) -> int:
        """Removes the entries of other epochs."""
        before = len(self._entries)
        self._entries = {key: entry for key, entry in self._entries.items() if key[0] == epoch}
        return before - len(self._entries)

    async def close(self) -> None:
        """Nothing to give back."""
