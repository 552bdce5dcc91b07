"""What a project asks of its keys holds for whoever makes, changes or rotates them, by every way there is."""

from __future__ import annotations

import asyncio
import json
import secrets
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import structlog
from typer.testing import CliRunner, Result

from tollway.cli.document.load import configuration
from tollway.cli.main import app

Tollway = Callable[..., Awaitable[Result]]
POLICY = {"key_lifetime_days": 30, "max_keys": 3, "max_keys_per_user": 2}


def ahead(**time: float) -> str:
    return (datetime.now(UTC) + timedelta(**time)).isoformat().replace("+00:00", "Z")


async def project(api: Any, name: str = "bot", **policy: Any) -> dict[str, Any]:
    made = await api.call("POST", "projects", {"name": name, **policy})
    assert made.status == 200, made.body
    body: dict[str, Any] = made.body
    return body


async def key(api: Any, name: str, **fields: Any) -> Any:
    return await api.call("POST", "keys", {"project": "bot", "name": name, **fields})


def said(answer: Any) -> tuple[int, str, str]:
    assert answer.status >= 400, answer.body
    return answer.status, answer.error.get("field", ""), answer.error["message"]


async def test_a_key_must_expire_in_time(api: Any) -> None:
    await project(api)
    older = (await key(api, "older")).body["key"]["id"]
    far = (await key(api, "far", expires_at=ahead(days=300))).body["key"]["id"]
    assert (await api.call("PATCH", "projects/bot", {"key_lifetime_days": 30})).body["key_lifetime_days"] == 30
    for fields in ({}, {"expires_at": ahead(days=31)}):
        status, field, message = said(await key(api, "new", **fields))
        assert (status, field) == (400, "expires_at")
        assert "at most 30 days from now" in message
        assert "the project 'bot'" in message
    assert (await key(api, "new", expires_at=ahead(days=29.9))).status == 200
    for one in (older, far):
        status, field, message = said(await api.call("POST", f"keys/{one}:rotate", {"grace_seconds": 60}))
        assert (status, field, "update the key's expires_at first" in message) == (409, "expires_at", True)
        assert (await api.call("PATCH", f"keys/{one}", {"tags": {"a": "b"}})).status == 200, "it is not about the end"
        assert said(await api.call("PATCH", f"keys/{one}", {"expires_at": ahead(days=40)}))[:2] == (400, "expires_at")
        assert (await api.call("PATCH", f"keys/{one}", {"expires_at": ahead(days=20)})).status == 200
        assert said(await api.call("PATCH", f"keys/{one}", {"expires_at": None}))[:2] == (400, "expires_at")
        assert (await api.call("POST", f"keys/{one}:rotate", {"grace_seconds": 60})).status == 200
    lifted = await api.call("PATCH", "projects/bot", {"key_lifetime_days": None})
    assert lifted.body.get("key_lifetime_days") is None
    assert (await key(api, "forever")).status == 200


async def test_only_so_many_keys_work_at_a_time(api: Any) -> None:
    await project(api, max_keys=3, max_keys_per_user=2)
    first, second = [(await key(api, name, user="ana@x")).body["key"]["id"] for name in ("a", "b")]
    status, _field, message = said(await key(api, "c", user="ana@x"))
    assert (status, message) == (
        409, "ana@x may have 2 active keys of the project 'bot', and has 2; revoke one that is not needed",
    )  # fmt: skip
    third = (await key(api, "c")).body["key"]["id"]
    assert "may have 3 active keys, and has 3" in said(await key(api, "d"))[2]
    assert said(await api.call("PATCH", f"keys/{third}", {"user": "ana@x"}))[0] == 409
    assert (await api.call("PATCH", f"keys/{third}", {"user": "bob@x"})).status == 200
    assert (await api.call("POST", f"keys/{first}:rotate", {"grace_seconds": 60})).status == 200
    await api.call("POST", f"keys/{first}:revoke", {})
    await api.sql("UPDATE keys SET expires_at = now() - interval '1 second' WHERE id = %s", second)
    assert (await key(api, "e", user="ana@x")).status == 200, "neither a revoked nor an expired key counts"
    imported = (await key(api, "f", user="ana@x", value=secrets.token_urlsafe(32))).body["key"]["id"]
    for _ in range(2):
        rotated = await api.call("POST", f"keys/{imported}:rotate", {"grace_seconds": 3600})
        assert rotated.status == 200, "a key in the place of another is not one more"
        imported = rotated.body["key"]["id"]
    assert said(await key(api, "g"))[0] == 409
    await api.call("POST", f"keys/{imported}:revoke", {})
    assert (await key(api, "g", user="ana@x")).status == 200, "what is in its grace does not count"


