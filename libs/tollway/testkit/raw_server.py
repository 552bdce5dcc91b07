"""A server that speaks bytes: what it sends, when, in which pieces, and how it ends is all in a test's hands."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import struct
from collections.abc import Awaitable, Callable


class Peer:
    """One connection as its script sees it. `number` counts the server's connections, from 0."""

    def __init__(self, number: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.number = number
        self.reader = reader
        self.writer = writer

    async def head(self) -> bytes:
        """The head of the next request. Raises asyncio.IncompleteReadError when the client has left."""
        return await self.reader.readuntil(b"\r\n\r\n")

    async def request(self) -> tuple[bytes, bytes]:
        """Head and body of the next request."""
        head = await self.head()
        length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length:"))
        return head, await self.reader.readexactly(int(length.partition(b":")[2]))

    async def send(self, *pieces: bytes) -> None:
        """Writes pieces, with time in between for the other side to read each of them alone."""
        for piece in pieces:
            if self.writer.is_closing():
                raise ConnectionResetError
            self.writer.write(piece)
            with contextlib.suppress(ConnectionError):
                await self.writer.drain()
            if len(pieces) > 1:
                await asyncio.sleep(0.0005)

    def reset(self) -> None:
        """Closes the connection as a crash does: with a reset."""
        sock = self.writer.get_extra_info("socket")
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.writer.transport.abort()

    async def left(self) -> bytes:
        """Waits until the client has closed its side; what came until then."""
        try:
            return await self.reader.read()
        except ConnectionError:
            return b""


Script = Callable[[Peer], Awaitable[None]]


class RawServer:
    """Runs `script` for each connection, then closes it. `connections` counts them, `open` those that are open."""

    def __init__(self, script: Script, *, tls: ssl.SSLContext | None = None, name: str = "127.0.0.1") -> None:
        self.script = script
        self.connections = 0
        self.open = 0
        self.failures: list[Exception] = []
        self._tls = tls
        self._name = name
        self._tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> RawServer:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._tls, limit=1 << 20)
        self.port = self._server.sockets[0].getsockname()[1]
        self.url = f"{'https' if self._tls else 'http'}://{self._name}:{self.port}/v1/chat"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self.failures:
            raise ExceptionGroup("a script failed", self.failures)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        number, self.connections = self.connections, self.connections + 1
        self.open += 1
        try:
            await self.script(Peer(number, reader, writer))
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            return  # the client has left, or the test is over
        except Exception as error:  # noqa: BLE001 - the test that ends the server shows it
            self.failures.append(error)
        finally:
            self.open -= 1
            self._tasks.discard(task)
            writer.close()

    async def closed(self, seconds: float = 2.0) -> None:
        """Waits until no connection is open. Raises TimeoutError."""
        async with asyncio.timeout(seconds):
            while self.open:
                await asyncio.sleep(0.005)


def sends(*pieces: bytes, then: str = "close") -> Script:
    """Answers the first request with these pieces; then: close, reset, or stay (until the client leaves)."""

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(*pieces)
        if then == "reset":
            await asyncio.sleep(0.02)
            peer.reset()
        elif then == "stay":
            await peer.left()

    return script


def serves(*answers: bytes) -> Script:
    """Answers the requests of each connection one after another, the last answer again and again."""

    async def script(peer: Peer) -> None:
        for number in range(1_000_000):
            await peer.request()
            await peer.send(answers[min(number, len(answers) - 1)])

    return script
