"""A provider that does exactly what a test says, byte for byte, on a real socket."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

CHUNK = {"id": "c1", "object": "chat.completion.chunk", "created": 1, "model": "up"}
USAGE = {"prompt_tokens": 9, "completion_tokens": 3, "total_tokens": 12}


@dataclass
class Received:
    """A request as it arrived."""

    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body, read as JSON."""
        return json.loads(self.body)


Script = Callable[[Received, asyncio.StreamWriter], Awaitable[None]]


class Upstream:
    """A tiny HTTP/1.1 server. `script` answers each request; `requests` are those that arrived whole."""

    def __init__(self) -> None:
        self.script: Script = whole()
        self.requests: list[Received] = []
        self.open = 0
        self.connections = 0

    async def __aenter__(self) -> Upstream:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        port = self._server.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{port}/v1"
        self._tasks: set[asyncio.Task[None]] = set()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        self.open += 1
        self.connections += 1
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
                lines = (line.split(":", 1) for line in head[1:] if ":" in line)
                headers = {name.lower(): value.strip() for name, value in lines}
                body = await reader.readexactly(int(headers.get("content-length", 0)))
                request = Received(head[0].split(" ")[1], headers, body)
                self.requests.append(request)
                script = asyncio.ensure_future(self.script(request, writer))
                gone = asyncio.ensure_future(_gone(reader, writer))
                try:
                    await asyncio.wait([script, gone], return_when=asyncio.FIRST_COMPLETED)
                finally:
                    script.cancel()
                    gone.cancel()
                if writer.is_closing() or reader.at_eof():
                    return
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            # Cancelled by the end of the test alone; asyncio's streams would report a cancelled handler as an error.
            return
        finally:
            self.open -= 1
            self._tasks.discard(task)
            writer.close()


async def _gone(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Ends when the client has closed its side."""
    while not reader.at_eof() and not writer.is_closing():
        await asyncio.sleep(0.01)


def head(status: int = 200, content_type: str = "application/json", **headers: str) -> bytes:
    """A status line and headers, without the blank line."""
    more = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    return f"HTTP/1.1 {status} X\r\ncontent-type: {content_type}\r\n{more}".encode()


def completion(text: str = "Hello there!", **fields: Any) -> dict[str, Any]:
    """An unstreamed OpenAI answer."""
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    return {**CHUNK, "object": "chat.completion", "choices": [choice], "usage": USAGE, **fields}


def whole(answer: Any = None, status: int = 200, **headers: str) -> Script:
    """Answers with a whole JSON body (or bytes as they are)."""
    body = answer if isinstance(answer, bytes) else json.dumps(completion() if answer is None else answer).encode()

    async def script(_request: Received, writer: asyncio.StreamWriter) -> None:
        writer.write(head(status, **headers) + b"content-length: %d\r\n\r\n" % len(body) + body)
        await writer.drain()

    return script


def event(delta: dict[str, Any] | None = None, *, finish: str | None = None, usage: Any = None) -> bytes:
    """One SSE event of an OpenAI stream."""
    choices = [] if delta is None and finish is None else [{"index": 0, "delta": delta or {}, "finish_reason": finish}]
    found = {**CHUNK, "choices": choices, **({"usage": usage} if usage else {})}
    return b"data: " + json.dumps(found).encode() + b"\n\n"


def words(count: int = 3) -> list[bytes]:
    """The events of a short stream with usage and its end."""
    content = [event({"role": "assistant", "content": ""})]
    content += [event({"content": f"w{number} "}) for number in range(count)]
    return [*content, event(finish="stop"), event(usage=USAGE), b"data: [DONE]\n\n"]


def stream(events: list[bytes], *, pause: float = 0.0, end: str = "clean") -> Script:
    """Streams events in chunked encoding. `end`: clean, cut (no last chunk), or stuck (stays open and silent)."""

    async def script(_request: Received, writer: asyncio.StreamWriter) -> None:
        writer.write(head(content_type="text/event-stream") + b"transfer-encoding: chunked\r\n\r\n")
        for data in events:
            writer.write(b"%x\r\n" % len(data) + data + b"\r\n")
            await writer.drain()
            await asyncio.sleep(pause)
        if end == "clean":
            writer.write(b"0\r\n\r\n")
            await writer.drain()
        elif end == "cut":
            writer.close()
        else:
            await asyncio.sleep(60)

    return script


def raw(data: bytes, *, close: bool = True) -> Script:
    """Writes bytes, whatever they are, and closes or falls silent."""

    async def script(_request: Received, writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        await writer.drain()
        if close:
            writer.close()
        else:
            await asyncio.sleep(60)

    return script
