"""How streams end for the client: with the provider's end or an error event, at once, on a connection that goes on."""

from __future__ import annotations

import asyncio

from tollway.core.ledger import Outcome
from tollway.testkit.lone_dataplane import LoneDataPlane
from tollway.testkit.upstream import Upstream, event, stream, whole, words


async def test_the_connection_of_a_stream_that_broke_takes_the_next_request(
    gateway: LoneDataPlane, upstream: Upstream
) -> None:
    for _ in range(10):
        upstream.script = stream([event({"content": "Hel"})], end="cut")
        response = await gateway.chat(stream=True)
        assert b'"error"' in await response.read()
        upstream.script = whole()
        assert (await gateway.chat()).status == 200
    assert gateway.process.listener.connections == 1


async def test_a_client_does_not_wait_for_what_comes_behind_the_end(gateway: LoneDataPlane, upstream: Upstream) -> None:
    upstream.script = stream(words(), end="stuck")
    async with asyncio.timeout(0.4):  # the provider's pauses may be longer
        response = await gateway.chat(stream=True)
        raw = await response.read()
    assert raw.rstrip().endswith(b"data: [DONE]")
    (row,) = await gateway.wait_rows(1)
    assert (row.outcome, row.attempts[0].outcome) == (Outcome.OK, Outcome.OK)
    async with asyncio.timeout(3):  # it is not kept for long
        while upstream.open:
            await asyncio.sleep(0.02)


async def test_a_provider_that_ends_a_little_later_keeps_its_connection(
    gateway: LoneDataPlane, upstream: Upstream
) -> None:
    async def late_end(_request: object, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n")
        data = b"".join(words())
        writer.write(b"%x\r\n" % len(data) + data + b"\r\n")
        await writer.drain()
        await asyncio.sleep(0.1)
        writer.write(b"0\r\n\r\n")

    upstream.script = late_end
    for _ in range(3):
        response = await gateway.chat(stream=True)
        assert (await response.read()).rstrip().endswith(b"data: [DONE]")
        await asyncio.sleep(0.2)
    assert upstream.connections == 1
