"""The request log from the command line and from Python, over a real control plane."""

from __future__ import annotations

import asyncio
import itertools
import json
import time
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from typer.testing import CliRunner

from tollway.cli.exits import Failure
from tollway.cli.logs import following
from tollway.cli.main import app
from tollway.sdk.client import AsyncClient, Client
from tollway.testkit.logged_bodies import logged_body, packed

ADMIN = "admin-token-canary-4711"
EVENTS = [{"choices": [{"index": 0, "delta": {"content": part}}]} for part in ("Good ", "day")]
STREAM = "".join(f"data: {json.dumps(event)}\n\n" for event in EVENTS)


@dataclass
class Ended:
    """How a command ended."""

    code: int
    stdout: str
    error: BaseException | None


async def command(api: Any, *arguments: str) -> Ended:
    """Runs `tollway` in a thread, as it blocks. What the control plane logs meanwhile is left out."""
    environment = {"TOLLWAY_CONTROL_URL": api.base, "TOLLWAY_ADMIN_TOKEN": ADMIN}
    result = await asyncio.to_thread(CliRunner().invoke, app, list(arguments), env=environment)
    lines = [line for line in result.stdout.splitlines(keepends=True) if "component=tollway.controlplane" not in line]
    return Ended(result.exit_code, "".join(lines), result.exception)


async def test_logs_are_listed_and_shown(api: Any) -> None:
    now = int(time.time() * 1000)
    streamed = packed('{"messages": [{"role": "user"}]}', STREAM + "data: [DONE]\n\n", streamed=True)
    first = logged_body(now - 5000, model="large", content=streamed, stream=True, tags={"team": "web"})
    second = logged_body(now, status=0, outcome="client_closed")
    await api.plane.request_log.store("dp-1", [first, second], 0)
    listed = await command(api, "logs", "-o", "json")
    assert listed.code == 0, listed
    ids = [row["request_id"] for row in json.loads(listed.stdout)]
    assert ids == [second.request_id, first.request_id]
    for options, expected in (
        (("--model", "large"), [first]),
        (("--tag", "team=web"), [first]),
        (("--status", "0"), [second]),
        (("--from", "1h", "--outcome", "ok"), [first]),
        (("--limit", "1"), [second]),
    ):
        told = await command(api, "logs", "list", *options, "-o", "json")
        assert [row["request_id"] for row in json.loads(told.stdout)] == [body.request_id for body in expected]
    shown = (await command(api, "logs", "show", first.request_id)).stdout
    assert "Good day\n" in shown
    assert "data:" not in shown
    assert '"role": "user"' in shown
    raw = (await command(api, "logs", "show", first.request_id, "--raw")).stdout
    assert STREAM in raw
    whole = json.loads((await command(api, "logs", "show", first.request_id, "-o", "json")).stdout)
    assert (whole["metadata"]["model"], whole["response"]["streamed"]) == ("large", True)


async def test_logs_are_deleted_only_when_said_clearly(api: Any) -> None:
    now = int(time.time() * 1000)
    body = logged_body(now)
    await api.plane.request_log.store("dp-1", [body], 0)
    for arguments in ((), (body.request_id,), (body.request_id, "--project", "x", "--yes"), ("-p", "x", "--yes")):
        refused = await command(api, "logs", "delete", *arguments)
        assert isinstance(refused.error, Failure)
    assert (await command(api, "logs", "delete", body.request_id, "--yes", "-o", "json")).code == 0
    assert json.loads((await command(api, "logs", "-o", "json")).stdout) == []


async def test_what_comes_is_followed_once_in_order(api: Any) -> None:
    now = int(time.time() * 1000)
    bodies = [logged_body(now - 1000 * number) for number in range(4)]

    def read() -> list[str]:
        with Client(api.base, ADMIN) as tollway:
            start = datetime.now(UTC) - timedelta(minutes=1)
            came = following(tollway.request_log.search, {}, start, 100, pause=0.01)
            return [found.request_id for found in itertools.islice(came, 4)]

    await api.plane.request_log.store("dp-1", bodies[2:], 0)
    reading = asyncio.get_running_loop().run_in_executor(None, read)
    await asyncio.sleep(0.1)
    await api.plane.request_log.store("dp-1", bodies[:2], 0)
    found = await asyncio.wait_for(reading, 10)
    assert found == [body.request_id for body in (bodies[3], bodies[2], bodies[1], bodies[0])]


async def test_the_asynchronous_client_does_the_same(api: Any) -> None:
    body = logged_body(int(time.time() * 1000), tags={"team": "web", "stage": "prod"}, status=0)
    await api.plane.request_log.store("dp-1", [body], 0)
    async with AsyncClient(api.base, ADMIN) as tollway:
        search = tollway.request_log.search(tags=["team=web", "stage=prod"], status=0)
        assert [found.request_id async for found in search] == [body.request_id]
        assert (await tollway.request_log.read(body.request_id)).request.body == '{"messages": []}'
        assert await tollway.request_log.delete(request_id=body.request_id) == 1
        assert [found async for found in tollway.request_log.search()] == []


async def test_a_project_says_what_is_kept(api: Any) -> None:
    made = await command(api, "projects", "create", "exam", "--log-bodies", "masked", "--log-retention", "7d")
    assert made.code == 0, made
    shown = await command(api, "projects", "update", "exam", "--log-retention", "365d", "-o", "json")
    project = json.loads(shown.stdout)
    assert (project["log_bodies"], project["log_retention_days"]) == ("masked", 365)
    wrong = await command(api, "projects", "update", "exam", "--log-retention", "31d")
    assert "1d, 7d, 30d, 90d, 365d" in str(wrong.error)
