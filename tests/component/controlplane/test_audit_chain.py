"""The chain of the audit log on a real Postgres: whatever a superuser does to it by hand, the check finds."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg
import pytest
from psycopg import AsyncConnection

from tollway.controlplane.api.dispatcher import CallContext, Dispatcher
from tollway.controlplane.api.telemetry import Telemetry
from tollway.controlplane.audit.model import Change, Origin, VerifyAuditRequest, VerifyAuditResponse
from tollway.controlplane.audit.service import append
from tollway.controlplane.audit.verify import verify_audit
from tollway.controlplane.audit.watch import AuditWatch, accept_earlier, accept_growth
from tollway.controlplane.call import Call, Method, Principal
from tollway.controlplane.credentials.vault import Vault
from tollway.controlplane.db.migrate import connect, migrate, shipped
from tollway.controlplane.db.pool import create_pool
from tollway.controlplane.db.versions import ensure_installation
from tollway.controlplane.identity.model import CreateProjectRequest
from tollway.controlplane.identity.service import create_project, ensure_defaults
from tollway.runtime.clock import SystemClock
from tollway.testkit.servers import PostgresServer
from tollway.wire.contract import METHODS

ENTRIES = 8
ORIGIN = Origin(
    actor="ana@example.com", actor_kind="user", actor_id="7", method="KeyService/RevokeKey", action="keys.revoke",
    reason="left the team", source="10.1.2.3", agent="cli", transport="rest", request_id="req-1",
)  # fmt: skip
OLD_INSERT = (
    "INSERT INTO audit_events (id, actor, action, resource, after) "
    "VALUES (gen_random_uuid(), 'administrator', 'keys.create', 'key:a/b', '{\"ü\": 1.50}')"
)
Db = AsyncConnection[Any]


@pytest.fixture
def vault() -> Vault:
    return Vault([b"k" * 32])


async def check(db: Db, vault: Vault, **asked: Any) -> VerifyAuditResponse:
    call = Call(principal=Principal(name="auditor"), db=db, clock=SystemClock(), sealing=vault)
    return await verify_audit(call, VerifyAuditRequest(**asked))


async def kinds(db: Db, vault: Vault, **asked: Any) -> set[str]:
    return {problem.kind for problem in (await check(db, vault, **asked)).problems}


@pytest.fixture
async def chain(database: str, vault: Vault) -> AsyncIterator[Db]:
    """A connection to a log of some entries, where the triggers that refuse changes are off."""
    async with await connect(database) as db:
        async with db.transaction():
            for n in range(ENTRIES // 2):
                changes = [Change(f"key:b/{n}"), Change(f"key:a/{n}", {"n": n}, {"n": [n, 1.50, "ü"]})]
                await append(db, vault, ORIGIN, changes)
        assert (await check(db, vault)).verified == ENTRIES
        assert await kinds(db, vault) == set()
        await db.execute("ALTER TABLE audit_events DISABLE TRIGGER USER")
        await db.execute("ALTER TABLE audit_heads DISABLE TRIGGER USER")
        yield db


class _Undo(Exception):
    """Ends a transaction without a trace."""


async def after(db: Db, vault: Vault, *statements: str, **asked: Any) -> set[str]:
    """What the check finds after `statements`, which are undone."""
    found: set[str] = set()
    try:
        async with db.transaction():
            for statement in statements:
                await db.execute(statement.encode())
            found = await kinds(db, vault, **asked)
            raise _Undo
    except _Undo:
        return found


OTHER_VALUE = {
    "text": "{0} || 'x'",
    "uuid": "gen_random_uuid()",
    "timestamp with time zone": "{0} + interval '1 microsecond'",
    "bigint": "{0} + 1000",
    "jsonb": "'{{\"x\": 1}}'",
    "bytea": "sha256({0})",
}


async def test_a_change_of_any_column_is_found(chain: Db, vault: Vault) -> None:
    columns = await (
        await chain.execute(
            "SELECT column_name, data_type, is_nullable FROM information_schema.columns "
            "WHERE table_name = 'audit_events'"
        )
    ).fetchall()
    assert len(columns) == 19
    for name, kind, nullable in columns:
        values = [OTHER_VALUE[kind].format(name), *(["NULL"] if nullable == "YES" else [])]
        for value in values:
            for seq in (2, 4, ENTRIES):
                found = await after(chain, vault, f"UPDATE audit_events SET {name} = {value} WHERE seq = {seq}")
                assert found, (name, value, seq)
    assert await kinds(chain, vault) == set()


REHASH = """
DO $$ DECLARE e audit_events; prior bytea := (SELECT hash FROM audit_events WHERE seq = 3); BEGIN
FOR e IN SELECT * FROM audit_events WHERE seq > 3 ORDER BY seq LOOP
    prior := audit_hash(prior, e); UPDATE audit_events SET hash = prior WHERE seq = e.seq; END LOOP;
