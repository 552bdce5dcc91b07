"""Migrations on a real Postgres: each file once, whole or not at all, whoever else is at it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import msgspec
import psycopg
import pytest

import tollway.controlplane.db
from tollway.controlplane.db.describe import describe
from tollway.controlplane.db.migrate import (
    Migration,
    MigrationError,
    applied,
    check_schema,
    connect,
    in_order,
    migrate,
    pending,
    shipped,
)
from tollway.testkit.servers import PostgresServer

SCHEMA = Path(tollway.controlplane.db.__path__[0]) / "schema.sql"


@pytest.fixture
def empty(postgres: PostgresServer) -> str:
    return postgres.create_database()


def migration(number: int, sql: str, *, phase: str = "pre", title: str = "step") -> Migration:
    return Migration(number=number, phase=phase, title=title, sql=sql.encode())


async def schema(url: str) -> str:
    async with await connect(url) as db:
        return await describe(db)


async def ask(url: str, query: str) -> Any:
    async with await connect(url) as db:
        return await (await db.execute(query.encode())).fetchone()


async def test_a_fresh_database_gets_the_whole_schema_once(empty: str) -> None:
    assert await migrate(empty) == len(shipped())
    first = await schema(empty)
    assert await migrate(empty) == 0
    assert await schema(empty) == first
    async with await connect(empty) as db:
        assert [(row.number, row.phase, row.sha256) for row in await applied(db)] == [
            (m.number, m.phase, m.sha256) for m in shipped()
        ]
        assert await check_schema(db) == shipped()[-1].number


async def test_schema_sql_is_the_migrated_schema(empty: str, tmp_path: Path) -> None:
    await migrate(empty)
    found = await schema(empty)
    actual = tmp_path / "schema.sql"
    actual.write_text(found)
    assert found == SCHEMA.read_text(), f"the schema changed: copy {actual} to {SCHEMA}"


def tables(text: str) -> list[str]:
    """The schema without the names of functions, triggers and views, whose text is in the migrations."""
    return [line for line in text.splitlines() if not line.startswith("-- ")]


async def test_schema_sql_makes_those_tables(empty: str) -> None:
    async with await connect(empty) as db:
        await db.execute(SCHEMA.read_bytes())
    assert tables(await schema(empty)) == tables(SCHEMA.read_text())


async def test_two_migrators_at_once_both_succeed_and_each_file_runs_once(empty: str) -> None:
    slow = [
        migration(1, "CREATE TABLE runs (n integer); SELECT pg_sleep(0.2); INSERT INTO runs VALUES (1)"),
        migration(2, "INSERT INTO runs VALUES (2)"),
    ]
    counts = await asyncio.gather(*(migrate(empty, migrations=slow) for _ in range(3)))
    assert sorted(counts) == [0, 0, 2]
    assert await ask(empty, "SELECT array_agg(n ORDER BY n) FROM runs") == ([1, 2],)


async def test_a_failed_migration_leaves_the_schema_before_it_and_can_be_repaired(empty: str) -> None:
    good = migration(1, "CREATE TABLE one (a integer)")
    bad = migration(2, "CREATE TABLE two (a integer); INSERT INTO two VALUES ('x'); CREATE TABLE three ()")
    with pytest.raises(MigrationError, match=r"0002_step\.pre\.sql failed and was rolled back: invalid input syntax"):
        await migrate(empty, migrations=[good, bad])
    assert await ask(empty, "SELECT to_regclass('one')::text, to_regclass('two')::text") == ("one", None)
    assert await migrate(empty, migrations=[good, migration(2, "CREATE TABLE two (a integer)")]) == 1


async def test_a_changed_file_is_refused_and_nothing_is_applied(empty: str) -> None:
    first = migration(1, "CREATE TABLE one (a integer)")
    await migrate(empty, migrations=[first])
    changed = msgspec.structs.replace(first, sql=b"CREATE TABLE one (b integer)")
    with pytest.raises(MigrationError, match=r"0001_step\.pre\.sql is not the file that was applied"):
        await migrate(empty, migrations=[changed, migration(2, "CREATE TABLE two (a integer)")])
    assert await ask(empty, "SELECT to_regclass('two')::text") == (None,)


async def test_a_newer_schema_is_refused(empty: str) -> None:
    await migrate(empty)
    future = migration(9999, "CREATE TABLE future (a integer)", title="future")
    await migrate(empty, migrations=[*shipped(), future])
    async with await connect(empty) as db:
        with pytest.raises(MigrationError, match=r"newer version \(it has 9999_future\.pre\.sql\)"):
            await check_schema(db)
    with pytest.raises(MigrationError, match="newer version"):
        await migrate(empty)


async def test_an_older_schema_and_an_empty_database_are_refused_with_the_remedy(empty: str) -> None:
    async with await connect(empty) as db:
        with pytest.raises(MigrationError, match="has no schema yet; run: tollway-controlplane migrate"):
            await check_schema(db)
    await migrate(empty, migrations=shipped()[:1])
    async with await connect(empty) as db:
        with pytest.raises(MigrationError, match=r"older schema \(missing: 0002_origin\.pre\.sql, .*\)"):
            await check_schema(db)


async def test_post_migrations_can_wait_until_the_release_before_is_gone(empty: str) -> None:
    files = [
        migration(2, "CREATE TABLE two ()"),
        migration(1, "DROP TABLE one", phase="post"),
        migration(1, "CREATE TABLE one ()"),
    ]
    assert [m.name for m in in_order(files)] == ["0001_step.pre.sql", "0001_step.post.sql", "0002_step.pre.sql"]
    assert await migrate(empty, phases=("pre",), migrations=files) == 2
    async with await connect(empty) as db:
        assert await check_schema(db, in_order(files)) == 2
        assert [m.name for m in pending(in_order(files), await applied(db))] == ["0001_step.post.sql"]
    assert await migrate(empty, migrations=files) == 1
    assert await ask(empty, "SELECT to_regclass('one')::text, to_regclass('two')::text") == (None, "two")


async def test_a_migration_does_not_wait_for_a_lock_for_ever(empty: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A migration that waits for a table stops everybody who comes after it; it gives up instead."""
    monkeypatch.setattr("tollway.controlplane.db.migrate.LOCK_SECONDS", 1)
    await migrate(empty, migrations=[migration(1, "CREATE TABLE one (a integer)")])
    async with await psycopg.AsyncConnection.connect(empty) as reader:
        await reader.execute("LOCK TABLE one IN ACCESS SHARE MODE")
        files = [migration(1, "CREATE TABLE one (a integer)"), migration(2, "ALTER TABLE one ADD COLUMN b integer")]
        with pytest.raises(MigrationError, match="lock timeout"):
            await migrate(empty, migrations=files)


