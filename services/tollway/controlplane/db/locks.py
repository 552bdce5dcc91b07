"""Locks on tables that somebody else's upkeep may hold."""

from __future__ import annotations

from collections.abc import Sequence

from psycopg import sql

from tollway.controlplane.db.statements import Database

VACUUM_WAIT = "5s"
"""Postgres ends an autovacuum only for somebody who has waited for `deadlock_timeout`, by default a second."""


async def end_vacuum(db: Database, tables: Sequence[str]) -> None:
    """Ends autovacuum on the tables and keeps it away until the end of the transaction.

    Whoever waits for a table's exclusive lock makes its readers and writers wait as well, and may therefore not wait
    long enough for an autovacuum to give way. The lock taken here is one that only upkeep wants: nobody waits for it.
    Changes `lock_timeout` for the rest of the transaction. Raises psycopg.errors.LockNotAvailable where a vacuum that
    somebody asked for, or one against wraparound, goes on.
    """
    if not tables:
        return
    names = sql.SQL(", ").join(sql.Identifier(table) for table in tables)
    await db.execute(sql.SQL("SET LOCAL lock_timeout = {}").format(sql.Literal(VACUUM_WAIT)))
    await db.execute(sql.SQL("LOCK TABLE {} IN SHARE UPDATE EXCLUSIVE MODE").format(names))
