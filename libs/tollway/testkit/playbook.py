"""A TCP server that plays a list of steps on each connection, whatever protocol they break.

For what an HTTP server would not do: garbage instead of a status line, a wrong content-length, bytes one by one, a
connection that ends before it is spoken to.
"""

from __future__ import annotations

import asyncio
import socket
import struct
from dataclasses import dataclass

_LINGER_NONE = struct.pack("ii", 1, 0)
_LEAVE_SECONDS = 0.02


@dataclass(frozen=True)
class ReadRequest:
    """Reads one HTTP request with its body."""


@dataclass(frozen=True)
class Send:
    """Writes bytes as they are, `size` at a time with `pause` seconds between; all at once without a size."""

    data: bytes
    size: int = 0
    pause: float = 0.0


@dataclass(frozen=True)
class Wait:
    """Does nothing for so many seconds."""

    seconds: float


@dataclass(frozen=True)
class Cut:
    """Ends the connection: in order (FIN), or by a reset (RST)."""

    reset: bool = False


@dataclass(frozen=True)
class Stall:
    """Says nothing more until the client leaves or the time is over."""

    seconds: float = 60.0


Step = ReadRequest | Send | Wait | Cut | Stall


def head(status: str = "200 OK", *lines: str) -> Send:
    """A status line, header lines and the blank line."""
    return Send("\r\n".join([f"HTTP/1.1 {status}", *lines, "", ""]).encode("latin-1"))


class Playbook:
    """Plays `steps` on every connection, the n-th list on the n-th where several are given; the last one repeats."""

    def __init__(self, *steps: list[Step]) -> None:
        assert steps, "a playbook needs at least one list of steps"
        self._plays = steps
        self.requests: list[bytes] = []
        """The requests that were read, head and body."""
        self.connections = 0
        self._open: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Playbook:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port: int = self._server.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in list(self._open):
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        play = self._plays[min(self.connections, len(self._plays) - 1)]
        self.connections += 1
        try:
            for step in play:
                await self._play(step, reader, writer)
        except (asyncio.IncompleteReadError, ConnectionError, TimeoutError, asyncio.CancelledError):
            # Cancelled by the end of the test alone; asyncio's streams would report a cancelled handler as an error.
            return
        finally:
            self._open.discard(task)
            writer.close()

    async def _play(self, step: Step, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        match step:
            case ReadRequest():
                self.requests.append(await _request(reader))
            case Send(data, size, pause):
                step_size = size or max(1, len(data))
                for start in range(0, len(data), step_size):
                    writer.write(data[start : start + step_size])
                    await writer.drain()
                    await asyncio.sleep(pause)
            case Wait(seconds):
                await asyncio.sleep(seconds)
            case Stall(seconds):
                await asyncio.wait_for(_gone(reader), seconds)
            case Cut(reset=True):
                await asyncio.sleep(_LEAVE_SECONDS)
                writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _LINGER_NONE)
                writer.transport.abort()
            case Cut():
                writer.close()


async def _request(reader: asyncio.StreamReader) -> bytes:
    top = await reader.readuntil(b"\r\n\r\n")
    lengths = [line.split(b":", 1)[1] for line in top.split(b"\r\n") if line.lower().startswith(b"content-length:")]
    return top + await reader.readexactly(int(lengths[0]) if lengths else 0)


async def _gone(reader: asyncio.StreamReader) -> None:
    while await reader.read(65536):
        continue
