"""Connections that have not shaken hands are counted like all others, on both event loops."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
import uvloop
from aiohttp import web

from tollway.dataplane.http.connection import Limits
from tollway.dataplane.http.listener import Listener
from tollway.testkit.certificates import Authority

REQUEST = b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n"
MOST = 5
Scene = Callable[[Listener, int, ssl.SSLContext], Awaitable[None]]


async def hello(_: web.BaseRequest) -> web.StreamResponse:
    return web.Response(text="hello")


async def too_many(_: web.BaseRequest) -> web.StreamResponse:
    return web.Response(status=503)


@pytest.fixture(params=[asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def play(tmp_path: Path, request: pytest.FixtureRequest) -> Callable[[Scene], None]:
    """Runs a scene at a port with TLS."""
    authority = Authority(tmp_path)
    server, client = authority.server("localhost"), authority.client()

    async def run(scene: Scene) -> None:
        sock = socket.create_server(("127.0.0.1", 0))
        listener = Listener(hello, too_many, Limits(MOST, 10, 10, 10, 100))
        await listener.open(sock, server)
        try:
            async with asyncio.timeout(20):
                await scene(listener, sock.getsockname()[1], client)
        finally:
            await listener.close()

    def played(scene: Scene) -> None:
        with asyncio.Runner(loop_factory=request.param) as runner:
            runner.run(run(scene))

    return played


async def closed(reader: asyncio.StreamReader) -> bool:
    """Whether the other side has closed the connection."""
    try:
        async with asyncio.timeout(0.05):
            return await reader.read(1) == b""
    except (TimeoutError, ConnectionError):
        return reader.exception() is not None


async def asked(port: int, context: ssl.SSLContext, times: int = 1) -> list[int]:
    """The statuses of requests on one connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname="localhost")
    found = []
    for _ in range(times):
        writer.write(REQUEST)
        head = await reader.readuntil(b"\r\n\r\n")
        found.append(int(head.split()[1]))
        await reader.readexactly(5)
    writer.close()
    await writer.wait_closed()
    return found


def test_who_connects_and_says_nothing_holds_no_more_than_the_limit_allows(play: Callable[[Scene], None]) -> None:
    async def scene(listener: Listener, port: int, context: ssl.SSLContext) -> None:
        silent = [await asyncio.open_connection("127.0.0.1", port) for _ in range(60)]
        await asyncio.sleep(0.1)
        held = [reader for reader, _ in silent if not await closed(reader)]
        assert len(held) == MOST + 16
        assert listener.refused == 60 - len(held)
        for _, writer in silent:
            writer.close()
        await asyncio.sleep(0.1)
        assert await asked(port, context, 3) == [200, 200, 200]  # their places are free again

    play(scene)


def test_what_is_no_tls_is_closed_and_frees_its_place(play: Callable[[Scene], None]) -> None:
    async def scene(listener: Listener, port: int, context: ssl.SSLContext) -> None:
        for _ in range(MOST + 20):
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(REQUEST)
            with contextlib.suppress(ConnectionError):
                await reader.read()
            writer.close()
        assert await asked(port, context) == [200]
        assert listener.refused == 0

    play(scene)


def test_a_request_that_comes_with_the_end_of_the_handshake_is_answered(play: Callable[[Scene], None]) -> None:
    """In one packet with it."""

    def speak(port: int, context: ssl.SSLContext) -> bytes:
        incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        tls = context.wrap_bio(incoming, outgoing, server_hostname="localhost")
        with socket.create_connection(("127.0.0.1", port), timeout=10) as plain:
            while True:
                try:
                    tls.do_handshake()
                    break
                except ssl.SSLWantReadError:
                    plain.sendall(outgoing.read())
                    incoming.write(plain.recv(1 << 16))
            tls.write(REQUEST)
            plain.sendall(outgoing.read())
            while True:
                with contextlib.suppress(ssl.SSLWantReadError):
                    return tls.read(12)
                incoming.write(plain.recv(1 << 16))

    async def scene(listener: Listener, port: int, context: ssl.SSLContext) -> None:
        for _ in range(3):
            assert await asyncio.to_thread(speak, port, context) == b"HTTP/1.1 200"
        await asyncio.sleep(0.1)
        assert listener.connections == 0  # whose clients have left

    play(scene)
