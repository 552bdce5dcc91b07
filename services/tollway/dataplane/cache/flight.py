"""One upstream call for all who ask the same at the same time.

The call belongs to the group: it runs in a task of its own, goes on while anybody waits for it, and is cancelled when
the last one leaves. Each member gets everything from the beginning, as it comes. What comes is held in memory up to a
limit; beyond it nobody can join any more, the call runs no faster than its fastest reader, and one who is left behind
further than the limit is cut off.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, NamedTuple

from tollway.core.errors import Code, Fault, TollwayError, let_go
from tollway.dataplane.providers.port import ProviderFault
from tollway.runtime.tasks import Tasks

TASK = "shared-call"
AHEAD_BYTES = 256 << 10
"""How far a long answer may run ahead of its fastest reader."""
BACKLOG_BYTES = 64 << 10
"""How much of what has come already is handed on at once."""


class FlightBroken(Exception):
    """The answer can be given no further: it broke off without a word, or this reader was too slow for the others."""


class Begun(NamedTuple):
    """Status and headers of the answer that follows, as the leader's client gets them."""

    status: int
    headers: dict[str, str]


def is_for_all(error: TollwayError) -> bool:
    """Whether a call failed for a reason that everybody's has, the provider's; else the next one tries for itself.

    A budget, a limit, a header or a key of the one who called is no reason for the others.
    """
    return isinstance(error, ProviderFault) or error.fault is Fault.UPSTREAM


