"""Waiting until sessions of a database wait for each other, so that a test meets a race on purpose."""

from __future__ import annotations

import asyncio

from tollway.controlplane.db.pool import Pool

WAITING = """
SELECT count(*) FROM pg_locks
WHERE NOT granted AND locktype = 'relation'
  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""


async def until_locked(pool: Pool, waiting: int) -> None:
    """Returns when so many sessions of the pool's database wait for a lock on a table; TimeoutError after 4 seconds."""
    async with asyncio.timeout(4), pool.connection() as db:
        while (await (await db.execute(WAITING)).fetchone() or (0,))[0] < waiting:
            await asyncio.sleep(0.02)
