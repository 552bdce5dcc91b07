"""The database goes away and comes back; the process starts, refuses to start, and stops as it should."""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import aiohttp
import pytest

from tollway.controlplane.app import ControlPlane
from tollway.controlplane.db.migrate import connect, migrate, shipped
from tollway.controlplane.settings import Settings
from tollway.testkit.ledger_rows import request_row
from tollway.testkit.servers import PostgresServer
from tollway.testkit.stack import Service
from tollway.wire.client import ConfigPushClient, UsageIngestClient
from tollway.wire.client import connect as channel
from tollway.wire.usage_codec import encode_row

MakeSettings = Callable[..., Settings]


@pytest.fixture
def mortal(tmp_path: Path) -> Iterator[PostgresServer]:
    """A server of this test's own, which can be killed."""
    server = PostgresServer(tmp_path / "postgres").start()
    yield server
    server.stop()


async def test_an_outage_is_said_quickly_and_ends_by_itself(
    mortal: PostgresServer, make_settings: MakeSettings
) -> None:
    await migrate(mortal.url)
    plane = ControlPlane(make_settings(mortal.url))
    await plane.start()
    url = f"http://127.0.0.1:{plane.ports['control']}"
    grpc = channel(f"127.0.0.1:{plane.ports['grpc']}")
    headers = {"Authorization": "Bearer admin-token-canary-4711"}
    async with aiohttp.ClientSession(headers=headers) as session:

        async def status() -> int:
            async with session.get(f"{url}/api/v1/projects") as response:
                body = await response.json()
                if response.status == 503:
                    assert body["error"]["code"] == "unavailable"
                    assert response.headers["Retry-After"] == "1"
                return response.status

        assert await status() == 200
        await asyncio.to_thread(mortal.kill)
        seconds = []
        for _ in range(3):
            begun = time.monotonic()
            assert await status() == 503
            seconds.append(time.monotonic() - begun)
        assert seconds[0] < 4
        assert max(seconds[1:]) < 1.5
        with pytest.raises(ConnectionError, match="UNAVAILABLE: the database does not answer"):
            await UsageIngestClient(grpc, "join-token-canary-4711").ingest("dp", [encode_row(request_row())])
        async with session.get(f"{url}/readyz") as response:
            assert response.status == 503
        async with session.get(f"{url}/livez") as response:
            assert response.status == 200
        await asyncio.to_thread(mortal.start)
        begun = time.monotonic()
        while await status() != 200:
            assert time.monotonic() - begun < 5
        assert (
            await UsageIngestClient(grpc, "join-token-canary-4711").ingest("dp", [encode_row(request_row())])
        ).inserted == 1
    await grpc.close()
    await plane.stop()


def environment(url: str, **changed: str) -> dict[str, str]:
    """The environment of a control-plane process."""
    known = {
        "PATH": "/usr/bin:/bin",
        "TOLLWAY_DATABASE_URL": url,
        "TOLLWAY_KEK": "6b" * 32,
        "TOLLWAY_FLEET_KEY": "66" * 32,
        "TOLLWAY_JOIN_TOKEN": "join-token-canary-4711",
        "TOLLWAY_ADMIN_TOKEN": "admin-token-canary-4711",
        "TOLLWAY_PORT_CONTROL": "0",
        "TOLLWAY_PORT_GRPC": "0",
        "TOLLWAY_PORT_ADMIN": "0",
    }
    return {name: value for name, value in (known | changed).items() if value}


