"""Which URLs and addresses webhooks may reach, what the mail server's URL means, what messages look like."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from datetime import UTC, datetime
from ipaddress import ip_network
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from tollway.controlplane.alerts import messages
from tollway.controlplane.alerts.delivery import Retry
from tollway.controlplane.alerts.model import AlertRow
from tollway.controlplane.alerts.sending import address_problem, parse_smtp, url_problem

HOME = (ip_network("192.168.0.0/16"), ip_network("127.0.0.0/8"), ip_network("0.0.0.0/0"), ip_network("::/0"))
ALERT = AlertRow(
    id=UUID(int=7),
    kind="budget_threshold",
    severity="warning",
    scope="project",
    subject="demo",
    organisation="default",
    business_unit="unit",
    project="demo",
    summary="demo <spent>\r\nBcc: all & more",
    details={"used": "5"},
    occurrences=1,
    fired_at=datetime(2026, 1, 2, 3, 4, tzinfo=UTC),
    last_at=datetime(2026, 1, 2, 3, 4, tzinfo=UTC),
    acknowledged_at=None,
    acknowledged_by=None,
    note="",
)


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254/latest",
        "http://[::1]/",
        "http://2130706433/",
        "http://0x7f.1/",
        "http://017700000001/",
        "http://127.0.0.1/",
        "http://10.1.2.3/",
        "http://[::ffff:127.0.0.1]/",
        "http://localhost/",
        "http://printer.local/",
        "http://metadata.google.internal/",
        "ftp://example.com/",
        "http://user:pw@example.com/",
        "http://",
    ],
)
def test_urls_that_are_refused(url: str) -> None:
    assert url_problem(url, ()) is not None


@pytest.mark.parametrize(
    "url", ["http://169.254.169.254/", "http://2130706433/", "http://0x7f.1/", "http://[fe80::1]/"]
)
def test_these_are_refused_whatever_networks_are_allowed(url: str) -> None:
    assert url_problem(url, HOME) is not None


def test_networks_open_private_addresses_and_no_metadata() -> None:
    assert url_problem("https://hooks.example.com/x?y=1", ()) is None
    assert url_problem("http://192.168.1.2:9/", HOME[:2]) is None
    assert url_problem("http://10.0.0.1/", HOME[:2]) is not None
    assert url_problem("http://chat.internal/", HOME[:2]) is None
    assert address_problem("127.0.0.1", ()) is not None
    assert address_problem("127.0.0.1", HOME[:2]) is None
    assert address_problem("169.254.169.254", HOME) is not None
    assert address_problem("fd00:ec2::254", HOME) is not None
    assert address_problem("93.184.216.34", ()) is None


def test_the_signature_is_the_documented_one() -> None:
    value = messages.signature("secret", b'{"a":1}', 1_700_000_000)
    stamp, mac = (part.split("=")[1] for part in value.split(","))
    assert hmac.new(b"secret", stamp.encode() + b'.{"a":1}', hashlib.sha256).hexdigest() == mac


def test_the_guides_recipe_verifies_it() -> None:
    guide = Path(__file__).parents[4] / "docs/guide/alerts.md"
    (recipe,) = re.findall(r"```python\n(.*?)```", guide.read_text(), re.S)
    namespace: dict[str, Any] = {}
    exec(recipe, namespace)
    verify = namespace["verify"]
    body, at = messages.payload(ALERT, UUID(int=1)), 1_700_000_000
    value = messages.signature("secret", body, at)
    assert verify("secret", value, body, at + messages.REPLAY_SECONDS)
    assert not verify("secret", value, body, at + messages.REPLAY_SECONDS + 1)
    assert not verify("other", value, body, at)
    assert not verify("secret", value, body + b" ", at)
    assert not verify("secret", value.replace(f"t={at}", f"t={at + 1}"), body, at)
    assert not verify("secret", "nonsense", body, at)
    assert not verify("secret", value, body)  # years ago


def test_mail_headers_cannot_be_forged() -> None:
    made = messages.mail(ALERT, UUID(int=1), "Tollway <alerts@example.com>", ["a@example.com"])
    assert made["Bcc"] is None
    assert made["Subject"] == "[Tollway] warning: demo <spent> Bcc: all & more"
    assert made["Message-ID"] == f"<{UUID(int=1)}@example.com>"


def test_slack_text_is_plain() -> None:
    text = json.loads(messages.slack(ALERT))["text"]
    assert "<spent>" not in text
    assert "&lt;spent&gt;" in text


def test_the_mail_server() -> None:
    server = parse_smtp("smtp://alerts:p%40ss@mail.example.com")
    assert (server.host, server.port, server.tls, server.username, server.password) == (
        "mail.example.com", 587, "starttls", "alerts", "p@ss"
    )  # fmt: skip
    assert "p@ss" not in repr(server)
    assert parse_smtp("smtps://mail").tls == "tls"
    assert parse_smtp("smtp://relay:25?tls=none").tls == "none"
    for wrong in (
        "http://mail",
        "smtp://",
        "smtp://mail/x",
        "smtp://mail?tls=maybe",
        "smtps://mail?tls=none",
        "mail:25",
    ):
        with pytest.raises(ValueError):
            parse_smtp(wrong)


def test_pauses_grow_and_end() -> None:
    retry = Retry()
    pauses, age, tried = [], 0.0, 0
    while (pause := retry.pause(tried := tried + 1, age)) is not None:
        pauses.append(pause)
        age += pause
    assert pauses == sorted(pauses)
    assert 23 * 3600 <= age <= 24 * 3600
    assert tried < 40
