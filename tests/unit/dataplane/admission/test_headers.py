"""Rate limits in a client's words."""

from __future__ import annotations

import pytest

from tollway.core.leases import Told
from tollway.core.rules import Limit, Measure, Window
from tollway.dataplane.admission.headers import duration, rate_headers, shown
from tollway.dataplane.admission.holding import Holding
from tollway.dataplane.admission.ports import PoolTold
from tollway.dataplane.endpoints.port import Dialect

NOW = 1_767_225_600_000
MINUTE = 60_000


def holding(name: str, measure: Measure, amount: int, *, free: int, told_at: float, held: int = 0) -> Holding:
    """A limit of which the pool had `free` left at `told_at`."""
    rule = Limit(id=name, scope="project", subject="demo", measure=measure, amount=amount, window_seconds=60)
    made = Holding(rule, "p1", Window(NOW, NOW + MINUTE))
    made.account.free = held
    made.hear(PoolTold(Told(0, amount - free - held, held, amount, tight=False)), told_at)
    return made


@pytest.mark.parametrize(
    ("milliseconds", "text"),
    [(0, "0ms"), (120, "120ms"), (1000, "1s"), (1500, "1.5s"), (60_000, "1m0s"), (3_723_004, "1h2m3.004s")],
)
def test_durations_are_written_as_openai_does(milliseconds: int, text: str) -> None:
    assert duration(milliseconds) == text


def test_the_tightest_limit_is_shown() -> None:
    wide = holding("l1", Measure.REQUESTS, 100, free=50, told_at=10.0)
    tight = holding("l2", Measure.REQUESTS, 1000, free=30, told_at=10.0, held=4)
    headers = rate_headers(shown([wide, tight]), Dialect.OPENAI, NOW + 500, 10.5)
    assert headers == {
        "x-ratelimit-limit-requests": "1000",
        "x-ratelimit-remaining-requests": "34",
        "x-ratelimit-reset-requests": "59.5s",
    }


def test_old_news_of_the_pool_are_not_shown() -> None:
    """What others may have taken meanwhile does not remain."""
    stale = holding("l1", Measure.TOKENS, 100, free=50, told_at=10.0, held=7)
    headers = rate_headers(shown([stale]), Dialect.OPENAI, NOW, 11.5)
    assert headers["x-ratelimit-remaining-tokens"] == "7"


def test_anthropic_has_names_and_times_of_its_own() -> None:
    some = holding("l1", Measure.TOKENS, 100, free=50, told_at=10.0)
    assert rate_headers(shown([some]), Dialect.ANTHROPIC, NOW, 10.0) == {
        "anthropic-ratelimit-tokens-limit": "100",
        "anthropic-ratelimit-tokens-remaining": "50",
        "anthropic-ratelimit-tokens-reset": "2026-01-01T00:01:00Z",
    }


def test_concurrency_has_no_window_to_tell_of() -> None:
    rule = Limit(id="c1", scope="project", subject="demo", measure=Measure.CONCURRENT, amount=5)
    assert rate_headers(shown([Holding(rule, "p1", Window(0, None))]), Dialect.OPENAI, NOW, 0.0) == {}
