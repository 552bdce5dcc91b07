"""Tickets: whatever happens to calls, in whatever order, nothing is counted twice and nothing stays counted."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Callable
from typing import Any

import pytest

from tollway.core.catalog import Credential, Hedge, Quota, Strategy
from tollway.core.errors import Code, TollwayError
from tollway.dataplane.providers.port import ProviderFault
from tollway.dataplane.routing.credentials import Cooling
from tollway.dataplane.routing.tickets import Ended, Ticket, refuses_account, targets_own

Make = Callable[..., Any]
KEYS = (
    Credential(id="a", name="a", api_key="a", quota=Quota(concurrent=30)),
    Credential(id="b", name="b", api_key="b", quota=Quota(tokens_per_minute=1_000_000)),
)
OUTCOMES = (
    Ended.OK,
    Ended.LEFT,
    TollwayError(Code.INVALID_REQUEST, "x"),
    TollwayError(Code.INTERNAL_ERROR, "x"),
    ProviderFault(Code.PROVIDER_ERROR, "x", retryable=True, status=500),
    ProviderFault(Code.PROVIDER_UNAVAILABLE, "x", retryable=True, status=503, retry_after_seconds=1.0),
    ProviderFault(Code.PROVIDER_RATE_LIMITED, "x", retryable=True, status=429),
    ProviderFault(Code.PROVIDER_RATE_LIMITED, "x", retryable=True, status=429, retry_after_seconds=2.0),
    ProviderFault(Code.PROVIDER_AUTH_FAILED, "x", retryable=False, status=401),
    ProviderFault(Code.PROVIDER_TIMEOUT, "x", retryable=True),
)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("strategy", list(Strategy))
async def test_nothing_is_counted_twice_and_nothing_stays(bench: Make, seed: int, strategy: Strategy) -> None:
    dice = random.Random(seed)
    b = bench(3, keys=KEYS, strategy=strategy, hedge=Hedge())
    for candidate in b.route.candidates:
        b.router.state(candidate).limit.limit = 4.0
    open_tickets: list[Ticket] = []
    for _ in range(400):
        b.clock.advance(dice.random())
        roll = dice.random()
        if roll < 0.45:
            order = b.order(dice.getrandbits(64))
            choice = b.router.pick(b.route, order, 10, b.now)
            if not isinstance(choice, Cooling):
                with contextlib.suppress(TollwayError):  # the queue is long
                    open_tickets.append(b.router.begin(b.route, choice, 10, b.now))
        elif open_tickets:
            ticket = dice.choice(open_tickets)
            if roll < 0.6:
                ticket.first_byte(b.now)
            elif roll < 0.65:
                ticket.told({"x-ratelimit-remaining-requests": "1", "x-ratelimit-reset-requests": "2s"}, b.now, 0.0)
            else:
                open_tickets.remove(ticket)
                for _ in range(dice.choice([1, 1, 2])):
                    ticket.end(b.now, dice.choice(OUTCOMES), used=dice.choice([None, 5, 50]))
                ticket.first_byte(b.now)
        for state in b.router.targets():
            here = [t for t in open_tickets if t.state is state]
            going = [t for t in here if t.waiting is None or (t.waiting.done() and t.waiting.exception() is None)]
            assert state.gate.in_flight == len(going)
            assert 0 <= state.breaker.probing <= len(here)
    for ticket in open_tickets:
        ticket.end(b.now)
        ticket.end(b.now, Ended.OK)
    await asyncio.sleep(0)
    for state in b.router.targets():
        assert (state.gate.in_flight, state.gate.waiting, state.breaker.probing) == (0, 0, 0)
        assert {at.use.in_flight for at in state.credentials.values()} <= {0}
        assert state.limit.limit >= 1.0


@pytest.mark.parametrize(
    ("fault", "own", "account"),
    [
        (ProviderFault(Code.PROVIDER_ERROR, "x", retryable=False, status=500), True, False),
        (ProviderFault(Code.PROVIDER_ERROR, "x", retryable=True, status=409), False, False),
        (ProviderFault(Code.PROVIDER_UNAVAILABLE, "x", retryable=True, status=408), True, False),
        (ProviderFault(Code.PROVIDER_UNAVAILABLE, "x", retryable=True), True, False),
        (ProviderFault(Code.PROVIDER_ERROR, "x", retryable=False), False, False),
        (ProviderFault(Code.PROVIDER_ERROR, "x", retryable=False, status=429), False, True),
        (ProviderFault(Code.PROVIDER_ERROR, "x", retryable=False, status=402), False, True),
        (ProviderFault(Code.PROVIDER_ERROR, "x", retryable=False, status=404), False, False),
        (ProviderFault(Code.PROVIDER_RATE_LIMITED, "x", retryable=True, status=429), False, True),
        (ProviderFault(Code.PROVIDER_AUTH_FAILED, "x", retryable=False), False, True),
        (TollwayError(Code.INVALID_REQUEST, "x"), False, False),
    ],
)
def test_whose_failure_it_is(fault: TollwayError, own: bool, account: bool) -> None:
    assert (targets_own(fault), refuses_account(fault)) == (own, account)


def test_a_half_open_target_is_well_with_its_first_byte(bench: Make) -> None:
    b = bench(1)
    for _ in range(5):
        b.call("p0", OUTCOMES[4])
    ticket = b.begin()
    b.clock.advance(0.1)
    ticket.first_byte(b.now)
    assert b.router.available("p0", "m")
    ticket.end(b.now, OUTCOMES[4])
    assert b.router.available("p0", "m")
