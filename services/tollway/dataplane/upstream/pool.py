"""The connections of the native client: kept per place for the next request, counted, and closed when idle for long.

Owns who may open a connection and who waits. It makes none itself.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from tollway.dataplane.upstream.connection import Connection
from tollway.dataplane.upstream.port import unreachable

IDLE_SECONDS = 60.0
SWEEP_SECONDS = 5.0


class Origin(NamedTuple):
    """Where connections go to, and through which proxy (a URL, or none)."""

    host: str
    port: int
    tls: bool
    proxy: str = ""


class Limits(NamedTuple):
    """How many connections there may be: in all, to one place, and kept idle."""

    total: int = 8192
    per_host: int = 4096
    idle: int = 1024


class Shelf:
    """The connections to one place: `idle` has those that wait for a request, the longest idle first; `open` counts
    all, also those that are being made; `wanted` counts requests that wait for one.
    """

    __slots__ = ("idle", "open", "origin", "wanted")

    def __init__(self, origin: Origin) -> None:
        self.origin = origin
        self.idle: list[Connection] = []
        self.open = self.wanted = 0


class Kept:
    """The keeper of one connection: its place on the shelf."""

    __slots__ = ("_pool", "_shelf")

    def __init__(self, pool: Pool, shelf: Shelf) -> None:
        self._pool = pool
        self._shelf = shelf

    def give_back(self, connection: Connection) -> None:
        """The connection may serve another request."""
        self._pool.put(self._shelf, connection)

    def gone(self, connection: Connection) -> None:
        """The connection is closed."""
        self._pool.forget(self._shelf, connection)


class Pool:
    """All connections of one process. `make(origin)` opens one; it raises what `acquire` then raises."""

    def __init__(self, limits: Limits, make: Callable[[Origin], Awaitable[Connection]]) -> None:
        self._loop = asyncio.get_running_loop()
        self._limits = limits
        self._make = make
        self._shelves: dict[Origin, Shelf] = {}
        self._waiting: deque[tuple[Shelf, asyncio.Future[None]]] = deque()
        self._all: set[Connection] = set()
        self._open = self._idle = 0
        self._sweeper: asyncio.TimerHandle | None = None
        self._closed = False

    @property
    def open(self) -> int:
        """How many connections there are, those being made included."""
        return self._open

    @property
    def idle(self) -> int:
        """How many of them wait for a request."""
        return self._idle

    def shelf(self, origin: Origin) -> Shelf:
        """The place for connections to `origin`."""
        found = self._shelves.get(origin)
        if found is None:
            found = self._shelves[origin] = Shelf(origin)
        return found

    def tidy(self) -> None:
        """Forgets places without connections that nobody waits for. Shelves handed out before may still be used."""
        self._shelves = {origin: shelf for origin, shelf in self._shelves.items() if shelf.open or shelf.wanted}

    def take(self, shelf: Shelf) -> Connection | None:
        """An idle connection, the one used last, which is the least likely to be closed by now."""
        while shelf.idle:
            connection = shelf.idle.pop()
            self._idle -= 1
            if not connection.lost:
                return connection
        return None

    async def acquire(self, shelf: Shelf) -> Connection:
        """A connection for one request: idle, or new, or, at a limit, the next that comes free."""
        again = False
        while (connection := self.take(shelf)) is None:
            if self._has_room(shelf):
                return await self._new(shelf)
            turn = (shelf, self._loop.create_future())
            if again:
                self._waiting.appendleft(turn)
            else:
                self._waiting.append(turn)
            await self._turn(turn)
            again = True
        return connection

    def _has_room(self, shelf: Shelf) -> bool:
        """Whether one more may be opened; at the limit of all, the longest idle one elsewhere makes room."""
        if shelf.open >= self._limits.per_host:
            return False
        if self._open >= self._limits.total and self._idle:
            self._evict_oldest()
        return self._open < self._limits.total

    async def _new(self, shelf: Shelf) -> Connection:
        shelf.open += 1
        self._open += 1
        self._shelves.setdefault(shelf.origin, shelf)
        try:
            connection = await self._make(shelf.origin)
        except BaseException:
            self._left(shelf)
            raise
        if connection.lost or self._closed:
            self._left(shelf)
            connection.abort()
            raise unreachable("the connection was closed at once")
        connection.keeper = Kept(self, shelf)
        self._all.add(connection)
        return connection

    async def _turn(self, turn: tuple[Shelf, asyncio.Future[None]]) -> None:
        shelf = turn[0]
        shelf.wanted += 1
        try:
            await turn[1]
        except BaseException:
            if turn[1].done() and not turn[1].cancelled():
                self._next()  # it was this one's turn: the next one's now
            elif turn in self._waiting:
                self._waiting.remove(turn)
            raise
        finally:
            shelf.wanted -= 1

    def _next(self) -> None:
        """Lets the first go on that waits and could."""
        for turn in self._waiting:
            shelf, future = turn
            free = shelf.open < self._limits.per_host and (self._open < self._limits.total or self._idle > 0)
            if not future.done() and (shelf.idle or free):
                self._waiting.remove(turn)
                future.set_result(None)
                return

    def put(self, shelf: Shelf, connection: Connection) -> None:
        """A connection is free."""
        if self._closed:
            connection.abort()
            return
        if self._idle >= self._limits.idle:
            self._evict_oldest()
        connection.idle_since = self._loop.time()
        shelf.idle.append(connection)
        self._idle += 1
        if self._sweeper is None:
            self._sweeper = self._loop.call_later(SWEEP_SECONDS, self._sweep)
        if self._waiting:
            self._next()

    def forget(self, shelf: Shelf, connection: Connection) -> None:
        """A connection is closed."""
        self._all.discard(connection)
        if connection in shelf.idle:
            shelf.idle.remove(connection)
            self._idle -= 1
        self._left(shelf)

    def _left(self, shelf: Shelf) -> None:
        shelf.open -= 1
        self._open -= 1
        if self._waiting:
            self._next()

    def _evict_oldest(self) -> None:
        shelf = min((s for s in self._shelves.values() if s.idle), key=lambda s: s.idle[0].idle_since)
        self._evict(shelf)

    def _evict(self, shelf: Shelf) -> None:
        """Closes the longest idle connection of a shelf, which counts no more from now on."""
        connection = shelf.idle.pop(0)
        self._idle -= 1
        connection.abort()
        connection.keeper = None
        self._all.discard(connection)
        self._left(shelf)

    def _sweep(self) -> None:
        before = self._loop.time() - IDLE_SECONDS
        for shelf in list(self._shelves.values()):
            while shelf.idle and shelf.idle[0].idle_since <= before:
                self._evict(shelf)
        self._sweeper = self._loop.call_later(SWEEP_SECONDS, self._sweep) if self._idle else None

    async def close(self) -> None:
        """Closes every connection, whatever is under way, and lets the transports go."""
        self._closed = True
        if self._sweeper is not None:
            self._sweeper.cancel()
        for connection in list(self._all):
            connection.abort()
        for _, future in self._waiting:
            future.cancel()
        await asyncio.sleep(0)
