"""One process's connections to Redis or Valkey; every call is bounded in time."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

import redis.asyncio as redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from tollway.dataplane.stores.ports import StoreUnavailable

T = TypeVar("T")


class RedisConnection:
    """A bounded pool. Raises ValueError for a URL that is none."""

    def __init__(self, url: str, timeout_seconds: float = 1.0) -> None:
        self._timeout = timeout_seconds
        # A burst waits for a connection instead of being refused one.
        pool = redis.BlockingConnectionPool.from_url(
            url,
            timeout=timeout_seconds,
            # `bounded` is what bounds a call. The library would wait for each write in a task of its own, and lose
            # a cancellation that comes as the write ends.
            socket_timeout=None,
            socket_connect_timeout=timeout_seconds,
            max_connections=64,
            retry=Retry(NoBackoff(), 1),
            health_check_interval=30,
        )
        self.redis: redis.Redis = redis.Redis.from_pool(pool)

    async def bounded(self, call: Awaitable[T]) -> T:
        """What the call answers. Raises StoreUnavailable when it fails or takes too long."""
        try:
            async with asyncio.timeout(self._timeout):
                return await call
        except (RedisError, OSError, TimeoutError) as error:
            raise StoreUnavailable(type(error).__name__) from error

    async def close(self) -> None:
        """Closes the connections."""
        await self.redis.aclose()
