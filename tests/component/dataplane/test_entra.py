"""Azure with an application of Entra ID in place of a key: tokens are fetched once, used, renewed, and never shown."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

from tollway.core.catalog import Credential, Provider, ProviderKind
from tollway.core.errors import Code
from tollway.dataplane.providers.port import Outgoing, ProviderFault
from tollway.dataplane.upstream.aiohttp_client import AiohttpClient as Connections
from tollway.dataplane.upstream.entra import EntraTokens
from tollway.dataplane.upstream.port import Response, UnsentError, UpstreamClient
from tollway.runtime.tasks import Tasks
from tollway.testkit.fakes.clock import FakeClock
from tollway.testkit.lone_dataplane import LoneDataPlane
from tollway.testkit.servers import ValkeyServer
from tollway.testkit.upstream import Received, Script, Upstream, whole

SECRET = "s3cret-of-the-application"
TOKEN = "eyJhbGciOiJSUzI1NiJ9.eyJhdWQiOiJ4In0.c2lnbmF0dXJl"


@pytest.fixture
async def microsoft() -> AsyncIterator[Upstream]:
    """A token endpoint, and Azure behind every other path."""
    async with Upstream() as server:
        server.script = answers(token=TOKEN)
        yield server


def answers(**token: Any) -> Script:
    """Tokens with these fields, and chats."""
    issue = whole({"token_type": "Bearer", "expires_in": 3600, "access_token": token.pop("token", ""), **token})
    chat = whole()

    async def script(request: Received, writer: asyncio.StreamWriter) -> None:
        await (issue if request.path.endswith("/token") else chat)(request, writer)

    return script


def credential(server: Upstream, text: str = f"tenant=t;client=c;secret={SECRET}") -> Credential:
    origin = server.url.removesuffix("/v1")
    return Credential(id="c", name="main", api_key=f"entra:{text};authority={origin}")


@pytest.fixture
async def tokens(clock: FakeClock) -> AsyncIterator[EntraTokens]:
    tasks, connections = Tasks(), Connections()
    yield EntraTokens(connections, tasks, clock.monotonic)
    await tasks.close()
    await connections.close()


@pytest.fixture
def clock() -> FakeClock:
    return FakeClock()


async def test_a_chat_at_azure(tmp_path: Path, valkey: ValkeyServer, microsoft: Upstream) -> None:
    plane = LoneDataPlane(tmp_path / "data", valkey.url)
    plane.providers["azure"] = Provider(
        id="azure",
        name="azure",
        kind=ProviderKind.AZURE_OPENAI,
        base_url=microsoft.url.removesuffix("/v1"),
        credentials=(credential(microsoft),),
    )
    plane.add_model("m", ("azure", "gpt"))
    async with plane:
        assert [(await plane.chat()).status for _ in range(2)] == [200, 200]
    asked, *chats = microsoft.requests
    assert asked.path == "/t/oauth2/v2.0/token"
    assert parse_qs(asked.body.decode()) == {
        "grant_type": ["client_credentials"],
        "client_id": ["c"],
        "client_secret": [SECRET],
        "scope": ["https://cognitiveservices.azure.com/.default"],
    }
    assert [chat.headers["authorization"] for chat in chats] == [f"Bearer {TOKEN}"] * 2
    assert all("api-key" not in chat.headers for chat in chats)


async def test_one_fetch_serves_all_that_wait(tokens: EntraTokens, microsoft: Upstream) -> None:
    found = await asyncio.gather(*(tokens.resolve(credential(microsoft)) for _ in range(20)))
    assert {each.api_key for each in found} == {TOKEN}
    assert len(microsoft.requests) == 1


async def test_a_token_is_renewed_while_it_serves(tokens: EntraTokens, microsoft: Upstream, clock: FakeClock) -> None:
    await tokens.resolve(credential(microsoft))
    microsoft.script = answers(token="eyJ.second.token")
    clock.advance(3600 - 200)
    assert (await tokens.resolve(credential(microsoft))).api_key == TOKEN
    async with asyncio.timeout(5):
        while (await tokens.resolve(credential(microsoft))).api_key == TOKEN:
            await asyncio.sleep(0.01)
    assert len(microsoft.requests) == 2
    clock.advance(4000)
    microsoft.script = answers(token="eyJ.third.token")
    assert (await tokens.resolve(credential(microsoft))).api_key == "eyJ.third.token"


@pytest.mark.parametrize(
    ("script", "text", "words"),
    [
        (answers(error="invalid_client", error_description="bad secret"), "tenant=t;client=c;secret=x", "bad secret"),
        (whole(b"<html>"), "tenant=t;client=c;secret=x", "DecodeError"),
        (answers(), "tenant=t;secret=x", "client"),
        (answers(), "tenant=t;client=c;secret=x;colour=red", "colour"),
    ],
)
async def test_a_refusal_is_the_operators(
    tokens: EntraTokens, microsoft: Upstream, script: Script, text: str, words: str
) -> None:
    microsoft.script = script
    with pytest.raises(ProviderFault) as refused:
        await tokens.resolve(credential(microsoft, text))
    fault = refused.value
    assert (fault.code, fault.retryable) == (Code.PROVIDER_AUTH_FAILED, False)
    assert words in str(fault.operator_note)
    assert words not in fault.message
    assert SECRET not in json.dumps([fault.message, fault.operator_note])


class Stale:
    """Connections of which the first is reused and closed; `calls` says of each call whether it was reused."""

    def __init__(self, upstream: UpstreamClient, *closed: bool) -> None:
        self._upstream = upstream
        self._closed = list(closed)
        self.calls: list[bool] = []

    async def send(self, outgoing: Outgoing, before_send: Callable[[bool], None]) -> Response:
        reused = not self.calls
        self.calls.append(reused)
        if self._closed and self._closed.pop(0):
            before_send(reused)
            raise UnsentError
        return await self._upstream.send(outgoing, before_send)

    async def close(self) -> None:
        await self._upstream.close()


@pytest.mark.parametrize("closed", [1, 2])
async def test_a_kept_connection_that_was_closed_says_nothing_of_the_credential(
    microsoft: Upstream, clock: FakeClock, closed: int
) -> None:
    tasks, connections = Tasks(), Stale(Connections(), *[True] * closed)
    tokens = EntraTokens(connections, tasks, clock.monotonic)
    if closed == 1:
        assert (await tokens.resolve(credential(microsoft))).api_key == TOKEN
    else:
        with pytest.raises(ProviderFault) as failed:
            await tokens.resolve(credential(microsoft))
        assert (failed.value.code, failed.value.retryable) == (Code.PROVIDER_UNAVAILABLE, True)
    assert connections.calls == [True, False]
    await tasks.close()
    await connections.close()


async def test_a_token_endpoint_in_trouble_says_nothing_of_the_credential(
    tokens: EntraTokens, microsoft: Upstream
) -> None:
    microsoft.script = whole({"error": "temporarily_unavailable"}, status=503)
    with pytest.raises(ProviderFault) as failed:
        await tokens.resolve(credential(microsoft))
    assert (failed.value.code, failed.value.retryable) == (Code.PROVIDER_UNAVAILABLE, True)
