"""The small parts: what is held in memory, the breaker, sealed answers, replay in pieces, metrics."""

from __future__ import annotations

from itertools import pairwise

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, generate_latest

from tollway.core.usage import Usage
from tollway.dataplane.cache.breaker import Breaker
from tollway.dataplane.cache.counts import CacheMetrics, Counts, Levels
from tollway.dataplane.cache.entry import OVERHEAD_BYTES, PIECE_BYTES, Answer, open_sealed, seal
from tollway.dataplane.cache.meaning import Known, Places
from tollway.dataplane.cache.memory import AnswerMemory
from tollway.runtime.seal import Sealer, SealError
from tollway.testkit.fakes.clock import FakeClock

SEALER = Sealer([b"k" * 32])


def answer(body: bytes = b"x", *, stored_ms: int = 0, seconds: int = 60) -> Answer:
    return Answer(body, "text/event-stream", "m", "p", stored_ms=stored_ms, seconds=seconds)


def test_memory_is_bounded_and_the_least_recently_used_go_first() -> None:
    memory = AnswerMemory(3 * (OVERHEAD_BYTES + 100))
    for name in (b"a", b"b", b"c"):
        memory.put(name, answer(b"x" * 100))
    assert memory.get(b"a", 0) is not None
    memory.put(b"d", answer(b"x" * 100))
    assert memory.get(b"b", 0) is None
    assert [memory.get(name, 0) is not None for name in (b"a", b"c", b"d")] == [True, True, True]
    memory.put(b"d", answer(b"y" * 50))
    assert (len(memory), memory.held_bytes, memory.evicted) == (3, 3 * OVERHEAD_BYTES + 250, 1)
    memory.put(b"d", answer(b"x" * 10_000))
    assert memory.get(b"d", 0) is None
    assert (len(memory), memory.held_bytes) == (2, 2 * OVERHEAD_BYTES + 200)


def test_memory_forgets_what_is_over() -> None:
    memory = AnswerMemory(10_000)
    memory.put(b"a", answer(stored_ms=1000, seconds=2))
    assert memory.get(b"a", 2999) is not None
    assert memory.get(b"a", 3000) is None
    assert memory.held_bytes == 0


def test_an_outage_costs_one_call_for_each_pause() -> None:
    clock = FakeClock()
    breaker = Breaker(clock.monotonic)
    assert all(breaker.allows() for _ in range(3))
    for _ in range(3):  # three were under way
        breaker.failed()
    assert not breaker.allows()
    calls = []
    for tenth in range(3000):
        clock.advance(0.1)
        if breaker.allows():
            calls.append(tenth)
            assert not breaker.allows()
            breaker.failed()
    pauses = [round((later - earlier) / 10) for earlier, later in pairwise(calls)]
    assert pauses[:5] == [2, 4, 8, 16, 30]
    assert set(pauses[5:]) == {30}
    clock.advance(31)
    assert breaker.allows()
    breaker.worked()
    assert breaker.allows()
    assert breaker.allows()
    breaker.failed()
    clock.advance(1.1)
    assert breaker.allows()


def test_one_who_was_let_through_and_left_does_not_keep_it_open() -> None:
    clock = FakeClock()
    breaker = Breaker(clock.monotonic)
    breaker.failed()
    clock.advance(1.1)
    assert breaker.allows()
    clock.advance(1.1)
    assert breaker.allows()


def test_an_answer_comes_back_as_it_was() -> None:
    kept = Answer(b"data: x\n\n" * 100, "a/b", "m", "p", ("seed",), Usage(input=3, output=4), 5, 6, 7)
    sealed = seal(SEALER, b"key", kept)
    assert open_sealed(SEALER, b"key", sealed, 10_000) == kept
    assert b"data" not in sealed
    assert len(sealed) < 300


@pytest.mark.parametrize("size", [10, 5000])
def test_a_sealed_answer_is_bound_to_its_key_and_unchanged(size: int) -> None:
    sealed = seal(SEALER, b"key", answer(b"x" * size))
    for key, value in (
        (b"other", sealed),
        (b"key", sealed[:-1]),
        (b"key", sealed[:-1] + bytes([sealed[-1] ^ 1])),
        (b"key", b""),
    ):
        with pytest.raises(SealError):
            open_sealed(SEALER, key, value, 10_000)
    with pytest.raises(SealError):
        open_sealed(Sealer([b"o" * 32]), b"key", sealed, 10_000)


def test_no_more_is_unpacked_than_is_kept() -> None:
    sealed = seal(SEALER, b"key", answer(b"x" * 100_000))
    assert len(sealed) < 1000
    with pytest.raises(SealError):
        open_sealed(SEALER, b"key", sealed, 50_000)


@given(st.lists(st.integers(1, 3 * PIECE_BYTES // 2), max_size=6))
def test_a_stream_is_given_again_byte_for_byte_in_whole_events(sizes: list[int]) -> None:
    body = b"".join(b"data: " + b"x" * size + b"\n\n" for size in sizes)
    pieces = list(answer(body).pieces())
    assert b"".join(pieces) == body
    assert all(0 < len(piece) <= PIECE_BYTES for piece in pieces)
    if all(size < PIECE_BYTES // 2 for size in sizes):
        assert all(piece.endswith(b"\n\n") for piece in pieces)


def test_answers_of_another_shape_are_no_answers() -> None:
    sealed = SEALER.seal(b"\0" + msgspec.msgpack.encode(["a"]), b"cache|answer|key")
    with pytest.raises(SealError):
        open_sealed(SEALER, b"key", sealed, 10_000)


def test_metrics_are_the_counts_and_nothing_names_a_tenant() -> None:
    registry = CollectorRegistry()
    metrics, counts = CacheMetrics(registry), Counts()
    counts.results["memory"] = 2
    counts.results["miss"] = 1
    counts.lost["large"] = 3
    counts.saved_nano = 1_500_000_000
    metrics.update(counts, Levels(4, 5, 6))
    metrics.update(counts, Levels(4, 5, 6))
    text = generate_latest(registry).decode()
    lines = dict(line.rsplit(" ", 1) for line in text.splitlines() if line[0] != "#" and "_created" not in line)
    assert lines['tollway_cache_requests_total{result="memory"}'] == "2.0"
    assert lines['tollway_cache_requests_total{result="miss"}'] == "1.0"
    assert lines['tollway_cache_not_kept_total{reason="large"}'] == "3.0"
    assert lines["tollway_cache_saved_dollars_total"] == "1.5"
    assert lines["tollway_cache_memory_bytes"] == "5.0"
    assert lines["tollway_cache_shared_calls"] == "6.0"
    assert len(lines) == 18


def test_what_is_known_of_questions_is_bounded_by_bytes() -> None:
    places = Places(lambda: 0.0, 50_000)
    for number in range(100):
        known = tuple(Known(b"m" * 16, b"v" * 768, bytes([number, each]) * 16, 1) for each in range(8))
        places.learn(b"place %d" % number, known)
        places.learn(b"place %d" % number, known[: 1 + number % 8])
        assert 0 < places.held_bytes <= 50_000
    held = [name for number in range(100) if places.known(name := b"place %d" % number)]
    assert held == [b"place %d" % number for number in range(100 - len(held), 100)]
    assert len(held) > 5
    assert places.held_bytes == sum(400 + sum(each.size for each in places.known(name)) for name in held)
    places.learn(b"one that is too large", tuple(known) * 100)
    assert places.held_bytes == 0
