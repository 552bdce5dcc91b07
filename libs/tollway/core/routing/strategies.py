"""The orders in which the targets of a model are tried: best first, so that further tries go on along them.

Pure functions. `roll` returns numbers in [0, 1); `loads` and `rates` run parallel to the candidates.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

Roll = Callable[[], float]
UNKNOWN_RATE = float("inf")
"""The rate of a target whose price is not known: it comes after those with one."""


class Weighted(Protocol):
    """What has a share of the traffic, and a place among others: the lowest `priority` goes first."""

    @property
    def weight(self) -> int:
        """Above 0."""

    @property
    def priority(self) -> int:
        """Any number."""


W = TypeVar("W", bound=Weighted)


def weighted(candidates: Sequence[W], roll: Roll) -> list[W]:
    """A random order in which a candidate comes first with the probability of its weight's share."""
    if len(candidates) == 2:
        first, second = candidates
        if roll() * (first.weight + second.weight) < first.weight:
            return [first, second]
        return [second, first]
    # Efraimidis and Spirakis (2006), "Weighted random sampling with a reservoir": sort by u^(1/w).
    return sorted(candidates, key=lambda c: roll() ** (1.0 / c.weight), reverse=True)


def by_priority(candidates: Sequence[W], roll: Roll) -> list[W]:
    """The lowest priority number first; by weight among equals."""
    ordered = weighted(candidates, roll)
    ordered.sort(key=lambda candidate: candidate.priority)
    return ordered


def least_loaded(candidates: Sequence[W], loads: Sequence[float], roll: Roll) -> list[W]:
    """The least load first; equals in random order."""
    ranked = sorted([(load, roll(), index) for index, load in enumerate(loads)])
    return [candidates[index] for _load, _roll, index in ranked]


def two_choices(candidates: Sequence[W], loads: Sequence[float], roll: Roll) -> list[W]:
    """The less loaded of two drawn at random first, then the other, then the rest by load.

    Source: Mitzenmacher (2001), "The power of two choices in randomized load balancing". A herd does not run to the one
    that is best at the moment, yet the worst is never chosen first.
    """
    count = len(candidates)
    if count <= 2:
        return least_loaded(candidates, loads, roll)
    one = int(roll() * count)
    other = int(roll() * (count - 1))
    if other >= one:
        other += 1
    if loads[other] < loads[one] or (loads[other] == loads[one] and roll() < 0.5):
        one, other = other, one
    rest = sorted((index for index in range(count) if index not in (one, other)), key=loads.__getitem__)
    return [candidates[index] for index in (one, other, *rest)]


def cheapest(candidates: Sequence[W], rates: Sequence[float], roll: Roll) -> list[W]:
    """The lowest rate first, `UNKNOWN_RATE` last; by weight among equals."""
    rate_of = {id(candidate): rate for candidate, rate in zip(candidates, rates, strict=True)}
    ordered = weighted(candidates, roll)
    ordered.sort(key=lambda candidate: rate_of[id(candidate)])
    return ordered
