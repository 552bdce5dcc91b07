"""Rates and concurrency: takes the request's share of every limit that counts it, or refuses."""

from __future__ import annotations

from collections.abc import Awaitable

from tollway.core.rules import Limit, Measure
from tollway.dataplane.admission.chain import limits_for
from tollway.dataplane.admission.counters import Counters, Need
from tollway.dataplane.admission.gate import admit
from tollway.dataplane.admission.permit import Permit
from tollway.dataplane.pipeline.exchange import Exchange

DEFAULT_OUTPUT_TOKENS = 1_000
"""What a request without a limit of its own is taken to write, until it is known."""


def limit(exchange: Exchange) -> Awaitable[None] | None:
    """Takes what is at hand at once; waits for more where this process holds too little."""
    limits = limits_for(exchange.principal, exchange.route)
    if not limits:
        return None
    counters = exchange.counters()
    tokens = -1
    needs: list[Need] = []
    queued = False
    for rule, subject in limits:
        if tokens < 0 and rule.measure is Measure.TOKENS:
            tokens = _tokens(exchange)
        holding = counters.holding(rule, subject, exchange.counted_ms)
        needs.append((holding, _amount(rule, tokens, exchange)))
        queued = queued or bool(holding.account.waiting)
    exchange.limits = [holding for holding, _ in needs]
    if not queued and counters.take(needs):
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


def _amount(rule: Limit, tokens: int, exchange: Exchange) -> int:
    """What a request takes of a limit. One that may write more than the whole limit takes the whole."""
    return max(exchange.input_tokens, 1, min(tokens, rule.amount)) if rule.measure is Measure.TOKENS else 1
