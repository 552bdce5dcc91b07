"""The fakes keep the promises of what they stand for."""

from __future__ import annotations

import pytest

from tollway.runtime.clock import Clock
from tollway.testkit.fakes.clock import NOON_MS, FakeClock


def test_the_clock_moves_when_told_and_monotonic_time_never_back() -> None:
    fake = FakeClock()
    clock: Clock = fake
    assert (clock.now_ms(), clock.monotonic()) == (NOON_MS, 1000.0)
    fake.advance(1.5)
    assert (clock.now_ms(), clock.monotonic()) == (NOON_MS + 1500, 1001.5)
    fake.jump(-3600)
    assert (clock.now_ms(), clock.monotonic()) == (NOON_MS - 3_598_500, 1001.5)
    with pytest.raises(ValueError):
        fake.advance(-1)
