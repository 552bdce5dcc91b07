"""A task that is cancelled while it asks Redis ends there, at whatever moment of the call: it does nothing after it."""

from __future__ import annotations

import asyncio

import pytest

from tollway.dataplane.admission.redis_counters import RedisCounters
from tollway.dataplane.stores.redis_connection import RedisConnection
from tollway.testkit.servers import ValkeyServer

MOMENTS = 40
"""Turns of the event loop after which it is cancelled: a call takes fewer."""


@pytest.mark.parametrize("store", ["connection", "counters"])
async def test_a_cancellation_is_never_lost(store: str, valkey: ValkeyServer) -> None:
    connection, counters = RedisConnection(valkey.url), RedisCounters(valkey.url)

    async def ask() -> None:
        if store == "connection":
            await connection.bounded(connection.redis.ping())
        else:
            await counters.begin("default", "life")

    await ask()
    cancelled = 0
    for moment in range(MOMENTS):
        task = asyncio.create_task(ask())
        for _ in range(moment):
            await asyncio.sleep(0)
        if task.cancel():
            cancelled += 1
            with pytest.raises(asyncio.CancelledError):
                await task
        await ask()  # and the next call has a whole connection
    assert cancelled > 3
    await connection.close()
    await counters.close()
