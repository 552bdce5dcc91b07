"""Alert channels in declarative configuration: made, compared by fingerprint, changed, pruned, never shown."""

from __future__ import annotations

import json
from typing import Any

CHAT_URL = "https://hooks.example.com/services/canary-path"
DOCUMENT: dict[str, Any] = {
    "projects": [{"name": "demo"}],
    "alert_channels": [
        {"name": "ops", "kind": "webhook", "url": "https://ops.example.com/", "secret": "signing-canary-4711"},
        {
            "name": "chat",
            "kind": "slack",
            "url": CHAT_URL,
            "scope": "project",
            "subject": "demo",
            "alerts": ["unattributed"],
        },
        {"name": "finance", "kind": "email", "recipients": ["finance@example.com"]},
    ],
}


async def apply(api: Any, document: dict[str, Any], **options: Any) -> Any:
    return await api.call("POST", "configuration:apply", {"configuration": document, **options})


def changed(**members: Any) -> dict[str, Any]:
    """The document with other members of the first channel."""
    document: dict[str, Any] = json.loads(json.dumps(DOCUMENT))
    document["alert_channels"][0] |= members
    return document


def steps(answer: Any) -> list[tuple[str, str]]:
    return [(one["action"], one["name"]) for one in answer.body["changes"] if one["kind"] == "alert_channel"]


async def test_a_document_makes_keeps_changes_and_prunes(api: Any) -> None:
    made = await apply(api, DOCUMENT)
    assert made.status == 200, made.body
    assert steps(made) == [("create", "ops"), ("create", "chat"), ("create", "finance")]
    assert steps(await apply(api, DOCUMENT)) == []
    rotated = await apply(api, changed(secret="another-canary-4711"))
    assert steps(rotated) == [("update", "ops")]
    assert steps(await apply(api, changed(secret="another-canary-4711", alerts=["spend_anomaly"]))) == [
        ("update", "ops")
    ]
    found = (await api.call("GET", "alert-channels/ops")).body
    assert (found["alerts"], found["host"]) == (["spend_anomaly"], "ops.example.com")
    pruned = await apply(api, {"projects": [{"name": "demo"}]}, prune=True)
    assert {name for _, name in steps(pruned)} == {"ops", "chat", "finance"}
    assert (await api.call("GET", "alert-channels")).body["channels"] == []
    audit = await api.call("GET", "audit")
    shown = json.dumps([made.body, rotated.body, pruned.body, audit.body])
    assert "canary" not in shown


async def test_what_was_edited_elsewhere_is_a_conflict(api: Any) -> None:
    await apply(api, DOCUMENT)
    await api.call("PATCH", "alert-channels/ops", {"alerts": ["unattributed"]})
    assert (await apply(api, DOCUMENT)).status == 409
    assert steps(await apply(api, DOCUMENT, force=True)) == [("update", "ops")]


async def test_errors_name_the_place(api: Any) -> None:
    for members, field in (
        ({"url": "http://127.0.0.1/canary-path"}, "configuration.alert_channels[0].url"),
        ({"secret": "canary"}, "configuration.alert_channels[0].secret"),
        ({"scope": "project", "subject": "nobody"}, "configuration.alert_channels[0].subject"),
        ({"name": "chat"}, "configuration.alert_channels[1].name"),
    ):
        answer = await apply(api, changed(**members))
        assert answer.status in (400, 404), answer.body
        assert answer.error["field"] == field
        assert "canary" not in json.dumps(answer.body)
    await apply(api, DOCUMENT)
    other = await apply(api, changed(kind="slack", secret=""))
    assert (other.status, other.error["code"]) == (409, "failed_precondition")
