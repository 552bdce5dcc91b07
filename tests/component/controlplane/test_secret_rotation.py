"""Rotation of data keys and of the key-encryption key while everything runs: nothing fails, all stays readable."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import psycopg
import pytest
from psycopg import AsyncConnection
from uuid_utils.compat import uuid7

from tollway.controlplane.app import ControlPlane, prepare
from tollway.controlplane.catalog.snapshot import build_catalog
from tollway.controlplane.credentials.model import place
from tollway.controlplane.credentials.vault import Vault, VaultError
from tollway.controlplane.db.pool import create_pool
from tollway.controlplane.rotation import postgres, worker
from tollway.controlplane.rotation.model import Kind
from tollway.controlplane.rotation.tables import TABLES, SealedRow
from tollway.controlplane.rotation.worker import RotationWorker
from tollway.runtime.clock import SystemClock
from tollway.runtime.lifecycle import StartError

OLD, NEW = b"k" * 32, b"n" * 32
Sql = Callable[..., Awaitable[list[tuple[Any, ...]]]]


@pytest.fixture
async def sql(database: str) -> AsyncIterator[Sql]:
    """Rows of a query."""
    async with await AsyncConnection.connect(database, autocommit=True) as db:

        async def run(query: str, *values: Any) -> list[tuple[Any, ...]]:
            cursor = await db.execute(query.encode(), values)
            return list(await cursor.fetchall()) if cursor.description else []

        yield run


@asynccontextmanager
async def running(settings: Any) -> AsyncIterator[ControlPlane]:
    """A control plane that is stopped in the end."""
    plane = ControlPlane(settings)
    await plane.start()
    try:
        yield plane
    finally:
        await plane.stop()


@asynccontextmanager
async def working(database: str, vault: Vault, batch: int = 5) -> AsyncIterator[RotationWorker]:
    """A worker without the process around it; its steps are the test's to make."""
    pool = create_pool(database, 3)
    await pool.open()
    made = RotationWorker(pool, vault, SystemClock(), batch=batch)
    await made.open()
    try:
        yield made
    finally:
        await made.close()
        await pool.close()


async def seed(database: str, vault: Vault, count: int) -> None:
    """A provider with that many credentials, whose values are their names."""
    async with await AsyncConnection.connect(database) as db:
        provider = uuid7()
        await db.execute(
            "INSERT INTO providers (id, name, kind, base_url) VALUES (%s, 'p', 'openai', 'u')", (provider,)
        )
        for index in range(count):
            row, name = uuid7(), f"credential-{index}"
            data_key, sealed = await vault.seal(db, name.encode(), place(row))
            await db.execute(
                "INSERT INTO credentials (id, provider_id, name, sealed, data_key, fingerprint) "
                "VALUES (%s, %s, %s, %s, %s, '')",
                (row, provider, name, sealed, data_key),
            )


async def readable(database: str, *keks: bytes) -> int:
    """How many credentials there are; each is opened by a process that has just started with these keys."""
    async with await AsyncConnection.connect(database) as db:
        (provider,) = (await build_catalog(db, Vault(keks))).providers.values()
    assert all(credential.api_key == credential.name for credential in provider.credentials)
    return len(provider.credentials)


async def begin(database: str, vault: Vault) -> str:
    """A rotation to a new data key, as the method begins it."""
    async with await AsyncConnection.connect(database) as db, db.transaction():
        made = await vault.new_data_key(db)
        await postgres.begin(db, uuid7(), Kind.DATA_KEY, made.id, total=0, by="test", at=datetime.now(UTC))
    return made.id


async def until_done(api: Any, kind: str) -> dict[str, Any]:
    """The newest rotation of a kind when it has ended."""
    async with asyncio.timeout(20):
        while True:
            status = (await api.call("GET", "secrets")).body
            found: dict[str, Any] = next(r for r in status["rotations"] if r["kind"] == kind)
            if found["state"] == "done":
                return found
            await asyncio.sleep(0.1)


