"""Clients that are slow, greedy, many or wrong on their connections; and what others notice of it: nothing."""

from __future__ import annotations

import asyncio
import contextlib
import io
import json
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from tollway.core.catalog import ProviderKind
from tollway.core.ledger import Outcome
from tollway.testkit.lone_dataplane import LoneDataPlane
from tollway.testkit.servers import ValkeyServer
from tollway.testkit.upstream import Upstream, completion, event, stream, whole, words

Make = Callable[..., Any]
BODY = json.dumps({"model": "m", "messages": [{"role": "user", "content": "hi"}]}).encode()


@pytest.fixture
def make(tmp_path: Path, valkey: ValkeyServer, upstream: Upstream) -> Make:
    """Data planes with limits of a test's own."""

    @asynccontextmanager
    async def made(**settings: Any) -> AsyncIterator[LoneDataPlane]:
        plane = LoneDataPlane(tmp_path / "data", valkey.url, **settings)
        plane.add_provider("up", ProviderKind.OPENAI_COMPATIBLE, upstream.url)
        plane.add_provider("other", ProviderKind.ANTHROPIC, upstream.url.removesuffix("/v1"))
        plane.add_model("m", ("up", "up-model"))
        plane.add_model("translated", ("other", "claude"))
        async with plane:
            yield plane

    return made


class Raw:
    """A client that speaks bytes."""

    def __init__(self, plane: LoneDataPlane) -> None:
        self.plane = plane

    async def __aenter__(self) -> Raw:
        port = int(self.plane.origin.rpartition(":")[2])
        self.reader, self.writer = await asyncio.open_connection("127.0.0.1", port)
        return self

    async def __aexit__(self, *_: object) -> None:
        self.writer.close()

    def head(self, *more: str, length: int = len(BODY)) -> bytes:
        """The head of a chat request."""
        lines = ["POST /v1/chat/completions HTTP/1.1", "Host: x", f"Authorization: Bearer {self.plane.key}"]
        lines += ["Content-Type: application/json", f"Content-Length: {length}", *more]
        return ("\r\n".join(lines) + "\r\n\r\n").encode()

    async def send(self, data: bytes) -> None:
        """Bytes as they are."""
        self.writer.write(data)
        await self.writer.drain()

    async def answer(self) -> tuple[int, dict[str, str], Any]:
        """The next answer with its body."""
        async with asyncio.timeout(10):
            lines = (await self.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            headers = {name.lower(): text.strip() for name, _, text in (line.partition(":") for line in lines[1:-2])}
            body = await self.reader.readexactly(int(headers.get("content-length", "0")))
        return int(lines[0].split()[1]), headers, json.loads(body) if body else None

    async def closed(self, seconds: float = 10) -> bytes:
        """What comes until the gateway closes the connection."""
        async with asyncio.timeout(seconds):
            try:
                return await self.reader.read()
            except ConnectionError:
                return b""


async def test_a_head_that_does_not_come_is_given_up_and_a_kept_connection_is_not(make: Make) -> None:
    async with make(head_seconds=1) as plane, Raw(plane) as dripping, Raw(plane) as kept:
        await kept.send(kept.head() + BODY)
        assert (await kept.answer())[0] == 200
        began = time.monotonic()
        for byte in dripping.head():
            with contextlib.suppress(ConnectionError):  # the gateway may close first
                await dripping.send(bytes([byte]))
            await asyncio.sleep(0.05)
            if dripping.writer.is_closing() or time.monotonic() - began > 5:
                break
        assert dripping.writer.is_closing()
        assert time.monotonic() - began < 5
        await kept.send(kept.head() + BODY)
        assert (await kept.answer())[0] == 200
        assert b'tollway_connections_dropped_total{reason="head"} 1.0' in plane.process.metrics()


async def test_a_client_that_does_not_read_is_given_up_and_billed_for_what_left(make: Make, upstream: Upstream) -> None:
    upstream.script = stream([event({"content": "x" * 60_000})] * 400)
    async with make(write_seconds=1) as plane, Raw(plane) as deaf:
        body = json.dumps({**json.loads(BODY), "stream": True}).encode()
        await deaf.send(deaf.head(length=len(body)) + body)
        (row,) = await plane.wait_rows(1, seconds=20)
        assert row.outcome == Outcome.CLIENT_CLOSED
        assert 0 < row.attempts[0].usage.output < 400 * 60_000 / 2
        async with asyncio.timeout(5):
            while upstream.open:
                await asyncio.sleep(0.01)
        assert plane.process.listener.dropped == {"reader": 1}


async def test_a_closed_connection_does_not_wait_for_a_client_that_does_not_read(make: Make) -> None:
    async with make(write_seconds=1) as plane, Raw(plane) as deaf:
        await deaf.send(deaf.head() + BODY)
        assert (await deaf.answer())[0] == 200
        listener = plane.process.listener
        (connection,) = listener._web.open
        connection.transport.write(b"x" * 30_000_000)
        connection.force_close()
        await asyncio.sleep(0.5)
        assert listener.connections == 1
        async with asyncio.timeout(10):
            while listener.connections:
                await asyncio.sleep(0.05)
        assert listener.dropped == {"reader": 1}


async def test_a_slow_but_steady_reader_gets_all(make: Make, upstream: Upstream) -> None:
    upstream.script = whole(completion("y" * 12_000_000))
    async with make(write_seconds=1) as plane, Raw(plane) as slow:
        await slow.send(slow.head() + BODY)
        size = 0
        while size < 12_000_000:
            size += len(await slow.reader.read(1 << 20))
            await asyncio.sleep(0.03)
        assert plane.process.listener.dropped == {}


async def test_connections_beyond_the_limit_are_refused_clearly_and_far_beyond_closed(make: Make) -> None:
    async with make(max_connections=4) as plane:
        first = [await Raw(plane).__aenter__() for _ in range(4)]
        try:
            async with Raw(plane) as surplus:
                await surplus.send(surplus.head() + BODY)
                status, headers, body = await surplus.answer()
                assert (status, body["error"]["code"]) == (503, "overloaded")
                assert (headers["connection"], headers["retry-after"]) == ("close", "1")
                assert await surplus.closed() == b""
            await first[0].send(first[0].head() + BODY)
            assert (await first[0].answer())[0] == 200
            more = [await Raw(plane).__aenter__() for _ in range(20)]
            assert await more[-1].closed() == b""
            for one in more:
                one.writer.close()
        finally:
            for one in first:
                one.writer.close()
        async with asyncio.timeout(5):
            while plane.process.listener.connections:
                await asyncio.sleep(0.01)
        assert (await plane.chat()).status == 200


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (["x-long: " + "a" * 9000], "8190 bytes"),
        ([f"x-{number}: a" for number in range(200)], "at most 128 headers"),
        (["no colon here"], "not valid HTTP/1.1"),
    ],
)
async def test_heads_that_are_too_large_or_wrong_get_the_shape_of_all_errors(
    make: Make, more: list[str], said: str
) -> None:
    async with make() as plane, Raw(plane) as client:
        await client.send(client.head(*more) + BODY)
        status, _headers, body = await client.answer()
        assert (status, body["error"]["code"]) == (400, "invalid_request")
        assert await client.closed() == b""
        assert said in body["error"]["message"]


