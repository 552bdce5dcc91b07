"""The life of a virtual key through the API, and what of it a data plane gets."""

from __future__ import annotations

import asyncio
import secrets
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from psycopg import AsyncConnection

from tollway.controlplane.catalog.snapshot import all_entries, build_catalog, build_entries
from tollway.core.catalog import DirectoryEntry
from tollway.core.ids import imported_lookup, native_key, parse_native, secret_digest


async def _create(api: Any, **fields: Any) -> dict[str, Any]:
    await api.call("POST", "projects", {"name": "bot"})
    made = await api.call("POST", "keys", {"project": "bot", "name": "main", **fields})
    assert made.status == 200, made.body
    body: dict[str, Any] = made.body
    return body


async def _entry(api: Any, key_id: str) -> DirectoryEntry:
    async with await AsyncConnection.connect(api.database_url) as db:
        (entry,) = await build_entries(db, [UUID(key_id)])
        return entry


async def _peppers(api: Any) -> tuple[dict[str, bytes], bytes]:
    async with await AsyncConnection.connect(api.database_url) as db:
        catalog = await build_catalog(db, api.plane.vault)
        return catalog.peppers, catalog.index_pepper


async def _accepts(api: Any, key_id: str, text: str) -> bool:
    """Whether the entry has an unlimited or still running secret for the text."""
    peppers, _ = await _peppers(api)
    now = datetime.now(UTC).timestamp() * 1000
    return any(
        secret.digest == secret_digest(peppers[secret.pepper], text)
        and (secret.not_after_ms is None or secret.not_after_ms > now)
        for secret in (await _entry(api, key_id)).secrets
    )


async def test_a_key_is_found_by_its_public_id_and_stored_as_a_digest(api: Any) -> None:
    made = await _create(api, models=["gpt-*"], tags={"team": "web"})
    key, text = made["key"], made["secret"]
    native = parse_native(text)
    assert native is not None
    assert native.public_id == key["public_id"]
    assert (key["project"], key["status"], key["tags"]) == ("bot", "KEY_STATUS_ACTIVE", {"team": "web"})
    entry = await _entry(api, key["id"])
    assert (entry.lookup, entry.models, entry.tags) == (native.public_id, ("gpt-*",), {"team": "web"})
    assert entry.version > 0
    assert await _accepts(api, key["id"], text)
    shown = await api.call("GET", f"keys/{key['public_id']}")
    assert shown.body == (await api.call("GET", f"keys/{key['id']}")).body == key
    assert (await api.call("POST", "keys", {"project": "bot", "name": "main"})).status == 409


async def test_rotation_gives_a_second_secret_until_the_grace_ends(api: Any) -> None:
    made = await _create(api)
    key_id = made["key"]["id"]
    rotated = (await api.call("POST", f"keys/{key_id}:rotate", {"grace_seconds": "3600"})).body
    assert rotated["key"]["id"] == key_id
    assert rotated["key"]["public_id"] == made["key"]["public_id"]
    until = datetime.fromisoformat(rotated["key"]["previous_secret_valid_until"])
    assert timedelta(minutes=59) < until - datetime.now(UTC) <= timedelta(hours=1)
    assert await _accepts(api, key_id, made["secret"])
    assert await _accepts(api, key_id, rotated["secret"])
    third = (await api.call("POST", f"keys/{key_id}:rotate", {})).body
    assert not await _accepts(api, key_id, made["secret"]), "rotating without grace ends an earlier grace"
    assert not await _accepts(api, key_id, rotated["secret"])
    assert await _accepts(api, key_id, third["secret"])
    assert third["key"].get("previous_secret_valid_until") is None


async def test_a_grace_can_be_ended_early(api: Any) -> None:
    made = await _create(api)
    key_id = made["key"]["id"]
    rotated = (await api.call("POST", f"keys/{key_id}:rotate", {"grace_seconds": "3600"})).body
    stale = await api.call("POST", f"keys/{key_id}:endGrace", {"etag": made["key"]["etag"]})
    assert stale.status == 412
    ended = await api.call("POST", f"keys/{key_id}:endGrace", {"etag": rotated["key"]["etag"]})
    assert (ended.status, ended.body.get("previous_secret_valid_until")) == (200, None)
    assert not await _accepts(api, key_id, made["secret"])
    assert await _accepts(api, key_id, rotated["secret"])
    again = await api.call("POST", f"keys/{key_id}:endGrace", {})
    assert again.body == ended.body, "there is nothing left to end"


async def test_revoking_is_final_and_can_be_repeated(api: Any) -> None:
    made = await _create(api)
    key_id, etag = made["key"]["id"], made["key"]["etag"]
    first = await api.call("POST", f"keys/{key_id}:revoke", {"etag": etag})
    assert first.body["status"] == "KEY_STATUS_REVOKED"
    again = await api.call("POST", f"keys/{key_id}:revoke", {"etag": etag})
    assert (again.status, again.body) == (200, first.body)
    assert (await _entry(api, key_id)).revoked
    refused = await api.call("POST", f"keys/{key_id}:rotate", {})
    assert (refused.status, refused.error["code"]) == (409, "failed_precondition")
    assert (await api.call("PATCH", f"keys/{key_id}", {"tags": {"a": "b"}})).status == 409
    listed = (await api.call("GET", "keys?project=bot")).body["keys"]
    assert listed == []
    listed = (await api.call("GET", "keys?project=bot&include_revoked=true")).body["keys"]
    assert [key["id"] for key in listed] == [key_id]
    assert (await api.call("POST", "keys", {"project": "bot", "name": "main"})).status == 200