UPDATE audit_heads SET hash = prior; END $$"""
SET_BACK = "UPDATE audit_heads SET (seq, hash) = (SELECT seq, hash FROM audit_events ORDER BY seq DESC LIMIT 1)"
CHECKED = (
    "INSERT INTO audit_checks (organisation, checked_at, whole, from_seq, to_seq, hash, found) "
    "SELECT organisation, clock_timestamp(), true, 1, seq, hash, 0 FROM audit_heads"
)
CHECKED_BADLY = (
    "INSERT INTO audit_checks (organisation, checked_at, whole, from_seq, to_seq, hash, found) "
    "SELECT organisation, clock_timestamp(), true, 1, seq, hash, 1 FROM audit_events WHERE seq = 6"
)
FORGED = (
    "INSERT INTO audit_events (id, organisation, seq, at, actor, action, resource, hash, seal) "
    "SELECT gen_random_uuid(), 'default', seq + 1, now(), 'eve', 'keys.create', 'x', sha256('x'), sha256('y') "
    "FROM audit_heads"
)


async def test_missing_moved_added_and_rewritten_entries_are_found(chain: Db, vault: Vault) -> None:
    async def found(*statements: str, **asked: Any) -> set[str]:
        return await after(chain, vault, *statements, **asked)

    head = (await check(chain, vault)).hash
    assert await found("DELETE FROM audit_events WHERE seq = 4") == {"missing"}
    assert await found("DELETE FROM audit_events WHERE seq = 1") == {"missing"}
    assert await found("DELETE FROM audit_events WHERE seq > 6") == {"truncated"}
    assert await found("TRUNCATE audit_events") == {"truncated"}
    swap = (
        "UPDATE audit_events SET seq = -seq WHERE seq IN (3, 6)",
        "UPDATE audit_events SET seq = 9 + seq WHERE seq < 0",
    )
    assert await found(*swap) == {"changed"}
    content = (
        "UPDATE audit_events a SET resource = b.resource FROM audit_events b WHERE (a.seq, b.seq) IN ((3, 6), (6, 3))"
    )
    assert await found(content) == {"changed"}
    # New hashes can be made by anyone who can read how; new seals cannot.
    rewritten = await found("UPDATE audit_events SET actor = 'bob' WHERE seq = 4", REHASH)
    assert rewritten == {"forged"}
    assert await found("DELETE FROM audit_events WHERE seq = 4", "UPDATE audit_events SET seq = seq - 1 WHERE seq = 5")
    assert await found("ALTER TABLE audit_events ENABLE TRIGGER audit_chain", OLD_INSERT) == {"unsealed"}
    assert await found(FORGED) == {"head"}
    assert await found(FORGED, SET_BACK) == {"changed", "forged"}
    stripped = await found("UPDATE audit_events SET seal = NULL")
    assert stripped == {"unsealed"}
    # That the end was cut off and the head set back is known to the checks that have seen it; and to a kept head.
    cut = ("DELETE FROM audit_events WHERE seq > 6", SET_BACK)
    assert await found(*cut) == set(), "nobody has seen the end"
    assert await found(CHECKED, *cut) == {"truncated"}
    assert await found(CHECKED) == set()
    assert await found(CHECKED, "UPDATE audit_checks SET hash = sha256('x')") == {"rewritten"}
    later = ("UPDATE audit_checks SET checked_at = checked_at - interval '1 hour'", CHECKED_BADLY)
    assert await found(CHECKED, *later, *cut) == {"truncated"}, "a later check that was told of the cut hides nothing"
    assert await found(*cut, expect=f"{ENTRIES}:{head}") == {"truncated"}
    assert await found(expect=f"{ENTRIES}:{head}") == set()
    assert await found(expect=f"3:{head}") == {"rewritten"}
    assert await found("UPDATE audit_heads SET hash = sha256('x')") == {"head"}
    assert await found("UPDATE audit_heads SET seq = 7") == {"head"}
    assert await found("UPDATE audit_heads SET seq = 9") == {"truncated"}


async def test_a_period_begins_and_ends_where_it_says(chain: Db, vault: Vault) -> None:
    (at,) = (await (await chain.execute("SELECT at FROM audit_events WHERE seq = 5")).fetchone()) or (None,)
    found = await check(chain, vault, from_=at)
    assert (found.verified, found.seq, found.found) == (4, ENTRIES, 0)
    found = await check(chain, vault, to=at)
    assert (found.verified, found.seq, found.found) == (4, 4, 0)
    later = datetime(2100, 1, 1, tzinfo=UTC)
    found = await check(chain, vault, from_=later)
    assert (found.verified, found.found) == (0, 0)
    await chain.execute("DELETE FROM audit_events WHERE seq = 4")
    assert await kinds(chain, vault, from_=at) == {"missing"}
    assert await kinds(chain, vault, to=at) == set()


async def test_pieces_go_on_where_they_stopped(chain: Db, vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tollway.controlplane.audit.verify.PIECE", 3)
    monkeypatch.setattr("tollway.controlplane.audit.verify.ROWS", 2)
    await chain.execute("UPDATE audit_events SET actor = 'eve' WHERE seq IN (4, 7)")
    token, sizes, wrong = "", list[int](), list[int]()
    while not sizes or token:
        piece = await check(chain, vault, page_token=token)
        sizes.append(piece.verified)
        wrong += [problem.seq for problem in piece.problems]
        token = piece.next_page_token
    assert (sizes, wrong) == ([3, 3, 2], [4, 7])


async def test_fifty_changes_at_once_over_two_pools_make_one_chain(database: str, vault: Vault) -> None:
    contract = METHODS["tollway.control.v1.ProjectService/CreateProject"]
    async with create_pool(database, 8) as first, create_pool(database, 8) as second:
        async with first.connection() as db, db.transaction():
            await ensure_installation(db, ensure_defaults)

        async def change(n: int) -> None:
            methods = {contract.name: Method(CreateProjectRequest, create_project)}
            plane = Dispatcher((first, second)[n % 2], methods, SystemClock(), vault, Telemetry())
            context = CallContext(request_id=f"req-{n}", agent="tollway-cli", transport="rest")
            await plane.invoke(Principal(name="ana"), contract, contract.request(name=f"p{n}"), context)

        await asyncio.gather(*(change(n) for n in range(50)))
        async with first.connection() as db:
            found = await check(db, vault)
            rows = await (await db.execute("SELECT seq, at, request_id FROM audit_events ORDER BY seq")).fetchall()
    assert (found.verified, found.unproven, found.found) == (50, 0, 0)
    assert [row[0] for row in rows] == list(range(1, 51))
    assert {row[2] for row in rows} == {f"req-{n}" for n in range(50)}
    assert sorted(row[1] for row in rows) == [row[1] for row in rows]


async def test_entries_of_the_release_before_are_chained_as_unproven(postgres: PostgresServer, vault: Vault) -> None:
    url = postgres.create_database()
    await migrate(url, migrations=[m for m in shipped() if m.number < 16])
    now = datetime.now(UTC)
    async with await connect(url) as db:
        for _ in range(3):
            await db.execute(OLD_INSERT.encode())
        await migrate(url)
        assert await accept_earlier(db, vault, now) == 0
        assert await kinds(db, vault) == {"unsealed", "unmarked"}, "a process does not vouch by itself"
        assert await accept_earlier(db, vault, now, vouch=True) == 3

        async def found() -> tuple[int, int, int]:
            piece = await check(db, vault)
            return piece.verified, piece.unproven, piece.found

        assert await found() == (3, 3, 0)
        async with db.transaction():
            await append(db, vault, ORIGIN, [Change("key:a/b")])
        await db.execute(OLD_INSERT.encode())  # a process of the release before, while the upgrade is under way
        assert await found() == (5, 4, 1), "told of before it is accepted"
        assert await accept_growth(db, vault, now + timedelta(hours=23)) == 5
        assert await found() == (5, 4, 0)
        await db.execute(OLD_INSERT.encode())
        assert await accept_growth(db, vault, now + timedelta(hours=25)) == 0
        assert await found() == (6, 5, 1)
        assert await kinds(db, vault) == {"unsealed"}
        # Nobody without the key can extend what is accepted, and what was accepted cannot be changed.
        await db.execute("UPDATE audit_heads SET unproven_to = 6")
        assert await kinds(db, vault) == {"unsealed", "unmarked"}
        await db.execute("ALTER TABLE audit_events DISABLE TRIGGER USER")
        assert "changed" in await after(db, vault, "UPDATE audit_events SET actor = 'eve' WHERE seq = 2")


REWRITTEN = (
    "UPDATE audit_heads SET unproven_to = 0, unproven_until = NULL, unproven_seal = NULL",
    "DO $$ DECLARE e audit_events; prior bytea := decode(repeat('00', 32), 'hex'); BEGIN "
    "FOR e IN SELECT * FROM audit_events ORDER BY seq LOOP e.actor := 'nobody'; prior := audit_hash(prior, e); "
    "UPDATE audit_events SET actor = 'nobody', seal = NULL, hash = prior WHERE id = e.id; END LOOP; "
    "UPDATE audit_heads SET hash = prior; END $$",
)


async def test_a_log_made_anew_without_seals_is_not_accepted(chain: Db, vault: Vault) -> None:
    for statement in REWRITTEN:
        await chain.execute(statement.encode())
    await accept_earlier(chain, vault, datetime.now(UTC))  # what every start does
    assert await accept_growth(chain, vault, datetime.now(UTC)) == 0
    assert await kinds(chain, vault) == {"unsealed", "unmarked"}


async def test_what_was_written_anew_is_told_of_at_every_look(chain: Db, vault: Vault, database: str) -> None:
    async with create_pool(database, 2) as pool:
        watch = AuditWatch(pool, vault, SystemClock())
        first = await watch.look()
        assert first is not None
        assert first.found == 0
        for statement in REWRITTEN:
            await chain.execute(statement.encode())
        for again in (watch, watch, AuditWatch(pool, vault, SystemClock())):
            found = await again.look()
            assert found is not None
            assert {"rewritten", "unmarked"} <= {problem.kind for problem in found.problems}
    kept = await (await chain.execute("SELECT count(*) FROM audit_checks WHERE found > 0")).fetchall()
    assert kept == [(2,)], "of one process the same is kept once in an hour"


async def test_a_superuser_who_did_not_switch_it_off_is_refused_too(database: str) -> None:
    async with await connect(database) as db:
        await db.execute("SET session_replication_role = replica")
        for statement in ("UPDATE audit_events SET actor = 'x'", "DELETE FROM audit_events", "TRUNCATE audit_events"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege, match="the audit log only grows"):
                await db.execute(statement.encode())
