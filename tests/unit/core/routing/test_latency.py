"""Estimates of latency: quick to rise and slow to fall; percentiles within five percent."""

from __future__ import annotations

import random
from collections.abc import Callable

import pytest

from tollway.core.routing.latency import DECAY_SECONDS, HALF_LIFE_SECONDS, LEAST_COUNT, Latencies, PeakEwma

NOW = 1000.0


def test_one_slow_call_is_believed_at_once_and_forgotten_slowly() -> None:
    ewma = PeakEwma()
    for step in range(50):
        ewma.observe(0.1, NOW + step)
    assert ewma.load(0, NOW + 49) == pytest.approx(0.1, rel=0.01)
    ewma.observe(2.0, NOW + 50)
    assert ewma.load(0, NOW + 50) == 2.0
    ewma.observe(0.1, NOW + 51)
    assert 1.7 < ewma.load(0, NOW + 51) < 2.0
    for step in range(52, 50 + 5 * int(DECAY_SECONDS)):
        ewma.observe(0.1, NOW + step)
    assert ewma.load(0, NOW + 100) < 0.12


def test_load_counts_what_is_under_way() -> None:
    ewma = PeakEwma()
    ewma.observe(0.5, NOW)
    assert ewma.load(3, NOW) == 2.0


def test_without_calls_an_estimate_fades() -> None:
    ewma = PeakEwma()
    ewma.observe(1.0, NOW)
    assert ewma.load(0, NOW + DECAY_SECONDS) == pytest.approx(0.3679, rel=1e-3)


def test_an_unmeasured_target_is_tried_once_at_a_time() -> None:
    known, new = PeakEwma(), PeakEwma()
    known.observe(0.2, NOW)
    assert new.load(0, NOW) < known.load(0, NOW)
    assert new.load(1, NOW) > known.load(4, NOW)


@pytest.mark.parametrize("share", [0.5, 0.9, 0.95, 0.99])
@pytest.mark.parametrize("shape", ["exponential", "lognormal", "uniform"])
def test_percentiles_are_within_five_percent(share: float, shape: str) -> None:
    dice = random.Random(7)
    draws: dict[str, Callable[[], float]] = {
        "exponential": lambda: dice.expovariate(2.0),
        "lognormal": lambda: dice.lognormvariate(0.0, 1.0),
        "uniform": lambda: dice.uniform(0.05, 3.0),
    }
    values = [draws[shape]() for _ in range(5000)]
    latencies = Latencies()
    for value in values:
        latencies.observe(value, NOW)
    true = sorted(values)[round(share * len(values)) - 1]
    assert latencies.percentile(share, NOW) == pytest.approx(true, rel=0.05)


def test_few_calls_say_nothing() -> None:
    latencies = Latencies()
    for _ in range(int(LEAST_COUNT) - 1):
        latencies.observe(1.0, NOW)
    assert latencies.percentile(0.95, NOW) is None
    latencies.observe(1.0, NOW)
    assert latencies.percentile(0.95, NOW + 2) == pytest.approx(1.0, rel=0.05)


def test_what_was_long_ago_counts_little() -> None:
    latencies = Latencies()
    for _ in range(1000):
        latencies.observe(10.0, NOW)
    later = NOW + 10 * HALF_LIFE_SECONDS
    for _ in range(100):
        latencies.observe(0.1, later)
    assert latencies.percentile(0.95, later) == pytest.approx(0.1, rel=0.05)


@pytest.mark.parametrize("seconds", [0.0, 1e-9, 1e6])
def test_extremes_are_kept_in_the_outermost_buckets(seconds: float) -> None:
    latencies = Latencies()
    for _ in range(30):
        latencies.observe(seconds, NOW)
    assert latencies.percentile(0.5, NOW) == pytest.approx(min(max(seconds, 0.001), 3600.0), rel=0.06)