async def test_expiry_and_tags_change(api: Any) -> None:
    past = (datetime.now(UTC) - timedelta(seconds=1)).isoformat().replace("+00:00", "Z")
    made = await _create(api)
    key_id = made["key"]["id"]
    refused = await api.call("PATCH", f"keys/{key_id}", {"expires_at": past})
    assert (refused.status, refused.error["field"]) == (400, "expires_at")
    stale = await api.call("PATCH", f"keys/{key_id}", {"tags": {"a": "b"}, "etag": "old"})
    assert stale.status == 412
    soon = datetime.now(UTC) + timedelta(seconds=1)
    told = {"tags": {"a": "b"}, "expires_at": soon.isoformat().replace("+00:00", "Z")}
    changed = (await api.call("PATCH", f"keys/{key_id}", told)).body
    assert changed["tags"] == {"a": "b"}
    assert changed["models"] == ["*"]
    await asyncio.sleep((soon - datetime.now(UTC)).total_seconds() + 0.05)
    assert (await api.call("GET", f"keys/{key_id}")).body["status"] == "KEY_STATUS_EXPIRED"
    revived = (await api.call("PATCH", f"keys/{key_id}", {"expires_at": None})).body
    assert revived["status"] == "KEY_STATUS_ACTIVE"


async def test_an_imported_value_goes_by_its_keyed_digest(api: Any) -> None:
    value = secrets.token_urlsafe(24)
    made = await _create(api, value=value)
    assert made["key"]["public_id"] == ""
    assert made["secret"] == ""
    _, index = await _peppers(api)
    entry = await _entry(api, made["key"]["id"])
    assert entry.lookup == imported_lookup(index, value)
    assert await _accepts(api, made["key"]["id"], value)
    twice = await api.call("POST", "keys", {"project": "bot", "name": "other", "value": value})
    assert (twice.status, twice.error["code"]) == (409, "already_exists")
    assert "main" not in twice.error["message"]
    assert value not in str(twice.body)


async def test_weak_values_are_refused_and_not_repeated(api: Any) -> None:
    await api.call("POST", "projects", {"name": "bot"})
    for value in ("short", "a" * 40, "password-password-password", "sk-tw-abcdefgh-" + "x" * 49, "ä" * 40):
        answer = await api.call("POST", "keys", {"project": "bot", "name": "main", "value": value})
        assert (answer.status, answer.error["field"]) == (400, "value"), value
        assert value not in answer.error["message"]


async def test_a_native_key_of_another_installation_can_be_imported(api: Any) -> None:
    text = native_key(secrets.token_bytes(8), secrets.token_bytes(32)).text
    made = await _create(api, value=text)
    _, index = await _peppers(api)
    assert (await _entry(api, made["key"]["id"])).lookup == imported_lookup(index, text)
    own = (await api.call("POST", "keys", {"project": "bot", "name": "own"})).body
    clash = await api.call("POST", "keys", {"project": "bot", "name": "copy", "value": own["secret"]})
    assert clash.status == 409


async def test_rotating_an_imported_key_puts_a_native_one_in_its_place(api: Any) -> None:
    value = secrets.token_urlsafe(24)
    made = await _create(api, value=value, tags={"a": "b"})
    old = made["key"]["id"]
    rotated = (await api.call("POST", f"keys/{old}:rotate", {"grace_seconds": "600"})).body
    assert rotated["key"]["id"] != old
    assert (rotated["key"]["name"], rotated["key"]["tags"]) == ("main", {"a": "b"})
    before = (await api.call("GET", f"keys/{old}")).body
    assert before["status"] == "KEY_STATUS_ACTIVE"
    assert before["name"].startswith("main.before-")
    assert before["expires_at"] is not None
    other = secrets.token_urlsafe(24)
    second = (await api.call("POST", "keys", {"project": "bot", "name": "second", "value": other})).body
    assert (await api.call("POST", f"keys/{second['key']['id']}:rotate", {})).status == 200
    assert (await _entry(api, second["key"]["id"])).revoked


async def test_keys_of_an_archived_project(api: Any) -> None:
    made = await _create(api)
    await api.call("DELETE", "projects/bot")
    assert (await api.call("POST", "keys", {"project": "bot", "name": "late"})).status == 404
    refused = await api.call("POST", f"keys/{made['key']['id']}:rotate", {})
    assert refused.error["code"] == "failed_precondition"
    async with await AsyncConnection.connect(api.database_url) as db:
        catalog = await build_catalog(db, api.plane.vault)
    assert (await _entry(api, made["key"]["id"])).project not in catalog.projects


async def test_the_whole_directory_comes_in_pages(api: Any) -> None:
    await api.call("POST", "projects", {"name": "bot"})
    for number in range(5):
        await api.call("POST", "keys", {"project": "bot", "name": f"key-{number}"})
    seen: list[str] = []
    async with await AsyncConnection.connect(api.database_url) as db:
        after = None
        while page := await all_entries(db, after, 2):
            seen += [entry.name for entry in page]
            after = UUID(page[-1].key_id)
    assert seen == [f"key-{number}" for number in range(5)]


async def test_of_two_imports_of_one_value_at_once_one_wins(api: Any) -> None:
    await api.call("POST", "projects", {"name": "bot"})
    value = secrets.token_urlsafe(24)
    requests = [{"project": "bot", "name": name, "value": value} for name in ("one", "two", "three")]
    answers = await asyncio.gather(*(api.call("POST", "keys", request) for request in requests))
    assert sorted(answer.status for answer in answers) == [200, 409, 409]
    names = await asyncio.gather(*(api.call("POST", "keys", {"project": "bot", "name": "same"}) for _ in range(3)))
    assert sorted(answer.status for answer in names) == [200, 409, 409]
