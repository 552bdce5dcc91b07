"""The one way in: permission, field rules, transaction, audit and version, on a real Postgres."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import msgspec
import psycopg
import pytest

from tollway.controlplane.api.dispatcher import CallContext, Dispatcher
from tollway.controlplane.api.telemetry import Telemetry
from tollway.controlplane.call import ApiCode, ApiError, Call, Method, Principal
from tollway.controlplane.credentials.vault import Vault
from tollway.controlplane.db.pool import Pool, create_pool
from tollway.controlplane.db.versions import ensure_installation, installation
from tollway.controlplane.identity.model import CreateProjectRequest, Project
from tollway.controlplane.identity.service import create_project, ensure_defaults
from tollway.runtime.clock import SystemClock
from tollway.wire.contract import METHODS

CREATE = METHODS["tollway.control.v1.ProjectService/CreateProject"]
GET = METHODS["tollway.control.v1.ProjectService/GetProject"]
ADMIN = Principal(name="admin")
CONTEXT = CallContext(request_id="req-1", source="10.1.2.3", reason="because")
Handler = Callable[[Call, Any], Awaitable[Any]]
Invoke = Callable[..., Awaitable[Any]]


@pytest.fixture
async def pool(database: str) -> AsyncIterator[Pool]:
    async with create_pool(database, 8) as opened:
        async with opened.connection() as db, db.transaction():
            await ensure_installation(db, ensure_defaults)
        yield opened


@pytest.fixture
def invoke(pool: Pool) -> Invoke:
    """Runs `handler` as ProjectService/CreateProject, or as `contract` with the struct `request`."""

    async def run(
        handler: Handler = create_project,
        *,
        contract: Any = CREATE,
        request: type = CreateProjectRequest,
        principal: Principal = ADMIN,
        context: CallContext = CONTEXT,
        **fields: Any,
    ) -> Any:
        methods = {contract.name: Method(request, handler)}
        dispatcher = Dispatcher(pool, methods, SystemClock(), Vault([b"k" * 32]), Telemetry())
        return await dispatcher.invoke(principal, contract, contract.request(**fields), context)

    return run


async def ask(pool: Pool, query: str) -> list[tuple[Any, ...]]:
    async with pool.connection() as db:
        return await (await db.execute(query.encode())).fetchall()


async def test_a_call_changes_audits_and_publishes(invoke: Invoke, pool: Pool) -> None:
    before = (await ask(pool, "SELECT version FROM installation"))[0][0]
    answer = await invoke(name="retail-bot")
    assert answer.name == "retail-bot"
    events = await ask(
        pool, "SELECT actor, action, resource, source, request_id, reason, after->>'name' FROM audit_events"
    )
    assert events == [("admin", "projects.create", "project:retail-bot", "10.1.2.3", "req-1", "because", "retail-bot")]
    assert await ask(pool, "SELECT version FROM installation") == [(before + 1,)]
    assert await ask(pool, f"SELECT kind FROM change_log WHERE version = {before + 1}") == [("catalog",)]


async def test_who_lacks_the_permission_is_refused_and_nothing_happens(invoke: Invoke, pool: Pool) -> None:
    reader = Principal(name="reader", permissions=frozenset({"projects.read"}))
    with pytest.raises(ApiError, match=r"projects\.create") as failed:
        await invoke(principal=reader, name="retail-bot")
    assert failed.value.code is ApiCode.PERMISSION_DENIED
    assert await ask(pool, "SELECT count(*) FROM projects") == [(0,)]
    creator = Principal(name="creator", permissions=frozenset({"projects.create"}))
    assert (await invoke(principal=creator, name="retail-bot")).name == "retail-bot"


@pytest.mark.parametrize(
    ("fields", "path"),
    [
        ({"name": "Not Allowed"}, "name"),
        ({"name": "x", "description": "d" * 1001}, "description"),
        ({"name": "x", "models": ["a", ""]}, "models[1]"),
        ({"name": "x", "description": "a\0b"}, "description"),
        ({"name": "x", "models": ["ok", "a\0b"]}, "models[1]"),
    ],
)
async def test_a_broken_rule_names_its_field(invoke: Invoke, fields: dict[str, Any], path: str) -> None:
    with pytest.raises(ApiError) as failed:
        await invoke(**fields)
    assert (failed.value.code, failed.value.field) == (ApiCode.INVALID, path)


async def test_change_audit_and_version_are_undone_together(invoke: Invoke, pool: Pool) -> None:
    before = await ask(pool, "SELECT version FROM installation")

    async def fails(call: Call, request: CreateProjectRequest) -> Project:
        await create_project(call, request)
        raise ApiError(ApiCode.FAILED_PRECONDITION, "not today")

    with pytest.raises(ApiError, match="not today"):
        await invoke(fails, name="retail-bot")
    for table in ("projects", "audit_events"):
        assert await ask(pool, f"SELECT count(*) FROM {table}") == [(0,)]
    assert await ask(pool, "SELECT version FROM installation") == before


async def test_an_audit_entry_that_cannot_be_written_undoes_the_change(invoke: Invoke, pool: Pool) -> None:
    async with pool.connection() as db:
        await db.execute("ALTER TABLE audit_events ADD CONSTRAINT broken CHECK (actor <> 'admin')")
    with pytest.raises(psycopg.errors.CheckViolation):
        await invoke(name="retail-bot")
    assert await ask(pool, "SELECT count(*) FROM projects") == [(0,)]


async def test_secrets_do_not_reach_the_audit_log(invoke: Invoke, pool: Pool, canary: str) -> None:
    async def careless(call: Call, request: CreateProjectRequest) -> Project:
        project = await create_project(call, request)
        call.audit("key:a/b", {"key": {"secret": canary}}, {"credentials": [{"name": "main", "api_key": canary}]})
        return project

    await invoke(careless, name="retail-bot")
    rows = await ask(pool, "SELECT before::text, after::text FROM audit_events WHERE resource = 'key:a/b'")
    assert rows == [('{"key": {"secret": "********"}}', '{"credentials": [{"name": "main", "api_key": "********"}]}')]


class _Named(msgspec.Struct):
    project: str


async def test_a_method_that_reads_cannot_write(invoke: Invoke, pool: Pool) -> None:
    await invoke(name="stays")

    async def writes(call: Call, _request: _Named) -> None:
        await call.db.execute("UPDATE projects SET description = 'changed'")

    with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
        await invoke(writes, contract=GET, request=_Named, project="stays")
    assert await ask(pool, "SELECT description FROM projects") == [("",)]


async def test_a_lost_race_is_tried_once_more_with_a_fresh_call(invoke: Invoke, pool: Pool) -> None:
    calls = []

    async def unlucky(call: Call, request: CreateProjectRequest) -> Project:
        calls.append(call)
        project = await create_project(call, request)
        if len(calls) == 1:
            raise psycopg.errors.SerializationFailure("in the way")
        return project

    await invoke(unlucky, name="retail-bot")
    assert len(calls) == 2
    assert await ask(pool, "SELECT count(*) FROM audit_events") == [(1,)]

    async def always(call: Call, request: CreateProjectRequest) -> Project:
        raise psycopg.errors.DeadlockDetected("in the way")

    with pytest.raises(ApiError, match="another change was in the way") as failed:
        await invoke(always, name="other")
    assert failed.value.code is ApiCode.UNAVAILABLE


async def test_versions_are_in_commit_order_however_transactions_interleave(invoke: Invoke, pool: Pool) -> None:
    """The one that began first and commits last gets the later version, and its rows are never seen before it."""
    first_wrote, second_done = asyncio.Event(), asyncio.Event()

    async def slow(call: Call, request: CreateProjectRequest) -> Project:
        project = await create_project(call, request)
        first_wrote.set()
        await second_done.wait()
        return project

    start = (await ask(pool, "SELECT version FROM installation"))[0][0]

    async def second() -> None:
        await first_wrote.wait()
        await invoke(name="second")
        assert await ask(pool, "SELECT version FROM installation") == [(start + 1,)]
        assert await ask(pool, "SELECT name FROM projects") == [("second",)]
        second_done.set()

    await asyncio.gather(invoke(slow, name="first"), second())
    assert await ask(pool, "SELECT version FROM installation") == [(start + 2,)]


async def test_a_version_is_visible_only_with_everything_before_it(invoke: Invoke, pool: Pool) -> None:
    """A reader that polls while many calls commit never sees a version without the rows of all versions below."""
    done = asyncio.Event()
    seen: list[tuple[int, int]] = []
    start = (await ask(pool, "SELECT version FROM installation"))[0][0]

    async def watch() -> None:
        while not done.is_set():
            seen.extend(await ask(pool, "SELECT version, (SELECT count(*) FROM projects) FROM installation"))
            await asyncio.sleep(0)

    async def change() -> None:
        await asyncio.gather(*(invoke(name=f"p{n}-{os.urandom(3).hex()}") for n in range(40)))
        done.set()

    await asyncio.gather(watch(), change())
    assert [pair for pair in seen if pair[0] - start != pair[1]] == []
    assert (await ask(pool, "SELECT version FROM installation"))[0][0] == start + 40


async def test_a_restored_copy_begins_a_new_epoch(pool: Pool, database: str) -> None:
    async def start() -> tuple[str, int]:
        async with pool.connection() as db, db.transaction():
            await ensure_installation(db, ensure_defaults)
            found = await installation(db)
            return found.epoch, found.version

    here = await start()
    assert await start() == here
    async with pool.connection() as db:
        await db.execute("UPDATE installation SET origin = '1/1/1'")
    epoch, version = await start()
    assert epoch != here[0]
    assert version == here[1] + 1
