"""Which model is asked after which: the rules that all models have to keep together. Pure.

What leads back to where it came from is refused, whatever the kinds of its steps: a request that fails ends.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from graphlib import CycleError, TopologicalSorter
from typing import NamedTuple

from tollway.controlplane.call import ApiCode, ApiError

CHAINS = ("fallbacks", "context_fallbacks", "filter_fallbacks")
"""The lists of other models that a model has."""

Chains = Mapping[str, Sequence[str]]
"""Of one model: names of other models by list."""

_SHOWN = 10
"""Names of a cycle that a message repeats."""


class Problem(NamedTuple):
    """What is wrong: at which model, at which of its fields ("fallbacks[1]"), and why."""

    model: str
    place: str
    message: str


def chain(name: str, given: Sequence[str], field: str) -> list[str]:
    """One list of the model `name`. Raises ApiError for the model itself and for repetitions."""
    for index, other in enumerate(given):
        place = f"{field}[{index}]"
        if other == name:
            raise ApiError(ApiCode.INVALID, f"{place}: {name!r} cannot fall back to itself", field=place)
        if other in given[:index]:
            raise ApiError(ApiCode.INVALID, f"{place} repeats {other!r}", field=place)
    return list(given)


def problem(graph: Mapping[str, Chains], names: Iterable[str]) -> Problem | None:
    """What is wrong with these models among all (`graph`): one that is not there, or a way back; None for nothing."""
    changed = list(names)
    for model in changed:
        for field in CHAINS:
            for index, other in enumerate(graph[model].get(field, ())):
                if other not in graph:
                    why = f"there is no model with the name {other!r} (aliases are not taken)"
                    return Problem(model, f"{field}[{index}]", why)
    try:
        TopologicalSorter({model: _others(chains) for model, chains in graph.items()}).prepare()
    except CycleError as error:
        return _way_back(graph, set(changed), error.args[1])
    return None


def _others(chains: Chains) -> list[str]:
    return [other for field in CHAINS for other in chains.get(field, ())]


def _way_back(graph: Mapping[str, Chains], changed: set[str], cycle: Sequence[str]) -> Problem:
    """The problem of a cycle, told at a model of those that changed. In `cycle` each is named by the one after it."""
    around = list(reversed(cycle))[:-1]
    start = next((index for index, model in enumerate(around) if model in changed), 0)
    around = around[start:] + around[:start]
    model, following = around[0], [*around[1:], around[0]][0]
    place = next(
        f"{field}[{list(graph[model][field]).index(following)}]"
        for field in CHAINS
        if following in graph[model].get(field, ())
    )
    way = [*around, model] if len(around) < _SHOWN else [*around[:_SHOWN], "...", model]
    return Problem(model, place, f"falls back to itself: {' -> '.join(way)}")
