"""Rates and concurrency: takes the request's share of every limit that counts it, or refuses."""

from __future__ import annotations

from collections.abc import Awaitable

from tollway.dataplane.admission.counters import Counters, Need
from tollway.dataplane.admission.gate import admit
from tollway.dataplane.admission.permit import Permit
from tollway.dataplane.pipeline.exchange import Exchange

DEFAULT_OUTPUT_TOKENS = 1_000
"""What a request without a limit of its own is taken to write, until it is known."""


def limit(exchange: Exchange) -> Awaitable[None] | None:
    """Takes what is at hand at once; waits for more where this process holds too little."""
    seats = exchange.find_seats()
    if not seats.limits:
        return None
    counters = seats.counters
    needs = seats.needs(_tokens(exchange), exchange.input_tokens)
    if counters.take(needs, in_turn=True):
        _permit(exchange, counters).add(needs)
        return None
    return _wait(exchange, counters, needs)


async def _wait(exchange: Exchange, counters: Counters, needs: list[Need]) -> None:
    await admit(counters, needs, exchange.services.clock)
    _permit(exchange, counters).add(needs)


def _permit(exchange: Exchange, counters: Counters) -> Permit:
    if exchange.permit is None:
        exchange.permit = Permit(counters)
        exchange.cleanup(exchange.release)
    return exchange.permit


def _tokens(exchange: Exchange) -> int:
    head = exchange.head
    output = head.max_tokens if head.max_tokens is not None else DEFAULT_OUTPUT_TOKENS
    return exchange.input_tokens + output * max(1, head.n)