async def test_a_connection_ends_after_so_many_requests_with_notice(make: Make) -> None:
    async with make(connection_requests=2) as plane, Raw(plane) as client:
        for number in range(3):
            await client.send(client.head() + BODY)
            status, headers, _body = await client.answer()
            assert status == 200
            assert headers.get("connection") == ("close" if number == 2 else None)
            plane.process.listener.look()
        assert await client.closed() == b""


async def test_websockets_are_refused_in_words_and_other_upgrades_ignored(make: Make) -> None:
    async with make() as plane:
        async with Raw(plane) as client:
            lines = ["GET /v1/realtime HTTP/1.1", "Host: x", "Connection: Upgrade", "Upgrade: websocket"]
            await client.send(("\r\n".join(lines) + "\r\n\r\n").encode())
            status, _headers, body = await client.answer()
            assert status == 400
            assert "WebSocket is not supported" in body["error"]["message"]
        async with Raw(plane) as client:
            await client.send(client.head("Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c") + BODY)
            assert (await client.answer())[0] == 200


async def test_draining_says_close_on_answers_and_closes_idle_connections_last(make: Make, upstream: Upstream) -> None:
    upstream.script = stream(words(20), pause=0.05)
    async with make() as plane, Raw(plane) as idle, Raw(plane) as asking:
        for client in (idle, asking):
            upstream.script = whole()
            await client.send(client.head() + BODY)
            assert "connection" not in (await client.answer())[1]
        upstream.script = stream(words(40), pause=0.05)
        streamed = await plane.chat(stream=True)
        began = time.monotonic()
        draining = asyncio.ensure_future(plane.process.listener.drain(10, lambda: None))
        await asyncio.sleep(0.1)
        with pytest.raises(ConnectionRefusedError):
            await Raw(plane).__aenter__()
        upstream.script = whole()
        await asking.send(asking.head() + BODY)
        status, headers, _body = await asking.answer()
        assert (status, headers["connection"]) == (200, "close")
        assert await idle.closed() == b""
        assert time.monotonic() - began > 0.5
        assert (await streamed.text()).rstrip().endswith("[DONE]")
        await draining


