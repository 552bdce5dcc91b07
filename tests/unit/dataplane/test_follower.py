"""Following the push stream: what is applied, what is written to the store, and what survives a restart."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tollway.core.catalog import Catalog, encode
from tollway.dataplane.config.directory import Directory
from tollway.dataplane.config.follower import CatalogFile, Follower
from tollway.dataplane.config.holder import CatalogHolder
from tollway.dataplane.stores.memory_directory import MemoryDirectory
from tollway.dataplane.stores.ports import Change, Marker, StoredEntry, StoreUnavailable
from tollway.dataplane.stores.refuge import RefugeDirectory
from tollway.runtime.clock import SystemClock
from tollway.runtime.seal import Sealer, catalog_place
from tollway.runtime.tasks import Tasks
from tollway.wire.config_codec import CatalogSnapshot, ConfigEvent, Heartbeat, KeyChange, KeyChanges, Position

SEALER = Sealer([b"k" * 32])
EPOCH = "e1"


def catalog(version: int, epoch: str = EPOCH) -> CatalogSnapshot:
    plain = encode(Catalog(epoch=epoch, version=version))
    return CatalogSnapshot(Position(epoch, version), SEALER.seal(plain, catalog_place(epoch, version)))


def keys(version: int, *lookups: str, snapshot: bool = False, complete: bool = False, epoch: str = EPOCH) -> KeyChanges:
    changes = tuple(KeyChange(lookup, version, b"sealed") for lookup in lookups)
    return KeyChanges(Position(epoch, version), changes, snapshot, complete)


class ControlPlane:
    """A control plane that says what the test puts into its queue, and remembers how it was asked."""

    def __init__(self) -> None:
        self.queue: asyncio.Queue[ConfigEvent | None] = asyncio.Queue()
        self.asked: list[tuple[Position | None, Position | None, bool]] = []
        self.up = True

    async def subscribe(
        self, replica: str, catalog: Position | None, directory: Position | None, *, want_directory_snapshot: bool
    ) -> AsyncGenerator[ConfigEvent, None]:
        if not self.up:
            raise ConnectionError("down")
        self.asked.append((catalog, directory, want_directory_snapshot))
        while (event := await self.queue.get()) is not None:
            yield event

    def say(self, *events: ConfigEvent | None) -> None:
        for event in events:
            self.queue.put_nowait(event)


class Flaky(MemoryDirectory):
    """A store that can be down."""

    down = False

    async def marker(self) -> Marker | None:
        if self.down:
            raise StoreUnavailable("down")
        return await super().marker()

    async def lead(self, replica: str, seconds: float) -> bool:
        if self.down:
            raise StoreUnavailable("down")
        return self.leads

    leads = True


class Scene:
    def __init__(self, folder: Path, store: Flaky | None = None) -> None:
        self.plane = ControlPlane()
        self.memory = store or Flaky()
        self.store = RefugeDirectory(self.memory)
        self.holder = CatalogHolder()
        clock = SystemClock()
        self.directory = Directory(self.store, self.holder, SEALER, clock, capacity=100, max_stale_seconds=60)
        file = CatalogFile(folder / "catalog")
        self.follower = Follower("r", self.plane, self.store, self.holder, self.directory, SEALER, file, clock)
        self.tasks = Tasks()

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Scene]:
        await self.follower.start(self.tasks)
        try:
            yield self
        finally:
            await self.tasks.close()

    async def until(self, what: str) -> None:
        async with asyncio.timeout(5):
            while not eval(what, {"s": self}):
                await asyncio.sleep(0.01)

    async def stored(self, lookup: str, epoch: str = EPOCH) -> StoredEntry | None:
        return (await self.memory.read(epoch, lookup))[0]


async def test_a_fresh_process_loads_the_directory_and_becomes_ready(tmp_path: Path) -> None:
    async with Scene(tmp_path).running() as scene:
        assert scene.follower.problem()
        scene.plane.say(catalog(3), keys(3, "a", snapshot=True))
        await scene.until("s.holder.routes is not None")
        assert scene.follower.problem() == "the key directory is not loaded yet"
        scene.plane.say(keys(3, "b", snapshot=True, complete=True), Heartbeat(Position(EPOCH, 3)))
        await scene.until("s.follower.problem() is None")
        assert scene.plane.asked == [(None, None, True)]
        assert await scene.stored("a") == StoredEntry(3, b"sealed")
        assert await scene.memory.marker() == Marker(EPOCH, 3, complete=True)


async def test_pushed_changes_reach_the_store_and_the_marker_follows(tmp_path: Path) -> None:
    async with Scene(tmp_path).running() as scene:
        scene.plane.say(catalog(1), keys(1, snapshot=True, complete=True), Heartbeat(Position(EPOCH, 1)))
        await scene.until("s.follower.problem() is None")
        scene.plane.say(keys(2, "a"))
        await scene.until("s.directory.marker.version == 2")
        assert await scene.stored("a") == StoredEntry(2, b"sealed")
        assert scene.directory.overlay() == []


async def test_one_that_does_not_lead_keeps_what_the_store_lacks(tmp_path: Path) -> None:
    store = Flaky()
    await store.set_marker(Marker(EPOCH, 1, complete=True))
    store.leads = False
    async with Scene(tmp_path, store).running() as scene:
        scene.plane.say(catalog(1), Heartbeat(Position(EPOCH, 1)), keys(2, "a"))
        await scene.until("s.directory.applied_version == 2")
        await asyncio.sleep(0.6)
        assert await scene.stored("a") is None
        assert scene.directory.overlay() == [Change("a", 2, b"sealed")]
        store.leads = True
        await scene.until("s.directory.overlay() == []")
        assert await scene.stored("a") == StoredEntry(2, b"sealed")


async def test_a_restart_without_control_plane_serves_from_what_was_kept(tmp_path: Path) -> None:
    store = Flaky()
    async with Scene(tmp_path, store).running() as scene:
        scene.plane.say(catalog(3), keys(3, "a", snapshot=True, complete=True), Heartbeat(Position(EPOCH, 3)))
        await scene.until("s.follower.problem() is None")
    again = Scene(tmp_path, store)
    again.plane.up = False
    async with again.running():
        assert again.follower.problem() is None
        assert again.directory.epoch == EPOCH


async def test_a_restart_resumes_from_the_marker(tmp_path: Path) -> None:
    store = Flaky()
    async with Scene(tmp_path, store).running() as scene:
        scene.plane.say(catalog(3), keys(3, snapshot=True, complete=True), Heartbeat(Position(EPOCH, 3)))
        await scene.until("s.follower.problem() is None")
    again = Scene(tmp_path, store)
    async with again.running():
        await again.until("s.plane.asked")
        assert again.plane.asked[0][:2] == (Position(EPOCH, 3), Position(EPOCH, 3))


async def test_a_changed_catalog_copy_is_not_believed(tmp_path: Path) -> None:
    store = Flaky()
    async with Scene(tmp_path, store).running() as scene:
        scene.plane.say(catalog(3), keys(3, snapshot=True, complete=True))
        await scene.until("s.follower.problem() is None")
    kept = await store.load_catalog()
    assert kept is not None
    store._catalog = kept._replace(version=9)
    (tmp_path / "catalog").unlink()
    again = Scene(tmp_path, store)
    again.plane.up = False
    async with again.running():
        assert again.follower.problem() is not None


async def test_a_new_epoch_drops_the_old_directory(tmp_path: Path) -> None:
    async with Scene(tmp_path).running() as scene:
        scene.plane.say(catalog(9), keys(9, "a", snapshot=True, complete=True), Heartbeat(Position(EPOCH, 9)))
        await scene.until("s.follower.problem() is None")
        scene.plane.say(catalog(1, "e2"))
        await scene.until("len(s.plane.asked) == 2")
        assert scene.follower.problem() == "the key directory is not loaded yet"
        scene.plane.say(keys(1, "b", snapshot=True, complete=True, epoch="e2"), Heartbeat(Position("e2", 1)))
        await scene.until("s.follower.problem() is None")
        assert await scene.stored("b", "e2") == StoredEntry(1, b"sealed")


async def test_a_flushed_store_is_loaded_again(tmp_path: Path) -> None:
    async with Scene(tmp_path).running() as scene:
        scene.plane.say(catalog(1), keys(1, "a", snapshot=True, complete=True), Heartbeat(Position(EPOCH, 1)))
        await scene.until("s.follower.problem() is None")
        scene.memory._marker = None
        scene.memory._entries.clear()
        await scene.until("s.directory.marker is None")
        scene.plane.say(Heartbeat(Position(EPOCH, 1)))
        await scene.until("len(s.plane.asked) == 2")
        assert scene.plane.asked[1][2] is True
        scene.plane.say(keys(1, "a", snapshot=True, complete=True))
        await scene.until("s.follower.problem() is None")
        assert await scene.stored("a") == StoredEntry(1, b"sealed")


async def test_without_the_store_at_start_the_directory_is_held_in_memory_until_it_is_back(tmp_path: Path) -> None:
    store = Flaky()
    store.down = True
    async with Scene(tmp_path, store).running() as scene:
        scene.plane.say(catalog(1), keys(1, "a", snapshot=True, complete=True), Heartbeat(Position(EPOCH, 1)))
        await scene.until("s.follower.problem() is None")
        assert (await scene.store.read(EPOCH, "a"))[0] == StoredEntry(1, b"sealed")
        store.down = False
        await scene.until("s.directory.marker is None")
        scene.plane.say(Heartbeat(Position(EPOCH, 1)))
        await scene.until("len(s.plane.asked) == 2")
        scene.plane.say(keys(1, "a", snapshot=True, complete=True), Heartbeat(Position(EPOCH, 1)))
        await scene.until("s.follower.problem() is None")
        assert await scene.stored("a") == StoredEntry(1, b"sealed")
