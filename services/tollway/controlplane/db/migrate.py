"""Migrations of the schema: numbered files, each applied once, in a transaction of its own, under one lock.

`NNNN_title.pre.sql` must be harmless to the release before (it runs before new processes start), `NNNN_title.post.sql`
may remove what only that release needed. A file that was applied is never changed again: its SHA-256 is on record.
"""

from __future__ import annotations

import asyncio
import hashlib
import re
from collections.abc import Sequence
from importlib import resources
from typing import Any

import msgspec
import psycopg
from psycopg import AsyncConnection

from tollway.controlplane.db.pool import CONNECT
from tollway.controlplane.db.statements import Database, Statements
from tollway.runtime import log

_log = log.get(__name__)
_SQL = Statements(__package__ or "")
_FILE = re.compile(r"(\d{4})_([a-z0-9_]+)\.(pre|post)\.sql")
MIGRATION_LOCK = 0x746F6C6C_6D696772
"""Advisory lock of whoever migrates."""
LOCK_SECONDS = 10
"""A statement that waits for a table makes everybody wait who comes after it, so it gives up."""
TRIES = 5
"""Of a file that meets the locks of processes that serve meanwhile."""
PAUSE_SECONDS = 1.0
PHASES = ("pre", "post")
_IN_THE_WAY = (psycopg.errors.DeadlockDetected, psycopg.errors.LockNotAvailable)


class MigrationError(Exception):
    """The schema cannot be brought, or is not, where this version needs it; the message says what to do."""


class Migration(msgspec.Struct, frozen=True, kw_only=True):
    """One file. `sql` is its text."""

    number: int
    phase: str
    title: str
    sql: bytes

    @property
    def name(self) -> str:
        """The file's name."""
        return f"{self.number:04}_{self.title}.{self.phase}.sql"

    @property
    def sha256(self) -> str:
        """What is on record of its text."""
        return hashlib.sha256(self.sql).hexdigest()


class Applied(msgspec.Struct, frozen=True):
    """One row of `schema_migrations`."""

    number: int
    phase: str
    title: str
    sha256: str


class _Known(msgspec.Struct):
    known: bool


def shipped() -> list[Migration]:
    """The migrations of this version, in their order."""
    found = []
    for entry in resources.files(__package__ or "").joinpath("migrations").iterdir():
        match = _FILE.fullmatch(entry.name)
        if match is not None:
            sql = entry.read_bytes()
            found.append(Migration(number=int(match[1]), title=match[2], phase=match[3], sql=sql))
    return in_order(found)


def in_order(migrations: Sequence[Migration]) -> list[Migration]:
    """By number; of one number, `pre` goes first."""
    return sorted(migrations, key=lambda m: (m.number, PHASES.index(m.phase)))


async def applied(db: Database) -> list[Applied]:
    """What was applied to this database, in order; empty for a database that never was migrated."""
    known = await _SQL.one(db, "migrations_known", _Known)
    if known is None or not known.known:
        return []
    return await _SQL.all(db, "applied_migrations", Applied)


def pending(migrations: Sequence[Migration], done: Sequence[Applied]) -> list[Migration]:
    """What is still to be applied. Raises MigrationError when the record and the files contradict each other."""
    files = {(m.number, m.phase): m for m in migrations}
    for row in done:
        file = files.get((row.number, row.phase))
        if file is None:
            raise MigrationError(
                f"the database was migrated by a newer version (it has {row.number:04}_{row.title}.{row.phase}.sql); "
                "run that version or a later one"
            )
        if file.sha256 != row.sha256:
            raise MigrationError(f"{file.name} is not the file that was applied to this database; restore the original")
    recorded = {(row.number, row.phase) for row in done}
    return [m for m in migrations if (m.number, m.phase) not in recorded]


async def connect(url: str) -> AsyncConnection[Any]:
    """A connection for migrations and checks, in autocommit mode. Raises psycopg.OperationalError."""
    return await AsyncConnection.connect(url, autocommit=True, **CONNECT)


async def migrate(url: str, *, phases: Sequence[str] = PHASES, migrations: Sequence[Migration] | None = None) -> int:
    """Applies what is pending; returns how many files that were.

    Of several at once, one works and the others wait, then find nothing to do. Each file is applied whole or not at
    all; the first that fails ends it, with MigrationError and the schema as the files before it left it. One that meets
    the locks of others is tried again a few times.
    """
    known = in_order(shipped() if migrations is None else migrations)
    async with await connect(url) as db:
        await _SQL.run(db, "migration_lock", lock=MIGRATION_LOCK)  # the end of the session releases it
        await _SQL.run(db, "limit_lock_waits", limit=f"{LOCK_SECONDS}s")
        await _SQL.run(db, "create_schema_migrations")
        todo = [m for m in pending(known, await applied(db)) if m.phase in phases]
        for migration in todo:
            await _apply(db, migration)
        return len(todo)


async def _apply(db: Database, migration: Migration) -> None:
    for left in reversed(range(TRIES)):
        try:
            await _apply_once(db, migration)
        except psycopg.Error as error:
            if left and isinstance(error, _IN_THE_WAY):
                _log.info("migration is tried again", migration=migration.name, reason=type(error).__name__)
                await asyncio.sleep(PAUSE_SECONDS)
                continue
            reason = error.diag.message_primary or str(error)
            raise MigrationError(f"{migration.name} failed and was rolled back: {reason}") from error
        _log.info("migration applied", migration=migration.name)
        return


async def _apply_once(db: Database, migration: Migration) -> None:
    async with db.transaction():
        await db.execute(migration.sql)
        await _SQL.run(
            db,
            "record_migration",
            number=migration.number,
            phase=migration.phase,
            title=migration.title,
            sha256=migration.sha256,
        )


async def check_schema(db: Database, migrations: Sequence[Migration] | None = None) -> int:
    """The number of the newest migration, when the schema is one that this version can serve with.

    Raises MigrationError when it is older (`post` files may be missing: they are run when the release before is gone
    everywhere), newer, or not what was shipped.
    """
    done = await applied(db)
    known = shipped() if migrations is None else migrations
    missing = [m.name for m in pending(known, done) if m.phase == "pre"]
    if missing:
        what = "has no schema yet" if not done else f"has an older schema (missing: {', '.join(missing)})"
        raise MigrationError(f"the database {what}; run: tollway-controlplane migrate")
    return max(row.number for row in done)
