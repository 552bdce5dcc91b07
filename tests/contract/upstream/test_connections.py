"""One suite for both upstream clients: when a connection is used again, when never, and that nothing stays behind."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from tollway.core.errors import Code, TollwayError
from tollway.dataplane.upstream import pool as pool_module
from tollway.dataplane.upstream.native import NativeClient
from tollway.dataplane.upstream.pool import Limits
from tollway.dataplane.upstream.port import UnsentError, UpstreamClient, read_whole
from tollway.testkit.raw_server import Peer, RawServer, sends, serves
from tollway.testkit.upstream_calls import UNREACHABLE, UNSENT, outcome, post, unused

OK = b"HTTP/1.1 200 OK\r\n"
HELLO = OK + b"content-length: 5\r\n\r\nhello"
CHUNKED = OK + b"transfer-encoding: chunked\r\n\r\n"
WELL = (200, b"hello")
BIG = bytes(range(256)) * (1 << 16)


async def until(true: Callable[[], object], seconds: float = 2.0) -> None:
    async with asyncio.timeout(seconds):
        while not true():
            await asyncio.sleep(0.002)


async def test_a_connection_serves_one_request_after_another(client: UpstreamClient) -> None:
    reused: list[bool] = []
    async with RawServer(serves(HELLO, CHUNKED + b"5\r\nhello\r\n0\r\n\r\n", HELLO)) as server:
        for _ in range(4):
            response = await client.send(post(server.url), reused.append)
            assert await read_whole(response, 100, lambda: None) == b"hello"
        assert server.connections == 1
    assert reused == [False, True, True, True]


async def test_requests_at_once_have_connections_of_their_own(client: UpstreamClient) -> None:
    async with RawServer(serves(HELLO)) as server:
        assert await asyncio.gather(*(outcome(client, post(server.url)) for _ in range(5))) == [WELL] * 5
        assert server.connections == 5
        assert await outcome(client, post(server.url)) == WELL
        assert server.connections == 5


@pytest.mark.parametrize("how", ["close", "reset"])
async def test_a_connection_that_ended_while_idle_is_not_used(client: UpstreamClient, how: str) -> None:
    ended = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(HELLO)
        await asyncio.sleep(0.02)
        if how == "reset":
            peer.reset()
        ended.set()

    async with RawServer(script) as server:
        assert await outcome(client, post(server.url)) == WELL
        await ended.wait()
        await asyncio.sleep(0.05)
        reused: list[bool] = []
        response = await client.send(post(server.url), reused.append)
        assert (response.status, await read_whole(response, 100, lambda: None)) == WELL
        assert reused == [False]


async def test_an_answer_that_nobody_asked_for_is_never_used(native: NativeClient) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(HELLO)
        await asyncio.sleep(0.02)
        await peer.send(HELLO.replace(b"hello", b"wrong"))
        await peer.left()

    async with RawServer(script) as server:
        for _ in range(2):
            assert await outcome(native, post(server.url)) == WELL
            await server.closed()
        assert server.connections == 2


@pytest.mark.parametrize("how", ["close", "reset"])
async def test_a_reused_connection_that_is_closed_before_any_byte(client: UpstreamClient, how: str) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(HELLO)
        await peer.request()
        if how == "reset":
            peer.reset()

    async with RawServer(script) as server:
        assert await outcome(client, post(server.url)) == WELL
        reused: list[bool] = []
        with pytest.raises(UnsentError):
            await client.send(post(server.url), reused.append)
        assert reused == [True]
        assert await outcome(client, post(server.url)) == WELL


FINAL = {
    "connection: close": OK + b"connection: close\r\ncontent-length: 5\r\n\r\nhello",
    "HTTP/1.0": b"HTTP/1.0 200 OK\r\ncontent-length: 5\r\n\r\nhello",
    "chunks": OK + b"connection: close\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
}
SURPLUS = {
    "another answer": HELLO + HELLO.replace(b"hello", b"wrong"),
    "the beginning of another": HELLO + b"HTTP/1.1 200 OK\r\ncontent-",
    "one byte": HELLO + b"H",
    "a body of no content": b"HTTP/1.1 204 No Content\r\ncontent-length: 5\r\n\r\nhello",
    "after chunks": CHUNKED + b"5\r\nhello\r\n0\r\n\r\nmore",
}


@pytest.mark.parametrize("name", FINAL)
async def test_a_connection_that_is_said_to_end_is_not_used(client: UpstreamClient, name: str) -> None:
    async with RawServer(sends(FINAL[name], then="stay")) as server:
        assert [await outcome(client, post(server.url)) for _ in range(2)] == [WELL, WELL]
        assert server.connections == 2
        await server.closed()


@pytest.mark.parametrize("name", SURPLUS)
async def test_a_connection_with_bytes_after_the_answer_is_not_used(native: NativeClient, name: str) -> None:
    async with RawServer(sends(SURPLUS[name], then="stay")) as server:
        for _ in range(2):
            found = await outcome(native, post(server.url))
            assert found in (WELL, (204, b""))
        assert server.connections == 2
        await server.closed()


async def test_before_send_has_the_last_word(client: UpstreamClient) -> None:
    def refuse(_reused: bool) -> None:
        raise TollwayError(Code.OVERLOADED, "full")

    seen: list[bytes] = []

    async def script(peer: Peer) -> None:
        while True:
            seen.append((await peer.request())[1])
            await peer.send(HELLO)

    async with RawServer(script) as server:
        with pytest.raises(TollwayError, match="full"):
            await client.send(post(server.url, b"first"), refuse)
        assert await outcome(client, post(server.url, b"second")) == WELL
        with pytest.raises(TollwayError, match="full"):
            await client.send(post(server.url, b"third"), refuse)
        assert await outcome(client, post(server.url, b"fourth")) == WELL
    assert seen == [b"second", b"fourth"]


def stays(*pieces: bytes, whole: bool = True) -> Callable[[Peer], Awaitable[None]]:
    """On the first connection these pieces, then silence; on others an answer."""

    async def script(peer: Peer) -> None:
        await (peer.request() if whole else peer.head())
        if peer.number > 0:
            await peer.send(HELLO)
        elif pieces:
            await peer.send(*pieces)
        await (peer.left() if whole else asyncio.sleep(0.2))

    return script


@pytest.mark.parametrize("said", [b"", b"HTTP/1.1 2", OK + b"content-len", b"HTTP/1.1 100 Continue\r\n\r\n"])
async def test_a_request_that_is_cancelled_before_its_answer(client: UpstreamClient, said: bytes) -> None:
    async with RawServer(stays(said)) as server:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await client.send(post(server.url), unused)
        await server.closed()
        assert await outcome(client, post(server.url)) == WELL
        assert server.connections == 2


async def test_a_read_that_is_cancelled_takes_nothing(client: UpstreamClient) -> None:
    go = asyncio.Event()

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(OK + b"content-length: 5\r\n\r\nhe")
        await go.wait()
        await peer.send(b"llo")
        await peer.left()

    async with RawServer(script) as server:
        response = await client.send(post(server.url), unused)
        assert await response.read_some() == b"he"
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.02):
                await response.read_some()
        go.set()
        assert await read_whole(response, 100, lambda: None) == b"llo"


@pytest.mark.parametrize("how", ["close", "cancel read_whole"])
async def test_an_answer_that_is_given_up_closes_its_connection(client: UpstreamClient, how: str) -> None:
    async with RawServer(stays(OK + b"content-length: 50\r\n\r\nhello")) as server:
        response = await client.send(post(server.url), unused)
        if how == "close":
            assert await response.read_some() == b"hello"
            response.close()
            response.close()
        else:
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.05):
                    await read_whole(response, 100, lambda: None)
        await server.closed()
        assert await outcome(client, post(server.url)) == WELL


async def test_a_large_body_arrives_at_the_pace_of_the_provider(client: UpstreamClient) -> None:
    seen: list[bytes] = []

    async def script(peer: Peer) -> None:
        for _ in range(2):
            await peer.head()
            await asyncio.sleep(0.05)
            seen.append(await peer.reader.readexactly(len(BIG)))
            await peer.send(HELLO)

    async with RawServer(script) as server:
        assert [await outcome(client, post(server.url, BIG)) for _ in range(2)] == [WELL, WELL]
        assert server.connections == 1
    assert seen == [BIG, BIG]


async def test_an_answer_before_the_request_has_left(client: UpstreamClient) -> None:
    early = b"HTTP/1.1 413 Too Large\r\ncontent-length: 3\r\n\r\nbig"

    async def script(peer: Peer) -> None:
        head = await peer.head()
        if b"content-length: 2\r\n" in head.lower():
            await peer.send(HELLO)
            return
        await peer.send(early)
        await asyncio.sleep(0.5)

    async with RawServer(script) as server:
        assert await outcome(client, post(server.url, BIG)) == (413, b"big")
        assert await outcome(client, post(server.url)) == WELL
        assert server.connections == 2


async def test_a_request_that_is_cancelled_while_it_leaves(native: NativeClient) -> None:
    gone: list[bytes] = []

    async def script(peer: Peer) -> None:
        await peer.head()
        await asyncio.sleep(0.2)
        gone.append(await peer.left())

    async with RawServer(script) as server:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await native.send(post(server.url, BIG), unused)
        await until(lambda: gone)
        assert len(gone[0]) < len(BIG)


async def test_who_cannot_be_reached(client: UpstreamClient) -> None:
    async with RawServer(serves(HELLO)) as server:
        port = server.port
    assert await outcome(client, post(f"http://127.0.0.1:{port}/v1")) == UNREACHABLE


async def test_closing_the_client_ends_what_is_under_way(native: NativeClient) -> None:
    async with RawServer(stays()) as server:
        call = asyncio.ensure_future(outcome(native, post(server.url)))
        await until(lambda: server.open)
        await asyncio.sleep(0.02)
        await native.close()
        assert await call == UNSENT
        await server.closed()
        await until(lambda: not native.pool.open)


@pytest.fixture
async def limited() -> AsyncIterator[Callable[..., NativeClient]]:
    made: list[NativeClient] = []

    def make(**limits: int) -> NativeClient:
        made.append(NativeClient(Limits(**limits)))
        return made[-1]

    yield make
    for each in made:
        await each.close()


@pytest.mark.parametrize("limit", ["total", "per_host"])
async def test_at_the_limit_requests_wait_for_their_turn(limited: Any, limit: str) -> None:
    most = 0

    async def script(peer: Peer) -> None:
        nonlocal most
        while True:
            await peer.request()
            most = max(most, server.open)
            await asyncio.sleep(0.01)
            await peer.send(HELLO if peer.number % 2 else FINAL["connection: close"])

    client = limited(**{limit: 2})
    async with RawServer(script) as server:
        calls = [asyncio.ensure_future(outcome(client, post(server.url))) for _ in range(12)]
        await asyncio.sleep(0.005)
        for call in calls[4:7]:
            call.cancel()
        found = await asyncio.gather(*calls, return_exceptions=True)
        assert [each for each in found if each != WELL and not isinstance(each, asyncio.CancelledError)] == []
        assert found.count(WELL) == 9
        assert most == 2
    await until(lambda: client.pool.open <= 2)


async def test_an_idle_connection_elsewhere_makes_room(limited: Any) -> None:
    client = limited(total=1)
    async with RawServer(serves(HELLO)) as one, RawServer(serves(HELLO)) as other:
        for server in (one, other, one):
            assert await outcome(client, post(server.url)) == WELL
        assert (one.connections, other.connections) == (2, 1)
        await other.closed()
        assert client.pool.open == 1


async def test_few_are_kept_idle_and_none_for_long(limited: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool_module, "IDLE_SECONDS", 0.15)
    monkeypatch.setattr(pool_module, "SWEEP_SECONDS", 0.02)
    client = limited(idle=2)
    async with RawServer(serves(HELLO)) as server:
        await asyncio.gather(*(outcome(client, post(server.url)) for _ in range(5)))
        await until(lambda: server.open == 2)
        assert client.pool.idle == client.pool.open == 2
        await server.closed()
        assert client.pool.idle == client.pool.open == 0
        assert await outcome(client, post(server.url)) == WELL