def command(verb: str, environ: dict[str, str]) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of `tollway-controlplane VERB`."""
    done = subprocess.run(
        [sys.executable, "-m", "tollway.controlplane.main", *verb.split()],
        env=environ, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


def test_the_commands_one_after_the_other(postgres: PostgresServer, tmp_path: Path) -> None:
    environ = environment(postgres.create_database())
    code, _, err = command("serve", environ)
    assert (code, err.splitlines()[-1]) == (
        1,
        "error: the database has no schema yet; run: tollway-controlplane migrate",
    )
    code, out, _ = command(
        "migrate", {"PATH": environ["PATH"], "TOLLWAY_DATABASE_URL": environ["TOLLWAY_DATABASE_URL"]}
    )
    assert (code, out) == (0, f"{len(shipped())} migrations applied\n")
    assert command("migrate", environ)[:2] == (0, "the schema is up to date\n")
    code, out, _ = command("check", environ)
    assert code == 0
    assert f"its schema is at {shipped()[-1].number}" in out
    service = Service("control", ["tollway.controlplane.main", "serve"], environ, tmp_path).start()
    assert set(service.ports) == {"control", "grpc", "admin"}
    begun = time.monotonic()
    assert service.stop() == 0
    assert time.monotonic() - begun < 5


def test_what_is_wrong_is_one_clear_line(postgres: PostgresServer) -> None:
    nowhere = environment("postgresql://tollway:password-canary@127.0.0.1:1/none")
    code, _, err = command("check", nowhere)
    assert code == 1
    assert err.startswith("error: TOLLWAY_DATABASE_URL: the database cannot be used: ")
    assert err.count("\n") == 1
    assert "password-canary" not in err
    code, _, err = command("serve", environment("x", TOLLWAY_KEK="", TOLLWAY_ADMIN_TOKEN="short"))
    assert code == 1
    assert "TOLLWAY_KEK is not set" in err
    assert "TOLLWAY_ADMIN_TOKEN is not valid" in err
    assert "short" not in err
    code, out, _ = command("settings", environment("postgresql://u:password-canary@h/d"))
    assert code == 0
    assert "canary" not in out
    assert '"TOLLWAY_PORT_CONTROL": "0"' in out


async def test_another_key_encryption_key_is_refused_at_the_start(database: str, make_settings: MakeSettings) -> None:
    plane = ControlPlane(make_settings(database))
    await plane.start()
    await plane.stop()
    code, _, err = await asyncio.to_thread(command, "serve", environment(database, TOLLWAY_KEK="00" * 32))
    assert code == 1
    assert "which is not in TOLLWAY_KEK" in err


def test_a_port_in_use_is_said(database_sync: str, service: Service) -> None:
    for name in ("CONTROL", "GRPC", "ADMIN"):
        taken = str(service.ports[name.lower()])
        code, _, err = command("serve", environment(database_sync, **{f"TOLLWAY_PORT_{name}": taken}))
        assert code == 1
        assert f"cannot listen on 127.0.0.1:{taken}" in err.splitlines()[-1]


@pytest.fixture
def database_sync(postgres: PostgresServer) -> str:
    url = postgres.create_database()
    asyncio.run(migrate(url))
    return url


@pytest.fixture
def service(database_sync: str, tmp_path: Path) -> Iterator[Service]:
    """A control plane as a process."""
    made = Service("control", ["tollway.controlplane.main", "serve"], environment(database_sync), tmp_path).start()
    yield made
    made.kill()


def test_sigterm_closes_push_streams_and_exits(service: Service) -> None:
    async def follow() -> None:
        opened = channel(f"127.0.0.1:{service.ports['grpc']}")
        events = ConfigPushClient(opened, "join-token-canary-4711").subscribe(
            "dp", None, None, want_directory_snapshot=False
        )
        await anext(events)
        stopping = asyncio.get_running_loop().run_in_executor(None, service.stop)
        with contextlib.suppress(ConnectionError):  # a stream may end with its connection
            async for _ in events:
                continue
        assert await stopping == 0
        await opened.close()

    begun = time.monotonic()
    asyncio.run(follow())
    assert time.monotonic() - begun < 8


async def test_two_processes_prepare_one_database_at_the_same_time(database: str, make_settings: MakeSettings) -> None:
    planes = [ControlPlane(make_settings(database)) for _ in range(3)]
    await asyncio.gather(*(plane.start() for plane in planes))
    async with await connect(database) as db:
        rows = await (await db.execute("SELECT count(*), max(version) FROM installation")).fetchone()
        peppers = await (await db.execute("SELECT count(*) FROM peppers")).fetchone()
    assert rows == (1, 1)
    assert peppers == (2,)
    for plane in planes:
        await plane.stop()
