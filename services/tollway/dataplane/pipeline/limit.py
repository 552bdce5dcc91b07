"""Rates and concurrency: takes the request's share of every limit that counts it, or refuses."""

from __future__ import annotations

from collections.abc import Awaitable

from tollway.core.errors import TollwayError
from tollway.dataplane.admission.counters import Counters, Need
from tollway.dataplane.admission.gate import admit
from tollway.dataplane.admission.seats import seats_for
from tollway.dataplane.config.holder import Route
from tollway.dataplane.pipeline.exchange import Exchange

EXPECTED_OUTPUT_TOKENS = 1_000
"""What a request without a limit of its own is taken to write, until it is known."""


def limit(exchange: Exchange) -> Awaitable[None] | None:
    """Takes what is at hand at once; waits for more where this process holds too little."""
    seats = exchange.find_seats()
    if not seats.limits:
        return None
    counters = seats.counters
    needs = seats.needs(expected_tokens(exchange), exchange.input_tokens)
    if counters.take(needs, in_turn=True):
        exchange.reserving(counters).add(needs)
        return None
    return _wait(exchange, counters, needs)


async def _wait(exchange: Exchange, counters: Counters, needs: list[Need]) -> None:
    await admit(counters, needs, exchange.services.clock)
    exchange.reserving(counters).add(needs)


async def limit_for(exchange: Exchange, route: Route) -> bool:
    """Takes what a model that the request falls back to counts beside; False: its limits have no room."""
    counters = exchange.services.admission.counters(exchange.principal.project.organisation)
    seats = seats_for(counters, exchange.principal, route, exchange.counted_ms)
    permit = exchange.permit
    needs = seats.needs(expected_tokens(exchange), exchange.input_tokens)
    further = [need for need in needs if permit is None or not permit.holds(need[0])]
    if not further:
        return True
    if not counters.take(further, in_turn=True):
        try:
            await admit(counters, further, exchange.services.clock)
        except TollwayError:
            return False
    exchange.reserving(counters).add(further)
    return True


def expected_tokens(exchange: Exchange) -> int:
    """The tokens that a request is taken to use, until it is known."""
    head = exchange.head
    output = head.max_tokens if head.max_tokens is not None else EXPECTED_OUTPUT_TOKENS
    return exchange.input_tokens + output * max(1, head.n)
