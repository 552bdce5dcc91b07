"""Idempotency keys as clients send them, to two whole control planes; and where calls over gRPC come from."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from ipaddress import ip_network
from typing import Any
from urllib.parse import urlsplit

import grpc.aio
import pytest
import pytest_asyncio
from google.rpc import error_details_pb2, status_pb2  # type: ignore[import-untyped]

from tollway.controlplane.app import ControlPlane
from tollway.sdk.client import AsyncClient
from tollway.sdk.idempotency import idempotency_key
from tollway.testkit.portal import Person, signed_in
from tollway.testkit.servers import PostgresServer
from tollway.wire.contract import METHODS
from tollway.wire.json_codec import fill

pytestmark = pytest.mark.asyncio(loop_scope="module")
KEY = "Idempotency-Key"
LOOPBACK = (ip_network("127.0.0.0/8"),)


@dataclass(frozen=True)
class Pair:
    """Clients of two control planes; the second believes the loopback's `X-Forwarded-For`."""

    first: Any
    second: Any
    token: str


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def pair(
    postgres: PostgresServer, migrated: str, make_settings: Callable[..., Any], make_api: Callable[..., Any]
) -> AsyncIterator[Pair]:
    """Made once for the module; tests change only what is theirs."""
    url = postgres.create_database(migrated)
    async with AsyncExitStack() as opened:
        apis = []
        for settings in (make_settings(url), make_settings(url, trusted_proxies=LOOPBACK)):
            plane = ControlPlane(settings)
            await plane.start()
            opened.push_async_callback(plane.stop)
            apis.append(make_api(plane, url))
            opened.push_async_callback(apis[-1].close)
        assert (await apis[0].call("POST", "projects", {"name": "alpha"})).status == 200
        yield Pair(apis[0], apis[1], settings.admin_token)


def message(method: str, **fields: Any) -> Any:
    made = METHODS[f"tollway.control.v1.{method}"].request()
    fill(made, fields)
    return made


def raw(api: Any, token: str, sent: Any, method: str, *metadata: tuple[str, str]) -> Any:
    """A call over gRPC, to be awaited, with metadata that may have a name twice."""
    contract = METHODS[f"tollway.control.v1.{method}"]
    stub = api.channel.unary_unary(
        f"/{contract.name}",
        request_serializer=contract.request.SerializeToString,
        response_deserializer=contract.response.FromString,
    )
    return stub(sent, metadata=(("authorization", f"Bearer {token}"), *metadata), timeout=10)


async def test_rest_answers_the_same_again_and_says_so(pair: Pair) -> None:
    made = {"project": "alpha", "name": "rest"}
    answers = await asyncio.gather(
        *(api.call("POST", "keys", made, headers={KEY: "rest-1"}) for api in (pair.first, pair.second) * 5)
    )
    assert {answer.status for answer in answers} == {200}
    assert len({answer.body["secret"] for answer in answers}) == 1
    assert sorted(answer.headers.get("idempotent-replayed", "") for answer in answers) == [""] + ["true"] * 9
    assert len({answer.headers["x-request-id"] for answer in answers}) == 10
    other = await pair.second.call("POST", "keys", {**made, "name": "other"}, headers={KEY: "rest-1"})
    assert (other.status, other.error["code"], other.error["field"]) == (422, "idempotency_key_reused", KEY)
    assert made == {"project": "alpha", "name": "rest"}
    listed = (await pair.first.call("GET", "keys?project=alpha")).body["keys"]
    assert [key["name"] for key in listed if key["name"] in ("rest", "other")] == ["rest"]
    gone = answers[0].body["key"]["id"]
    for replayed in (None, "true"):
        revoked = await pair.first.call("POST", f"keys/{gone}:revoke", {}, headers={KEY: "rest-2"})
        assert (revoked.status, revoked.headers.get("idempotent-replayed")) == (200, replayed)


@pytest.mark.parametrize("key", ["", "two words", "x" * 256])
async def test_rest_refuses_a_key_that_cannot_be_one_but_not_where_nothing_changes(pair: Pair, key: str) -> None:
    refused = await pair.first.call("POST", "projects", {"name": "never"}, headers={KEY: key})
    assert (refused.status, refused.error["code"], refused.error["field"]) == (400, "invalid_argument", KEY)
    assert "1 to 255 visible ASCII characters" in refused.error["message"]
    assert (await pair.first.call("GET", "projects/alpha", headers={KEY: key})).status == 200


async def test_grpc_takes_the_key_as_metadata_and_shares_it_with_rest(pair: Pair) -> None:
    method = "ProjectService/CreateProject"
    made = await pair.first.rpc(method, message(method, name="by-grpc"), idempotency_key="g-1")
    call = raw(pair.second, pair.token, message(method, name="by-grpc"), method, ("idempotency-key", "g-1"))
    assert await call == made
    assert dict(await call.trailing_metadata())["idempotent-replayed"] == "true"
    over_rest = await pair.first.call("POST", "projects", {"name": "by-grpc"}, headers={KEY: "g-1"})
    assert (over_rest.status, over_rest.body["id"]) == (200, made.id)
    with pytest.raises(grpc.aio.AioRpcError) as failed:
        await pair.first.rpc(method, message(method, name="another"), idempotency_key="g-1")
    assert failed.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    (detail,) = (value for name, value in failed.value.trailing_metadata() if name == "grpc-status-details-bin")
    info = error_details_pb2.ErrorInfo()
    assert status_pb2.Status.FromString(detail).details[0].Unpack(info)
    assert info.reason == "idempotency_key_reused"
    for bad in ("two words", "x" * 256):
        with pytest.raises(grpc.aio.AioRpcError, match="1 to 255 visible ASCII characters"):
            await pair.first.rpc(method, message(method, name="another"), idempotency_key=bad)
    twice = (("idempotency-key", "g-2"), ("idempotency-key", "g-2"))
    with pytest.raises(grpc.aio.AioRpcError, match="must be sent once"):
        await raw(pair.first, pair.token, message(method, name="another"), method, *twice)