async def test_every_sealed_column_of_the_schema_is_covered(database: str, sql: Sql) -> None:
    columns = await sql(
        "SELECT table_name, column_name FROM information_schema.columns WHERE table_schema = current_schema() "
        "AND (column_name LIKE '%%sealed%%' OR column_name LIKE '%%data_key%%')"
    )
    assert {table for table, _ in columns} == set(TABLES)
    assert {column for _, column in columns} == {"sealed", "data_key"}
    referring = await sql(
        "SELECT conrelid::regclass::text FROM pg_constraint WHERE confrelid = 'data_keys'::regclass AND contype = 'f'"
    )
    assert {table for (table,) in referring} == set(TABLES), "each refers to its data key, which so cannot be lost"


ROWS = {
    "alert_channels": "INSERT INTO alert_channels (id, name, kind, scope, sealed, data_key) "
    "VALUES (%s, 'a', 'webhook', 'all', %s, %s)",
    "credentials": "INSERT INTO credentials (id, provider_id, name, fingerprint, sealed, data_key) "
    "SELECT %s, id, 'c', '', %s, %s FROM providers",
    "idempotency_records": "INSERT INTO idempotency_records (id, principal, method, request, created_at, answer_until, "
    "expires_at, sealed, data_key) VALUES (%s, 'p', 'm', '', now(), now(), now(), %s, %s)",
    "peppers": "INSERT INTO peppers (id, purpose, sealed, data_key) VALUES (%s, 'digest', %s, %s)",
    "signin_issuers": "INSERT INTO signin_issuers (id, name, issuer, client_id, groups_claim, email_claim, name_claim, "
    "refresh_seconds, sealed, data_key) VALUES (%s, 'i', 'https://i', 'c', 'groups', 'email', 'name', 60, %s, %s)",
    "signin_sessions": "INSERT INTO signin_sessions (id, digest, kind, created_at, seen_at, refreshed_at, expires_at, "
    "sealed, data_key) VALUES (%s, '', 'oidc', now(), now(), now(), now(), %s, %s)",
}


async def test_a_value_of_every_sealed_column_is_sealed_anew_and_opens(database: str, sql: Sql) -> None:
    assert set(ROWS) == set(TABLES)
    vault = Vault([OLD])
    await prepare(database, vault)
    await seed(database, vault, 0)
    rows: dict[str, SealedRow] = {}
    async with await AsyncConnection.connect(database) as db:
        for table, insert in ROWS.items():
            row = SealedRow(id=str(uuid7()), data_key="", sealed=None, purpose="digest")
            data_key, sealed = await vault.seal(db, table.encode(), TABLES[table](row))
            await db.execute(insert.encode(), (row.id, sealed, data_key))
            rows[table] = SealedRow(id=row.id, data_key=data_key, sealed=sealed, purpose="digest")
    target = await begin(database, vault)
    async with working(database, vault) as alone:
        while await alone.step():
            continue
    assert await sql("SELECT state FROM secret_rotations") == [("done",)]
    async with await AsyncConnection.connect(database) as db:
        fresh = Vault([OLD])
        for table, row in rows.items():
            cursor = await db.execute(f"SELECT data_key, sealed FROM {table} WHERE id::text = %s".encode(), (row.id,))
            ((data_key, sealed),) = await cursor.fetchall()
            assert (data_key, sealed != row.sealed) == (target, True)
            assert await fresh.open(db, data_key, sealed, TABLES[table](row)) == table.encode()


@asynccontextmanager
async def load(api: Any) -> AsyncIterator[list[int]]:
    """Statuses of calls that store and replace credentials of the provider `p` without a pause, while this is open."""
    stop = asyncio.Event()
    statuses: list[int] = []

    async def work() -> None:
        while not stop.is_set():
            name = f"c-{len(statuses)}"
            for path, more in (("credentials", {"name": name}), (f"credentials/{name}:rotate", {})):
                answer = await api.call("POST", f"providers/p/{path}", {"api_key": name, **more})
                statuses.append(answer.status)

    working_on = asyncio.create_task(work())
    try:
        yield statuses
    finally:
        stop.set()
        await working_on


