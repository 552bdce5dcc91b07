"""Affinity: what belongs together stays together, moves as little as possible, and overloads nobody."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollway.core.catalog import Affinity
from tollway.core.routing.affinity import BEGINNING_BYTES, FACTOR, affinity_key, bounded, hash_of, ranking

SEEDS = [hash_of(f"target {i}".encode()) for i in range(8)]
KEYS = [hash_of(f"session {i}".encode()) for i in range(4000)]


def fields(**values: Any) -> dict[str, msgspec.Raw]:
    return {name: msgspec.Raw(msgspec.json.encode(value)) for name, value in values.items()}


def key(kind: Affinity, session: str | None = None, project: str = "p", **values: Any) -> int | None:
    return affinity_key(kind, project, session, fields(**values))


def user(text: str) -> dict[str, str]:
    return {"role": "user", "content": text}


TURNS = [{"role": "system", "content": "be brief"}, user("hello")]


def test_the_hash_is_the_same_in_every_process() -> None:
    assert hash_of(b"p", b"session", b"s") == 1471911094350979118
    assert hash_of(b"ab", b"c") != hash_of(b"a", b"bc")


@pytest.mark.parametrize(
    ("one", "other", "together"),
    [
        ({"session": "s"}, {"session": "s", "messages": TURNS}, True),
        ({"session": "s"}, {"session": "t"}, False),
        ({"session": "s"}, {"session": "s", "project": "q"}, False),
        ({"prompt_cache_key": "k"}, {"prompt_cache_key": "k", "user": "u"}, True),
        ({"user": "u"}, {"user": "v"}, False),
        ({"metadata": {"user_id": "u"}}, {"metadata": {"user_id": "u"}, "messages": TURNS}, True),
        ({"user": 7, "messages": TURNS}, {"messages": TURNS}, True),
        ({"messages": TURNS}, {"messages": [*TURNS, {"role": "assistant", "content": "hi"}, user("more")]}, True),
        ({"messages": TURNS}, {"messages": TURNS, "project": "q"}, False),
        ({"messages": TURNS}, {"messages": [TURNS[0], user("bye")]}, False),
        ({"system": "a", "messages": [user("x")]}, {"system": "b", "messages": [user("x")]}, False),
        ({"input": "a" * BEGINNING_BYTES + "x"}, {"input": "a" * BEGINNING_BYTES + "y"}, True),
    ],
)
def test_what_belongs_to_one_session(one: dict[str, Any], other: dict[str, Any], together: bool) -> None:
    assert (key(Affinity.SESSION, **one) == key(Affinity.SESSION, **other)) is together


def test_prefix_affinity_looks_at_nothing_but_the_prompt() -> None:
    assert key(Affinity.PREFIX, "s", messages=TURNS) == key(Affinity.PREFIX, "t", messages=TURNS, user="u")
    assert key(Affinity.PREFIX, "s", messages=TURNS) != key(Affinity.SESSION, "s", messages=TURNS)


def test_a_request_that_says_nothing_has_no_key() -> None:
    assert key(Affinity.SESSION, model="m") is None


def test_keys_spread_by_weight() -> None:
    weights = [1, 2, 3, 2]
    firsts = Counter(ranking(k, SEEDS[:4], weights)[0] for k in KEYS)
    for index, weight in enumerate(weights):
        assert abs(firsts[index] / len(KEYS) - weight / 8) < 0.025


def test_a_new_target_moves_its_share_alone() -> None:
    moved = [k for k in KEYS if ranking(k, SEEDS[:4], [1] * 4)[0] != ranking(k, SEEDS[:5], [1] * 5)[0]]
    assert all(ranking(k, SEEDS[:5], [1] * 5)[0] == 4 for k in moved)
    assert abs(len(moved) / len(KEYS) - 1 / 5) < 0.025


def test_a_target_that_goes_leaves_all_others_where_they_are() -> None:
    for k in KEYS[:500]:
        before = ranking(k, SEEDS[:5], [1, 2, 1, 1, 3])
        after = ranking(k, SEEDS[:4], [1, 2, 1, 1])
        assert [index for index in before if index != 4] == after


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(1, 9)), min_size=1, max_size=8), st.integers(0, 2**64 - 1))
def test_the_first_one_is_never_overloaded(rows: list[tuple[int, int]], k: int) -> None:
    in_flight, weights = [row[0] for row in rows], [row[1] for row in rows]
    ranked = ranking(k, SEEDS[: len(rows)], weights)
    order = bounded(ranked, in_flight, weights)
    assert sorted(order) == sorted(ranked)
    most = math.ceil(FACTOR * (sum(in_flight) + 1) * weights[order[0]] / sum(weights))
    assert in_flight[order[0]] < most


def test_one_hot_session_is_spread_within_the_bound() -> None:
    in_flight = [0, 0, 0, 0]
    for _ in range(100):
        in_flight[bounded(ranking(KEYS[0], SEEDS[:4], [1] * 4), in_flight, [1] * 4)[0]] += 1
    assert max(in_flight) <= math.ceil(FACTOR * 100 / 4)
