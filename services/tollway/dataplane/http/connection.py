"""One client's connection, and the limits on what a slow or greedy client can hold.

aiohttp's HTTP/1.1 server does the protocol. What is added: a request's head must be complete in time, an answer must be
taken in time, connections are counted, and a connection can be told that its next answer is the last. Nothing here
costs a request more than a comparison: one look at all connections every second finds those that broke a limit.
"""

from __future__ import annotations

import asyncio
from typing import Any, NamedTuple, cast

from aiohttp import http_exceptions, web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.http_parser import RawRequestMessage
from aiohttp.streams import StreamReader
from aiohttp.typedefs import Handler
from aiohttp.web_request import BaseRequest

from tollway.core.errors import Code, TollwayError
from tollway.dataplane.endpoints.port import Dialect
from tollway.dataplane.http.errors import error_body, error_headers, status_of

MAX_LINE = 8190
"""Bytes of the request line, and of one header."""
MAX_HEADERS = 128
HEAD = "head"
READER = "reader"
WRITE_PROGRESS = 1 << 16
"""Bytes that a client must take of what waits for it within `Limits.write_seconds`, if it does not take all."""
TIMED_OUT = b"HTTP/1.1 408 Request Timeout\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"


class Limits(NamedTuple):
    """What the connections of one process may hold. Times are in seconds."""

    connections: int
    idle_seconds: float
    head_seconds: float
    write_seconds: float
    requests: int


class Server(web.Server):
    """The connections of one process. `refuse` answers those that are too many."""

    def __init__(self, handle: Handler, refuse: Handler, limits: Limits) -> None:
        super().__init__(
            cast(Any, handle),
            handler_cancellation=True,
            access_log=None,
            keepalive_timeout=limits.idle_seconds,
            max_line_size=MAX_LINE,
            max_field_size=MAX_LINE,
            max_headers=MAX_HEADERS,
        )
        self.limits = limits
        self.refused = 0
        self.closing = False
        self._refuse = refuse

    def __call__(self) -> Connection:
        """A protocol for a new connection."""
        return Connection(self, loop=self._loop, **self._kwargs)

    @property
    def open(self) -> list[Connection]:
        """All connections."""
        return cast("list[Connection]", self.connections)

    def admit(self, connection: Connection) -> None:
        """Takes a new connection, or has its first request refused; far beyond the limit it is closed at once."""
        if self.closing:
            connection.last()
        count, most = len(self._connections), self.limits.connections
        if count <= most:
            return
        self.refused += 1
        if count > self._bearable:
            connection.abort()
        else:
            connection.last()
            connection.answer_with(self._refuse)

    def crowded(self, unready: int) -> bool:
        """Whether a connection beside so many that have not shaken hands yet is too many to be even told so."""
        if len(self._connections) + unready < self._bearable:
            return False
        self.refused += 1
        return True

    @property
    def _bearable(self) -> int:
        """How many connections there may be, those included that are only there to be refused."""
        most = self.limits.connections
        return most + most // 8 + 16

    def close_after_answers(self) -> None:
        """From now on every answer is the last one of its connection."""
        self.closing = True
        for connection in self.open:
            connection.last()


def _closing_request(
    message: RawRequestMessage,
    payload: StreamReader,
    protocol: web.RequestHandler,
    writer: AbstractStreamWriter,
    task: asyncio.Task[None],
) -> BaseRequest:
    """A request whose answer says `Connection: close`."""
    loop = asyncio.get_running_loop()
    return BaseRequest(message._replace(should_close=True), payload, protocol, writer, task, loop)


