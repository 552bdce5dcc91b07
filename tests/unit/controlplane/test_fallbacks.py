"""Fallbacks: none to what is not there, none back to where it came from, whatever the way."""

from __future__ import annotations

from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollway.controlplane.call import ApiError
from tollway.controlplane.catalog import routing
from tollway.controlplane.catalog.fallbacks import CHAINS, Chains, Problem, chain, problem
from tollway.core.catalog import Breaker, Hedge, Retries

NAMES = [f"m{number}" for number in range(8)]


@st.composite
def acyclic(draw: st.DrawFn) -> dict[str, dict[str, list[str]]]:
    """Models that fall back only to models of a higher number, at most eight by each list."""
    graph: dict[str, dict[str, list[str]]] = {}
    for number, name in enumerate(NAMES):
        later = st.lists(st.sampled_from(NAMES[number + 1 :] or ["-"]), unique=True, max_size=3)
        graph[name] = {field: [other for other in draw(later) if other != "-"] for field in CHAINS}
    return graph


def reachable(graph: Mapping[str, Chains], start: str) -> set[str]:
    """The models that a request to `start` may come to."""
    found: set[str] = set()
    left = [start]
    while left:
        for others in graph[left.pop()].values():
            fresh = set(others) - found
            found |= fresh
            left.extend(fresh)
    return found


@given(acyclic())
def test_what_never_leads_back_is_taken(graph: dict[str, dict[str, list[str]]]) -> None:
    assert problem(graph, NAMES) is None


@given(acyclic(), st.sampled_from(NAMES), st.sampled_from(NAMES), st.sampled_from(CHAINS))
def test_one_more_step_is_refused_when_it_leads_back(
    graph: dict[str, dict[str, list[str]]], model: str, other: str, field: str
) -> None:
    back = other == model or model in reachable(graph, other)
    graph[model][field].append(other)
    found = problem(graph, [model])
    assert (found is not None) == back
    if found is not None:
        assert found.model == model
        assert found.message.startswith(f"falls back to itself: {model} -> ")
        assert found.message.endswith(f" -> {model}")
        name, _, index = found.place.rstrip("]").partition("[")
        assert model in {graph[model][name][int(index)]} | reachable(graph, graph[model][name][int(index)])


def test_a_model_that_is_not_there() -> None:
    graph = {"a": {"fallbacks": ["b"], "filter_fallbacks": ["b", "no"]}, "b": {"fallbacks": ["gone"]}}
    assert problem(graph, ["a"]) == Problem(
        "a", "filter_fallbacks[1]", "there is no model with the name 'no' (aliases are not taken)"
    )


def test_a_long_way_back_is_shortened() -> None:
    ring = [f"n{number}" for number in range(2000)]
    graph = {name: {"fallbacks": [following]} for name, following in zip(ring, [*ring[1:], ring[0]], strict=True)}
    found = problem(graph, ["n5"])
    assert found == Problem("n5", "fallbacks[0]", f"falls back to itself: {' -> '.join(ring[5:15])} -> ... -> n5")


@pytest.mark.parametrize(("given_names", "field"), [(["a"], "x[0]"), (["b", "c", "b"], "x[2]")])
def test_a_list_names_neither_its_model_nor_one_twice(given_names: list[str], field: str) -> None:
    with pytest.raises(ApiError) as refused:
        chain("a", given_names, "x")
    assert refused.value.field == field


HEDGES = st.builds(Hedge, percentile=st.floats(0.5, 0.999), least_seconds=st.floats(0.001, 60))
RETRIES = st.builds(Retries, attempts=st.integers(0, 10), budget=st.floats(0, 1))


@given(st.one_of(HEDGES, RETRIES, st.builds(Breaker, enabled=st.booleans())))
def test_what_a_column_leaves_out_is_the_default(value: Hedge | Retries | Breaker) -> None:
    kept = routing.sparse(value)
    assert type(value)(**kept) == value
    assert (kept == {}) == (value == type(value)())