@pytest.mark.parametrize(
    ("path", "told"),
    [("/v1/chat/completions", b'"code":"overloaded"'), ("/v1/messages", b"event: error")],
)
async def test_at_the_deadline_a_stream_ends_with_the_error_event_of_its_dialect(
    make: Make, upstream: Upstream, path: str, told: bytes
) -> None:
    upstream.script = stream(
        [event({"role": "assistant", "content": "a"})] + [event({"content": "abcd"})] * 500, pause=0.02
    )
    async with make() as plane:
        body = {**json.loads(BODY), "stream": True, "max_tokens": 600}
        async with plane.client.post(plane.origin + path, json=body) as response:
            await response.content.readuntil(b"\n\n")
            draining = asyncio.ensure_future(plane.process.listener.drain(0.3, plane.process._cut))
            text = await response.read()
            await draining
        assert told in text
        assert b"being restarted" in text
        assert b"[DONE]" not in text
        assert b"message_stop" not in text
        (row,) = await plane.wait_rows(1)
        (attempt,) = row.attempts
        assert (row.outcome, attempt.estimated) == (Outcome.ERROR, True)
        assert attempt.usage.output > 0
        assert len(upstream.requests) == 1


async def test_five_hundred_slow_connections_of_all_kinds_do_not_slow_others(make: Make, upstream: Upstream) -> None:
    async with make() as plane:
        slow = [await Raw(plane).__aenter__() for _ in range(500)]
        stop = False

        async def drip(number: int, client: Raw) -> None:
            """A head, a body, or nothing at all, byte by byte; or an answer that is not read."""
            kind = number % 4
            data = client.head() + BODY
            if kind == 0:
                return
            await client.send(data if kind == 3 else data[: len(data) - len(BODY) + 2] if kind == 2 else data[:20])
            position = 20 if kind == 1 else len(data) - len(BODY) + 2
            while not stop and kind != 3 and position < len(data) - 1:
                await client.send(data[position : position + 1])
                position += 1
                await asyncio.sleep(0.2)

        dripping = [asyncio.ensure_future(drip(number, client)) for number, client in enumerate(slow)]
        times = []
        for _ in range(60):
            began = time.monotonic()
            assert (await plane.chat()).status == 200
            times.append(time.monotonic() - began)
            await asyncio.sleep(0.02)
        stop = True
        await asyncio.gather(*dripping)
        for client in slow:
            client.writer.close()
        assert sorted(times)[-2] < 1.0


async def test_a_large_body_leaves_the_loop_free(make: Make, upstream: Upstream) -> None:
    """Reading and translating it takes a second or so; the loop is never away for a large part of that."""
    messages = [{"role": "user", "content": "hello there"}, {"role": "assistant", "content": "yes"}] * 60_000
    body = json.dumps({"model": "translated", "messages": messages}).encode()
    async with make() as plane:
        assert (await plane.chat()).status == 200
        worst, stop = 0.0, False

        async def tick() -> None:
            nonlocal worst
            while not stop:
                began = time.monotonic()
                await asyncio.sleep(0.002)
                worst = max(worst, time.monotonic() - began)

        ticking = asyncio.ensure_future(tick())
        began = time.monotonic()
        headers = {"Content-Type": "application/json"}
        async with plane.client.post(
            f"{plane.base_url}/chat/completions", data=io.BytesIO(body), headers=headers
        ) as response:
            await response.read()
        took = time.monotonic() - began
        stop = True
        await ticking
        assert len(upstream.requests) >= 2
        assert worst < max(took / 3, 0.1), (worst, took)