class Connection(web.RequestHandler):
    """One connection of a client."""

    __slots__ = ("_closing_at", "_stuck_at", "_stuck_size", "_unfinished", "_unfinished_at", "_wire")

    def __init__(self, manager: Server, **options: Any) -> None:
        super().__init__(manager, **options)
        self._wire: asyncio.Transport | None = None
        self._unfinished = -1  # the number of requests before the one whose head is incomplete
        self._unfinished_at = 0.0
        self._stuck_at = 0.0
        self._stuck_size = 0
        self._closing_at = 0.0  # when it was first seen closing, with bytes left that the client does not take

    # -- what the transport tells -----------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A client has connected; with TLS, it has shaken hands."""
        self._wire = cast(asyncio.Transport, transport)
        super().connection_made(transport)
        cast(Server, self._manager).admit(self)

    def data_received(self, data: bytes) -> None:
        """Bytes came. Notes the time when they begin a request and do not complete its head."""
        super().data_received(data)
        waiter = self._waiter
        if waiter is not None and self._unfinished != self._request_count and not waiter.done():
            self._unfinished = self._request_count
            self._unfinished_at = self._loop.time()

    def pause_writing(self) -> None:
        """More waits for the client than is buffered for one."""
        super().pause_writing()
        self._stuck_at = self._loop.time()
        self._stuck_size = self._waiting_bytes()

    def handle_error(
        self,
        request: BaseRequest,
        status: int = 500,  # noqa: ARG002 - the code decides
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """What is not HTTP, or exceeds a limit of it, gets an error like all others; no log: anybody can cause it."""
        if request.writer.output_size > 0:
            raise ConnectionError("an answer has begun already")
        text = "The request is not valid HTTP/1.1."
        if isinstance(exc, http_exceptions.LineTooLong):
            text = f"The request line and each header must be at most {MAX_LINE} bytes."
        elif isinstance(exc, http_exceptions.BadHttpMessage) and "Too many headers" in (message or ""):
            text = f"A request must have at most {MAX_HEADERS} headers."
        error = TollwayError(Code.INVALID_REQUEST, text)
        response = web.Response(
            status=status_of(error), body=error_body(error, Dialect.OPENAI, ""), headers=error_headers(error, "")
        )
        response.force_close()
        return response

    # -- what the process tells -------------------------------------------------------------------------------------

    @property
    def busy(self) -> bool:
        """Whether a request is being answered, or its answer is still being taken."""
        return self._current_request is not None or bool(self._messages) or self._waiting_bytes() > 0

    def idle_seconds(self, now: float) -> float:
        """Since the last answer, or since the connection was made; `now` is the loop's time."""
        return now - (self._next_keepalive_close_time - self._keepalive_timeout)

    def last(self) -> None:
        """The next answer is the last, and says so; so does the one in the making, if its headers have not left."""
        if self._request_factory is not _closing_request:
            self._request_factory = _closing_request
            current = self._current_request
            if current is not None:
                current._message = current._message._replace(should_close=True)

    def answer_with(self, handler: Handler) -> None:
        """All requests of this connection go to `handler`."""
        self._request_handler = cast(Any, handler)

    def look(self, now: float, limits: Limits) -> str | None:
        """Which limit the client has broken: its head did not come (HEAD), or it does not read (READER)."""
        if self._wire is not None and self._wire.is_closing():
            self._closing_at = self._closing_at or now
            return READER if now - self._closing_at >= limits.write_seconds else None
        if self._paused:
            return READER if self._too_slow(now, limits) else None
        waiter = self._waiter
        if (
            self._unfinished == self._request_count
            and waiter is not None
            and not waiter.done()
            and now - self._unfinished_at > limits.head_seconds
        ):
            return HEAD
        if self._request_count >= limits.requests:
            self.last()
        return None

    def _too_slow(self, now: float, limits: Limits) -> bool:
        if now - self._stuck_at < limits.write_seconds:
            return False
        size = self._waiting_bytes()
        if self._stuck_size - size < WRITE_PROGRESS:
            return True
        self._stuck_at, self._stuck_size = now, size
        return False

    def _waiting_bytes(self) -> int:
        return 0 if self._wire is None or self._wire.is_closing() else self._wire.get_write_buffer_size()

    def abort(self) -> None:
        """Closes the connection at once; an answer under way ends as if the client had left."""
        if self._wire is not None:
            self._wire.abort()

    def drop(self, reason: str) -> None:
        """Closes the connection for the limit that it broke."""
        if reason == HEAD and self._wire is not None:
            self._wire.write(TIMED_OUT)
            self.force_close()
        else:
            self.abort()
