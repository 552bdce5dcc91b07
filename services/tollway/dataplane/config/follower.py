"""Follows the control plane's push stream: catalog, keys, heartbeats; and keeps the copies that outlive it.

The stream is followed from the position of the directory store's marker, so whatever the store lacks is in this
process's overlay. One process at a time leads: it writes the pushed changes to the store and moves the marker. When the
control plane is away, the last catalog (from the store, else from disk) serves on.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Protocol

from tollway.core.catalog import decode_catalog
from tollway.dataplane.config.directory import Directory
from tollway.dataplane.config.holder import CatalogHolder
from tollway.dataplane.stores.ports import Change, Marker, SealedCatalog, StoreUnavailable
from tollway.dataplane.stores.refuge import RefugeDirectory
from tollway.runtime import log
from tollway.runtime.clock import Clock
from tollway.runtime.seal import Sealer, SealError, catalog_place
from tollway.runtime.tasks import Tasks
from tollway.wire.config_codec import CatalogSnapshot, ConfigEvent, Heartbeat, KeyChanges, Position

_log = log.get(__name__)
LEASE_SECONDS = 3.0
TEND_SECONDS = 0.5
SILENCE_SECONDS = 5.0
"""A stream without a heartbeat for this long is given up and opened anew."""
RECONNECT_SECONDS = (0.1, 0.2, 0.5, 1.0, 2.0)


class PushClient(Protocol):
    """The push stream's client; the real one is `tollway.wire.client.ConfigPushClient`."""

    def subscribe(
        self, replica: str, catalog: Position | None, directory: Position | None, *, want_directory_snapshot: bool
    ) -> AsyncGenerator[ConfigEvent, None]:
        """Events until the stream ends; raises when it breaks."""


