"""Channels over REST: what they need, what they never show, where they must not lead, and their test."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tollway.cli.main import app
from tollway.controlplane.alerts.sending import parse_smtp
from tollway.controlplane.app import ControlPlane
from tollway.sdk.client import AsyncClient
from tollway.testkit.alerting import (
    LOOPBACK,
    MAIL_PASSWORD,
    MAIL_USER,
    WebhookReceiver,
    mail_receiver,
    webhook_receiver,
)

SECRET = "signing-canary-4711"


@pytest.fixture
async def receiver() -> AsyncIterator[WebhookReceiver]:
    async with webhook_receiver() as running:
        yield running


@asynccontextmanager
async def running(plane: ControlPlane) -> AsyncIterator[ControlPlane]:
    """The plane, stopped at the end whatever happens."""
    await plane.start()
    try:
        yield plane
    finally:
        await plane.stop()


@pytest.fixture
async def plane(database: str, make_settings: Any) -> AsyncIterator[ControlPlane]:
    """A control plane whose webhooks may reach loopback."""
    made = ControlPlane(make_settings(database, webhook_networks=LOOPBACK))
    await made.start()
    yield made
    await made.stop()


def webhook(**changed: Any) -> dict[str, Any]:
    known = {"name": "ops", "kind": "webhook", "url": "https://hooks.example.com/T1/canary-path", "secret": SECRET}
    return known | changed


async def test_a_channel_lives_and_shows_no_secret(api: Any) -> None:
    made = await api.call(
        "POST", "alert-channels", webhook(scope="project", subject="default", alerts=["spend_anomaly"])
    )
    assert made.status == 404
    await api.call("POST", "projects", {"name": "demo"})
    made = await api.call("POST", "alert-channels", webhook(scope="project", subject="demo", alerts=["spend_anomaly"]))
    assert (made.status, made.body["host"], made.body["subject"]) == (200, "hooks.example.com", "demo")
    changed = await api.call(
        "PATCH", "alert-channels/ops", {"alerts": [], "update_mask": "alerts", "etag": made.body["etag"]}
    )
    assert changed.body["alerts"] == []
    stale = await api.call("PATCH", "alert-channels/ops", {"alerts": ["unattributed"], "etag": made.body["etag"]})
    assert stale.status == 412
    rotated = await api.call("PATCH", "alert-channels/ops", {"secret": f"{SECRET}-2"})
    assert rotated.status == 200
    everywhere = await api.call("PATCH", "alert-channels/ops", {"scope": "all", "update_mask": "scope"})
    assert (everywhere.body["scope"], everywhere.body["subject"]) == ("all", "")
    assert (await api.call("GET", "alert-channels/ops")).body == everywhere.body
    gone = await api.call("DELETE", "alert-channels/ops")
    assert gone.status == 200
    assert (await api.call("GET", "alert-channels")).body["channels"] == []
    (row,) = await api.sql("SELECT sealed, data_key, fingerprint FROM alert_channels")
    assert row == (None, None, None)
    audit = await api.call("GET", "audit")
    assert [event["action"] for event in audit.body["events"]][:2] == ["alerts.delete_channel", "alerts.update_channel"]
    shown = json.dumps([made.body, changed.body, rotated.body, gone.body, audit.body])
    assert SECRET not in shown
    assert "canary-path" not in shown


async def test_the_database_holds_ciphertext(api: Any) -> None:
    await api.call("POST", "alert-channels", webhook())
    ((sealed, text),) = await api.sql("SELECT sealed, alert_channels::text FROM alert_channels")
    for canary in (SECRET, "canary-path"):
        assert canary.encode() not in bytes(sealed)
        assert canary not in text
        assert canary.encode().hex() not in text


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"url": ""}, "url"),
    ({"secret": "short"}, "secret"),
    ({"url": "http://169.254.169.254/canary-path"}, "url"),
    ({"url": "http://[::1]/canary-path"}, "url"),
    ({"url": "http://2130706433/canary-path"}, "url"),
    ({"url": "http://user:canary-path@example.com/"}, "url"),
    ({"url": "http://10.0.0.1/canary-path"}, "url"),
    ({"recipients": ["a@example.com"]}, "recipients"),
    ({"kind": "slack"}, "secret"),
    ({"kind": "email", "url": "", "secret": ""}, "recipients"),
    ({"kind": "email", "url": "", "secret": "", "recipients": ["a@b.example, c@d.example"]}, "recipients[0]"),
    ({"kind": "email", "url": "", "secret": "", "recipients": ["a@b\r\nBcc: c@d"]}, "recipients[0]"),
    ({"kind": "email", "url": "", "secret": "", "recipients": ["all:;@b.example"]}, "recipients[0]"),
    ({"kind": "email", "url": "", "secret": "", "recipients": ["a,c@b.example"]}, "recipients[0]"),
    ({"subject": "demo"}, "subject"),
    ({"scope": "project"}, "subject"),
    ({"alerts": ["weather"]}, "alerts[0]"),
    ({"kind": "pigeon"}, "kind"),
    ({"colour": "red"}, "colour"),
]


async def test_what_cannot_be_meant_is_refused_and_names_the_field(api: Any) -> None:
    for changed, field in WRONG:
        answer = await api.call("POST", "alert-channels", webhook(**changed))
        assert (answer.status, answer.error["field"]) == (400, field), changed
        assert SECRET not in json.dumps(answer.body)
        assert "canary-path" not in json.dumps(answer.body)
    assert (await api.call("GET", "alert-channels")).body["channels"] == []


async def test_the_clients_do_all_of_it(api: Any, receiver: WebhookReceiver, tmp_path: Path) -> None:
    async with AsyncClient(api.base, api.plane.settings.admin_token) as tollway:
        made = await tollway.alerts.channels.create("ops", "webhook", url=f"{receiver.url}/hook", secret=SECRET)
        assert (await tollway.alerts.channels.test("ops")).delivered
        changed = await tollway.alerts.channels.update("ops", alerts=["unattributed"], etag=made.etag)
        assert changed.alerts == ["unattributed"]
        assert [one.name async for one in tollway.alerts.channels.list()] == ["ops"]
        assert [one async for one in tollway.alerts.list(only_open=True)] == []
        assert [one async for one in tollway.alerts.deliveries(channel="ops")] == []
    environment = {
        "TOLLWAY_CONTROL_URL": api.base,
        "TOLLWAY_ADMIN_TOKEN": api.plane.settings.admin_token,
        "HOOK": f"{receiver.url}/hook",
        "KEY": SECRET,
        "HOME": str(tmp_path),
    }

    async def run(*arguments: str) -> Any:
        return await asyncio.to_thread(CliRunner().invoke, app, ["alerts", *arguments], env=environment)

    create = ("channels", "create", "second", "--kind", "webhook", "--url-env", "HOOK", "--secret-env", "KEY")
    done = await run(*create)
    assert done.exit_code == 0, done.output
    assert SECRET not in done.stdout
    receiver.answers = [500]
    failed = await run("channels", "test", "second")
    assert failed.exit_code == 1
    assert str(failed.exception) == "not delivered: the receiver answered 500"
    listed = await run("channels", "list", "-o", "json")
    assert '"name": "second"' in listed.stdout
    gone = await run("channels", "delete", "second", "--yes")
    assert gone.exit_code == 0, gone.output
    assert (await run("list", "--open")).exit_code == 0
    assert (await run("deliveries", "--state", "failed")).exit_code == 0


async def test_the_test_button_sends_a_signed_message(api: Any, receiver: WebhookReceiver) -> None:
    await api.call("POST", "alert-channels", webhook(url=f"{receiver.url}/hook"))
    told = await api.call("POST", "alert-channels/ops:test", {})
    assert told.body | {"seconds": 0} == {"delivered": True, "status": 200, "error": "", "seconds": 0}
    ((headers, body),) = receiver.seen
    stamp, mac = (part.partition("=")[2] for part in headers["x-tollway-signature"].split(","))
    expected = hmac.new(SECRET.encode(), f"{stamp}.".encode() + body, hashlib.sha256).hexdigest()
    assert hmac.compare_digest(mac, expected)
    message = json.loads(body)
    assert message["test"] is True
    assert message["delivery"] == headers["x-tollway-delivery"]
    receiver.answers = [500, 302]
    failed = await api.call("POST", "alert-channels/ops:test", {})
    assert failed.body | {"seconds": 0} == {
        "delivered": False, "status": 500, "error": "the receiver answered 500", "seconds": 0
    }  # fmt: skip
    redirected = await api.call("POST", "alert-channels/ops:test", {})
    assert redirected.body["status"] == 302
    assert receiver.paths == ["/hook"] * 3
    listed = await api.call("GET", "alert-deliveries")
    assert listed.body["deliveries"] == []


async def test_a_name_that_leads_to_a_private_address_is_not_called(
    database: str, make_settings: Any, receiver: WebhookReceiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The name resolves by the machine's own resolver; the address is looked at when the connection is made."""
    monkeypatch.setattr("tollway.controlplane.alerts.sending.url_problem", lambda url, networks: None)
    port = receiver.url.rpartition(":")[2]
    async with running(ControlPlane(make_settings(database))) as plane:
        sender = plane.alerts._webhooks
        for host in ("localhost", "127.0.0.1", "127.1", "2130706433", "[::1]"):
            outcome = await sender.post(f"http://{host}:{port}/", b"{}", "d")
            assert not outcome.delivered
            assert outcome.status == 0
        assert "not a public address" in (await sender.post(f"http://localhost:{port}/", b"{}", "d")).error
    assert receiver.seen == []


