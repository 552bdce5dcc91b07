"""Many data planes' ends of the push stream in one event loop: each follows with the real client, connected by itself.

A subscriber is what a data-plane process has of it: catalog, directory, the follower with its share of Valkey. Owns
nothing of what is measured but when each of them knew of a version.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path

import grpc.aio

from tollway.dataplane.config.directory import Directory
from tollway.dataplane.config.follower import CatalogFile, Follower
from tollway.dataplane.config.holder import CatalogHolder
from tollway.dataplane.stores.redis_connection import RedisConnection
from tollway.dataplane.stores.redis_directory import RedisDirectory
from tollway.dataplane.stores.refuge import RefugeDirectory
from tollway.runtime.clock import SystemClock
from tollway.runtime.seal import Sealer
from tollway.runtime.tasks import Tasks
from tollway.testkit.stack import Stack
from tollway.wire.client import OPTIONS, ConfigPushClient
from tollway.wire.config_codec import CatalogSnapshot, ConfigEvent, KeyChanges, Position

OWN_CONNECTION = ("grpc.use_local_subchannel_pool", 1)
"""Without it, all channels of a process to one address share one connection."""


class Subscriber:
    """One of them. `version`: up to where it knows the directory, `changes` how many entries it was sent."""

    def __init__(self, stack: Stack, number: int, folder: Path) -> None:
        address = f"127.0.0.1:{stack.control.ports['grpc']}"
        self._channel = grpc.aio.insecure_channel(address, options=(*OPTIONS, OWN_CONNECTION))
        self._client = ConfigPushClient(self._channel, stack.join_token)
        self._redis = RedisConnection(stack.valkey.url)
        store, holder, clock = RefugeDirectory(RedisDirectory(self._redis)), CatalogHolder(), SystemClock()
        sealer = Sealer([bytes.fromhex(stack.fleet_key)])
        directory = Directory(store, holder, sealer, clock, capacity=1000, max_stale_seconds=3600)
        file = CatalogFile(folder / f"{number}.sealed")
        self._follower = Follower(f"many/{number}", self, store, holder, directory, sealer, file, clock)
        self._tasks = Tasks()
        self.version = 0
        self.knew_at = 0.0
        self.changes = 0

    async def start(self) -> None:
        """Follows from now on."""
        await self._follower.start(self._tasks)

    @property
    def connected(self) -> bool:
        """Whether its stream is there."""
        return self._follower.connected

    async def subscribe(
        self, replica: str, catalog: Position | None, directory: Position | None, *, want_directory_snapshot: bool
    ) -> AsyncGenerator[ConfigEvent, None]:
        """The real client's events, noted once the follower has taken them."""
        events = self._client.subscribe(replica, catalog, directory, want_directory_snapshot=want_directory_snapshot)
        async with aclosing(events):
            async for event in events:
                yield event
                if isinstance(event, KeyChanges):
                    self.changes += len(event.changes)
                partial = isinstance(event, KeyChanges) and event.snapshot and not event.complete
                if not isinstance(event, CatalogSnapshot) and not partial and event.position.version > self.version:
                    self.version, self.knew_at = event.position.version, time.monotonic()

    async def close(self) -> None:
        """Leaves."""
        await self._tasks.close()
        await self._channel.close()
        await self._redis.close()


class Subscribers:
    """So many of them; to be entered."""

    def __init__(self, stack: Stack, count: int, folder: Path) -> None:
        self._stack = stack
        self._count = count
        self._folder = folder
        self.all: list[Subscriber] = []

    async def __aenter__(self) -> Subscribers:
        self.all = [Subscriber(self._stack, number, self._folder) for number in range(self._count)]
        await asyncio.gather(*(each.start() for each in self.all))
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.gather(*(each.close() for each in self.all))

    async def current(self, version: int, seconds: float) -> list[float]:
        """Waits until all know of a version; when each of them did, in monotonic seconds. Raises TimeoutError."""
        async with asyncio.timeout(seconds):
            while any(each.version < version for each in self.all):
                await asyncio.sleep(0.01)
        return [each.knew_at for each in self.all]
