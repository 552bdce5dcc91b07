"""The accounts that count a caller's requests for one model: looked up once, and again when a window is over.

Whoever asks for the same model with the same key draws on the same accounts; to find them for each request would cost
more than to draw.
"""

from __future__ import annotations

from typing import NamedTuple

from tollway.dataplane.admission.chain import chain_of, limits_for
from tollway.dataplane.admission.counters import Counters, Need
from tollway.dataplane.admission.headers import Shown, shown
from tollway.dataplane.admission.holding import Holding, Kind
from tollway.dataplane.config.directory import Principal
from tollway.dataplane.config.holder import Route

MODELS = 256
"""How many models a caller's accounts are kept for: clients can name more than are configured."""
_FOREVER_MS = 1 << 62


class Seats(NamedTuple):
    """Accounts for requests that begin from `since_ms` until before `until_ms`, Unix milliseconds.

    `charged` is how many of them the journal names. `told` are those of `limits` that clients are shown; `intents` what
    the journal writes for all of these requests, by provider, its model, credential, endpoint, and whether they are
    streamed.
    """

    counters: Counters
    generation: int
    since_ms: int
    until_ms: int
    budgets: tuple[Holding, ...]
    limits: tuple[Holding, ...]
    charged: int
    told: Shown
    intents: dict[tuple[str, str, str, str, bool], bytes]

    def needs(self, tokens: int, least: int) -> list[Need]:
        """What a request takes of each limit: `tokens` of those that count them, but no more than the whole of one.

        `least`: what it takes even of a smaller one.
        """
        if not self.told[1]:
            return [(holding, 1) for holding in self.limits]
        return [
            (holding, max(least, 1, min(tokens, holding.limit(0))) if holding.kind is Kind.TOKENS else 1)
            for holding in self.limits
        ]


def seats_for(counters: Counters, principal: Principal, route: Route, at_ms: int) -> Seats:
    """The accounts of a request that begins at `at_ms`."""
    found: Seats | None = principal.seats.get(route.name)
    if found is not None and found.since_ms <= at_ms < found.until_ms and found.generation == counters.generation:
        return found
    if len(principal.seats) >= MODELS:
        principal.seats.clear()
    seats = principal.seats[route.name] = _find(counters, principal, route, at_ms)
    return seats


def _find(counters: Counters, principal: Principal, route: Route, at_ms: int) -> Seats:
    budgets = tuple([counters.holding(rule, subject, at_ms) for rule, subject in chain_of(principal).budgets])
    limits = [counters.holding(rule, subject, at_ms) for rule, subject in limits_for(principal, route)]
    windows = [holding.window for holding in (*budgets, *limits)]
    return Seats(
        counters,
        counters.generation,
        max((start for start, _ in windows), default=0),
        min((_FOREVER_MS if end is None else end for _, end in windows), default=_FOREVER_MS),
        budgets,
        tuple(limits),
        len(budgets) + sum(holding.kind is not Kind.PLACES for holding in limits),
        shown(limits),
        {},
    )
