"""The response cache on the way of a request: an answer that was kept, or one that is being made for another request.

A project without caching pays for this with one look at its settings. The call that several requests wait for is the
group's: it is booked as the attempt of the one who began it, runs on when that one leaves, and ends with the last.
Everybody else's row has no attempt and costs nothing. What only the first one may have is never given to others: the
answer of a model that it fell back to, or one that a budget bounds; they are sent on their own way.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

import msgspec
from aiohttp import web

from tollway.core.errors import Code, TollwayError, let_go
from tollway.core.ledger import AttemptRow, Cached, Outcome, RequestRow
from tollway.core.money import format_dollars
from tollway.dataplane.aside import LARGE_BYTES, aside
from tollway.dataplane.cache.cache import Cache
from tollway.dataplane.cache.entry import Answer, Hit
from tollway.dataplane.cache.flight import Begun, Flight, FlightBroken, Member
from tollway.dataplane.cache.plan import Plan
from tollway.dataplane.config.holder import capabilities
from tollway.dataplane.http.errors import status_of
from tollway.dataplane.pipeline.call import call
from tollway.dataplane.pipeline.exchange import Exchange, Sink
from tollway.dataplane.pipeline.relay import UNBUFFERED, headers_of, relay
from tollway.dataplane.pipeline.reserve import reserve

_SAME = ("x-tollway-dropped", "Content-Type", *UNBUFFERED)
"""Headers that say the same to everybody who shares a call."""
_TAKEN = (
    "id", "started_ms", "client_request_id", "tags", "principal", "body", "content_type", "head", "memory", "route",
    "serving", "candidates", "seats", "permit", "trace", "attempts", "cached",
)  # fmt: skip


def cached(exchange: Exchange) -> Awaitable[bool] | None:
    """Answers from the cache, or makes a call that others may join. None, False: the request goes on by itself."""
    cache = exchange.services.cache
    if cache is None or not exchange.principal.project.caching.enabled:
        return None
    if len(exchange.body) >= LARGE_BYTES:
        return _aside(exchange, cache)
    plan = _plan(exchange, cache)
    return None if plan is None else _serve(exchange, cache, plan)


def _plan(exchange: Exchange, cache: Cache) -> Plan | None:
    return cache.plan(
        exchange.endpoint,
        exchange.head,
        exchange.body,
        exchange.request.headers,
        exchange.principal.project,
        exchange.route,
        exchange.memory,
    )


async def _aside(exchange: Exchange, cache: Cache) -> bool:
    plan = await aside(lambda: _plan(exchange, cache))
    return plan is not None and await _serve(exchange, cache, plan)


async def _serve(exchange: Exchange, cache: Cache, plan: Plan) -> bool:
    """Whether the request is answered."""
    if not exchange.services.journal.has_room():
        raise TollwayError(
            Code.OVERLOADED, "The gateway cannot record further requests at the moment.", retry_after_seconds=5
        )
    exchange.cached = Cached.MISS
    found: Hit | Member | None = await cache.find(plan)
    while True:
        if found is None:
            found = cache.enter(plan)
        if isinstance(found, Hit):
            await _give(exchange, found, stream=plan.stream)
            return True
        shared = _lead(exchange, cache, plan, found) if found.first else None
        if await _follow(exchange, found, shared, stream=plan.stream):
            return True
        if found.dismissed:
            return False
        found = None


# -- an answer that was kept ------------------------------------------------------------------------------------------


async def _give(exchange: Exchange, hit: Hit, *, stream: bool) -> None:
    """Gives a kept answer as it was given before, at once. It is booked first: so it is, whatever dies meanwhile."""
    exchange.cached = Cached.HIT
    answer = hit.answer
    headers = headers_of(exchange, answer.model, answer.provider, answer.dropped, 0, Cached.HIT)
    headers |= {"Age": str(hit.age), "x-tollway-cost": format_dollars(0), "Content-Type": answer.content_type}
    exchange.status = 200
    exchange.book()
    if not stream:
        exchange.response = web.Response(body=answer.body, headers=headers)
        return
    sink = await exchange.begin(headers | UNBUFFERED)
    for piece in answer.pieces():
        await sink.write(piece)
    await sink.write_eof()


# -- an answer that is being made -------------------------------------------------------------------------------------


class SharedCall(Exchange):
    """The call of a group: the request that began it, less its client. What comes of it goes to the flight."""

    __slots__ = ("deserted", "flight")

    def __init__(self, leader: Exchange, flight: Flight) -> None:
        """From here on the call alone reserves, spends and books for the `leader`."""
        super().__init__(leader.request, leader.services, leader.endpoint, leader.started, leader.model)
        for name in _TAKEN:
            setattr(self, name, getattr(leader, name))
        leader.permit, leader.booked = None, True
        self.flight = flight
        self.deserted = False  # its client has left; others may still wait

    def row(self, attempts: tuple[AttemptRow, ...], ended_ms: int = 0) -> RequestRow:
        """As for every request; that its client left does not end the call."""
        row = super().row(attempts, ended_ms)
        if self.deserted and row.outcome == Outcome.OK:
            return msgspec.structs.replace(row, outcome=Outcome.CLIENT_CLOSED)
        return row

    async def begin(self, headers: dict[str, str]) -> Sink:
        """The stream begins for all members."""
        self.status = 200
        self.flight.begin(200, headers)
        return self

    def write(self, data: bytes, /) -> Awaitable[None]:
        """A piece for all of them."""
        return self.flight.write(data)

    async def write_eof(self) -> None:
        """The flight ends when the answer is kept, so that nobody asks in between."""

    async def break_off(self, event: bytes, fault: TollwayError, *, told: bool = False) -> None:  # noqa: ARG002
        """The error event goes to all of them; without one, all are cut off."""
        await self.flight.write(event)
        self.flight.fail(fault if event else FlightBroken(fault.message))


def _lead(exchange: Exchange, cache: Cache, plan: Plan, member: Member) -> SharedCall:
    """Begins the call for all who come."""
    exchange.cached = Cached.MISS
    shared = SharedCall(exchange, member.flight)
    member.flight.run(exchange.services.tasks, _make(shared, cache, plan))
    return shared


async def _make(shared: SharedCall, cache: Cache, plan: Plan) -> None:
    """The stages that are left, once for the whole group; a whole answer is kept before its flight ends."""
    flight = shared.flight
    try:
        pending = reserve(shared)
        if pending is not None:
            await pending
        if _bounded(shared):
            flight.dismiss()
        await call(shared)
        if shared.serving is not shared.route:
            flight.dismiss()
        await relay(shared)
    finally:
        shared.finish()
    if shared.outcome != Outcome.OK:
        return
    response = shared.response
    if isinstance(response, web.Response):
        assert isinstance(response.body, bytes)
        flight.begin(200, dict(response.headers))
        await flight.write(response.body)
    _keep(shared, cache, plan)
    flight.end()


def _bounded(shared: SharedCall) -> bool:
    """Whether a budget may cut the answer short: its limit of output is below what the model can write."""
    cap, most = shared.output_cap, capabilities(shared.route).max_output_tokens
    return cap is not None and (most is None or cap < most)


def _keep(shared: SharedCall, cache: Cache, plan: Plan) -> None:
    body, begun, attempt = shared.flight.body(), shared.flight.begun, shared.answering
    if body is None or begun is None or attempt is None or shared.serving is not shared.route:
        return
    row = shared.rows[-1]
    answer = Answer(
        body=body,
        content_type=begun.headers["Content-Type"],
        model=shared.serving.name,
        provider=attempt.candidate.provider.name,
        dropped=attempt.dropped,
        usage=row.usage,
        cost_nano=sum(each.cost_nano for each in shared.rows),
    )
    cache.keep(plan, answer, capped=shared.output_cap is not None)


async def _follow(exchange: Exchange, member: Member, shared: SharedCall | None, *, stream: bool) -> bool:
    """Gives one member the answer of the call; False: it has none for this one. `shared` is the call that it began."""
    if shared is None:
        if exchange.cached != Cached.SHARED:
            exchange.cleanup(exchange.book)
        exchange.cached = Cached.SHARED
    try:
        begun = await member.begun()
        if begun is None:
            exchange.cached = Cached.MISS
            return False
        if shared is None:
            headers = _own(exchange, begun)
        else:
            headers = begun.headers
            exchange.answering, exchange.serving = shared.answering, shared.serving
        exchange.status = 200
        await (_stream if stream else _whole)(exchange, member, headers)
    except (asyncio.CancelledError, ConnectionError):
        exchange.outcome = Outcome.CLIENT_CLOSED
        raise
    except TollwayError as error:
        _failed(exchange, error)
        raise
    except FlightBroken as error:  # before the answer began
        given_up = TollwayError(Code.OVERLOADED, "The request was given up. Send it again.", retry_after_seconds=1)
        _failed(exchange, given_up)
        raise given_up from error
    finally:
        if shared is not None and not member.flight.ended:
            shared.deserted = True
        member.leave()
    return True


def _own(exchange: Exchange, begun: Begun) -> dict[str, str]:
    """What the answer's headers say to another than the one who called."""
    said = begun.headers
    headers = headers_of(exchange, said["x-tollway-model"], said["x-tollway-provider"], (), 0, Cached.HIT)
    headers["x-tollway-cost"] = format_dollars(0)
    return headers | {name: said[name] for name in _SAME if name in said}


async def _whole(exchange: Exchange, member: Member, headers: dict[str, str]) -> None:
    parts = []
    while data := await member.next():
        parts.append(data)
    exchange.book()
    exchange.response = web.Response(body=b"".join(parts), headers=headers)


async def _stream(exchange: Exchange, member: Member, headers: dict[str, str]) -> None:
    sink = await exchange.begin(headers)
    try:
        while data := await member.next():
            await sink.write(data)
    except TollwayError as fault:
        await _broke_off(exchange, fault, told=True)
    except FlightBroken as broken:
        let_go(broken)
        await _broke_off(exchange, TollwayError(Code.PROVIDER_ERROR, "The answer broke off."), told=False)
    else:
        exchange.book()
        await sink.write_eof()


async def _broke_off(exchange: Exchange, fault: TollwayError, *, told: bool) -> None:
    """`told`: the dialect's error event has come to all members."""
    let_go(fault)
    _failed(exchange, fault)
    exchange.book()
    await exchange.break_off(b"", fault, told=told)


def _failed(exchange: Exchange, error: TollwayError) -> None:
    exchange.outcome, exchange.error_code, exchange.status = Outcome.ERROR, error.code.value, status_of(error)
