"""Chooses targets and credentials for calls, learns from how they end, and says what to do after a failure.

One for each process, without input or output; `now` is monotonic seconds everywhere. A call goes like this:

    order = router.order(route, candidates, key, now)          # key: affinity_key(...), where the strategy wants it
    made = 0
    while True:
        choice = router.pick(route, order, tokens, now)        # no await between pick and begin
        if isinstance(choice, Cooling):                        # nothing may be called: a fallback model, or the error
            raise choice.error(route.name, now)
        ticket = router.begin(route, choice, tokens, now, priority)
        try:
            if ticket.waiting is not None:
                await ticket.waiting                           # may raise TollwayError(overloaded)
                ticket.go(now)
            made += 1
            ...                                                # send, then await status and headers
            ticket.told(response.headers, now, unix)           # whatever the status
            ...                                                # a ProviderFault for an error status
            ticket.first_byte(now)                             # at the first content
            ...                                                # relay
            ticket.end(now, Ended.OK, used=tokens_of_usage)
            return
        except TollwayError as fault:
            step = router.after(route, order, ticket, fault, made, now, origin=..., asked=...)   # ends the ticket
            if step.kind is Kind.GIVE_UP:
                raise
            if step.models:                                    # a fallback: the first of them that the key may use
                route, made = routes.find(step.models[0]), 0
                order = router.order(route, ...)
            else:
                await asyncio.sleep(step.delay)
                order = step.order
        finally:
            ticket.end(now)                                    # cancelled, or anything else: counts once at most

A hedge is a second ticket of the same request: `hedge_after` says when, `may_hedge` whether the budget allows it, and
the other call is chosen by `pick` from the order without the first call's candidate. The loser ends with `Ended.LEFT`.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import NamedTuple

from tollway.core.catalog import FREE_KINDS, Credential, Hedge, Model, Priority, Retries, Strategy
from tollway.core.errors import Code, TollwayError
from tollway.core.routing import affinity, strategies
from tollway.core.routing.breaker import Breaker, State
from tollway.core.routing.latency import Latencies
from tollway.core.routing.retries import Failure, Kind, Left, RetryBudget, backoff, next_kind
from tollway.dataplane.config.holder import Candidate, Route, Routes
from tollway.dataplane.routing.credentials import Cooling, Credentials
from tollway.dataplane.routing.fitness import fit
from tollway.dataplane.routing.gate import WAIT_SECONDS
from tollway.dataplane.routing.targets import CredentialAt, Place, TargetState
from tollway.dataplane.routing.tickets import Ticket, refuses_account

MOST_TARGETS = 2000
"""Clients name models of a provider themselves (`provider/model`): idle ones are forgotten beyond so many."""
SHOWN_SECONDS = 60.0
"""A target that nobody asks for is not shown as unavailable for longer."""
INPUT_SHARE = 3
"""For which is the cheapest: so many tokens of input for each of output."""
_NO_RETRIES = Retries()


class Choice(NamedTuple):
    """What is called next. `last_resort`: every target is out of order, or its credentials should rest."""

    candidate: Candidate
    credential: Credential | None
    last_resort: bool = False


class Step(NamedTuple):
    """What is done after a failure: pause for `delay` seconds and pick from `order`, or ask one of `models`."""

    kind: Kind
    delay: float = 0.0
    order: list[Candidate] = []  # noqa: RUF012 - never changed
    models: tuple[str, ...] = ()


class _ModelState:
    """What is kept for each model of the catalog."""

    __slots__ = ("budget", "hedge", "heeds_breakers", "latencies", "several", "strategy")

    def __init__(self, now: float) -> None:
        self.budget = RetryBudget(_NO_RETRIES.budget, now)
        self.strategy = Strategy.WEIGHTED
        self.heeds_breakers = True
        self.hedge: Hedge | None = None
        self.latencies: Latencies | None = None

    def adopt(self, model: Model) -> None:
        """The catalog says this of it from now on."""
        self.budget.share = model.retries.budget
        self.strategy = model.strategy
        self.heeds_breakers = model.breaker.enabled
        self.hedge = model.hedge
        if model.hedge is None:
            self.latencies = None
        elif self.latencies is None:
            self.latencies = Latencies()


class Router:
    """The routing of one process. `prepare` must be told of every catalog."""

    def __init__(self, now: Callable[[], float], roll: Callable[[], float] = random.random) -> None:
        """`now` tells monotonic seconds; `roll` numbers in [0, 1): it spreads load, nothing secret depends on it."""
        self._now = now
        self._roll = roll
        self._targets: dict[Place, TargetState] = {}
        self._models: dict[str, _ModelState] = {}
        self._direct = _ModelState(now())
        self._rates: dict[Place, float] = {}
        self._credentials = Credentials(roll)

    def prepare(self, routes: Routes) -> None:
        """A catalog is in force: what is known of its models and targets is kept, the rest is forgotten."""
        now = self._now()
        models: dict[str, _ModelState] = {}
        for model in routes.catalog.models.values():
            state = self._models.get(model.name) or _ModelState(now)
            state.adopt(model)
            models[model.name] = state
        self._models = models
        self._rates = _rates(routes)
        self._credentials.prepare(routes)
        live = {(t.provider, t.model) for model in routes.catalog.models.values() for t in model.targets}
        for place, target in list(self._targets.items()):
            provider = routes.catalog.providers.get(place[0])
            if provider is None or (place not in live and target.idle(now)):
                del self._targets[place]
            else:
                target.provider = provider

    def forget(self) -> None:
        """What was learnt is forgotten, as in a process that has just begun; calls under way end where they began."""
        self._targets.clear()
        self._credentials = Credentials(self._roll)

    def state(self, candidate: Candidate) -> TargetState:
        """What is known of a candidate's target."""
        place = (candidate.provider.id, candidate.model)
        found = self._targets.get(place)
        if found is None:
            if len(self._targets) >= MOST_TARGETS:
                now = self._now()
                for name, known in list(self._targets.items()):
                    if known.idle(now):
                        del self._targets[name]
            found = self._targets[place] = TargetState(candidate.provider, candidate.model)
        return found

    def order(self, route: Route, candidates: Sequence[Candidate], key: int | None, now: float) -> list[Candidate]:
        """The candidates to try, best first, for a request that comes. Those that must be left alone are not in it.

        It is never empty: when all are out of order, the one that is so for longest is first.
        """
        model = self._models.get(route.name, self._direct)
        model.budget.request()
        if len(candidates) == 1:
            return [candidates[0]]
        states = [self.state(candidate) for candidate in candidates]
        for state in states:
            if state.breaker.state or state.held_until > now or state.resting_until > now:
                left, resting = fit(candidates, states, now, heed_breakers=model.heeds_breakers)
                if len(left) > 1:
                    left = self._by_strategy(model.strategy, left, [self.state(c) for c in left], key, now)
                return left + resting
        return self._by_strategy(model.strategy, candidates, states, key, now)

    def _by_strategy(
        self, strategy: Strategy, found: Sequence[Candidate], states: list[TargetState], key: int | None, now: float
    ) -> list[Candidate]:
        roll = self._roll
        if strategy is Strategy.PRIORITY:
            return strategies.by_priority(found, roll)
        if strategy is Strategy.LEAST_BUSY:
            loads = [(s.gate.in_flight + 1) / c.weight for c, s in zip(found, states, strict=True)]
            return strategies.least_loaded(found, loads, roll)
        if strategy is Strategy.LATENCY:
            loads = [s.latency.load(s.gate.in_flight, now) / c.weight for c, s in zip(found, states, strict=True)]
            return strategies.two_choices(found, loads, roll)
        if strategy is Strategy.COST:
            rates = [self._rates.get(state.place, strategies.UNKNOWN_RATE) for state in states]
            return strategies.cheapest(found, rates, roll)
        if strategy is Strategy.AFFINITY and key is not None:
            weights = [candidate.weight for candidate in found]
            ranked = affinity.ranking(key, [state.seed for state in states], weights)
            chosen = affinity.bounded(ranked, [state.gate.in_flight for state in states], weights)
            return [found[index] for index in chosen]
        return strategies.weighted(found, roll)

    def credential(self, candidate: Candidate, tokens: int, now: float) -> Credential | Cooling | None:
        """The credential for a call of so many tokens; None: the provider takes none; `Cooling`: none is ready."""
        return self._credentials.choose(self.state(candidate), candidate, tokens, now)

    def spare(self, candidate: Candidate, tokens: int, now: float) -> Credential | None:
        """A credential for a call that is made whatever its credentials would rather do; None: there is none."""
        found = self.credential(candidate, tokens, now)
        if not isinstance(found, Cooling):
            return found
        return found.spare or candidate.credentials[0]

    def pick(self, route: Route, order: Sequence[Candidate], tokens: int, now: float) -> Choice | Cooling:
        """The first candidate of an order that may be called, with a credential; `Cooling`: none may be called."""
        alone = len(order) == 1
        for candidate in order:
            state = self.state(candidate)
            if state.held_until > now:
                continue
            if not alone and (state.gate.full() or (state.breaker.state and self._shut(route, state.breaker, now))):
                continue
            credential = self._credentials.choose(state, candidate, tokens, now)
            if not isinstance(credential, Cooling):
                return Choice(candidate, credential)
        return self._last_resort(order, tokens, now)

    def _shut(self, route: Route, breaker: Breaker, now: float) -> bool:
        """Whether a breaker that is not closed keeps a call away; of those open by rate `order` left out enough."""
        if not self._models.get(route.name, self._direct).heeds_breakers:
            return False
        return not breaker.lets_through(now) and not (breaker.by_rate and breaker.state is State.OPEN)

    def _last_resort(self, order: Sequence[Candidate], tokens: int, now: float) -> Choice | Cooling:
        """What may be called though it should rest, or until when nothing may."""
        cooling = Cooling(float("inf"))
        for candidate in order:
            state = self.state(candidate)
            if state.held_until > now:
                if state.held_until < cooling.until:
                    cooling = Cooling(state.held_until, Code(state.held_code))
                continue
            credential = self._credentials.choose(state, candidate, tokens, now)
            if not isinstance(credential, Cooling):
                return Choice(candidate, credential, last_resort=True)
            if credential.spare is not None:
                return Choice(candidate, credential.spare, last_resort=True)
            if credential.until < cooling.until:
                cooling = credential
        return cooling

    def begin(
        self,
        route: Route,
        choice: Choice,
        tokens: int,
        now: float,
        priority: Priority = Priority.INTERACTIVE,
        wait_seconds: float = WAIT_SECONDS,
    ) -> Ticket:
        """Counts a call that is about to be made. Raises TollwayError(overloaded) when it could not be made in time."""
        candidate, credential, _last = choice
        state = self.state(candidate)
        at: CredentialAt | None = None
        if credential is not None:
            at = self._credentials.at(state, candidate.provider, credential)
        latencies = self._models.get(route.name, self._direct).latencies
        waiting = state.gate.acquire(priority, wait_seconds)
        return Ticket(candidate, credential, state, at, self._credentials, latencies, tokens, self._roll, waiting, now)

    def after(
        self,
        route: Route,
        order: Sequence[Candidate],
        ticket: Ticket,
        fault: TollwayError,
        made: int,
        now: float,
        *,
        committed: bool = False,
        origin: Route | None = None,
        asked: Collection[str] = (),
    ) -> Step:
        """What to do after a failed call, which is ended here. `made` calls of `route` were made, with this one.

        `committed`: something was sent to the client. `origin` is what the client asked for, where `route` is a
        fallback of it; `asked` the models that were tried beside `route`.
        """
        ticket.end(now, fault)
        model = (origin or route).model
        used = {route.name, (origin or route).name, *asked}
        fallbacks = _unused(model.fallbacks, used) if model is not None else ()
        context = _unused(model.context_fallbacks, used) if model is not None else ()
        filtered = _unused(model.filter_fallbacks, used) if model is not None else ()
        retries = route.model.retries if route.model is not None else _NO_RETRIES
        here = ticket.candidate
        others = [c for c in order if c is not here and self.state(c).held_until <= now]
        ready = self._credentials.choose(ticket.state, here, 0, now)
        budget = self._models.get(route.name, self._direct).budget
        wait = fault.retry_after_seconds
        code = Code.PROVIDER_AUTH_FAILED if refuses_account(fault) and fault.code is Code.PROVIDER_ERROR else fault.code
        failure = Failure(code, fault.fault, fault.retryable is True, wait, committed)
        kind = next_kind(
            failure,
            Left(
                tries=retries.attempts - made + 1,
                credential=isinstance(ready, Credential) and ready is not ticket.credential,
                target=bool(others),
                same=not ticket.state.breaker.state,
                fallback=bool(fallbacks),
                context_fallback=bool(context),
                filter_fallback=bool(filtered),
                budget=lambda: budget.take(now),
            ),
        )
        if kind is Kind.SAME:
            return Step(kind, backoff(made, self._roll) if wait is None else wait, [here])
        if kind is Kind.CREDENTIAL:
            return Step(kind, 0.0, [here, *others])
        if kind is Kind.TARGET:
            return Step(kind, 0.0, others)
        models = {Kind.FALLBACK: fallbacks, Kind.CONTEXT_FALLBACK: context, Kind.FILTER_FALLBACK: filtered}
        return Step(kind, models=models.get(kind, ()))

    def hedge_after(self, route: Route, now: float) -> float | None:
        """After how many seconds without a first byte a second call is made; None: not for this model, or not yet."""
        model = self._models.get(route.name, self._direct)
        if model.hedge is None or model.latencies is None:
            return None
        seconds = model.latencies.percentile(model.hedge.percentile, now)
        return None if seconds is None else max(seconds, model.hedge.least_seconds)

    def may_hedge(self, route: Route, now: float) -> bool:
        """Whether the model's budget has room for a second call; True takes it."""
        return self._models.get(route.name, self._direct).budget.take(now)

    def available(self, provider: str, model: str) -> bool:
        """Whether a target would be called, as `GET /v1/models` shows it: False while it fails or cools down."""
        state = self._targets.get((provider, model))
        if state is None:
            return True
        now = self._now()
        failing = state.breaker.state is not State.CLOSED and now - state.breaker.opened_at < SHOWN_SECONDS
        return not failing and state.held_until <= now

    def targets(self) -> Iterable[TargetState]:
        """Every target that is known, for metrics and probes."""
        return self._targets.values()


def _unused(names: tuple[str, ...], used: set[str]) -> tuple[str, ...]:
    return tuple(name for name in names if name not in used)


def _rates(routes: Routes) -> dict[Place, float]:
    """What tokens cost at each target: by the price of the model that is this target alone, else the lowest known."""
    found: dict[Place, tuple[bool, float]] = {}
    for model in routes.catalog.models.values():
        if model.price is None:
            continue
        rate = (len(model.targets) > 1, float(model.price.input * INPUT_SHARE + model.price.output))
        for target in model.targets:
            place = (target.provider, target.model)
            found[place] = min(found.get(place, rate), rate)
    free = {provider.id for provider in routes.catalog.providers.values() if provider.kind in FREE_KINDS}
    rates = {place: rate for place, (_shared, rate) in found.items()}
    for model in routes.catalog.models.values():
        for target in model.targets:
            if target.provider in free and found.get((target.provider, target.model), (True, 0.0))[0]:
                rates[target.provider, target.model] = 0.0
    return rates