async def test_the_data_key_rotates_under_load(api: Any, database: str, sql: Sql, canary: str) -> None:
    await api.call("POST", "providers", {"name": "p", "kind": "openai"})
    channel = {"name": "ops", "kind": "webhook", "url": f"https://example.com/{canary}", "secret": canary}
    assert (await api.call("POST", "alert-channels", channel)).status == 200
    ((first,),) = await sql("SELECT id FROM data_keys")
    async with load(api) as statuses:
        asked = await api.call("POST", "secrets:rotateDataKey", {})
        twice = await api.call("POST", "secrets:rotateDataKey", {})
        assert (asked.status, len(twice.body["rotations"]), len(twice.body["data_keys"])) == (200, 1, 2)
        done = await until_done(api, "data_key")
    assert set(statuses) == {200}
    status = (await api.call("GET", "secrets")).body
    assert {table["name"] for table in status["tables"]} == set(TABLES)
    assert all(table["left"] == "0" for table in status["tables"])
    assert next(table for table in status["tables"] if table["name"] == "alert_channels")["values"] == "1"
    keys = {key["id"]: key for key in status["data_keys"]}
    assert keys[first]["retired_at"] is not None
    assert (keys[done["target"]]["current"], keys[first]["values"]) == (True, "0")
    assert await readable(database, OLD) == len(statuses) // 2
    shown = (await api.call("GET", "audit", None)).body["events"]
    assert {"secrets:data_key"} <= {event["resource"] for event in shown}


async def test_the_key_encryption_key_rotates_over_two_control_planes(
    database: str, sql: Sql, make_settings: Any, make_api: Any
) -> None:
    async with running(make_settings(database, keks=(OLD,))) as plane, contextlib.AsyncExitStack() as opened:
        api = make_api(plane, database)
        opened.push_async_callback(api.close)
        await api.call("POST", "providers", {"name": "p", "kind": "openai"})
        async with running(make_settings(database, keks=(NEW, OLD))) as second:
            other = make_api(second, database)
            opened.push_async_callback(other.close)
            made = await other.call("POST", "providers/p/credentials", {"name": "early", "api_key": "early"})
            assert made.status == 200
            assert await readable(database, OLD) == 1, "not sealed for the new key alone"
            refused = await other.call("POST", "secrets:rotateKek", {})
            assert (refused.status, refused.error["code"]) == (409, "failed_precondition")
            assert "restart them with the new key" in refused.error["message"]
            held = {kek["name"]: kek for kek in (await other.call("GET", "secrets")).body["keks"]}
            assert (len(held), [bool(kek["missing_on"]) for kek in held.values()]) == (2, [True, False])
    async with running(make_settings(database, keks=(NEW, OLD))) as plane:
        api = make_api(plane, database)
        async with load(api) as statuses:
            asked = await api.call("POST", "secrets:rotateKek", {})
            assert asked.status == 200, asked.body
            await until_done(api, "kek")
        keks = (await api.call("GET", "secrets")).body["keks"]
        expected = [(True, False, 1), (False, True, 0)]
        assert [(kek["current"], kek["removable"], kek["data_keys"]) for kek in keks] == expected
        await api.close()
    assert set(statuses) == {200}
    assert await sql("SELECT count(*) FROM data_keys WHERE kek <> %s", Vault([NEW]).fingerprint) == [(0,)]
    assert await readable(database, NEW) == len(statuses) // 2 + 1
    await prepare(database, Vault([NEW]))
    with pytest.raises(StartError, match="which is not in TOLLWAY_KEK"):
        await prepare(database, Vault([OLD]))


