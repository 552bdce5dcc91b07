"""Budgets: reserves the most that the call can cost of every hard budget above it, or refuses.

The most is proven: the input by its bytes, the output by a limit that is written into the upstream request. A request
that sets none gets one: what its model can write, or what a part of the budget pays for.
"""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from typing import NamedTuple

from tollway.core.bounds import Bound, affordable_output, most
from tollway.core.errors import Code, TollwayError
from tollway.core.notices import NoticeKind
from tollway.core.pricing import Price
from tollway.dataplane.admission.counters import Counters, Need
from tollway.dataplane.admission.gate import admit, look
from tollway.dataplane.admission.holding import Holding
from tollway.dataplane.admission.refusals import refusal
from tollway.dataplane.config.holder import Candidate, Route, capabilities
from tollway.dataplane.endpoints.port import Known
from tollway.dataplane.pipeline.candidates import target_for
from tollway.dataplane.pipeline.exchange import Exchange

DEFAULT_OUTPUT_TOKENS = 16_384
"""The limit of output for a model of which it is not known how much it can write."""
SHARE = 8
"""A request without a limit of output gets one that costs at most this part of what is left of a budget."""
NEARLY = 10
"""A budget of which less than this part is left is as good as used up, for alerts."""
WORTHWHILE_TOKENS = 256
"""Fewer are not offered as long as the budget pays for these."""


def reserve(exchange: Exchange) -> Awaitable[None] | None:
    """Reserves at once from what this process holds; waits for more where that is too little."""
    seats = exchange.seats if exchange.seats is not None else exchange.find_seats()
    holdings = seats.budgets
    if not holdings:
        return None
    price = exchange.route.price
    if price is None:
        raise TollwayError(
            Code.MODEL_NOT_PRICED,
            f"The model '{exchange.route.name}' has no price, and this key draws on a hard budget. "
            "Ask your administrator to set a price for it.",
            param="model",
        )
    bound = bound_of(exchange, exchange.route, exchange.candidates[0], price)
    counters = seats.counters
    cap = None if bound.output is not None else bound.ceiling or DEFAULT_OUTPUT_TOKENS
    amount = _most(bound, price, cap)
    needs: list[Need] = [(holding, amount) for holding in holdings]
    if counters.take(needs, in_turn=True):
        _granted(exchange, counters, needs, amount, cap)
        return None
    return _told(exchange, holdings, _wait(exchange, counters, holdings, bound, price, amount, cap))


class Cover(NamedTuple):
    """What pays for a call: the most that it can cost, nano-dollars (None: no budget bounds it), and the most tokens of
    each answer, which is written into its request (None: the client said it itself).
    """

    most_nano: int | None
    output_cap: int | None


def first_cover(exchange: Exchange) -> Cover:
    """What the stage has reserved: for the target that stands first."""
    return Cover(exchange.permit.reserved_nano if exchange.permit is not None else None, exchange.output_cap)


async def cover(exchange: Exchange, route: Route, candidate: Candidate) -> Cover | None:
    """Pays for a further call at this target: what it can cost beside what was spent is reserved now.

    None: that cannot be paid, and the call must not be made: it could spend what nobody has.
    """
    permit, seats = exchange.permit, exchange.seats
    if permit is None or permit.reserved_nano is None or seats is None:
        return Cover(None, None)
    if route.price is None:
        return None
    try:
        bound = bound_of(exchange, route, candidate, route.price)
    except TollwayError:  # there, what the request can cost is not bounded
        return None
    cap = None
    if bound.output is None:
        if exchange.output_cap is None:
            return None
        cap = exchange.output_cap if bound.ceiling is None else min(exchange.output_cap, bound.ceiling)
        if cap < bound.least:
            return None
    amount = _most(bound, route.price, cap)
    needs = permit.further(seats.budgets, amount, _spent(exchange))
    if needs and not seats.counters.take(needs, in_turn=True):
        try:
            await admit(seats.counters, needs, exchange.services.clock)
        except TollwayError:
            return None
    permit.grow(needs)
    return Cover(amount, cap)