class CatalogFile:
    """The last sealed catalog on disk: what a restart has when neither control plane nor store answers."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def save(self, catalog: SealedCatalog) -> None:
        """Replaces the file in one step."""
        temporary = self._path.with_suffix(f".{os.getpid()}.tmp")
        temporary.write_bytes(f"{catalog.epoch} {catalog.version}\n".encode() + catalog.sealed)
        temporary.replace(self._path)

    def load(self) -> SealedCatalog | None:
        """What was saved, or None when there is no such file."""
        try:
            head, _, sealed = self._path.read_bytes().partition(b"\n")
        except FileNotFoundError:
            return None
        epoch, _, version = head.decode().partition(" ")
        return SealedCatalog(epoch, int(version), sealed)


class Follower:
    """Keeps `holder` and `directory` up to date. One for each process."""

    def __init__(
        self,
        replica: str,
        client: PushClient,
        store: RefugeDirectory,
        holder: CatalogHolder,
        directory: Directory,
        sealer: Sealer,
        file: CatalogFile,
        clock: Clock,
    ) -> None:
        self._replica = replica
        self._client = client
        self._store = store
        self._holder = holder
        self._directory = directory
        self._sealer = sealer
        self._file = file
        self._clock = clock
        self._leads = False
        self._snapshot_wanted = False
        self._loading: Position | None = None
        self._reopen = False
        self._base: int | None = None
        self._loaded_epoch: str | None = None
        self._position: Position | None = None
        self._tend_now = asyncio.Event()
        self._store_failed = False
        self.connected = False

    async def start(self, tasks: Tasks) -> None:
        """Takes what the copies have, then follows the stream and tends the store in the background."""
        await self._restore()
        tasks.keep(self._tend, "config-tend", restart_seconds=TEND_SECONDS)
        tasks.keep(self._follow, "config-follow", restart_seconds=RECONNECT_SECONDS[-1])

    def problem(self) -> str | None:
        """Why this process cannot serve yet, or None: it needs a catalog and a complete directory."""
        if self._holder.routes is None:
            return "no configuration yet: neither the control plane nor a saved catalog could be reached"
        marker = self._directory.marker
        if marker is None or not marker.complete or marker.epoch != self._directory.epoch:
            return "the key directory is not loaded yet"
        return None

    @property
    def stale_seconds(self) -> float:
        """How long ago the push stream gave a sign of life; a metric."""
        return self._clock.monotonic() - self._directory.fresh_at

    # -- at start ---------------------------------------------------------------------------------------------------

    async def _restore(self) -> None:
        saved = self._file.load()
        await self._store.begin()
        try:
            kept = await self._store.load_catalog()
            marker = await self._store.marker()
        except StoreUnavailable as error:
            _log.warning("the directory store does not answer", reason=str(error))
            kept, marker = None, None
        for catalog in (kept, saved):
            if catalog is not None and self._holder.routes is None:
                self._accept(catalog)
        epoch = self._holder.routes.catalog.epoch if self._holder.routes is not None else ""
        if marker is not None and epoch and marker.epoch != epoch:
            marker = None
        self._directory.begin_epoch(epoch)
        self._directory.store_has(marker)

    def _accept(self, catalog: SealedCatalog) -> bool:
        """Opens a sealed catalog and puts it in force; False when it is not authentic or not newer."""
        try:
            plain = self._sealer.open(catalog.sealed, catalog_place(catalog.epoch, catalog.version))
        except SealError:
            _log.error("a catalog is not authentic and is ignored", epoch=catalog.epoch, version=catalog.version)
            return False
        swapped = self._holder.swap(decode_catalog(plain))
        if swapped:
            _log.info("configuration in force", epoch=catalog.epoch, version=catalog.version)
        return swapped

    # -- the stream -------------------------------------------------------------------------------------------------

    async def _follow(self) -> None:
        failures = 0
        while True:
            started = self._clock.monotonic()
            try:
                await self._one_stream()
                reason = "ended"
            except (OSError, TimeoutError, ConnectionError) as error:
                reason = str(error) or type(error).__name__
            if self.connected:
                failures = 0
                _log.warning("configuration stream lost", reason=reason)
            self.connected = False
            pause = RECONNECT_SECONDS[min(failures, len(RECONNECT_SECONDS) - 1)]
            failures += 1
            if self._clock.monotonic() - started < pause:
                await asyncio.sleep(pause)

    async def _one_stream(self) -> None:
        routes = self._holder.routes
        catalog = Position(routes.catalog.epoch, routes.catalog.version) if routes is not None else None
        marker = self._directory.marker
        resume = None
        if marker is not None and marker.complete and marker.epoch == self._directory.epoch:
            resume = Position(marker.epoch, marker.version)
        self._snapshot_wanted = resume is None and await self._take_lead()
        self._loading = None
        self._reopen = False
        self._base = resume.version if resume is not None else None
        events = self._client.subscribe(
            self._replica, catalog, resume, want_directory_snapshot=self._snapshot_wanted or self._leads
        )
        async with contextlib.aclosing(events):
            while not self._reopen:
                async with asyncio.timeout(SILENCE_SECONDS):
                    try:
                        event = await anext(events)
                    except StopAsyncIteration:
                        return
                self.connected = True
                await self._handle(event)
                if self._needs_snapshot() and await self._take_lead():
                    self._reopen = True

    def _needs_snapshot(self) -> bool:
        if self._snapshot_wanted or self._loading is not None:
            return False
        marker = self._directory.marker
        return marker is None or not marker.complete or marker.epoch != self._directory.epoch

    async def _handle(self, event: ConfigEvent) -> None:
        if self._base is None and not isinstance(event, CatalogSnapshot):
            self._base = event.position.version  # what came before is not in the overlay of this process
        if isinstance(event, Heartbeat):
            self._position = event.position
            self._directory.heard()
        elif isinstance(event, CatalogSnapshot):
            position = event.position
            self._directory.begin_epoch(position.epoch)
            sealed = SealedCatalog(position.epoch, position.version, event.sealed)
            if self._accept(sealed):
                await self._keep(sealed)
        elif isinstance(event, KeyChanges):
            self._directory.begin_epoch(event.position.epoch)
            if event.snapshot:
                await self._load(event)
            else:
                self._directory.push(Change(c.lookup, c.version, c.sealed) for c in event.changes)
                self._position = event.position
                self._directory.heard()
                self._tend_now.set()

    async def _keep(self, catalog: SealedCatalog) -> None:
        self._file.save(catalog)
        try:
            await self._store.save_catalog(catalog)
        except StoreUnavailable as error:
            _log.warning("the catalog is kept on disk alone", reason=str(error))

    async def _load(self, event: KeyChanges) -> None:
        """One part of a full directory, straight into the store."""
        self._loading = event.position
        changes = [Change(c.lookup, c.version, c.sealed) for c in event.changes]
        self._directory.push(changes, keep=False)
        try:
            await self._store.apply(event.position.epoch, changes)
            if event.complete:
                marker = Marker(event.position.epoch, event.position.version, complete=True)
                await self._store.set_marker(marker)
                self._directory.store_has(await self._store.marker())
                self._loading = None
                self._snapshot_wanted = False
                self._base = event.position.version
                self._loaded_epoch = marker.epoch
                _log.info("key directory loaded", epoch=marker.epoch, version=marker.version)
        except StoreUnavailable as error:
            raise ConnectionError(f"the directory store does not answer ({error})") from error

    # -- the store --------------------------------------------------------------------------------------------------

    async def _take_lead(self) -> bool:
        try:
            self._leads = await self._store.lead(self._replica, LEASE_SECONDS)
        except StoreUnavailable:
            self._leads = False
        return self._leads

    async def _tend(self) -> None:
        """Keeps the lease, writes the overlay when leading, and learns how far the store is."""
        while True:
            with contextlib.suppress(TimeoutError):  # the regular look, when nothing was pushed meanwhile
                async with asyncio.timeout(TEND_SECONDS):
                    await self._tend_now.wait()
            self._tend_now.clear()
            try:
                if await self._store.recover():
                    self._reopen = True
                await self._tend_once()
                if self._store_failed:
                    _log.info("the directory store answers again")
                self._store_failed = False
                self._directory.store_answers(True)
            except StoreUnavailable as error:
                self._directory.store_answers(False)
                if not self._store_failed:
                    _log.warning("the directory store does not answer", reason=str(error))
                self._store_failed = True

    async def _tend_once(self) -> None:
        leads = await self._store.lead(self._replica, LEASE_SECONDS)
        self._leads = leads
        marker = await self._store.marker()
        self._directory.store_has(marker)
        if self._loaded_epoch is not None and leads:
            epoch, self._loaded_epoch = self._loaded_epoch, None
            removed = await self._store.drop_epochs_but(epoch)
            _log.info("entries of former epochs removed", entries=removed)
        position = self._position
        if not leads or position is None or self._loading is not None or not self.connected:
            return
        if (
            marker is None
            or not marker.complete
            or marker.epoch != position.epoch
            or position.version <= marker.version
        ):
            return
        if self._base is None or marker.version < self._base:
            self._reopen = True  # this stream began after the store's version: follow again from there
            return
        await self._store.apply(position.epoch, self._directory.overlay())
        await self._store.set_marker(Marker(position.epoch, position.version, complete=True))
        self._directory.store_has(await self._store.marker())
