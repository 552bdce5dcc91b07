"""The places of the pool: none is forgotten that anybody still waits at."""

from __future__ import annotations

import asyncio

from tollway.dataplane.upstream.connection import Connection
from tollway.dataplane.upstream.pool import Limits, Origin, Pool

HERE, THERE = Origin("here", 443, True), Origin("there", 443, True)


async def test_a_place_where_requests_only_wait_is_not_forgotten() -> None:
    """A second shelf for the same place would hide the connections of the first from the sweep and from the limits."""

    async def make(_: Origin) -> Connection:
        return Connection(asyncio.get_running_loop())

    pool = Pool(Limits(total=1, per_host=1, idle=1), make)
    here, there = pool.shelf(HERE), pool.shelf(THERE)
    used = await pool.acquire(here)
    waiting = asyncio.create_task(pool.acquire(there))
    await asyncio.sleep(0)
    pool.tidy()
    assert pool.shelf(THERE) is there
    pool.put(here, used)
    pool.tidy()  # its turn has come, and it has not gone on yet
    assert pool.shelf(THERE) is there
    pool.put(there, await waiting)
    assert (pool.open, pool.idle) == (1, 1)
    pool._evict_oldest()
    pool.tidy()
    assert pool.shelf(THERE) is not there
    await pool.close()
