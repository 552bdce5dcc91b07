"""The counts always add up, also across a reset while requests are open."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tollway.simulator.counts import MAX_NAMES, OTHER, Counts, Record


def record(number: int, **fields: Any) -> Record:
    return Record(id=f"r{number}", attempt=None, endpoint="/v1/chat/completions", received_ms=1, **fields)


@given(st.lists(st.tuples(st.sampled_from(["begin", "completed", "aborted", "failed", "reset"]), st.integers(0, 5))))
def test_received_is_completed_aborted_failed_and_open(steps: list[tuple[str, int]]) -> None:
    counts = Counts(max_records=100)
    live: dict[int, Record] = {}
    for step, (what, number) in enumerate(steps):
        if what == "reset":
            counts.reset()
        elif what == "begin" and number not in live:
            live[number] = record(step, delivered_tokens=1)
            counts.begin(live[number])
            counts.read(live[number], f"m{number % 2}")
        elif what != "begin" and number in live:
            counts.end(live[number], what, 2)
            counts.end(live.pop(number), "failed", 3)
        found = counts.shown()
        assert found["received"] == found["completed"] + found["aborted"] + found["failed"] + found["open"]
        assert found["open_requests"] == len(live)
        assert len(counts.records(100)) == found["received"]
        for by in ("by_model", "by_endpoint"):
            for name in ("received", "completed", "aborted", "failed", "delivered_tokens"):
                assert sum(sums[name] for sums in found[by].values()) == found[name]


def test_records_are_bounded_and_the_newest_are_kept() -> None:
    counts = Counts(max_records=3)
    for number in range(5):
        counts.begin(found := record(number))
        counts.end(found, "completed", 2)
    assert [found.id for found in counts.records(10)] == ["r2", "r3", "r4"]
    assert [found.id for found in counts.records(1)] == ["r4"]
    assert counts.records(0) == []
    assert counts.shown()["completed"] == 5


def test_models_are_bounded_and_the_sums_stay_whole() -> None:
    counts = Counts(max_records=1)
    for number in range(MAX_NAMES + 5):
        counts.begin(found := record(number))
        counts.read(found, f"m{number}")
        counts.end(found, "completed", 2)
    by_model = counts.shown()["by_model"]
    assert by_model[OTHER]["completed"] == 5
    assert len(by_model) == MAX_NAMES + 1
