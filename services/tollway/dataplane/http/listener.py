"""The clients' port of one process: opens it, watches its connections, and closes it so that no client is cut off.

Owns connections, never requests: what a request means is the handler's concern.
"""

from __future__ import annotations

import asyncio
import resource
import socket
import ssl
from collections import Counter
from collections.abc import Callable

from aiohttp.typedefs import Handler

from tollway.dataplane.http.connection import Connection, Limits, Server
from tollway.dataplane.http.handshakes import TlsPort
from tollway.dataplane.settings import Settings
from tollway.runtime import log

_log = log.get(__name__)
BACKLOG = 4096
LOOK_SECONDS = 1.0
LINGER_SECONDS = 1.0
"""How long a connection without a request stays open while draining: a request may be on its way on it."""
DRAIN_POLL_SECONDS = 0.05
CUT_SECONDS = 2.0
CANCEL_SECONDS = 1.0
SPARE_FILES = 512
FILES_PER_CONNECTION = 2  # its own, and that of the call to a provider


def limits_of(settings: Settings) -> Limits:
    """The limits of a process: as set, and no more connections than there can be open files."""
    room = max((resource.getrlimit(resource.RLIMIT_NOFILE)[0] - SPARE_FILES) // FILES_PER_CONNECTION, 64)
    most = settings.max_connections
    if room < most:
        _log.warning("fewer connections than set, for want of open files", set=most, used=room)
    return Limits(
        connections=min(most, room),
        idle_seconds=settings.idle_seconds,
        head_seconds=settings.head_seconds,
        write_seconds=settings.write_seconds,
        requests=settings.connection_requests,
    )


class Listener:
    """Serves `handle` on a socket; `refuse` answers connections beyond the limit. `dropped` counts by reason."""

    def __init__(self, handle: Handler, refuse: Handler, limits: Limits) -> None:
        self._web = Server(handle, refuse, limits)
        self._limits = limits
        self._server: asyncio.Server | TlsPort | None = None
        self.dropped: Counter[str] = Counter()

    @property
    def connections(self) -> int:
        """How many there are."""
        return len(self._web.open)

    @property
    def refused(self) -> int:
        """Connections that were too many."""
        return self._web.refused

    async def open(self, sock: socket.socket, tls: ssl.SSLContext | None) -> None:
        """Accepts connections on a bound socket, which it owns from now on."""
        if tls is None:
            self._server = await asyncio.get_running_loop().create_server(self._web, sock=sock, backlog=BACKLOG)
        else:
            self._server = TlsPort(sock, tls, self._web, self._web.crowded)
            self._server.open(BACKLOG)

    async def watch(self) -> None:
        """Looks at all connections every second and drops those that broke a limit; for the life of the process."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            self.look()

    def look(self) -> None:
        """One look."""
        now = asyncio.get_running_loop().time()
        for connection in self._web.open:
            reason = connection.look(now, self._limits)
            if reason is not None:
                self.dropped[reason] += 1
                connection.drop(reason)

    def close_after_answers(self) -> None:
        """From now on answers say `Connection: close`; new connections are still taken."""
        self._web.close_after_answers()

    async def drain(self, seconds: float, cut: Callable[[], None]) -> None:
        """Takes no new connections, lets requests run to their end, and closes idle connections last.

        After `seconds`, `cut` must end what still runs with an error that its client can read.
        """
        self.close_after_answers()
        if self._server is not None:
            self._server.close()
        loop = asyncio.get_running_loop()
        if not await self._emptied(loop.time() + seconds):
            _log.warning("the time to drain is over: requests are ended", connections=self.connections)
            deadline = loop.time() + CUT_SECONDS
            while loop.time() < deadline and any(connection.busy for connection in self._web.open):
                cut()
                await asyncio.sleep(DRAIN_POLL_SECONDS)
        await self.close()

    async def _emptied(self, deadline: float) -> bool:
        """Closes connections that have been idle for a while, until none is left (True) or the time is over."""
        loop = asyncio.get_running_loop()
        while left := self._web.open:
            now = loop.time()
            if now >= deadline:
                return not any(connection.busy for connection in left)
            for connection in left:
                if not connection.busy and connection.idle_seconds(now) >= LINGER_SECONDS:
                    connection.force_close()
            await asyncio.sleep(DRAIN_POLL_SECONDS)
        return True

    async def close(self) -> None:
        """Ends everything now; returns when the handlers have."""
        if isinstance(self._server, TlsPort):
            await self._server.end()
        elif self._server is not None:
            self._server.close()
        handlers = [task for connection in self._web.open if (task := _handler(connection)) is not None]
        await self._web.shutdown(CANCEL_SECONDS)
        if handlers:
            await asyncio.wait(handlers, timeout=CANCEL_SECONDS)


def _handler(connection: Connection) -> asyncio.Task[None] | None:
    """The task that serves a connection."""
    return connection._task_handler
