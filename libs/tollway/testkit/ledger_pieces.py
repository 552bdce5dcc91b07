"""The check of the ledger, piece after piece, as whoever verifies a long period goes through it."""

from __future__ import annotations

from datetime import datetime

from tollway.controlplane.db.pool import Pool
from tollway.controlplane.ledger.verify import Piece, verify


async def pieces(pool: Pool, begin: datetime, end: datetime) -> list[Piece]:
    """What `verify` finds in [`begin`, `end`); each piece goes on where the one before ended, and on is forward."""
    found: list[Piece] = []
    async with pool.connection() as db:
        while begin < end:
            found.append(await verify(db, begin, end))
            assert found[-1].ends > begin
            begin = found[-1].ends
    return found
