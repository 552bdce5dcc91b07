"""Budgets and limits through the SDK and the command line, against a real control plane."""

from __future__ import annotations

import asyncio
import json
import re
import shlex
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import structlog
from typer.testing import CliRunner, Result

from tollway.cli.main import app
from tollway.sdk import errors
from tollway.sdk.client import AsyncClient
from tollway.sdk.rules import Limit

ADMIN = "admin-token-canary-4711"
Tollway = Callable[..., Awaitable[Result]]


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


async def test_the_sdk_has_every_method(api: Any) -> None:
    async with AsyncClient(api.base, ADMIN) as client:
        await client.projects.create("demo")
        key = (await client.keys.create("demo", "web", user="ana@example.com")).key
        assert key.user == "ana@example.com"
        assert (await client.keys.update(key.id, user="")).user == ""
        made = await client.budgets.set("key:demo/web", limit="5", period="week", alerts=[0.5])
        assert (made.subject, made.limit, made.period, made.alerts, made.used) == (
            "key:demo/web",
            "5",
            "week",
            [0.5],
            "0",
        )
        changed = await client.budgets.set("key:demo/web", limit="6", etag=made.etag)
        assert (changed.id, changed.period, changed.limit) == (made.id, "week", "6")
        with pytest.raises(errors.EtagMismatch):
            await client.budgets.set("key:demo/web", limit="7", etag=made.etag)
        ends_at = datetime.now(UTC) + timedelta(days=1)
        more = await client.budgets.increase("key:demo/web", "2.5", ends_at, reason="launch")
        assert (more.limit_now, more.increases[0].reason) == ("8.5", "launch")
        less = await client.budgets.revoke_increase("key:demo/web", more.increases[0].id)
        assert less.limit_now == "6"
        assert await client.budgets.get("key:demo/web") == less
        assert [one async for one in client.budgets.list(scope="key")] == [less]
        await client.budgets.remove("key:demo/web", etag=less.etag)
        with pytest.raises(errors.NotFound):
            await client.budgets.get("key:demo/web")
        held = await client.limits.set(
            "project:demo",
            [Limit(measure="requests", window="minute", amount=0), Limit(measure="concurrent", amount=5)],
        )
        assert [(one.measure, one.amount, one.model) for one in held.limits] == [
            ("concurrent", 5, "*"),
            ("requests", 0, "*"),
        ]
        assert await client.limits.get("project:demo") == held
        assert [one async for one in client.limits.list()] == [held]


async def test_budgets_on_the_command_line(api: Any, tollway: Tollway) -> None:
    await api.call("POST", "projects", {"name": "demo"})
    done = await tollway(
        "budgets", "set", "project:demo", "--limit", "25", "--alert", "0.8", "--alert", "1", "-o", "json"
    )
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["alerts"] == [0.8, 1.0]
    assert (await tollway("budgets", "set", "project:demo", "--period", "week", "--carry-over")).exit_code == 0
    until = ["--until", "7d", "--reason", "launch week"]
    more = await tollway("budgets", "increase", "project:demo", "10", *until, "-o", "json")
    held = json.loads(more.stdout)
    assert (held["limit_now"], held["period"], held["increases"][0]["reason"]) == ("35", "week", "launch week")
    table = await tollway("budgets", "list", "--scope", "project")
    assert "project:demo" in table.stdout
    assert "35" in table.stdout
    csv = await tollway("budgets", "list", "-o", "csv")
    assert csv.stdout.splitlines()[1].startswith("project:demo,35,0,35,week,hard,")
    ended = await tollway("budgets", "increase", "project:demo", "--revoke", held["increases"][0]["id"], "-o", "yaml")
    assert "limit_now: '25'" in ended.stdout
    assert (await tollway("budgets", "set", "project:demo", "--no-alerts")).exit_code == 0
    assert (await api.call("GET", "budgets/project:demo")).body["alerts"] == []
    for wrong in (["set", "project:demo"], ["increase", "project:demo", "1"], ["remove", "project:demo"]):
        refused = await tollway("budgets", *wrong)
        assert refused.exit_code != 0, wrong
    assert (await tollway("budgets", "show", "project:demo")).exit_code == 0
    assert (await tollway("budgets", "remove", "project:demo", "--yes")).exit_code == 0
    assert (await api.call("GET", "budgets/project:demo")).status == 404


async def test_limits_on_the_command_line(api: Any, tollway: Tollway) -> None:
    await api.call("POST", "projects", {"name": "demo"})
    given = ["requests_per_minute=600", "concurrent=50", "gpt-4o*:tokens_per_day=1000", "a:b:requests_per_hour=0"]
    done = await tollway("limits", "set", "project:demo", *given, "--on-outage", "closed", "-o", "json")
    assert done.exit_code == 0, done.output
    assert [(row["name"], row["amount"], row["model"], row["on_outage"]) for row in json.loads(done.stdout)] == [
        ("concurrent", 50, "*", "closed"),
        ("requests_per_minute", 600, "*", "closed"),
        ("requests_per_hour", 0, "a:b", "closed"),
        ("tokens_per_day", 1000, "gpt-4o*", "closed"),
    ]
    listed = await tollway("limits", "list", "-o", "csv")
    assert len(listed.stdout.splitlines()) == 5
    for wrong in ([], ["requests=1"], ["concurrent=x"], ["concurrent=1", "--clear"]):
        assert (await tollway("limits", "set", "project:demo", *wrong)).exit_code != 0, wrong
    assert (await tollway("limits", "set", "project:demo", "--clear")).exit_code == 0
    shown = await tollway("limits", "show", "project:demo", "-o", "json")
    assert json.loads(shown.stdout) == []


async def test_the_examples_of_the_guide_work(api: Any, tollway: Tollway, tmp_path: Path) -> None:
    guide = (Path(__file__).parents[3] / "docs/guide/budgets.md").read_text()
    (document,) = re.findall(r"^```yaml\n(.*?)^```$", guide, re.M | re.S)
    (tmp_path / "tollway.yaml").write_text(document)
    apply = ("apply", "-f", str(tmp_path / "tollway.yaml"), "--keys-out", str(tmp_path / "keys.json"))
    assert (await tollway(*apply)).exit_code == 0
    assert "no changes" in (await tollway(*apply)).stderr
    lines = [shlex.split(line)[1:] for line in guide.splitlines() if line.startswith("tollway ")]
    assert len(lines) > 10
    for line in sorted(lines, key=lambda line: "remove" in line):
        increases = (await api.call("GET", "budgets/project:demo")).body.get("increases", [])
        words = [increases[-1]["id"] if word == "ID" else word for word in line]
        if words[:2] == ["keys", "create"]:
            words[2] = "another"
        done = await tollway(*words)
        assert done.exit_code == 0, (line, done.output)
    sent = re.findall(r"-X (\w+) .*?\\\n  \$TOLLWAY_CONTROL_URL/api/v1/(\S+) -d '(.*?)'$", guide, re.M)
    assert len(sent) == 3
    for verb, path, body in sent:
        answer = await api.call(verb, path, json.loads(body))
        assert answer.status == 200, (path, answer.body)
