"""What receivers are sent: the webhook's JSON and its signature, the text for Slack, the e-mail. Pure."""

from __future__ import annotations

import hashlib
import hmac
from datetime import UTC
from email.message import EmailMessage
from email.utils import format_datetime
from uuid import UUID

import msgspec

from tollway.controlplane.alerts.model import AlertRow

SIGNATURE_HEADER = "X-Tollway-Signature"
DELIVERY_HEADER = "X-Tollway-Delivery"
REPLAY_SECONDS = 300
"""How old a message may be that a receiver still accepts."""
FORMAT = 1


class _Payload(msgspec.Struct, frozen=True, kw_only=True):
    """A webhook's body. `delivery` is the same in every try, so that a receiver can tell repetitions."""

    format: int
    delivery: str
    test: bool
    alert: dict[str, object]


def payload(alert: AlertRow, delivery: UUID, *, test: bool = False) -> bytes:
    """The JSON that a webhook gets."""
    shown: dict[str, object] = {
        "id": str(alert.id),
        "kind": alert.kind,
        "severity": alert.severity,
        "fired_at": alert.fired_at.astimezone(UTC).isoformat().replace("+00:00", "Z"),
        "scope": alert.scope,
        "subject": alert.subject,
        "organisation": alert.organisation,
        "business_unit": alert.business_unit,
        "project": alert.project,
        "summary": alert.summary,
        "details": alert.details,
        "occurrences": alert.occurrences,
    }
    return msgspec.json.encode(_Payload(format=FORMAT, delivery=str(delivery), test=test, alert=shown))


def signature(secret: str, body: bytes, at_seconds: int) -> str:
    """The value of `X-Tollway-Signature`: HMAC-SHA-256 over the time, a dot and the body as it is sent."""
    mac = hmac.digest(secret.encode(), str(at_seconds).encode() + b"." + body, hashlib.sha256)
    return f"t={at_seconds},v1={mac.hex()}"


def slack(alert: AlertRow, *, test: bool = False) -> bytes:
    """The JSON that Slack and what is compatible with it take (Mattermost, Rocket.Chat, Discord's `/slack`)."""
    lines = [f"*[{alert.severity}]* {_plain(alert.summary)}"]
    if test:
        lines.insert(0, "This is a test.")
    lines += [f"{name.replace('_', ' ')}: {_plain(value)}" for name, value in sorted(alert.details.items())]
    return msgspec.json.encode({"text": "\n".join(lines)})


def _plain(text: str) -> str:
    """Text in which Slack's three control characters stand for themselves."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def mail(
    alert: AlertRow, delivery: UUID, sender: str, recipients: list[str], *, public_url: str = "", test: bool = False
) -> EmailMessage:
    """The e-mail; its `Message-ID` is the same in every try. With a `public_url` it links to what it is about."""
    message = EmailMessage()
    subject = " ".join(f"[Tollway] {'test: ' if test else ''}{alert.severity}: {alert.summary}".split())
    message["Subject"] = subject[:200]
    message["From"] = sender
    message["To"] = ", ".join(recipients)
    message["Date"] = format_datetime(alert.fired_at)
    message["Message-ID"] = f"<{delivery}@{sender.rpartition('@')[2].rstrip('>') or 'tollway'}>"
    message["Auto-Submitted"] = "auto-generated"
    lines = ["This is a test.", ""] if test else []
    lines += [alert.summary, ""]
    if link := _link(alert, public_url):
        lines += [link, ""]
    lines += [f"{name.replace('_', ' ')}: {value}" for name, value in _facts(alert)]
    message.set_content("\n".join(lines) + "\n")
    return message


def _link(alert: AlertRow, public_url: str) -> str:
    """The page of the portal where a request is decided; empty for other alerts, and while no portal is known."""
    approval = alert.details.get("approval", "")
    return f"{public_url}/approvals/{approval}" if approval and public_url else ""


def _facts(alert: AlertRow) -> list[tuple[str, str]]:
    known = [
        ("kind", alert.kind),
        ("fired", alert.fired_at.astimezone(UTC).isoformat()),
        ("organisation", alert.organisation),
        ("business_unit", alert.business_unit),
        ("project", alert.project),
        *sorted(alert.details.items()),
        ("alert", str(alert.id)),
    ]
    return [(name, value) for name, value in known if value]
