"""Clients that leave: the upstream is closed or drained, and what was delivered is booked."""

from __future__ import annotations

import asyncio

from tollway.core.ledger import Outcome
from tollway.core.usage import Usage
from tollway.testkit.lone_dataplane import LoneDataPlane
from tollway.testkit.upstream import Upstream, event, raw, stream, words


async def test_leaving_a_stream_closes_the_upstream_and_books_what_was_delivered(
    gateway: LoneDataPlane, upstream: Upstream
) -> None:
    upstream.script = stream([event({"content": "12345678"})] * 200, pause=0.02)
    response = await gateway.chat(stream=True)
    for _ in range(5):
        await response.content.readuntil(b"\n\n")
    response.close()
    async with asyncio.timeout(1):
        while upstream.open:
            await asyncio.sleep(0.01)
    (row,) = await gateway.wait_rows(1)
    (attempt,) = row.attempts
    assert row.outcome == Outcome.CLIENT_CLOSED
    assert attempt.estimated
    assert attempt.usage.output >= 5 * 2
    assert attempt.usage.input > 0


async def test_leaving_before_the_answer_closes_the_upstream(gateway: LoneDataPlane, upstream: Upstream) -> None:
    upstream.script = raw(b"", close=False)
    request = asyncio.ensure_future(gateway.chat())
    async with asyncio.timeout(1):
        while not upstream.requests:
            await asyncio.sleep(0.01)
    request.cancel()
    async with asyncio.timeout(1):
        while upstream.open:
            await asyncio.sleep(0.01)
    (row,) = await gateway.wait_rows(1)
    assert (row.outcome, row.attempts[0].estimated) == (Outcome.CLIENT_CLOSED, True)


async def test_a_drained_stream_is_booked_exactly(gateway: LoneDataPlane, upstream: Upstream) -> None:
    upstream.script = stream(words(20), pause=0.02)
    response = await gateway.chat(model="drain", stream=True)
    await response.content.readuntil(b"\n\n")
    response.close()
    (row,) = await gateway.wait_rows(1)
    assert row.outcome == Outcome.CLIENT_CLOSED
    assert row.attempts[0].usage == Usage(input=9, output=3)
    assert not row.attempts[0].estimated


async def test_repeated_disconnects_leave_nothing_open(gateway: LoneDataPlane, upstream: Upstream) -> None:
    upstream.script = stream([event({"content": "x"})] * 500, pause=0.01)
    for _ in range(30):
        response = await gateway.chat(stream=True)
        await response.content.readuntil(b"\n\n")
        response.close()
    await gateway.wait_rows(30)
    async with asyncio.timeout(2):
        while upstream.open or gateway.process.routes.in_flight:
            await asyncio.sleep(0.01)
