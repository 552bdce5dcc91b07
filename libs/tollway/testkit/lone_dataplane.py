"""A data plane without a control plane: it starts from a catalog on disk and a key directory in Valkey.

That is the state after a restart while control plane and Postgres are down, and the cheapest way to drive the whole
request path over real sockets. What it owes the ledger stays in its journal, where a test can read it.
"""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

import aiohttp

from tollway.core import ids
from tollway.core.catalog import (
    Catalog,
    Credential,
    DirectoryEntry,
    Model,
    Project,
    Provider,
    ProviderKind,
    Secret,
    Target,
    Timeouts,
    encode,
)
from tollway.core.ledger import RequestRow
from tollway.core.pricing import Price
from tollway.core.rules import Rules
from tollway.dataplane.app import Process
from tollway.dataplane.config.follower import CatalogFile
from tollway.dataplane.serving import bind_socket
from tollway.dataplane.settings import Settings
from tollway.dataplane.stores.ports import Change, Marker, SealedCatalog
from tollway.dataplane.stores.redis_connection import RedisConnection
from tollway.dataplane.stores.redis_directory import RedisDirectory
from tollway.runtime.seal import Sealer, catalog_place, entry_place
from tollway.wire.usage_codec import decode_row

EPOCH = "component"
PEPPER = b"p" * 32
PRICE = Price(version="test@1", input=1_000_000_000, cached_input=500_000_000, output=2_000_000_000)