def test_shipped_files_are_numbered_without_gaps() -> None:
    numbers = sorted({m.number for m in shipped()})
    assert numbers == list(range(1, len(numbers) + 1))
    folder = SCHEMA.parent / "migrations"
    assert sorted(m.name for m in shipped()) == sorted(path.name for path in folder.iterdir())


async def test_one_that_meets_locks_of_others_is_tried_again(empty: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tollway.controlplane.db.migrate.LOCK_SECONDS", 0.1)
    monkeypatch.setattr("tollway.controlplane.db.migrate.PAUSE_SECONDS", 0.05)
    made = [migration(1, "CREATE TABLE things (a int)"), migration(2, "ALTER TABLE things ADD COLUMN b int")]
    assert await migrate(empty, migrations=made[:1]) == 1
    async with await psycopg.AsyncConnection.connect(empty) as other:
        await other.execute("LOCK TABLE things IN SHARE MODE")
        monkeypatch.setattr("tollway.controlplane.db.migrate.TRIES", 2)
        with pytest.raises(MigrationError, match="lock timeout"):
            await migrate(empty, migrations=made)
        monkeypatch.setattr("tollway.controlplane.db.migrate.TRIES", 100)
        migrating = asyncio.create_task(migrate(empty, migrations=made))
        await asyncio.sleep(0.25)
        assert not migrating.done()
        await other.rollback()
        assert await migrating == 1
