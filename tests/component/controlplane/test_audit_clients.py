"""The audit log as people use it: what an entry says, export, head and check by command, permissions, the alert."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import re
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
import structlog
from typer.testing import CliRunner, Result

from tollway.cli.main import app
from tollway.controlplane.app import ControlPlane
from tollway.controlplane.db.migrate import connect, migrate
from tollway.sdk.client import AsyncClient
from tollway.testkit.logged_bodies import logged_body, packed
from tollway.testkit.servers import PostgresServer
from tollway.wire.bodies_client import BodyIngestClient
from tollway.wire.bodies_codec import BatchPacker
from tollway.wire.contract import METHODS, message_types

ADMIN = "admin-token-canary-4711"
JOIN = "join-token-canary-4711"
GUIDE = Path(__file__).parents[3] / "docs" / "guide" / "audit.md"
Tollway = Callable[..., Awaitable[Result]]


def recomputed(folder: Path, exported: str) -> subprocess.CompletedProcess[str]:
    """What the guide's example, which needs nothing but the export, says of it."""
    (folder / "audit.jsonl").write_text(exported)
    command = [sys.executable, "-c", block("python")]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


def block(language: str) -> str:
    """The one example in that language of the guide."""
    (found,) = re.findall(rf"^```{language}\n(.*?)^```", GUIDE.read_text(), re.MULTILINE | re.DOTALL)
    return str(found)


@pytest.fixture
def tollway(api: Any, tmp_path: Path) -> Iterator[Tollway]:
    """Runs a command in this process, whose own log is kept off its output."""
    token = tmp_path / "token"
    token.write_text(ADMIN)

    async def run(*arguments: str) -> Result:
        line = ["--url", api.base, "--token-file", str(token), *arguments]
        return await asyncio.to_thread(CliRunner().invoke, app, line)

    before = structlog.get_config()
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    yield run
    structlog.configure(**before)


async def tamper(api: Any, *statements: str) -> None:
    """What a superuser can do by hand."""
    for table in ("audit_events", "audit_heads"):
        await api.sql(f"ALTER TABLE {table} DISABLE TRIGGER USER")
    for statement in statements:
        await api.sql(statement)


async def test_an_entry_says_who_what_why_and_from_where(api: Any, tollway: Tollway) -> None:
    why = ["--reason", "für Anna,\nsecret sk-ant-0123456789abcdef0123"]
    assert (await tollway(*why, "projects", "create", "shop")).exit_code == 0
    contract = METHODS["tollway.control.v1.ProjectService/CreateProject"]
    await api.rpc("ProjectService/CreateProject", contract.request(name="other"), x_tollway_reason="by gRPC")
    made = json.loads((await tollway("audit", "list", "--resource", "project:shop", "-o", "json")).stdout)
    (entry,) = made
    said = {name: entry[name] for name in ("actor_kind", "method", "action", "source", "agent", "transport", "reason")}
    assert said == {
        "actor_kind": "bootstrap",
        "method": "ProjectService/CreateProject",
        "action": "projects.create",
        "source": "127.0.0.1",
        "agent": "cli",
        "transport": "rest",
        "reason": "für Anna, secret sk-ant-…",
    }
    assert entry["actor"]
    assert json.loads(entry["after"])["name"] == "shop"
    assert entry["before"] == ""
    async with AsyncClient(api.base, ADMIN) as client:
        (second,) = [e async for e in client.audit_log.entries(method="ProjectService/CreateProject", limit=1)]
        assert (second.agent, second.transport, second.reason) == ("grpc", "grpc", "by gRPC")
        for filters in ({"actor": entry["actor"]}, {"action": "projects.create"}, {"start": second.at}):
            assert second.id in [e.id async for e in client.audit_log.entries(**filters)]
        for filters in ({"actor": "nobody"}, {"request_id": entry["request_id"]}, {"end": second.at}, {"after": 2}):
            assert second.id not in [e.id async for e in client.audit_log.entries(**filters)]


def test_no_method_shows_bodies_without_leaving_an_entry() -> None:
    """Read-only methods run in a transaction that cannot write, so what shows a prompt must not be one of them."""
    shown = {
        method.name: method.read_only
        for method in METHODS.values()
        if "tollway.control.v1.LoggedMessage" in message_types(iter([method.response.DESCRIPTOR]))
    }
    assert shown == {"tollway.control.v1.RequestLogService/GetLoggedRequest": False}


async def test_reading_a_logged_prompt_is_one_link_of_the_chain(api: Any, canary: str) -> None:
    body = logged_body(int(time.time() * 1000), content=packed(f'{{"prompt": "{canary}"}}', "{}"))
    await BodyIngestClient(api.channel, JOIN).store("dp-1", [BatchPacker().pack([body])], 0)
    async with AsyncClient(api.base, ADMIN) as client:
        assert canary in (await client.request_log.read(body.request_id)).request.body
        (entry,) = [e async for e in client.audit_log.entries(action="requestlog.read_bodies")]
        assert (entry.resource, entry.agent) == (f"request_log:{body.request_id}", "sdk")
        assert [piece.found async for piece in client.audit_log.verify()] == [0]
        assert canary not in repr(entry)


