"""The SDK against a real HTTP server."""

import subprocess
import sys
from collections.abc import Iterator

import pytest

from tollway.sdk import errors, transport
from tollway.sdk.client import AsyncClient, Client
from tollway.sdk.idempotency import idempotency_key
from tollway.testkit.management_api import TOKEN, ManagementApi, management_api


@pytest.fixture
def api() -> Iterator[ManagementApi]:
    with management_api() as running:
        yield running


@pytest.fixture
def client(api: ManagementApi) -> Iterator[Client]:
    with Client(api.url, TOKEN) as opened:
        yield opened


def test_creates_and_reads(client: Client) -> None:
    made = client.projects.create("retail", models=["gpt-*"])
    assert client.projects.get("retail") == made
    assert made.models == ["gpt-*"]


def test_lists_all_pages(client: Client) -> None:
    for number in range(5):
        client.projects.create(f"p{number}")
    assert [project.name for project in client.projects.list()] == [f"p{number}" for number in range(5)]
    assert [project.name for project in client.projects.list(limit=3)] == ["p0", "p1", "p2"]


def test_an_update_sends_only_what_is_given(client: Client, api: ManagementApi) -> None:
    client.projects.create("retail")
    client.projects.update("retail", description="new")
    assert api.seen[-1] == ("PATCH", "/api/v1/projects/retail", {}, {"description": "new"})


def test_an_old_etag_is_refused(client: Client) -> None:
    made = client.projects.create("retail")
    client.projects.update("retail", description="one", etag=made.etag)
    with pytest.raises(errors.EtagMismatch):
        client.projects.update("retail", description="two", etag=made.etag)


def test_errors_have_code_status_and_message(client: Client) -> None:
    with pytest.raises(errors.NotFound) as caught:
        client.projects.get("nobody")
    assert (caught.value.status, caught.value.code) == (404, "not_found")
    assert "nobody" in caught.value.message


def test_a_wrong_token_is_an_authentication_error(api: ManagementApi) -> None:
    with Client(api.url, "wrong-canary") as client, pytest.raises(errors.AuthenticationError) as caught:
        client.status()
    assert "canary" not in f"{caught.value}{client!r}{client._transport!r}"


def test_reads_are_repeated_on_503(client: Client, api: ManagementApi) -> None:
    api.faults = [(503, {"Retry-After": "0"}, b"{}")] * 2
    assert client.status().config_version == 7
    assert len(api.seen) == 3


def test_changes_are_repeated_under_one_idempotency_key(client: Client, api: ManagementApi) -> None:
    api.faults = [(503, {"Retry-After": "0"}, b"{}")] * 2
    assert client.projects.create("retail").name == "retail"
    assert len(api.seen) == 3
    assert len(set(api.idempotency_keys)) == 1
    client.projects.create("other")
    client.projects.get("other")
    assert len({key for key in api.idempotency_keys if key}) == 2, "another call has another key"
    assert api.idempotency_keys[-1] == "", "reads have none"


def test_no_repeat_is_made_for_ever(client: Client, api: ManagementApi, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "RETRY_PAUSES_SECONDS", (0.0, 0.0))
    api.faults = [(503, {}, b'{"error": {"code": "unavailable", "message": "later"}}')] * 3
    with pytest.raises(errors.Unavailable, match="later"):
        client.projects.create("retail")
    assert len(api.seen) == 3


def test_a_key_of_ones_own_numbers_the_calls_of_its_block(client: Client, api: ManagementApi) -> None:
    for _ in range(2):
        with idempotency_key("nightly-2026-11-21"):
            client.projects.create("retail")
            client.projects.update("retail", description="d")
    assert api.idempotency_keys == ["nightly-2026-11-21", "nightly-2026-11-21-2"] * 2
    for bad in ("", "a b", "ä", "x" * 241):
        with pytest.raises(ValueError, match="visible ASCII"), idempotency_key(bad):
            pytest.fail("the key was taken")


async def test_a_key_of_ones_own_counts_for_the_asynchronous_client(api: ManagementApi) -> None:
    async with AsyncClient(api.url, TOKEN) as client:
        with idempotency_key("k"):
            await client.projects.create("retail")
    assert api.idempotency_keys == ["k"]


def test_a_key_that_was_used_for_something_else_is_an_error_of_its_own(client: Client, api: ManagementApi) -> None:
    api.faults = [(422, {}, b'{"error": {"code": "idempotency_key_reused", "message": "send a new key"}}')]
    with pytest.raises(errors.IdempotencyKeyReused, match="send a new key"):
        client.projects.create("retail")


def test_something_else_on_the_port(client: Client, api: ManagementApi) -> None:
    api.faults = [(200, {}, b"<html>")]
    with pytest.raises(errors.InvalidAnswer, match="control plane"):
        client.status()


def test_nobody_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transport, "RETRY_PAUSES_SECONDS", ())
    with Client("http://127.0.0.1:1", TOKEN) as client, pytest.raises(errors.ConnectionFailed, match="refused"):
        client.projects.create("x")


def test_model_names_keep_their_slashes(client: Client, api: ManagementApi) -> None:
    client.models.get("sim/small")
    client.keys.get("a/b")
    assert [path for _, path, _, _ in api.seen] == ["/api/v1/models/sim/small", "/api/v1/keys/a%2Fb"]


def test_connections_are_reused(client: Client) -> None:
    client.status()
    (connection,) = client._transport._idle
    client.status()
    assert client._transport._idle == [connection]


async def test_the_asynchronous_client_does_the_same(api: ManagementApi) -> None:
    async with AsyncClient(api.url, TOKEN) as client:
        for number in range(3):
            await client.projects.create(f"p{number}")
        assert [project.name async for project in client.projects.list()] == ["p0", "p1", "p2"]
        assert (await client.usage("project")).rows[0].requests == 9007199254740993
        with pytest.raises(errors.NotFound):
            await client.projects.get("nobody")


def test_import_is_light() -> None:
    code = (
        "import sys, time; t = time.process_time(); import tollway.sdk.client; "
        "print(int((time.process_time() - t) * 1000)); "
        "print([m for m in sys.modules if m.split('.')[0] in ('aiohttp', 'msgspec', 'grpc', 'typer', 'rich')])"
    )
    best, modules = min(
        subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.splitlines()
        for _ in range(3)
    )
    assert modules == "[]"
    assert int(best) < 300
