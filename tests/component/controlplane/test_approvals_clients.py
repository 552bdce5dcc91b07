"""Requests, policies and delegations through REST, the SDK and the command line, against a real control plane."""

from __future__ import annotations

import asyncio
import json
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

ADMIN = "admin-token-canary-4711"
Tollway = Callable[..., Awaitable[Result]]
POLICY = """
rules:
  - {name: small, when: amount <= 10, effect: approve}
steps:
  - approvers: {people: [boss@example.com]}
note: small ones need nobody
"""


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


async def test_every_client_can_ask_decide_and_take_back(api: Any, tollway: Tollway, tmp_path: Path) -> None:
    file = tmp_path / "credit.yaml"
    file.write_text(POLICY)
    async with AsyncClient(api.base, ADMIN) as client:
        await client.projects.create("demo", models=["small"])
        await client.budgets.set("project:demo", limit="5")
        waits = await client.approvals.create("credit", "more", subject="project:demo", amount="3")
        assert (waits.state, waits.decidable, waits.terms.amount) == ("pending", False, "3")
        with pytest.raises(errors.TollwayError, match="own request"):
            await client.approvals.approve(waits.id)
        set_ = await tollway("policies", "set", "credit", "-f", str(file), "-o", "json")
        assert (set_.exit_code, json.loads(set_.stdout)["version"]) == (0, 1), set_.output
        tried = await tollway("policies", "dry-run", "credit", "-f", str(file), "-o", "json")
        assert [row["outcome"] for row in json.loads(tried.stdout)] == ["approve"], tried.output
        asked = await tollway(
            "approvals", "create", "credit", "--subject", "project:demo", "--amount", "10", "--until", "7d",
            "--reason", "launch", "-o", "json",
        )  # fmt: skip
        made = json.loads(asked.stdout)
        assert (made["state"], made["rule"]) == ("approved", "small"), asked.output
        assert (await client.budgets.get("project:demo")).limit_now == "15"
        done = await tollway("approvals", "revoke", made["id"], "--reason", "over", "--yes", "-o", "json")
        assert json.loads(done.stdout)["state"] == "revoked", done.output
        assert (await client.budgets.get("project:demo")).limit_now == "5"
        assert (await client.approvals.comment(waits.id, "soon?")).comments[0].text == "soon?"
        assert (await client.approvals.cancel(waits.id)).state == "cancelled"
        listed = await tollway("approvals", "list", "--kind", "credit", "-o", "csv")
        assert (made["id"] in listed.stdout, waits.id in listed.stdout) == (True, True)
        assert [(one.kind, one.version) for one in await client.policies.list()][3] == ("credit", 1)
        await client.users.create("bob@example.com")
        lent = await client.delegations.create("bob@example.com", datetime.now(UTC) + timedelta(days=1))
        assert [one.id for one in await client.delegations.list()] == [lent.id]
        assert (await client.delegations.revoke(lent.id)).delegate == "bob@example.com"
    shown = await api.call("GET", f"approvals/{made['id']}")
    assert (shown.status, shown.body["state"], shown.body["terms"]["amount"]) == (200, "revoked", "10")
    wrong = await api.call("PUT", "policies/credit", {"rules": [{"name": "a", "effect": "reject"}]})
    assert (wrong.status, wrong.error["field"]) == (400, "rules[0].reason")
    assert (await api.call("GET", "approvals/0199f1c2-7d7e-7d54-8f0b-6f7c2f1b9a10")).status == 404