async def test_export_head_and_check_by_command(api: Any, tollway: Tollway, tmp_path: Path) -> None:
    assert (await tollway("audit", "verify")).exit_code == 0
    for name in ("=one", "two", "three"):
        await api.call("POST", "projects", {"name": name.strip("="), "description": name})
    exported = await tollway("audit", "export")
    entries = [json.loads(line) for line in exported.stdout.splitlines()]
    assert [entry["seq"] for entry in entries] == [1, 2, 3]
    assert "goes on with --after 3" in exported.stderr
    assert (await tollway("audit", "export", "--after", "3")).stdout == ""
    table = list(csv.DictReader(io.StringIO((await tollway("audit", "export", "--format", "csv")).stdout)))
    assert [row["hash"] for row in table] == [entry["hash"] for entry in entries]
    head = (await tollway("audit", "head")).stdout.strip()
    assert head == f"3:{entries[-1]['hash']}"
    assert f"head {head}" in (await tollway("audit", "verify", "--expect", head)).stderr
    # The example of the guide needs nothing but the export.
    (tmp_path / "audit.jsonl").write_text(exported.stdout)
    done = subprocess.run(
        [sys.executable, "-c", block("python")], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == head
    await tamper(api, "UPDATE audit_events SET actor = 'eve' WHERE seq = 2")
    broken = await tollway("audit", "verify")
    assert broken.exit_code == 1
    assert "changed" in broken.stdout
    (tmp_path / "audit.jsonl").write_text((await tollway("audit", "export")).stdout)
    failed = subprocess.run(
        [sys.executable, "-c", block("python")], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert "entry 2 is not what was written" in failed.stderr
    for wrong in ("--expect=12", "--expect=1:xyz"):
        assert (await tollway("audit", "verify", wrong)).exit_code == 1
    assert (await api.call("GET", "audit:verify?page_token=bm9uc2Vuc2U")).status == 400


async def test_the_check_that_runs_by_itself_raises_an_alert(api: Any) -> None:
    watch = api.plane.audit
    for name in ("one", "two", "three"):
        await api.call("POST", "projects", {"name": name})
    found = await watch.look()
    assert (found.verified, found.found) == (3, 0)
    await api.call("POST", "projects", {"name": "four"})
    assert (await watch.look()).verified == 1, "only what is new"
    assert (await watch.look()).verified == 0
    cut = "DELETE FROM audit_events WHERE seq = 4"
    back = "UPDATE audit_heads SET (seq, hash) = (SELECT seq, hash FROM audit_events ORDER BY seq DESC LIMIT 1)"
    # Even what the database says of earlier checks is gone: the process remembers.
    await tamper(api, cut, back, "DELETE FROM audit_checks")
    assert [problem.kind for problem in (await watch.look()).problems] == ["truncated"]
    assert watch.counters.problems == 1
    for _ in range(2):
        await api.plane.alerts.evaluate()
    (alert,) = (await api.call("GET", "alerts?kind=audit_broken")).body["alerts"]
    assert (alert["severity"], alert["details"]["seq"]) == ("critical", "4")
    # Once a day it begins with the first entry.
    await tamper(api, "UPDATE audit_events SET actor = 'eve' WHERE seq = 1")
    assert [problem.seq for problem in (await watch.look()).problems] == [4], "what was found is not forgotten"
    await tamper(api, "UPDATE audit_checks SET checked_at = checked_at - interval '25 hours'")
    assert [problem.seq for problem in (await watch.look()).problems] == [4, 1]


@pytest.fixture
async def application(postgres: PostgresServer, make_settings: Any, make_api: Any) -> AsyncIterator[Any]:
    """A control plane on a database whose owner is an ordinary role, which also ran the migrations."""
    url = postgres.create_database()
    name = urlsplit(url).path.lstrip("/")
    with psycopg.connect(url, autocommit=True) as db:
        db.execute("DO $$ BEGIN CREATE ROLE tollway LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$")
        db.execute(f'ALTER DATABASE "{name}" OWNER TO tollway'.encode())
    own = url.replace("postgres@", "tollway@")
    assert own != url
    await migrate(own)
    plane = ControlPlane(make_settings(own))
    await plane.start()
    api = make_api(plane, own)
    yield api, url
    await api.close()
    await plane.stop()


async def test_the_applications_own_role_cannot_change_an_entry(application: Any) -> None:
    api, superuser = application
    assert (await api.call("POST", "projects", {"name": "one"})).status == 200
    refused = ["UPDATE audit_events SET actor = 'eve'", "DELETE FROM audit_events", "TRUNCATE audit_events"]
    refused += ["DELETE FROM audit_heads", "TRUNCATE audit_heads", "UPDATE audit_heads SET seq = 0"]
    for statement in refused:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            await api.sql(statement)
    # The owner can give itself what it lacks: the guide says how to take that away too.
    with psycopg.connect(superuser, autocommit=True) as db:
        db.execute("DROP ROLE IF EXISTS tollway_audit")
        db.execute(block("sql").encode())
    await api.sql("GRANT ALL ON audit_events, audit_heads TO tollway")  # only warns that it grants nothing
    refused += ["ALTER TABLE audit_events DISABLE TRIGGER ALL"]
    harmless = "CREATE OR REPLACE FUNCTION audit_refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'"
    refused += ["DROP TRIGGER audit_refuse ON audit_events", harmless, "UPDATE audit_heads SET hash = sha256('x')"]
    try:
        for statement in refused:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                await api.sql(statement)
        await migrate(api.database_url)
        assert (await api.call("POST", "projects", {"name": "two"})).status == 200
        answer = (await api.call("GET", "audit:verify")).body
        assert (answer["verified"], answer["found"]) == ("2", "0")
        assert (await api.plane.audit.look()).found == 0
    finally:
        async with await connect(superuser) as db:  # roles are of the whole server, which other tests use
            await db.execute("REASSIGN OWNED BY tollway_audit TO tollway")
            await db.execute("DROP OWNED BY tollway_audit")
            await db.execute("DROP ROLE tollway_audit")
