"""The key directory: nobody unknown passes, nothing revoked is revived, and staleness is bounded."""

from __future__ import annotations

import asyncio
import os

import pytest

from tollway.core import ids
from tollway.core.catalog import Catalog, DirectoryEntry, Project, Secret, encode
from tollway.core.errors import Code, TollwayError
from tollway.dataplane.config.directory import Directory, Principal
from tollway.dataplane.config.holder import CatalogHolder
from tollway.dataplane.stores.memory_directory import MemoryDirectory
from tollway.dataplane.stores.ports import Change, Marker, StoredEntry, StoreUnavailable
from tollway.runtime.seal import Sealer, entry_place

EPOCH = "e1"
PEPPER = b"p" * 32
SEALER = Sealer([b"k" * 32])


class Clock:
    """A clock that a test moves."""

    def __init__(self) -> None:
        self.seconds = 1_000.0

    def now_ms(self) -> int:
        return int(self.seconds * 1000)

    def monotonic(self) -> float:
        return self.seconds


class Store(MemoryDirectory):
    """The memory twin, which can be down or hold an answer back."""

    def __init__(self) -> None:
        super().__init__()
        self.down = False
        self.reads = 0
        self.hold: asyncio.Event | None = None

    async def read(self, epoch: str, lookup: str) -> tuple[StoredEntry | None, Marker | None]:
        self.reads += 1
        if self.down:
            raise StoreUnavailable("down")
        answer = await super().read(epoch, lookup)
        if self.hold is not None:
            await self.hold.wait()
        return answer


