"""Which call is made next for a request, and whether there is a next one: other targets, then models to fall back to.

Owns the way from a failure to the next call: the router says what is worth a try, here it is held against what the key
may use, what is reserved and what limits the other model has.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from tollway.core.errors import TollwayError, let_go
from tollway.core.routing.retries import Kind
from tollway.dataplane.config.holder import Candidate
from tollway.dataplane.pipeline.attempt import Attempt
from tollway.dataplane.pipeline.candidates import ordered
from tollway.dataplane.pipeline.exchange import Exchange
from tollway.dataplane.pipeline.limit import expected_tokens, limit_for
from tollway.dataplane.pipeline.observe import label_of
from tollway.dataplane.pipeline.reserve import Cover, cover, first_cover, not_paid
from tollway.dataplane.routing.credentials import Cooling
from tollway.dataplane.routing.router import Choice
from tollway.dataplane.routing.tickets import Ticket

MOST_ATTEMPTS = 20
"""Of one request, whatever is configured."""


class Tries:
    """The calls of one request, one after the other."""

    __slots__ = ("_again", "_asked", "_exchange", "_fault", "_made", "_order", "_route", "_tokens")

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._route = exchange.route
        self._order = exchange.candidates
        self._tokens = expected_tokens(exchange)
        self._made = 0
        self._asked: set[str] = set()
        self._again: Attempt | None = None
        self._fault: TollwayError | None = None

    async def next(self) -> Attempt:
        """The next call, paid for and counted at its target. Raises TollwayError when nothing may be called."""
        exchange = self._exchange
        while True:
            choice = self._choose()
            if isinstance(choice, Cooling):
                now = exchange.services.loop_time()
                await self._fall_back_from(self._fault or choice.error(self._route.name, now))
                continue
            paid = await self._paid(choice.candidate)
            if paid is not None:
                break
            self._order = [candidate for candidate in self._order if candidate is not choice.candidate]
            if not self._order:
                await self._fall_back_from(self._fault or not_paid(self._route.name))
        self._made += 1
        exchange.serving = self._route
        return Attempt(exchange, self._route, await self._begin(choice), paid)

    def _choose(self) -> Choice | Cooling:
        if self._again is not None:
            again, self._again = self._again, None
            return Choice(again.candidate, again.credential)
        services = self._exchange.services
        return services.router.pick(self._route, self._order, self._tokens, services.loop_time())

    async def _paid(self, candidate: Candidate) -> Cover | None:
        """What pays for a call: the stage before has reserved for the first target; for all others it is done now."""
        exchange = self._exchange
        if not exchange.attempts and self._route is exchange.route and candidate is exchange.candidates[0]:
            return first_cover(exchange)
        return await cover(exchange, self._route, candidate)

    async def _fall_back_from(self, error: TollwayError) -> None:
        """Nothing of the model may be called: goes on with another one. Raises the error where there is none."""
        exchange = self._exchange
        model = exchange.route.model
        if not await self._fall_back(() if model is None else model.fallbacks):
            raise error
        exchange.services.telemetry.fallback(label_of(exchange.route), Kind.FALLBACK.value)

    async def _begin(self, choice: Choice) -> Ticket:
        """The call's place at its target; waits for one where there is none. Raises TollwayError(overloaded)."""
        exchange = self._exchange
        services = exchange.services
        priority = exchange.principal.project.priority
        ticket = services.router.begin(self._route, choice, self._tokens, services.loop_time(), priority)
        if ticket.waiting is not None:
            try:
                await ticket.waiting
            except BaseException:
                ticket.end(services.loop_time())
                raise
            ticket.go(services.loop_time())
        return ticket

    async def beside(self, first: Attempt, needed: Callable[[], bool]) -> Attempt | None:
        """A second call while the first is under way, elsewhere if possible; None: none may be made now.

        `needed` says whether the first is still under way: to reserve may have taken a moment.
        """
        exchange = self._exchange
        services = exchange.services
        now = services.loop_time()
        others = [candidate for candidate in self._order if candidate is not first.candidate]
        choice = services.router.pick(self._route, others or [first.candidate], self._tokens, now)
        if isinstance(choice, Cooling) or choice.last_resort or len(exchange.attempts) >= MOST_ATTEMPTS:
            return None
        if not services.router.may_hedge(self._route, now):
            return None
        paid = await cover(exchange, self._route, choice.candidate)
        if paid is None or not needed():
            return None
        priority = exchange.principal.project.priority
        try:
            ticket = services.router.begin(self._route, choice, self._tokens, services.loop_time(), priority)
        except TollwayError:  # too many wait there already
            return None
        if ticket.waiting is not None:  # a call that has to wait helps nobody
            ticket.end(services.loop_time())
            return None
        self._made += 1
        return Attempt(exchange, self._route, ticket, paid)

    async def once_more(self, attempt: Attempt) -> bool:
        """Whether a call on a kept connection that was closed is made again, at the same place."""
        if len(self._exchange.attempts) > 1:
            return False
        self._again = attempt
        self._made -= 1
        return True

    async def after(self, attempt: Attempt, fault: TollwayError) -> Kind:
        """What follows a failure; when it is to be waited for, that has been done."""
        exchange = self._exchange
        services = exchange.services
        self._fault = fault
        let_go(fault)
        if len(exchange.attempts) >= MOST_ATTEMPTS:
            return Kind.GIVE_UP
        step = services.router.after(
            self._route,
            self._order,
            attempt.ticket,
            fault,
            self._made,
            services.loop_time(),
            origin=exchange.route,
            asked=self._asked,
        )
        if step.models:
            if not await self._fall_back(step.models):
                return Kind.GIVE_UP
            services.telemetry.fallback(label_of(exchange.route), step.kind.value)
            return step.kind
        if step.kind is Kind.GIVE_UP:
            return step.kind
        self._order = [each for each in step.order if await cover(exchange, self._route, each) is not None]
        if not self._order:
            return Kind.GIVE_UP
        services.telemetry.retry(label_of(self._route), step.kind.value)
        if step.delay:
            await asyncio.sleep(step.delay)
        return step.kind

    async def _fall_back(self, models: tuple[str, ...]) -> bool:
        """Goes on with the first of these models that the key may use, that is paid for, and whose limits have room."""
        exchange = self._exchange
        principal = exchange.principal
        routes = principal.routes
        self._asked.add(self._route.name)
        for name in models:
            route = routes.find(name)
            if name in self._asked or route is None or route.model is None:
                continue
            self._asked.add(name)
            if not routes.allowed(principal.project.models, principal.entry.models, route.name):
                continue
            try:
                order = ordered(exchange, route)
            except TollwayError:  # it cannot serve such a call, or has no target at the moment
                continue
            paid = [candidate for candidate in order if await cover(exchange, route, candidate) is not None]
            if paid and await limit_for(exchange, route):
                self._route, self._order, self._made = route, paid, 0
                return True
        return False