class Flight:
    """A call under way. Its task calls `begin`, `write` and then `end` or `fail`; or `dismiss` before it begins."""

    def __init__(self, limit: int, closed: Callable[[Flight], None]) -> None:
        """`limit` in bytes; `closed` is called when nobody may join any more."""
        self._limit = limit
        self._closed = closed
        self._open = True
        self._pieces: list[bytes] = []
        self._dropped = 0
        self._written = 0
        self._room: asyncio.Future[None] | None = None
        self._task: asyncio.Task[None] | None = None
        self.members: list[Member] = []
        self.begun: Begun | None = None
        self.ended = False
        self.error: BaseException | None = None

    # -- for the call ---------------------------------------------------------------------------------------------

    def run(self, tasks: Tasks, work: Coroutine[Any, Any, None]) -> None:
        """Starts the call; to be done at once by the member that is `first`. What it raises is told to the members."""
        self._task = tasks.spawn(self._run(work), TASK)

    async def _run(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except TollwayError as error:
            self.fail(error)
        except (ConnectionError, asyncio.CancelledError):
            self.fail(FlightBroken("the call was given up"))
            raise
        except Exception:
            self.fail(TollwayError(Code.INTERNAL_ERROR, "The gateway failed. The operator has been told."))
            raise
        else:
            self.fail(FlightBroken("the call ended without an answer"))

    def dismiss(self) -> None:
        """The answer will not do for others, as when the budget of the one who calls bounds its length: they go."""
        self._close()
        for member in self.members:
            if not member.first:
                member.dismiss()

    def begin(self, status: int, headers: dict[str, str]) -> None:
        """The answer begins: what comes now is content."""
        self.begun = Begun(status, headers)
        self._wake()

    async def write(self, data: bytes) -> None:
        """More of the answer. Waits only when a long one is too far ahead of all its readers."""
        if not data:
            return
        self._pieces.append(data)
        self._written += len(data)
        self._wake()
        if self._written > self._limit:
            self._close()
            self._trim()
            while self._written - self._fastest() > AHEAD_BYTES:
                self._room = asyncio.get_running_loop().create_future()
                await self._room
                self._trim()

    def end(self) -> None:
        """The answer is over, and whole."""
        if not self.ended:
            self.ended = True
            self._task = None  # it may hold an error, whose frames hold this flight
            self._close()
            self._wake()

    def fail(self, error: BaseException) -> None:
        """The call failed, unless it is over."""
        if not self.ended:
            let_go(error)
            self.error = error
            self.end()

    def body(self) -> bytes | None:
        """The whole answer so far; None when there is too much of it."""
        return b"".join(self._pieces) if self._written <= self._limit else None

    # -- for the members ------------------------------------------------------------------------------------------

    def join(self) -> Member:
        """One more who gets the answer."""
        member = Member(self, first=not self.members)
        self.members.append(member)
        return member

    def leave(self, member: Member) -> None:
        """One less; the call of nobody is cancelled."""
        if member not in self.members:
            return
        self.members.remove(member)
        self.gained_room()
        if member.first and self._task is None and not self.ended:
            self.fail(FlightBroken("the call was never made"))
        if not self.members:
            self._close()
            if self._task is not None and not self.ended:
                self._task.cancel()

    def take(self, place: int) -> tuple[bytes, int]:
        """What there is from the piece `place` on, within bounds, and the place after it."""
        first = place - self._dropped
        if first == len(self._pieces) - 1:
            return self._pieces[first], place + 1
        size, last = 0, first
        while last < len(self._pieces) and (last == first or size + len(self._pieces[last]) <= BACKLOG_BYTES):
            size += len(self._pieces[last])
            last += 1
        return b"".join(self._pieces[first:last]), self._dropped + last

    @property
    def places(self) -> int:
        """The place after the last piece."""
        return self._dropped + len(self._pieces)

    def gained_room(self) -> None:
        """A reader has moved, or left."""
        if self._room is not None and not self._room.done():
            self._room.set_result(None)

    def _close(self) -> None:
        if self._open:
            self._open = False
            self._closed(self)

    def _wake(self) -> None:
        for member in self.members:
            member.wake()

    def _fastest(self) -> int:
        """How many bytes the fastest reader has."""
        return max((each.read for each in self.members), default=0)

    def _trim(self) -> None:
        """Lets go of what all have read; cuts off who is too far behind."""
        fastest = self._fastest()
        for member in self.members:
            if fastest - member.read > self._limit + AHEAD_BYTES:
                member.cut_off()
        least = min((each.place for each in self.members if not each.cut), default=self.places)
        del self._pieces[: least - self._dropped]
        self._dropped = least


class Member:
    """One of those who share a call. `first`: it is the one that has to make it. Must `leave`, whatever happens."""

    __slots__ = ("_dismissed", "_waiter", "cut", "first", "flight", "place", "read")

    def __init__(self, flight: Flight, *, first: bool) -> None:
        self.flight = flight
        self.first = first
        self.place = 0
        self.read = 0
        self.cut = False
        self._dismissed = False
        self._waiter: asyncio.Future[None] | None = None

    async def begun(self) -> Begun | None:
        """Waits for the answer to begin. None: the call ended for a reason that is not this member's: ask again.

        Raises the TollwayError with which the call failed; the first member is always told.
        """
        flight = self.flight
        while flight.begun is None and not flight.ended and not self._dismissed:
            await self._wait()
        if self._dismissed:
            return None
        if flight.begun is not None:
            return flight.begun
        error = flight.error
        if isinstance(error, TollwayError) and (self.first or is_for_all(error)):
            raise error.with_traceback(None)
        if self.first:
            raise FlightBroken("the call was given up")
        return None

    @property
    def dismissed(self) -> bool:
        """Whether this member is to make a call of its own."""
        return self._dismissed

    async def next(self) -> bytes:
        """What comes next of the answer, from its beginning; nothing at its end.

        Raises FlightBroken, or the error with which it broke off.
        """
        flight = self.flight
        while True:
            if self.cut:
                raise FlightBroken("this reader was too slow for the others")
            if self.place < flight.places:
                data, self.place = flight.take(self.place)
                self.read += len(data)
                flight.gained_room()
                return data
            if not flight.ended:
                await self._wait()
            elif flight.error is not None:
                raise flight.error.with_traceback(None)
            else:
                return b""

    async def pieces(self) -> AsyncIterator[bytes]:
        """As `next`, to the end."""
        while data := await self.next():
            yield data

    def leave(self) -> None:
        """This member wants nothing more."""
        self.flight.leave(self)

    def wake(self) -> None:
        """There is something new."""
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def dismiss(self) -> None:
        """This member is to make a call of its own."""
        self._dismissed = True
        self.wake()

    def cut_off(self) -> None:
        """This member is too far behind."""
        self.cut = True
        self.wake()

    async def _wait(self) -> None:
        self._waiter = asyncio.get_running_loop().create_future()
        await self._waiter


class Flights:
    """The calls of this process that may be joined."""

    def __init__(self, limit: int) -> None:
        """`limit`: how many bytes of an answer are held for those who join."""
        self._limit = limit
        self._open: dict[tuple[bytes, str], Flight] = {}

    def __len__(self) -> int:
        return len(self._open)

    def join(self, key: tuple[bytes, str], *, alone: bool = False) -> Member:
        """Joins the call under way for `key`, or is the first of a new one; `alone`: always of a new one."""
        flight = self._open.get(key)
        if flight is not None and not alone:
            return flight.join()
        if flight is not None:
            return Flight(self._limit, lambda _: None).join()

        def closed(flight: Flight) -> None:
            if self._open.get(key) is flight:
                del self._open[key]

        flight = self._open[key] = Flight(self._limit, closed)
        return flight.join()
