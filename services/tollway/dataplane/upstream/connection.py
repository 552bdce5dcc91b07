"""One connection to a provider: one request at a time goes out, its answer comes back.

Owns when the connection may serve another request: never after a failure, a cancelled or abandoned request, bytes that
nobody asked for, or an answer that came before its request had left. The pool keeps it in between.
"""

from __future__ import annotations

import asyncio
import fcntl
import sys
import termios
from typing import Protocol, cast

from tollway.dataplane.providers.port import ProviderFault
from tollway.dataplane.upstream.answer import NativeResponse
from tollway.dataplane.upstream.framing import BadAnswerError, Framing
from tollway.dataplane.upstream.port import UnsentError, cut, invalid

MAX_UNREAD = 1 << 18
"""With so much of a body unread, the provider is made to wait."""
JOINED = 1 << 14
"""Head and body of at most this size leave as one copy."""
PIECE = 1 << 18
"""A larger body leaves in pieces, with other work in between."""
COUNTS_UNSENT = sys.platform == "linux"
"""Whether the system tells what of a socket's bytes the other side does not have yet (SIOCOUTQ, tcp(7))."""
REFUSED_STATUS = 400


class Keeper(Protocol):
    """Who is told when a connection is free or gone."""

    def give_back(self, connection: Connection) -> None:
        """Its answer is whole: it may serve another request."""

    def gone(self, connection: Connection) -> None:
        """It is closed."""


