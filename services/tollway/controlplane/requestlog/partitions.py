"""Partitions of the request log by (retention class, day): made ahead of need, dropped when their time is over.

A row is kept for at least its class in days, and at most one day longer. Partitions are made for classes that a project
uses or that rows have; rows of any other day are taken by the class's default partition, and move when theirs is made.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import date, datetime, timedelta
from typing import Any

import msgspec
from psycopg import sql

from tollway.controlplane.db.locks import end_vacuum
from tollway.controlplane.db.statements import Database, Statements
from tollway.core.requestlog import RETENTION_CLASSES
from tollway.runtime import log

_log = log.get(__name__)
_sql = Statements(__package__ or "")
DAYS_AHEAD = 2
STRAY_ROWS = 5_000
"""Rows of the default partitions that one look deletes at most."""
PARTITION_LOCK = 0x7265716C_70617274
"""Advisory lock of whoever looks after the partitions."""
KEPT_LOSSES = timedelta(days=90)
KEPT_ERASURES = timedelta(days=90)
"""Far longer than a data plane holds bodies."""


class Slot(msgspec.Struct, frozen=True, order=True):
    """The place of a partition: a retention class and a day."""

    retention_days: int
    day: date

    @property
    def table(self) -> str:
        """Its table's name, `request_log_30_20260921`."""
        return f"request_log_{self.retention_days}_{self.day:%Y%m%d}"

    def over(self, today: date) -> bool:
        """Whether all of its rows are older than their class."""
        return self.day + timedelta(days=self.retention_days) < today


class Upkeep(msgspec.Struct, frozen=True):
    """What one look did: partitions made and dropped, rows of wrong clocks removed. `slots` are those there now."""

    made: int
    dropped: int
    stray: int
    slots: frozenset[Slot]


class _Partition(msgspec.Struct):
    retention_days: int
    name: str
    day: date


class InUse(msgspec.Struct):
    """A class that a project uses (`day` None), or a day of it with rows that no partition of its own takes."""

    retention_days: int
    day: date | None


class _Locked(msgspec.Struct):
    locked: bool


async def keep(db: Database, now: datetime) -> Upkeep | None:
    """One look: makes what is missing, drops what is over, prunes. None when another process is at it.

    `db` must not be in a transaction: each step is its own, so that nobody waits for long.
    """
    lock = await _sql.one(db, "try_lock", _Locked, lock=PARTITION_LOCK)
    if lock is None or not lock.locked:
        return None
    try:
        return await _keep(db, now)
    finally:
        if not db.closed and not db.broken:
            await _sql.all(db, "unlock", dict[str, Any], lock=PARTITION_LOCK)


async def _keep(db: Database, now: datetime) -> Upkeep:
    today = now.date()
    there = {
        Slot(found.retention_days, found.day): found.name
        for found in await _sql.all(db, "day_partitions", _Partition, classes=list(RETENTION_CLASSES))
    }
    dropped = [slot for slot in sorted(there) if slot.over(today)]
    for slot in dropped:
        await _drop(db, slot, there.pop(slot))
    made = sorted(wanted(await _sql.all(db, "classes_in_use", InUse), today) - there.keys())
    for slot in made:
        await _make(db, slot)
    stray = await _sql.run(db, "expire_stray", today=today, limit=STRAY_ROWS)
    await _sql.run(db, "prune_losses", before=now - KEPT_LOSSES)
    await _sql.run(db, "prune_erasures", before=now - KEPT_ERASURES)
    return Upkeep(len(made), len(dropped), stray, frozenset(there.keys() | set(made)))


def wanted(in_use: Iterable[InUse], today: date) -> set[Slot]:
    """The partitions that there should be: ahead for each class in use, and for days of stray rows that are not over.

    A day further ahead than `DAYS_AHEAD` is a wrong clock's and gets none.
    """
    last = today + timedelta(days=DAYS_AHEAD)
    slots: set[Slot] = set()
    for found in in_use:
        slots |= {Slot(found.retention_days, today + timedelta(days=ahead)) for ahead in range(-1, DAYS_AHEAD + 1)}
        if found.day is not None and found.day <= last:
            slots.add(Slot(found.retention_days, found.day))
    return {slot for slot in slots if not slot.over(today)}


async def _make(db: Database, slot: Slot) -> None:
    """Makes a partition beside the table, moves the default partition's rows of its day into it, and attaches it.

    The whole class is locked for that moment: a statement that was planned without the partition would look for rows
    that moved in the default partition alone, and miss them.
    """
    names = {
        "table": sql.Identifier(f"request_log_{slot.retention_days}"),
        "default": sql.Identifier(f"request_log_{slot.retention_days}_default"),
        "part": sql.Identifier(slot.table),
        "first": sql.Literal(slot.day),
        "end": sql.Literal(slot.day + timedelta(days=1)),
    }
    async with db.transaction():
        for statement in (
            "SET LOCAL lock_timeout = '1s'",
            "CREATE TABLE {part} (LIKE {table} INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING INDEXES"
            " INCLUDING STORAGE)",
            "LOCK TABLE ONLY {table} IN ACCESS EXCLUSIVE MODE",
            "LOCK TABLE {default} IN ACCESS EXCLUSIVE MODE",
            "WITH moved AS (DELETE FROM {default} WHERE day >= {first} AND day < {end} RETURNING *)"
            " INSERT INTO {part} SELECT * FROM moved",
            "ALTER TABLE {table} ATTACH PARTITION {part} FOR VALUES FROM ({first}) TO ({end})",
        ):
            await db.execute(sql.SQL(statement).format(**names))
    _log.info("request log partition made", retention_days=slot.retention_days, day=slot.day.isoformat())


async def _drop(db: Database, slot: Slot, name: str) -> None:
    """Drops a partition with all its rows. It waits only briefly for readers, who would otherwise make others wait."""
    async with db.transaction():
        await end_vacuum(db, [name])
        await db.execute("SET LOCAL lock_timeout = '1s'")
        await db.execute(sql.SQL("DROP TABLE {part}").format(part=sql.Identifier(name)))
    _log.info("request log partition dropped", retention_days=slot.retention_days, day=slot.day.isoformat())