class Cutting:
    """Passes bytes to a server; of the first `cuts` answers only `size` bytes come back, though the server sent all."""

    def __init__(self, base: str, cuts: int, size: int) -> None:
        self._parts = urlsplit(base)
        self.left, self._size, self.cut = cuts, size, 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        upstream, there = await asyncio.open_connection(self._parts.hostname, self._parts.port)
        try:
            while data := await reader.read(65536):
                there.write(data)
                if b"\r\n\r\n" in data and data.startswith(b"POST") and not data.partition(b"\r\n\r\n")[2]:
                    there.write(await reader.read(65536))
                answer = await upstream.read(65536)
                if self.left:
                    self.left, self.cut = self.left - 1, self.cut + 1
                    writer.write(answer[: self._size])
                    await writer.drain()
                    return
                writer.write(answer)
        finally:
            there.close()
            writer.close()


@asynccontextmanager
async def cutting(base: str, cuts: int, size: int) -> AsyncIterator[tuple[Cutting, str]]:
    """The proxy and its URL."""
    proxy = Cutting(base, cuts, size)
    server = await asyncio.start_server(proxy.serve, "127.0.0.1", 0)
    async with server:
        yield proxy, f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"


@pytest.mark.parametrize("size", [0, 150])
async def test_the_sdk_repeats_a_change_whose_answer_was_cut_off(pair: Pair, size: int) -> None:
    name = f"cut-{size}"
    async with cutting(pair.first.base, 2, size) as (proxy, url), AsyncClient(url, pair.token) as client:
        made = await client.keys.create("alpha", name)
    assert proxy.cut == 2
    assert made.secret.startswith("sk-tw-")
    assert await pair.first.sql("SELECT count(*) FROM keys WHERE name = %s", name) == [(1,)]
    assert await pair.first.sql(
        "SELECT count(*) FROM audit_events WHERE action = 'keys.create' AND after->>'name' = %s", name
    ) == [(1,)]
    found = await pair.second.call("GET", "keys?project=alpha")
    assert made.key.id in {key["id"] for key in found.body["keys"]}


async def test_a_script_with_a_key_of_its_own_runs_twice_and_works_once(pair: Pair) -> None:
    async with AsyncClient(pair.first.base, pair.token) as one, AsyncClient(pair.second.base, pair.token) as two:
        shown = []
        for client in (one, two):
            with idempotency_key("nightly"):
                project = await client.projects.create("nightly")
                shown.append((project, await client.keys.create("nightly", "web")))
        assert shown[0] == shown[1]


async def test_a_form_sent_to_two_processes_is_done_once(pair: Pair) -> None:
    async with signed_in(pair.first.plane) as person:
        await person.get("/account")
        other = Person(person.browser, pair.second.base)
        other.token = person.token
        form = {"once": "number-1", "project": "alpha", "name": "double", "days": "30"}
        pages = await asyncio.gather(*(who.post("/keys", **form) for who in (person, other) * 3))
        assert {status for status, _, _ in pages} == {200}, pages[0][1]
        assert len({re.search(r">(sk-tw-[^<]+)<", text)[1] for _, text, _ in pages}) == 1  # type: ignore[index]
        await asyncio.sleep(1.1)  # "in 30 days" is another moment by now
        assert (await other.post("/keys", **form))[0] == 200
        assert await pair.first.sql("SELECT count(*) FROM keys WHERE name = 'double'") == [(1,)]
        status, text, _ = await other.post("/keys", **{**form, "days": "60"})
        assert (status, "double" in text) == (409, True), "another form with the same number"
        await pair.first.sql("UPDATE idempotency_records SET answer_until = now() - interval '1 second'")
        status, text, _ = await other.post("/keys", **form)
        assert (status, "This was done already" in text) == (409, True)


async def test_where_a_call_over_grpc_comes_from_is_believed_from_trusted_proxies_alone(pair: Pair) -> None:
    method = "ProjectService/CreateProject"
    sent = {"x_forwarded_for": "6.6.6.6, 203.0.113.7"}
    for name, api in (("direct", pair.first), ("proxied", pair.second)):
        await api.rpc(method, message(method, name=name), **sent)
    sources = await pair.first.sql(
        "SELECT resource, source FROM audit_events WHERE resource IN ('project:direct', 'project:proxied') ORDER BY 1"
    )
    assert sources == [("project:direct", "127.0.0.1"), ("project:proxied", "203.0.113.7")]
    lines = (("x-forwarded-for", "203.0.113.8"), ("x-forwarded-for", "127.0.0.9"))
    await raw(pair.second, pair.token, message(method, name="lines"), method, *lines)
    found = await pair.first.sql("SELECT source FROM audit_events WHERE resource = 'project:lines'")
    assert found == [("127.0.0.9",)], "the last line is the nearest proxy's; gRPC shows no other"
