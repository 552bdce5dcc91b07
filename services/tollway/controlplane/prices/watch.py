"""Publishes again when a price begins or ends to hold, by itself, at the time that its validity names.

Every process looks; the one that finds the boundary first and has the lock records the prices and logs the change.
"""

from __future__ import annotations

import asyncio
from datetime import datetime
from typing import Any

from psycopg_pool import AsyncConnectionPool

from tollway.controlplane.db.pool import OUTAGE
from tollway.controlplane.db.versions import publish
from tollway.controlplane.prices import published, store
from tollway.controlplane.resources import from_ms
from tollway.runtime import log
from tollway.runtime.clock import Clock
from tollway.runtime.tasks import Tasks

_log = log.get(__name__)
LOOK_SECONDS = 1.0
RETRY_SECONDS = 5.0


class PriceWatch:
    """`start` it, `close` it. `look` is one look, for tests too."""

    def __init__(self, pool: AsyncConnectionPool[Any], clock: Clock) -> None:
        self._pool = pool
        self._clock = clock
        self._tasks = Tasks()
        self._seen: datetime | None = None
        """Up to when boundaries were looked at; None: nothing yet, so that what passed while nobody ran is found."""

    def start(self) -> None:
        """Begins to look."""
        self._tasks.keep(self._run, "prices-watch", restart_seconds=RETRY_SECONDS)

    async def close(self) -> None:
        """Ends the background work."""
        await self._tasks.close()

    async def _run(self) -> None:
        while True:
            pause = LOOK_SECONDS
            try:
                await self.look()
            except OUTAGE as error:
                pause = RETRY_SECONDS
                _log.warning("prices could not be looked after", reason=type(error).__name__)
            await asyncio.sleep(pause)

    async def look(self) -> bool:
        """Publishes if a boundary passed since the last look. Returns whether it did.

        The data in the installed package has boundaries too, at midnight UTC. A clock that was set back begins anew.
        """
        now = from_ms(self._clock.now_ms())
        seen = self._seen
        async with self._pool.connection() as db:
            same_day = seen is not None and seen <= now and seen.date() == now.date()
            if same_day and seen is not None and not await store.boundary_between(db, seen, now):
                self._seen = now
                return False
            async with db.transaction():
                if not await store.try_lock(db):
                    return False
                changed = await published.record(db, now)
                if changed:
                    version = await publish(db, catalog=True, keys=())
                    _log.info("prices in force changed: published again", version=version)
        self._seen = now
        return changed