async def test_mail_goes_out_over_tls_with_a_password(database: str, make_settings: Any, tmp_path: Path) -> None:
    async with mail_receiver(tmp_path) as server:
        url = f"smtp://{MAIL_USER}:{MAIL_PASSWORD}@127.0.0.1:{server.port}"
        settings = make_settings(database, smtp=parse_smtp(url), smtp_from="Tollway <alerts@example.com>")
        assert MAIL_PASSWORD not in repr(settings.smtp)
        async with running(ControlPlane(settings)) as plane:
            mailer = plane.alerts.deliverer._mailer
            alert = {"recipients": ["a@example.com", "b@example.com"]}
            message = _mail(alert["recipients"])
            untrusted = await mailer.send(message, alert["recipients"])
            assert not untrusted.delivered  # nobody vouches for its certificate
            mailer._tls = server.client_tls
            sent = await mailer.send(message, alert["recipients"])
            assert (sent.delivered, sent.error) == (True, "")
            server.refused = frozenset({"b@example.com"})
            assert (
                await mailer.send(message, alert["recipients"])
            ).error == "the mail server refuses 1 of 2 recipients"
            server.refused = frozenset(alert["recipients"])
            assert not (await mailer.send(message, alert["recipients"])).delivered
    assert [to for to, _ in server.seen] == [alert["recipients"], ["a@example.com"]]
    assert server.secure == [True, True]
    assert b"From: Tollway <alerts@example.com>" in server.seen[0][1]


def _mail(recipients: list[str]) -> Any:
    from email.message import EmailMessage

    message = EmailMessage()
    message["Subject"] = "hello"
    message["From"] = "Tollway <alerts@example.com>"
    message["To"] = ", ".join(recipients)
    message.set_content("hello")
    return message