class LoneDataPlane:
    """One data-plane process in this event loop. `key` may use everything in the catalog."""

    def __init__(self, folder: Path, redis_url: str, **settings: Any) -> None:
        self.folder = folder
        self._redis_url = redis_url
        self._fleet_key = secrets.token_bytes(32)
        self._settings = settings
        self.rules: dict[str, Rules] = {}
        self.providers: dict[str, Provider] = {}
        self.models: dict[str, Model] = {}
        self.entries: list[DirectoryEntry] = []
        self.projects: dict[str, Project] = {}
        self.add_project("p1")
        self.key = self.add_key()
        self.keys: dict[str, str] = {}

    def sibling(self, folder: Path) -> LoneDataPlane:
        """Another data plane with the same configuration, keys and Redis."""
        other = LoneDataPlane(folder, self._redis_url, **self._settings)
        other._fleet_key = self._fleet_key
        for name in ("rules", "providers", "models", "entries", "projects", "key", "keys"):
            setattr(other, name, getattr(self, name))
        return other

    def add_provider(
        self,
        name: str,
        kind: ProviderKind,
        base_url: str,
        *,
        timeouts: Timeouts | None = None,
        api_key: str = "sk-upstream-canary",
        **more: Any,
    ) -> None:
        """A provider with one credential."""
        self.providers[name] = Provider(
            id=name,
            name=name,
            kind=kind,
            base_url=base_url,
            timeouts=timeouts or Timeouts(),
            credentials=(Credential(id="c", name="main", api_key=api_key),),
            **more,
        )

    def add_model(self, name: str, *targets: tuple[str, str], price: Price | None = PRICE, **more: Any) -> None:
        """A model with targets (provider, model)."""
        found = tuple(Target(provider=provider, model=model) for provider, model in targets)
        self.models[name] = Model(id=name, name=name, targets=found, price=price, **more)

    def add_project(self, name: str, **more: Any) -> None:
        """A project."""
        self.projects[name] = Project(id=name, name=name, organisation="default", business_unit="default", **more)

    def add_key(self, **more: Any) -> str:
        """A virtual key; returns its secret."""
        native = ids.native_key(os.urandom(8), os.urandom(32))
        self.entries.append(
            DirectoryEntry(
                lookup=native.public_id,
                public_id=native.public_id,
                key_id=f"key-{native.public_id}",
                name="test",
                version=1,
                secrets=(Secret(digest=ids.secret_digest(PEPPER, native.text), pepper="a"),),
                **{"project": "p1", **more},
            )
        )
        return native.text

    async def prepare(self) -> None:
        """Writes what it starts from: the catalog to disk, the keys to Valkey."""
        sealer = Sealer([self._fleet_key])
        catalog = Catalog(
            epoch=EPOCH,
            version=1,
            providers=self.providers,
            models=self.models,
            projects=self.projects,
            peppers={"a": PEPPER},
            index_pepper=PEPPER,
            rules=self.rules,
        )
        sealed = sealer.seal(encode(catalog), catalog_place(EPOCH, 1))
        self.folder.mkdir(parents=True, exist_ok=True)
        CatalogFile(self.folder / "catalog.sealed").save(SealedCatalog(EPOCH, 1, sealed))
        await self._fill_directory(sealer)

    async def __aenter__(self) -> Self:
        await self.prepare()
        self.process = Process(
            Settings(
                redis_url=self._redis_url,
                fleet_keys=(self._fleet_key,),
                data_dir=self.folder,
                segment_bytes=1 << 20,
                journal_bytes=64 << 20,
                drain_seconds=2,
                **{"control_grpc": "127.0.0.1:1", "join_token": "join", **self._settings},
            )
        )
        self.process.replica += f"/{self.folder.name}"  # several may share this process
        await self.process.start()
        sock = bind_socket("127.0.0.1", 0, share=False)
        self.origin = f"http://127.0.0.1:{sock.getsockname()[1]}"
        self.base_url = f"{self.origin}/v1"
        await self.process.listen(sock)
        self.client = aiohttp.ClientSession(headers={"Authorization": f"Bearer {self.key}"})
        return self

    async def _fill_directory(self, sealer: Sealer) -> None:
        store = RedisDirectory(RedisConnection(self._redis_url))
        changes = [Change(e.lookup, 1, sealer.seal(encode(e), entry_place(EPOCH, e.lookup, 1))) for e in self.entries]
        await store.apply(EPOCH, changes)
        await store.set_marker(Marker(EPOCH, 1, complete=True))
        await store.close()

    async def __aexit__(self, *_: object) -> None:
        await self.client.close()
        process = self.process
        await process.listener.close()
        await process.tasks.close()
        if process.tracer is not None:
            await process.tracer.close()
        await process.counters.close()
        await process.upstream.close()
        await process.store.close()
        if process.cache is not None:
            await process.cache.close()
        await process.channel.close()
        process.journal.close()
        process.bodies.give_up()

    async def chat(self, **fields: Any) -> aiohttp.ClientResponse:
        """One chat request; the response is read when it is not a stream."""
        body = {"model": "m", "messages": [{"role": "user", "content": "Hello"}], **fields}
        response = await self.client.post(f"{self.base_url}/chat/completions", json=body)
        if not fields.get("stream"):
            await response.read()
        return response

    def rows(self) -> Sequence[RequestRow]:
        """What the journal holds for the ledger: finished requests, in their order."""
        return [decode_row(row) for row in self.process.journal.unshipped(1_000_000)[0]]

    async def wait_rows(self, count: int, seconds: float = 5) -> Sequence[RequestRow]:
        """The rows, once there are as many."""
        async with asyncio.timeout(seconds):
            while len(found := self.rows()) < count:
                await asyncio.sleep(0.01)
        return found


class FollowingDataPlane(LoneDataPlane):
    """A data plane that has everything from a control plane's push, as it is deployed. Its clients send no key."""

    def __init__(self, folder: Path, redis_url: str, control_grpc: str, *, fleet_key: bytes, join_token: str) -> None:
        super().__init__(folder, redis_url, control_grpc=control_grpc, join_token=join_token)
        self._fleet_key = fleet_key

    async def prepare(self) -> None:
        """It starts from nothing."""
        self.folder.mkdir(parents=True, exist_ok=True)

    async def __aenter__(self) -> Self:
        await super().__aenter__()
        await self.client.close()
        self.client = aiohttp.ClientSession()
        async with asyncio.timeout(10):
            while self.process.follower.problem() is not None:
                await asyncio.sleep(0.02)
        return self