async def test_a_rotation_survives_the_death_of_its_process(database: str, sql: Sql) -> None:
    vault = Vault([OLD])
    await prepare(database, vault)
    await seed(database, vault, 23)
    target = await begin(database, vault)
    async with working(database, vault) as first:
        assert await first.step()
        assert await sql("SELECT count(*) FROM credentials WHERE data_key = %s", target) == [(5,)]
        async with await AsyncConnection.connect(database) as other:
            # Its next step stands still in the middle, where it would count what it did.
            await other.execute("LOCK TABLE secret_rotations IN SHARE MODE")
            step = asyncio.create_task(first.step())
            async with asyncio.timeout(5):
                while not await sql("SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = "
                                    "current_database()"):  # fmt: skip
                    await asyncio.sleep(0.02)
            await sql("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND "
                      "datname = current_database()")  # fmt: skip
            with pytest.raises(psycopg.OperationalError):
                await step
        assert await sql("SELECT count(*) FROM credentials WHERE data_key = %s", target) == [(5,)], "nothing half done"
        assert await readable(database, OLD) == 23
    async with working(database, Vault([OLD])) as second, working(database, Vault([OLD])) as third:
        for _ in range(30):
            await asyncio.gather(second.step(), third.step())
            assert await readable(database, OLD) == 23
            if await sql("SELECT 1 FROM secret_rotations WHERE state = 'done'"):
                break
    values = 23 + 2  # the peppers
    assert await sql("SELECT state, changed FROM secret_rotations") == [("done", values)], "each value once"
    assert await sql("SELECT DISTINCT data_key FROM credentials") == [(target,)]


async def test_what_does_not_open_is_named_and_holds_up_nothing_else(database: str, sql: Sql) -> None:
    vault = Vault([OLD])
    await prepare(database, vault)
    await seed(database, vault, 12)
    ((damaged,),) = await sql("UPDATE credentials SET sealed = 'x' WHERE name = 'credential-1' RETURNING id")
    target = await begin(database, vault)
    async with working(database, vault) as alone:
        while await alone.step():
            continue
        await alone.step()
    ((state, problem),) = await sql("SELECT state, problem FROM secret_rotations")
    assert state == "running"
    assert str(damaged) in problem
    assert await sql("SELECT id FROM credentials WHERE data_key <> %s", target) == [(damaged,)]
    assert await sql("SELECT count(*) FROM data_keys WHERE retired_at IS NOT NULL") == [(0,)], "it is still in use"
    await sql("DELETE FROM credentials WHERE id = %s", damaged)
    async with working(database, vault) as alone:
        await alone.step()
    assert await sql("SELECT state, problem FROM secret_rotations") == [("done", "")]


async def test_a_data_key_is_not_retired_under_a_transaction_that_uses_it(
    database: str, sql: Sql, monkeypatch: pytest.MonkeyPatch
) -> None:
    vault = Vault([OLD])
    await prepare(database, vault)
    await seed(database, vault, 1)
    async with working(database, vault) as alone:
        async with await AsyncConnection.connect(database) as writer:
            row = UUID(int=7)
            data_key, sealed = await vault.seal(writer, b"slow", place(row))
            target = await begin(database, vault)
            assert await alone.step()
            waiting = asyncio.create_task(alone.step())
            await asyncio.sleep(0.2)
            assert not waiting.done()
            await writer.execute(
                "INSERT INTO credentials (id, provider_id, name, sealed, data_key, fingerprint) "
                "SELECT %s, id, 'slow', %s, %s, '' FROM providers",
                (row, sealed, data_key),
            )
            await writer.commit()
            await waiting
        assert await sql("SELECT state FROM secret_rotations") == [("running",)]
        while await alone.step():
            continue
        await alone.step()
        assert await sql("SELECT state FROM secret_rotations") == [("done",)]
        assert await sql("SELECT DISTINCT data_key FROM credentials") == [(target,)]
        assert len(await sql("SELECT id FROM data_keys")) == 2, "kept for a while, for who read before"
        monkeypatch.setattr(worker, "RETIRED_SECONDS", 0.0)
        await alone.step()
        assert await sql("SELECT id FROM data_keys") == [(target,)]
    with pytest.raises(VaultError, match="missing"):
        async with await AsyncConnection.connect(database) as db:
            await Vault([OLD]).open(db, data_key, sealed, place(row))
