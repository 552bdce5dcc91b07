"""Partitions of the ledger by time, made ahead of need.

A partition takes a calendar month (the default: a year of reports then opens 12 partitions and not 365, whose locks
alone would exceed what the server has room for) or a day (for installations that write tens of millions of rows a day,
where a month would be too large to vacuum). Both can stand side by side: another width holds for what is made next.
Days that no partition takes are taken by the default partition; making their partition later moves them there.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from enum import StrEnum
from typing import Any

import msgspec
import psycopg
from psycopg import sql
from psycopg_pool import AsyncConnectionPool

from tollway.controlplane.db.statements import Database, Statements
from tollway.runtime import log
from tollway.runtime.clock import Clock

_log = log.get(__name__)
_sql = Statements(__package__ or "")
TABLES = ("ledger_requests", "ledger_attempts")
DAYS_AHEAD = 35
"""More than a month, so that the next month's partition is always there."""
LOOK_SECONDS = 3600.0
RETRY_SECONDS = 10.0
PARTITION_LOCK = 0x6C656467_70617274
"""Advisory lock of whoever makes partitions."""


class Width(StrEnum):
    """How much time one partition takes."""

    MONTH = "month"
    DAY = "day"


class Span(msgspec.Struct, frozen=True, order=True):
    """The days from `first` until before `end`."""

    first: date
    end: date


class _Locked(msgspec.Struct):
    locked: bool


class _Count(msgspec.Struct):
    rows: int


class _Found(msgspec.Struct):
    found: bool


def missing(existing: Sequence[Span], first: date, last: date, width: Width) -> list[Span]:
    """The partitions to make so that every day from `first` to `last` has one. They never overlap `existing` ones."""
    taken = sorted(existing)
    spans = []
    day = first
    while day <= last:
        around = next((span for span in taken if span.first <= day < span.end), None)
        if around is not None:
            day = around.end
            continue
        whole = _period(day, width)
        start = max([whole.first, *(span.end for span in taken if span.end <= day)])
        end = min([whole.end, *(span.first for span in taken if span.first > day)])
        spans.append(Span(start, end))
        day = end
    return spans


def _period(day: date, width: Width) -> Span:
    if width is Width.DAY:
        return Span(day, day + timedelta(days=1))
    first = day.replace(day=1)
    return Span(first, (first + timedelta(days=32)).replace(day=1))


def partition_name(table: str, span: Span) -> str:
    """The name says the days: `ledger_requests_20260801_20260901`, the end not included."""
    return f"{table}_{span.first:%Y%m%d}_{span.end:%Y%m%d}"


async def ensure_partitions(
    db: Database, today: date, *, days_ahead: int = DAYS_AHEAD, width: Width = Width.MONTH, wait: bool = True
) -> int | None:
    """Makes what is missing from yesterday to `days_ahead`; returns how many partitions were made.

    One process at a time: another one waits, or with `wait=False` returns None at once. `db` must not be in a
    transaction: each partition is made in its own, so that writers are never held up for long.
    """
    made = 0
    for table in TABLES:
        while True:
            async with db.transaction():
                name = "partition_lock" if wait else "try_partition_lock"
                lock = await _sql.one(db, name, _Locked, lock=PARTITION_LOCK)
                if lock is None or not lock.locked:
                    return None
                existing = await _sql.all(db, "partition_bounds", Span, table=table)
                first, last = today - timedelta(days=1), today + timedelta(days=days_ahead)
                spans = missing(existing, first, last, width)
                if not spans:
                    break
                await _make(db, table, spans[0])
                made += 1
    return made


async def _make(db: Database, table: str, span: Span) -> None:
    """Makes a partition beside the table, moves the default partition's rows of its days into it, and attaches it.

    Attaching locks only the default partition, and only for the moment of the move: writers to others go on. Where rows
    move, the whole table is locked before: a statement that was planned without the partition would look for them in
    the default partition alone, and miss them.
    """
    found = await _sql.one(db, f"default_has_{table}", _Found, first=span.first, end=span.end)
    moves = found is not None and found.found
    names = {
        "table": sql.Identifier(table),
        "default": sql.Identifier(f"{table}_default"),
        "part": sql.Identifier(partition_name(table, span)),
        "first": sql.Literal(span.first),
        "end": sql.Literal(span.end),
    }
    for statement in (
        # While it waits for the whole table, nobody can write.
        "SET LOCAL lock_timeout = '2s'" if moves else "SET LOCAL lock_timeout = '5s'",
        "CREATE TABLE {part} (LIKE {table} INCLUDING DEFAULTS INCLUDING CONSTRAINTS INCLUDING INDEXES)",
        *(("LOCK TABLE ONLY {table} IN ACCESS EXCLUSIVE MODE",) if moves else ()),
        "LOCK TABLE {default} IN ACCESS EXCLUSIVE MODE",
        "WITH moved AS (DELETE FROM {default} WHERE day >= {first} AND day < {end} RETURNING *)"
        " INSERT INTO {part} SELECT * FROM moved",
        "ALTER TABLE {table} ATTACH PARTITION {part} FOR VALUES FROM ({first}) TO ({end})",
    ):
        await db.execute(sql.SQL(statement).format(**names))
    _log.info("ledger partition made", table=table, first=span.first.isoformat(), end=span.end.isoformat())


async def default_rows(db: Database) -> int:
    """How many rows are in the default partitions, where none should be."""
    counted = await _sql.one(db, "default_rows", _Count)
    return counted.rows if counted is not None else 0


async def keep_partitions(
    pool: AsyncConnectionPool[Any], clock: Clock, *, days_ahead: int = DAYS_AHEAD, width: Width = Width.MONTH
) -> None:
    """Background work: looks every hour whether partitions are missing, and warns of rows that none takes."""
    while True:
        pause = LOOK_SECONDS
        try:
            async with pool.connection() as db:
                today = datetime.fromtimestamp(clock.now_ms() / 1000, UTC).date()
                await ensure_partitions(db, today, days_ahead=days_ahead, width=width, wait=False)
                if stray := await default_rows(db):
                    _log.warning("ledger rows in the default partition: is a clock wrong?", rows=stray)
        except psycopg.OperationalError as error:
            pause = RETRY_SECONDS
            _log.warning("ledger partitions could not be looked after", reason=type(error).__name__)
        await asyncio.sleep(pause)
