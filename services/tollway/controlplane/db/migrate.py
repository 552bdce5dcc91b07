"""Numbered migrations: each file once, in a transaction of its own, under one lock, never changed after it was applied.

`NNNN_title.pre.sql` is compatible with the version before and runs before a deployment, `.post.sql` cleans up after it.
A failed migration leaves the schema as it was before that file.
"""

from __future__ import annotations

import hashlib
import re
from importlib import resources
from typing import Any

import msgspec
import psycopg
from psycopg import AsyncConnection
from psycopg.rows import tuple_row

MIGRATION_LOCK = 0x746F6C6C_6D696772
_NAME = re.compile(r"(\d{4})_[a-z0-9_]+\.(pre|post)\.sql")
_PHASES = {"pre": 0, "post": 1}


class MigrationError(Exception):
    """The schema cannot be migrated, or does not fit; the message says what to do."""


class Migration(msgspec.Struct, frozen=True):
    """One file."""

    number: int
    phase: str
    name: str
    sql: bytes

    @property
    def digest(self) -> str:
        """SHA-256 of the file."""
        return hashlib.sha256(self.sql).hexdigest()


def shipped() -> list[Migration]:
    """The migrations of this version, in order."""
    found = []
    for item in (resources.files(__package__ or "") / "migrations").iterdir():
        match = _NAME.fullmatch(item.name)
        if match is not None:
            found.append(Migration(int(match[1]), match[2], item.name, item.read_bytes()))
    return sorted(found, key=lambda migration: (migration.number, _PHASES[migration.phase]))


def schema_version(migrations: list[Migration]) -> int:
    """The highest number among migrations."""
    return max((migration.number for migration in migrations), default=0)


async def applied(db: AsyncConnection[Any]) -> dict[str, str]:
    """File name -> digest of what was applied; empty on an empty database."""
    async with db.cursor(row_factory=tuple_row) as cursor:
        await cursor.execute("SELECT to_regclass('schema_migrations') IS NOT NULL")
        row = await cursor.fetchone()
        if row is None or not row[0]:
            return {}
        await cursor.execute("SELECT name, digest FROM schema_migrations ORDER BY name")
        return dict(await cursor.fetchall())


def check_history(done: dict[str, str], migrations: list[Migration]) -> None:
    """Refuses a database whose applied files differ from the shipped ones."""
    by_name = {migration.name: migration for migration in migrations}
    for name, digest in done.items():
        migration = by_name.get(name)
        if migration is not None and migration.digest != digest:
            raise MigrationError(f"migration {name} was changed after it was applied; restore the file")


async def check_schema(db: AsyncConnection[Any]) -> int:
    """The database's schema version, when this program can serve on it. Raises MigrationError."""
    migrations = shipped()
    done = await applied(db)
    check_history(done, migrations)
    needed = [migration.name for migration in migrations if migration.phase == "pre" and migration.name not in done]
    if needed:
        raise MigrationError(f"the schema lacks {', '.join(needed)}: run 'tollway-controlplane migrate'")
    return max((int(name[:4]) for name in done), default=0)


async def migrate(url: str, migrations: list[Migration] | None = None) -> list[str]:
    """Applies what is missing; returns the names of the files applied. A second migrator waits for the first."""
    migrations = shipped() if migrations is None else migrations
    names = []
    async with await AsyncConnection.connect(url, autocommit=True, connect_timeout=10) as db:
        await db.execute("SELECT pg_advisory_lock(%s)", [MIGRATION_LOCK])
        try:
            await db.execute(
                "CREATE TABLE IF NOT EXISTS schema_migrations (name text PRIMARY KEY, digest text NOT NULL,"
                " applied_at timestamptz NOT NULL DEFAULT now())"
            )
            done = await applied(db)
            check_history(done, migrations)
            for migration in migrations:
                if migration.name not in done:
                    await _apply(db, migration)
                    names.append(migration.name)
        finally:
            await db.execute("SELECT pg_advisory_unlock(%s)", [MIGRATION_LOCK])
    return names


async def _apply(db: AsyncConnection[Any], migration: Migration) -> None:
    try:
        async with db.transaction():
            await db.execute(migration.sql)
            await db.execute(
                "INSERT INTO schema_migrations (name, digest) VALUES (%s, %s)", [migration.name, migration.digest]
            )
    except psycopg.Error as error:
        raise MigrationError(f"migration {migration.name} failed and was undone: {error}") from error
