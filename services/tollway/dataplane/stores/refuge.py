"""A directory store that takes refuge in memory when the real one cannot be reached at start.

A process that starts without Redis but with the control plane takes the whole directory into its own memory and serves;
when Redis is back, it moves over. A Redis that goes away later is not replaced: L1 serves what is known.
"""

from __future__ import annotations

from collections.abc import Sequence

from tollway.dataplane.stores.memory_directory import MemoryDirectory
from tollway.dataplane.stores.ports import Change, DirectoryStore, Marker, SealedCatalog, StoredEntry, StoreUnavailable
from tollway.runtime import log

_log = log.get(__name__)


class RefugeDirectory:
    """Delegates to `primary`, or to memory since a start without it."""

    def __init__(self, primary: DirectoryStore) -> None:
        self._primary = primary
        self._active: DirectoryStore = primary

    async def begin(self) -> None:
        """Chooses the store to start with."""
        try:
            await self._primary.marker()
        except StoreUnavailable as error:
            _log.warning("starting without the directory store: keys are held in memory", reason=str(error))
            self._active = MemoryDirectory()

    async def recover(self) -> bool:
        """Moves back to the primary store when it answers again; true when it just did."""
        if self._active is self._primary:
            return False
        await self._primary.marker()
        self._active = self._primary
        _log.info("the directory store is back: leaving memory")
        return True

    async def marker(self) -> Marker | None:
        """What the directory holds."""
        return await self._active.marker()

    async def set_marker(self, marker: Marker) -> None:
        """Moves the marker forward."""
        await self._active.set_marker(marker)

    async def read(self, epoch: str, lookup: str) -> tuple[StoredEntry | None, Marker | None]:
        """An entry and the marker."""
        return await self._active.read(epoch, lookup)

    async def apply(self, epoch: str, changes: Sequence[Change]) -> None:
        """Writes what is newer."""
        await self._active.apply(epoch, changes)

    async def save_catalog(self, catalog: SealedCatalog) -> None:
        """Keeps the catalog."""
        await self._active.save_catalog(catalog)

    async def load_catalog(self) -> SealedCatalog | None:
        """The catalog that was kept."""
        return await self._active.load_catalog()

    async def lead(self, replica: str, seconds: float) -> bool:
        """Takes or renews the writer's lease."""
        return await self._active.lead(replica, seconds)

    async def drop_epochs_but(self, epoch: str) -> int:
        """Removes the entries of other epochs."""
        return await self._active.drop_epochs_but(epoch)

    async def close(self) -> None:
        """Closes the primary store."""
        await self._primary.close()