async def test_keys_of_a_quarter_of_an_hour_do_not_count_until_they_live_longer(api: Any) -> None:
    await project(api, max_keys=1, max_keys_per_user=1)
    brief = [(await key(api, f"b{n}", user="ana@x", expires_at=ahead(minutes=14))).body["key"]["id"] for n in range(3)]
    assert (await api.call("PATCH", f"keys/{brief[2]}", {"user": "bob@x"})).status == 200
    assert (await key(api, "real", user="ana@x")).status == 200
    assert (await key(api, "b3", user="ana@x", expires_at=ahead(minutes=14))).status == 200
    assert said(await key(api, "longer", expires_at=ahead(minutes=16)))[0] == 409
    for end in (ahead(minutes=16), None):
        status, _field, message = said(await api.call("PATCH", f"keys/{brief[0]}", {"expires_at": end}))
        assert (status, "may have 1 active keys, and has 1" in message) == (409, True)


async def test_of_many_at_once_as_many_as_may_are_made(api: Any) -> None:
    await project(api, max_keys=3)
    made = await asyncio.gather(*(key(api, f"k{n}") for n in range(10)))
    assert Counter(answer.status for answer in made) == {200: 3, 409: 7}


@pytest.fixture
def tollway(api: Any, tmp_path: Path) -> Iterator[Tollway]:
    """Runs a command in this process, whose own log is kept off its output."""
    token = tmp_path / "token"
    token.write_text("admin-token-canary-4711")

    async def run(*arguments: str) -> Result:
        line = ["--url", api.base, "--token-file", str(token), *arguments, "-o", "json"]
        return await asyncio.to_thread(CliRunner().invoke, app, line)

    before = structlog.get_config()
    structlog.configure(logger_factory=structlog.ReturnLoggerFactory())
    yield run
    structlog.configure(**before)


async def test_the_policy_comes_by_file_and_command_line(api: Any, tollway: Tollway) -> None:
    text = "version: 1\nprojects:\n  - {name: bot, key_policy: {lifetime_days: 30, max_keys: 3, max_keys_per_user: 2}"
    without = "version: 1\nprojects:\n  - {name: bot"

    async def apply(text: str, keys: str = "") -> Any:
        document = configuration(f"{text}{keys}}}\n", {})
        return await api.call("POST", "configuration:apply", {"configuration": document})

    (change,) = (await apply(text)).body["changes"]
    assert [line for line in change["details"] if "key" in line] == [
        "key_lifetime_days: 30", "max_keys: 3", "max_keys_per_user: 2",
    ]  # fmt: skip
    shown = (await api.call("GET", "projects/bot")).body
    assert {name: shown[name] for name in POLICY} == POLICY
    assert (await apply(text)).body["changes"] == []
    endless = await apply(text, ", keys: [{name: a}]")
    assert endless.status == 400
    assert endless.error["field"] == "configuration.projects[0].keys[0].expires_at"
    assert (await apply(text, ", keys: [{name: a, expires: 30d}]")).status == 200
    assert len((await apply(without)).body["changes"][0]["details"]) == 3
    assert (await api.call("GET", "projects/bot")).body.get("max_keys") is None

    limits = ("--key-lifetime", "30d", "--max-keys", "3", "--max-keys-per-user", "2")
    for line in (("projects", "create", "cli", *limits), ("projects", "update", "bot", *limits)):
        done = await tollway(*line)
        assert done.exit_code == 0, done.output
        shown = json.loads(done.stdout)
        assert {name: shown[name] for name in POLICY} == POLICY
    done = await tollway("projects", "update", "cli", "--key-lifetime", "off", "--max-keys", "off")
    shown = json.loads(done.stdout)
    assert [shown[name] for name in POLICY] == [None, None, 2]
    for wrong in (("--key-lifetime", "12h"), ("--key-lifetime", "long"), ("--max-keys", "0"), ("--max-keys", "-1")):
        assert (await tollway("projects", "update", "cli", *wrong)).exit_code in (1, 2)


async def test_what_is_no_policy_is_refused(api: Any) -> None:
    for wrong in ({"key_lifetime_days": 0}, {"key_lifetime_days": 4000}, {"max_keys": 0}, {"max_keys_per_user": -1}):
        answer = await api.call("POST", "projects", {"name": "bot", **wrong})
        assert (answer.status, answer.error["field"]) == (400, next(iter(wrong)))
