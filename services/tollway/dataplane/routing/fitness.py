"""Which targets of a model are left alone, and which are called all the same because there would be nobody else."""

from __future__ import annotations

from collections.abc import Sequence

from tollway.core.routing.breaker import State
from tollway.dataplane.config.holder import Candidate
from tollway.dataplane.routing.targets import TargetState

MOST_EJECTED = 0.5
"""At most this share of a model's targets is left alone for a failure rate: beyond it, the failure is not theirs."""


def fit(
    candidates: Sequence[Candidate], states: Sequence[TargetState], now: float, *, heed_breakers: bool
) -> tuple[list[Candidate], list[Candidate]]:
    """(what may be called, what may be called when nothing else can). One of them holds something.

    A Retry-After holds whatever happens; only when it holds for all, the order in which they may be called is returned.
    """
    pairs = list(zip(candidates, states, strict=True))
    free = [(c, s) for c, s in pairs if s.held_until <= now]
    if not free:
        return [], [c for c, _s in sorted(pairs, key=lambda pair: pair[1].held_until)]
    whole = [(c, s) for c, s in free if not heed_breakers or s.breaker.lets_through(now)]
    out = [(c, s) for c, s in free if heed_breakers and not s.breaker.lets_through(now)]
    out.sort(key=lambda pair: pair[1].breaker.opened_at)
    by_rate = [pair for pair in out if pair[1].breaker.by_rate and pair[1].breaker.state is State.OPEN]
    back = by_rate[: max(len(by_rate) - int(MOST_EJECTED * len(pairs)), 0)]
    whole += back
    if not whole:
        return [], [c for c, _s in out]
    ready = [c for c, s in whole if s.resting_until <= now]
    return ready, [c for c, s in whole if s.resting_until > now]