def not_paid(model: str) -> TollwayError:
    """None of a model's targets is paid for: none of them stood first, or has a bounded price."""
    return TollwayError(
        Code.PROVIDER_UNAVAILABLE,
        f"The model '{model}' has no provider at the moment that the budget pays for.",
        operator_note="the targets that could be called cost more than was reserved, and more was not to be had",
    )


def _spent(exchange: Exchange) -> int:
    """Nano-dollars that the calls so far cost; of those still under way, the most that they can."""
    under_way = sum(attempt.most_nano or 0 for attempt in exchange.attempts if not attempt.closed)
    return under_way + sum(row.cost_nano for row in exchange.rows)


def bound_of(exchange: Exchange, route: Route, candidate: Candidate, price: Price) -> Bound:
    """The most that the request can use at a target of a route."""
    target = target_for(exchange, route, candidate)
    assert target is not None  # `candidates` leaves out who cannot serve the call
    known = Known(price, capabilities(route).context_tokens)
    return exchange.endpoint.bound(exchange.asked(None), target, known)


async def _told(exchange: Exchange, holdings: Sequence[Holding], waiting: Awaitable[None]) -> None:
    """Tells the control plane of a refusal, for whoever is to be alerted."""
    try:
        await waiting
    except TollwayError as error:
        if error.code is Code.BUDGET_EXCEEDED:
            for holding in holdings:
                if used_up(holding):
                    rule = holding.rule
                    exchange.services.notices.tell(NoticeKind.BUDGET_REFUSED, scope=rule.scope, subject=rule.subject)
        raise


def used_up(holding: Holding) -> bool:
    """Whether nearly nothing is left of a budget: a request may also be refused because it is a very large one."""
    if holding.pool is None:
        return False
    told = holding.pool.told
    return told.free * NEARLY <= told.limit


async def _wait(
    exchange: Exchange,
    counters: Counters,
    holdings: Sequence[Holding],
    bound: Bound,
    price: Price,
    amount: int,
    cap: int | None,
) -> None:
    if cap is not None:
        await look(counters, holdings)
        cap = _affordable(holdings, bound, price, cap)
        amount = _most(bound, price, cap)
        if cap < bound.least:
            dearest = min(holdings, key=_left)
            raise refusal(dearest, _most(bound, price, bound.least), exchange.services.clock.now_ms())
    needs: list[Need] = [(holding, amount) for holding in holdings]
    await admit(counters, needs, exchange.services.clock)
    _granted(exchange, counters, needs, amount, cap)


def _granted(exchange: Exchange, counters: Counters, needs: Sequence[Need], amount: int, cap: int | None) -> None:
    permit = exchange.reserving(counters)
    permit.add(needs)
    permit.reserved_nano = amount
    exchange.output_cap = cap


def _most(bound: Bound, price: Price, cap: int | None) -> int:
    return most(bound, price, None if cap is None else cap * bound.choices)


def _left(holding: Holding) -> int:
    """What is left of a budget as last told, with what this process holds."""
    free = max(0, holding.account.free)
    return free if holding.pool is None else free + max(0, holding.pool.told.free)


def _affordable(holdings: Sequence[Holding], bound: Bound, price: Price, cap: int) -> int:
    """A limit of output, for each choice, that leaves something for others; all that is left, if that is little."""
    known = [holding for holding in holdings if holding.known and holding.pool is not None]
    if not known:
        return cap
    left = min(_left(holding) for holding in known)
    for part in (left // SHARE, left):
        tokens = affordable_output(bound, price, part) // bound.choices
        if tokens >= max(bound.least, WORTHWHILE_TOKENS):
            return min(cap, tokens if part < left else max(bound.least, WORTHWHILE_TOKENS))
    return min(cap, affordable_output(bound, price, left) // bound.choices)