class Connection(asyncio.Protocol):
    """Made by `connect.py`, kept by `pool.py`. `used`: a request has gone out on it. `lost`: it is closed or about to
    be, and must not be used. `idle_since` is loop time.
    """

    __slots__ = (
        "_framing",
        "_head",
        "_large",
        "_loop",
        "_paused_reading",
        "_paused_writing",
        "_response",
        "_secured",
        "_transport",
        "_waiter",
        "_writing",
        "idle_since",
        "keeper",
        "lost",
        "used",
    )

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self._loop = loop
        self._framing = Framing()
        self._transport: asyncio.Transport | None = None
        self._head: asyncio.Future[NativeResponse] | None = None
        self._response: NativeResponse | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._paused_reading = self._paused_writing = self._writing = self._large = False
        self._secured: int | None = None  # with TLS: the descriptor of the socket below it
        self.keeper: Keeper | None = None
        self.lost = self.used = False
        self.idle_since = 0.0

    async def exchange(self, head: bytes, body: bytes) -> NativeResponse:
        """Sends a request and waits for the head of its answer.

        Raises ProviderFault, or UnsentError when the connection was closed before any byte of an answer. Whatever it
        raises, cancellation included, the connection is closed.
        """
        transport = self._transport
        assert transport is not None
        self.used = True
        self._large = len(body) > JOINED
        self._response = None
        self._framing.begin()
        answer: asyncio.Future[NativeResponse] = self._loop.create_future()
        self._head = answer
        try:
            if len(body) <= JOINED:
                transport.write(head + body)
            elif len(body) <= PIECE:
                transport.writelines((head, body))
            else:
                await self._write(transport, head, body, answer)
            return await answer
        except BaseException:
            if answer.done() and not answer.cancelled() and answer.exception() is None:
                # Cancelled right after the answer came: whole, its connection may serve another request by now.
                answer.result().close()
            else:
                self.abort()
            raise

    async def _write(
        self, transport: asyncio.Transport, head: bytes, body: bytes, answer: asyncio.Future[NativeResponse]
    ) -> None:
        """Sends a large body piece by piece, no faster than the provider takes it, until it is sent or answered."""
        pieces = memoryview(body)
        self._writing = True
        transport.write(head)
        for start in range(0, len(body), PIECE):
            while self._paused_writing and not answer.done():
                await self.more()
            if answer.done():
                return  # `_writing` stays: this connection ends with its answer
            transport.write(pieces[start : start + PIECE])
            await asyncio.sleep(0)
        self._writing = False

    async def more(self) -> None:
        """Waits until something has come or gone out, or the answer is whole or broken."""
        self._waiter = self._loop.create_future()
        await self._waiter

    def taken(self) -> None:
        """What had come is read: the provider may send more."""
        self._framing.size = 0
        self._resume_reading()

    def _resume_reading(self) -> None:
        if self._paused_reading and self._transport is not None:
            self._paused_reading = False
            self._transport.resume_reading()

    def abort(self) -> None:
        """Closes the connection at once, whatever is under way on it."""
        self.lost = True
        if self._transport is not None:
            self._transport.abort()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """asyncio: the connection is there."""
        self._transport = cast(asyncio.Transport, transport)
        if transport.get_extra_info("ssl_object") is not None:
            self._secured = transport.get_extra_info("socket").fileno()

    def pause_writing(self) -> None:
        """asyncio: the provider does not take more for now."""
        self._paused_writing = True

    def resume_writing(self) -> None:
        """asyncio: the provider takes more."""
        self._paused_writing = False
        self._wake()

    def data_received(self, data: bytes) -> None:
        """asyncio: bytes from the provider."""
        framing = self._framing
        if framing.complete or self.lost:  # nobody has asked for anything, or nobody wants it any more
            self.abort()
            return
        try:
            complete = framing.feed(data)
        except BadAnswerError as error:
            self._break(error)
            return
        response = self._response or self._respond()
        if response is None:
            return
        if complete:
            self._finish(response)
        elif framing.size > MAX_UNREAD and not self._paused_reading and self._transport is not None:
            self._paused_reading = True
            self._transport.pause_reading()
        self._wake()

    def eof_received(self) -> None:
        """asyncio: the provider sends no more, which is how some answers end."""
        response = self._response
        if response is not None and not self.lost and not self._framing.complete and self._framing.end():
            self._finish(response)
            self._wake()
        self.lost = True

    def connection_lost(self, error: Exception | None) -> None:
        """asyncio: the connection is closed."""
        framing = self._framing
        self.lost = True
        self._transport = None
        if not framing.complete:
            self._fail(cut(error) if framing.begun else UnsentError())
        framing.give_up()
        if self.keeper is not None:
            self.keeper.gone(self)

    def _respond(self) -> NativeResponse | None:
        """Once the head is there, whoever has sent the request goes on with it."""
        framing = self._framing
        if not framing.head_done:
            return None
        try:
            response = NativeResponse(self, framing.status, framing.headers, framing.parts)
        except ProviderFault as fault:
            self._fail(fault)
            self.abort()
            return None
        self._response = response
        if self._head is not None and not self._head.done():
            self._head.set_result(response)
        return response

    def _break(self, error: BadAnswerError) -> None:
        """The answer is not what HTTP allows; a head that came whole before is an answer all the same."""
        if self._response is None and self._respond() is None:
            self._fail(invalid(str(error)))
        else:
            self._fail(cut(error))
        self.abort()

    def _finish(self, response: NativeResponse) -> None:
        """The answer is whole: the connection is free, if it may be used again."""
        response.source = self._response = self._head = None
        transport = self._transport
        if (
            self._framing.reusable
            and not self._writing
            and transport is not None
            and self.keeper is not None
            and not transport.get_write_buffer_size()
            and (self._secured is None or self._has_left(self._secured))
        ):
            self._resume_reading()
            self.keeper.give_back(self)
        else:
            self.abort()

    def _has_left(self, descriptor: int) -> bool:
        """Whether nothing of the request waits below TLS, where its transport does not count: in the buffer of the
        socket's own transport, which is empty only when the system's is. Where the system does not tell, a large
        request that was refused counts as not sent.
        """
        if COUNTS_UNSENT:
            return not any(fcntl.ioctl(descriptor, termios.TIOCOUTQ, bytes(4)))
        return not (self._large and self._framing.status >= REFUSED_STATUS)

    def _fail(self, error: ProviderFault | UnsentError) -> None:
        """The answer is broken, or there will be none."""
        response = self._response
        if response is None:
            if self._head is not None and not self._head.done():
                self._head.set_exception(error)
        elif response.source is not None:
            response.source = None
            response.error = cast(ProviderFault, error)
        self._response = None
        self._wake()

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)