class Scene:
    """A directory over a store with one key in it."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.store = Store()
        self.holder = CatalogHolder()
        self.directory = Directory(self.store, self.holder, SEALER, self.clock, capacity=10, max_stale_seconds=3600)
        self.key = ids.native_key(os.urandom(8), os.urandom(32))
        self.swap(1)
        self.directory.begin_epoch(EPOCH)
        self.directory.heard()

    def swap(self, version: int, *, projects: bool = True) -> None:
        project = Project(id="p1", name="demo", organisation="default", business_unit="default")
        self.holder.swap(
            Catalog(
                epoch=EPOCH,
                version=version,
                projects={"p1": project} if projects else {},
                peppers={"a": PEPPER},
                index_pepper=PEPPER,
            )
        )

    def change(self, version: int, *, revoked: bool = False, expires_ms: int | None = None, text: str = "") -> Change:
        text = text or self.key.text
        native = ids.parse_native(text)
        lookup = native.public_id if native else ids.imported_lookup(PEPPER, text)
        entry = DirectoryEntry(
            lookup=lookup,
            public_id=self.key.public_id,
            key_id="k1",
            name="demo-key",
            project="p1",
            version=version,
            secrets=(Secret(digest=ids.secret_digest(PEPPER, text), pepper="a"),),
            revoked=revoked,
            expires_ms=expires_ms,
        )
        return Change(lookup, version, SEALER.seal(encode(entry), entry_place(EPOCH, lookup, version)))

    async def store_has(self, change: Change) -> None:
        await self.store.apply(EPOCH, [change])
        await self.store.set_marker(Marker(EPOCH, change.version, complete=True))

    async def authenticate(self, token: str = "") -> Principal:
        result = self.directory.authenticate(token or self.key.text)
        return result if isinstance(result, Principal) else await result

    async def refusal(self, token: str = "") -> Code:
        with pytest.raises(TollwayError) as caught:
            await self.authenticate(token)
        return caught.value.code


async def test_a_known_key_is_served_without_the_store_the_second_time() -> None:
    scene = Scene()
    await scene.store_has(scene.change(1))
    principal = await scene.authenticate()
    assert principal.entry.public_id == scene.key.public_id
    reads = scene.store.reads
    assert isinstance(scene.directory.authenticate(scene.key.text), Principal)
    assert scene.store.reads == reads


async def test_a_miss_is_401_only_when_the_directory_is_complete() -> None:
    scene = Scene()
    assert await scene.refusal() is Code.DIRECTORY_UNAVAILABLE
    await scene.store.set_marker(Marker(EPOCH, 1, complete=True))
    assert await scene.refusal() is Code.INVALID_API_KEY
    scene.store.down = True
    other = ids.native_key(os.urandom(8), os.urandom(32))
    assert await scene.refusal(other.text) is Code.DIRECTORY_UNAVAILABLE


async def test_a_marker_of_another_epoch_does_not_make_the_directory_complete() -> None:
    scene = Scene()
    await scene.store.set_marker(Marker("other", 9, complete=True))
    assert await scene.refusal() is Code.DIRECTORY_UNAVAILABLE


async def test_the_stored_digest_is_not_a_key() -> None:
    scene = Scene()
    await scene.store_has(scene.change(1))
    digest = ids.secret_digest(PEPPER, scene.key.text)
    for presented in (digest.hex(), scene.key.public_id, ids.imported_lookup(PEPPER, scene.key.text)):
        assert await scene.refusal(presented) is Code.INVALID_API_KEY


async def test_two_tokens_with_the_same_long_prefix_never_share_a_verification() -> None:
    scene = Scene()
    prefix = "x" * 400
    change = scene.change(1, text=prefix + "right")
    await scene.store_has(change)
    assert (await scene.authenticate(prefix + "right")).entry.key_id == "k1"
    assert await scene.refusal(prefix + "wrong") is Code.INVALID_API_KEY


async def test_another_secret_under_the_same_public_id_is_refused() -> None:
    scene = Scene()
    await scene.store_has(scene.change(1))
    forged = ids.with_secret(scene.key.public_id, os.urandom(32))
    assert await scene.refusal(forged.text) is Code.INVALID_API_KEY


async def test_a_pushed_revocation_holds_at_once() -> None:
    scene = Scene()
    await scene.store_has(scene.change(1))
    await scene.authenticate()
    scene.directory.push([scene.change(2, revoked=True)])
    assert await scene.refusal() is Code.KEY_REVOKED


async def test_a_store_that_lags_cannot_revive_a_revoked_key() -> None:
    """The revocation was pushed to a process that did not know the key; the store still has the old entry."""
    scene = Scene()
    await scene.store_has(scene.change(1))
    scene.directory.push([scene.change(2, revoked=True)])
    assert await scene.refusal() is Code.KEY_REVOKED


@pytest.mark.parametrize("pruned", [False, True])
async def test_a_read_in_flight_cannot_revive_a_revoked_key(pruned: bool) -> None:
    """The old entry is read; before the answer is taken, the revocation is pushed, and even stored and forgotten."""
    scene = Scene()
    await scene.store_has(scene.change(1))
    scene.store.hold = asyncio.Event()
    reading = asyncio.ensure_future(scene.refusal())
    await asyncio.sleep(0)
    scene.directory.push([scene.change(2, revoked=True)])
    if pruned:
        scene.directory.store_has(Marker(EPOCH, 2, complete=True))
    scene.store.hold.set()
    assert await reading is Code.KEY_REVOKED
    scene.store.hold = None
    assert await scene.refusal() is Code.KEY_REVOKED


async def test_an_older_push_never_replaces_a_newer_one() -> None:
    scene = Scene()
    scene.directory.push([scene.change(5, revoked=True)])
    assert await scene.refusal() is Code.KEY_REVOKED
    scene.directory.push([scene.change(4)])
    assert await scene.refusal() is Code.KEY_REVOKED


async def test_an_entry_that_is_not_authentic_does_not_exist() -> None:
    scene = Scene()
    real = scene.change(1)
    await scene.store_has(Change(real.lookup, 2, real.sealed))  # sealed for version 1, stored as version 2
    assert await scene.refusal() is Code.INVALID_API_KEY


async def test_without_push_an_entry_is_read_again_after_two_seconds() -> None:
    scene = Scene()
    await scene.store_has(scene.change(1))
    await scene.authenticate()
    await scene.store.apply(EPOCH, [scene.change(2, revoked=True)])
    scene.clock.seconds += 1
    await scene.authenticate()
    scene.clock.seconds += 1.5
    assert await scene.refusal() is Code.KEY_REVOKED


async def test_without_push_and_store_known_keys_are_served_until_max_stale() -> None:
    scene = Scene()
    await scene.store_has(scene.change(1))
    await scene.authenticate()
    scene.store.down = True
    scene.clock.seconds += 3000
    await scene.authenticate()
    scene.clock.seconds += 700
    assert await scene.refusal() is Code.DIRECTORY_UNAVAILABLE


async def test_expiry_is_checked_on_every_use() -> None:
    scene = Scene()
    await scene.store_has(scene.change(1, expires_ms=scene.clock.now_ms() + 1000))
    await scene.authenticate()
    scene.clock.seconds += 1
    assert await scene.refusal() is Code.KEY_EXPIRED


async def test_keys_of_an_archived_project_are_refused_with_the_next_catalog() -> None:
    scene = Scene()
    await scene.store_has(scene.change(1))
    await scene.authenticate()
    scene.swap(2, projects=False)
    assert await scene.refusal() is Code.KEY_REVOKED


async def test_the_cache_is_bounded() -> None:
    scene = Scene()
    await scene.store.set_marker(Marker(EPOCH, 1, complete=True))
    for number in range(30):
        text = f"imported-value-number-{number:04d}-with-entropy"
        await scene.store.apply(EPOCH, [scene.change(1, text=text)])
        await scene.authenticate(text)
    assert len(scene.directory._l1) <= 10
