"""Providers and their credentials: addresses, sealing, rotation, and that no secret rests anywhere in the clear."""

from __future__ import annotations

from typing import Any

import pytest
from psycopg import AsyncConnection

from tollway.controlplane.catalog.snapshot import build_catalog
from tollway.controlplane.credentials.vault import Vault, VaultError
from tollway.core.catalog import Catalog


async def _catalog(api: Any, vault: Vault | None = None) -> Catalog:
    async with await AsyncConnection.connect(api.database_url) as db:
        return await build_catalog(db, vault or api.plane.vault)


async def _provider(api: Any, canary: str, **fields: Any) -> dict[str, Any]:
    request = {"name": "openai", "kind": "openai", "credentials": [{"name": "main", "api_key": canary}], **fields}
    made = await api.call("POST", "providers", request)
    assert made.status == 200, made.body
    body: dict[str, Any] = made.body
    return body


async def test_a_provider_with_defaults(api: Any, canary: str) -> None:
    made = await _provider(api, canary)
    assert made["base_url"] == "https://api.openai.com/v1"
    assert made["hangup"] == "close"
    assert made["timeouts"] == {
        "connect_seconds": 5,
        "first_byte_seconds": 60,
        "between_chunks_seconds": 60,
        "total_seconds": 600,
    }
    assert [credential["name"] for credential in made["credentials"]] == ["main"]
    assert canary not in str(made)
    (provider,) = (await _catalog(api)).providers.values()
    assert [(c.name, c.api_key, c.weight) for c in provider.credentials] == [("main", canary, 1)]
    assert canary not in repr(provider)


@pytest.mark.parametrize(
    ("kind", "url"),
    [
        ("azure_openai", ""),
        ("vllm", ""),
        ("openai", "ftp://host"),
        ("openai", "http://169.254.169.254/latest"),
        ("openai", "http://[fe80::1]/"),
        ("openai", "https://user:secret@host/v1"),
        ("openai", "https://host/v1?key=1"),
    ],
)
async def test_addresses_that_are_refused(api: Any, kind: str, url: str) -> None:
    answer = await api.call("POST", "providers", {"name": "p", "kind": kind, "base_url": url})
    assert (answer.status, answer.error["field"]) == (400, "base_url")
    assert "secret" not in answer.error["message"]


async def test_a_local_address_loses_its_slash(api: Any) -> None:
    made = await api.call(
        "POST", "providers", {"name": "home", "kind": "vllm", "base_url": "http://127.0.0.1:8000/v1/"}
    )
    assert made.body["base_url"] == "http://127.0.0.1:8000/v1"
    changed = await api.call("PATCH", "providers/home", {"timeouts": {"total_seconds": 30}, "hangup": "drain"})
    assert changed.body["timeouts"]["total_seconds"] == 30
    assert changed.body["timeouts"]["connect_seconds"] == 5
    (provider,) = (await _catalog(api)).providers.values()
    assert (provider.timeouts.total, provider.hangup) == (30, "drain")


async def test_credentials_are_added_rotated_and_removed(api: Any, canary: str) -> None:
    made = await _provider(api, canary)
    second = await api.call(
        "POST", "providers/openai/credentials", {"name": "spare", "api_key": "b" + canary, "weight": 3}
    )
    assert [c["name"] for c in second.body["credentials"]] == ["main", "spare"]
    assert second.body["etag"] != made["etag"]
    twice = await api.call("POST", "providers/openai/credentials", {"name": "spare", "api_key": "x"})
    assert twice.status == 409
    rotated = await api.call("POST", "providers/openai/credentials/main:rotate", {"api_key": "c" + canary})
    assert rotated.body["credentials"][0]["rotated_at"] is not None
    (provider,) = (await _catalog(api)).providers.values()
    assert {(c.name, c.api_key) for c in provider.credentials} == {("main", "c" + canary), ("spare", "b" + canary)}
    assert (await api.call("DELETE", "providers/openai/credentials/main")).status == 200
    (provider,) = (await _catalog(api)).providers.values()
    assert [c.name for c in provider.credentials] == ["spare"]
    assert await api.sql("SELECT sealed FROM credentials WHERE name = 'main'") == [(b"",)]
    bad = await api.call("POST", "providers/openai/credentials", {"name": "bad", "api_key": "two words"})
    assert (bad.status, bad.error["field"]) == (400, "api_key")


async def test_no_secret_rests_in_the_clear(api: Any, canary: str) -> None:
    await _provider(api, canary)
    await api.call("POST", "providers/openai/credentials/main:rotate", {"api_key": "rotated-" + canary})
    await api.call("POST", "projects", {"name": "bot"})
    generated = (await api.call("POST", "keys", {"project": "bot", "name": "one"})).body["secret"]
    imported = "imported-" + canary + "-Zq7"
    made = await api.call("POST", "keys", {"project": "bot", "name": "two", "value": imported})
    assert made.status == 200, made.body
    document = {"projects": [{"name": "bot-2", "keys": [{"name": "three", "value": "applied-" + canary + "-Yw3"}]}]}
    applied = await api.call("POST", "configuration:apply", {"configuration": document})
    assert applied.status == 200, applied.body
    tables = [row[0] for row in await api.sql("SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = "
                                              "current_schema()::regnamespace")]  # fmt: skip
    assert {"credentials", "audit_events", "keys", "key_secrets", "data_keys", "peppers"} <= set(tables)
    needles = [canary, generated, generated[15:], canary.encode().hex(), generated.encode().hex()]
    for table in tables:
        for (row,) in await api.sql(f'SELECT t::text FROM "{table}" t'):
            assert not any(needle in row for needle in needles), table


async def test_a_provider_in_use_is_not_archived(api: Any, canary: str) -> None:
    await _provider(api, canary)
    await api.call("POST", "models", {"name": "m", "targets": [{"provider": "openai", "model": "gpt-4o"}]})
    refused = await api.call("DELETE", "providers/openai")
    assert (refused.status, refused.error["code"]) == (409, "failed_precondition")
    await api.call("DELETE", "models/m")
    assert (await api.call("DELETE", "providers/openai")).status == 200
    assert (await _catalog(api)).providers == {}
    assert await api.sql("SELECT count(*) FROM credentials WHERE sealed <> ''") == [(0,)]


async def test_a_sealed_value_does_not_open_in_anothers_place(api: Any, canary: str) -> None:
    await _provider(api, canary)
    await api.call("POST", "providers/openai/credentials", {"name": "spare", "api_key": "b" + canary})
    await api.sql("UPDATE credentials SET sealed = (SELECT sealed FROM credentials WHERE name = 'main')")
    with pytest.raises(VaultError, match="another's place"):
        await _catalog(api)
