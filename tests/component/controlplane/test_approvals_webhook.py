"""An organisation's own tool decides: told by a webhook that it can trust, it answers over the API."""

from __future__ import annotations

import hashlib
import hmac
import json
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from tollway.controlplane.app import ControlPlane
from tollway.testkit.alerting import LOOPBACK, webhook_receiver

SECRET = "webhook-canary-4711-of-the-tool"


def trusted(headers: dict[str, str], body: bytes, secret: str = SECRET) -> bool:
    """What a receiver does, as the guide says it."""
    parts = dict(part.split("=", 1) for part in headers["x-tollway-signature"].split(","))
    expected = hmac.new(secret.encode(), parts["t"].encode() + b"." + body, hashlib.sha256).hexdigest()
    return hmac.compare_digest(expected, parts["v1"]) and abs(time.time() - int(parts["t"])) < 300


@pytest.fixture
async def here(database: str, make_settings: Callable[..., Any], make_api: Callable[..., Any]) -> AsyncIterator[Any]:
    """A control plane whose webhooks may reach this machine."""
    plane = ControlPlane(make_settings(database, webhook_networks=LOOPBACK))
    await plane.start()
    made = make_api(plane, database)
    yield made
    await made.close()
    await plane.stop()


async def account(api: Any, name: str, role: str, **place: str) -> str:
    """A service account with a role; returns a token."""
    await api.call("POST", "service-accounts", {"name": name})
    await api.call("POST", "roles", {"role": role, "service_account": name, **place})
    token: str = (await api.call("POST", f"service-accounts/{name}/tokens", {})).body["secret"]
    return token


async def test_a_tool_decides_by_what_a_signed_webhook_told_it(here: Any) -> None:
    async with webhook_receiver() as receiver:
        await here.call("POST", "projects", {"name": "demo"})
        await here.call("PATCH", "budgets/project:demo", {"limit": "25"})
        developer = await account(here, "dev", "developer", project="demo")
        tool = await account(here, "tool", "unit_manager", business_unit="default")
        steps = [{"approvers": {"people": ["service_account:tool"]}}]
        assert (await here.call("PUT", "policies/credit", {"steps": steps})).status == 200
        channel = {"name": "tool", "kind": "webhook", "url": receiver.url, "secret": SECRET, "scope": "all"}
        channel["alerts"] = ["approval_waiting", "approval_ended"]  # type: ignore[assignment]
        made = await here.call("POST", "alert-channels", channel)
        assert made.status == 200, made.body
        terms = {"subject": "project:demo", "amount": "5"}
        asked = await here.call(
            "POST", "approvals", {"kind": "credit", "reason": "launch", "terms": terms}, token=developer
        )
        assert asked.body["state"] == "pending"

        await receiver.wait(1)
        headers, body = receiver.seen[0]
        assert trusted(headers, body)
        assert not trusted(headers, body.replace(b'"5"', b'"9"')), "another amount"
        assert not trusted(headers, body, "another secret")
        told = json.loads(body)["alert"]
        assert (told["kind"], told["project"]) == ("approval_waiting", "demo")
        details = told["details"]
        assert (details["event"], details["requester"], details["amount"]) == ("requested", "service_account:dev", "5")
        assert details["approvers"] == "service_account:tool"

        verdict = "approve" if float(details["amount"]) <= 10 else "reject"
        path = f"approvals/{details['approval']}:decide"
        done = await here.call("POST", path, {"verdict": verdict, "reason": "within the plan"}, token=tool)
        assert (done.status, done.body["id"], done.body["state"]) == (200, asked.body["id"], "approved")
        assert (await here.call("GET", "budgets/project:demo")).body["limit_now"] == "30"
        await receiver.wait(2)
        headers, body = receiver.seen[1]
        ended = json.loads(body)["alert"]
        assert trusted(headers, body)
        assert (ended["kind"], ended["details"]["event"], ended["details"]["by"]) == (
            "approval_ended", "approved", "service_account:tool",
        )  # fmt: skip
        assert headers["x-tollway-delivery"] != receiver.seen[0][0]["x-tollway-delivery"]
