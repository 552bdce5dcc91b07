"""The scripted upstreams do what they are told, to the byte."""

from __future__ import annotations

import asyncio
from pathlib import Path

import aiohttp
import pytest

from tollway.testkit.playbook import Cut, Playbook, ReadRequest, Send, Stall, Step, Wait, head
from tollway.testkit.replay import Exchange, in_turn, recorded, replay
from tollway.testkit.upstream import Upstream

FOLDER = Path(__file__).parents[2] / "fixtures" / "providers"


@pytest.fixture(scope="module")
def exchanges() -> list[Exchange]:
    return recorded(FOLDER)


def sample(exchanges: list[Exchange], *, stream: bool) -> Exchange:
    return next(exchange for exchange in exchanges if exchange.stream is stream and len(exchange.body) < 2000)


async def test_every_recording_comes_as_it_was(exchanges: list[Exchange]) -> None:
    async with Upstream() as upstream, aiohttp.ClientSession() as session:
        for exchange in exchanges:
            upstream.script = replay(exchange)
            async with session.post(upstream.url, json=exchange.request or {}) as response:
                assert await response.read() == exchange.body, exchange.name
                assert response.status == exchange.status
                wanted = {name.lower(): value for name, value in exchange.headers.items()}
                assert wanted.get("x-request-id") == response.headers.get("x-request-id")
        assert [request.json for request in upstream.requests] == [exchange.request or {} for exchange in exchanges]


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize("split", [{"size": 1}, {"size": 7}, {"at": (3, 3, 10, 10**6)}])
async def test_a_body_comes_whole_in_whatever_pieces(
    exchanges: list[Exchange], stream: bool, split: dict[str, int]
) -> None:
    exchange = sample(exchanges, stream=stream)
    async with Upstream() as upstream, aiohttp.ClientSession() as session:
        upstream.script = replay(exchange, **split)  # type: ignore[arg-type]
        async with session.post(upstream.url, json={}) as response:
            assert await response.read() == exchange.body


@pytest.mark.parametrize("stream", [True, False])
async def test_a_body_can_be_cut_or_fall_silent(exchanges: list[Exchange], stream: bool) -> None:
    exchange = sample(exchanges, stream=stream)
    timeout = aiohttp.ClientTimeout(total=0.3)
    async with Upstream() as upstream, aiohttp.ClientSession(timeout=timeout) as session:
        for script, error in (
            (replay(exchange, cut_at=50), aiohttp.ClientPayloadError),
            (replay(exchange, stall_at=50), TimeoutError),
        ):
            upstream.script = script
            async with session.post(upstream.url, json={}) as response:
                assert await response.content.readexactly(50) == exchange.body[:50]
                with pytest.raises(error):
                    await response.content.readexactly(1)


async def test_requests_take_their_turn(exchanges: list[Exchange]) -> None:
    first, second = exchanges[:2]
    async with Upstream() as upstream, aiohttp.ClientSession() as session:
        upstream.script = in_turn(replay(first), replay(second))
        for exchange in (first, second):
            async with session.post(upstream.url, json={}) as response:
                assert await response.read() == exchange.body
        with pytest.raises(aiohttp.ServerDisconnectedError):
            await session.post(upstream.url, json={})


async def ends(play: list[Step]) -> tuple[bytes, str]:
    """What a client reads from a playbook, and how it ends."""
    async with Playbook(play) as playbook:
        reader, writer = await asyncio.open_connection("127.0.0.1", playbook.port)
        writer.write(b"POST / HTTP/1.1\r\nContent-Length: 2\r\n\r\n{}")
        data = b""
        try:
            async with asyncio.timeout(0.3):
                while chunk := await reader.read(100):
                    data += chunk
            return data, "closed"
        except ConnectionResetError:
            return data, "reset"
        except TimeoutError:
            return data, "silence"
        finally:
            writer.close()


async def test_a_playbook_is_played_step_by_step() -> None:
    sent = head("200 OK", "content-length: 5")
    assert await ends([ReadRequest(), sent, Send(b"ab", size=1), Cut()]) == (sent.data + b"ab", "closed")
    assert await ends([ReadRequest(), Send(b"nonsense\r\n"), Cut(reset=True)]) == (b"nonsense\r\n", "reset")
    assert await ends([ReadRequest(), Wait(0.01), Send(b"x"), Stall()]) == (b"x", "silence")


async def test_each_connection_has_its_own_play() -> None:
    good: list[Step] = [ReadRequest(), head("200 OK", "content-length: 2", "connection: close"), Send(b"ok")]
    async with Playbook([Cut()], good) as playbook, aiohttp.ClientSession() as session:
        with pytest.raises(aiohttp.ClientError):
            await session.post(playbook.url, data=b"hello")
        for _ in range(2):
            async with session.post(playbook.url, data=b"hello") as response:
                assert await response.text() == "ok"
        assert playbook.connections == 3
        assert [request.endswith(b"\r\n\r\nhello") for request in playbook.requests[-2:]] == [True, True]
