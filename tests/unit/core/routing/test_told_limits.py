"""Providers' rate limit headers: what is left, and when a request fits."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from tollway.core.routing.told_limits import ASSUMED_SECONDS, MOST_SECONDS, Family, ToldLimits, duration_of, moment_of

NOW, UNIX = 1000.0, 1_767_268_800.0


def openai(requests: str = "", tokens: str = "", reset: str = "", limit: str = "") -> dict[str, str]:
    found = {"x-ratelimit-remaining-requests": requests, "x-ratelimit-remaining-tokens": tokens}
    for what in ("requests", "tokens"):
        found |= {f"x-ratelimit-reset-{what}": reset, f"x-ratelimit-limit-{what}": limit}
    return {name: value for name, value in found.items() if value}


def at(seconds: float) -> str:
    return datetime.fromtimestamp(UNIX + seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def anthropic(**left: int) -> dict[str, str]:
    found: dict[str, str] = {}
    for what, count in left.items():
        name = f"anthropic-ratelimit-{what.replace('_', '-')}"
        found |= {f"{name}-remaining": str(count), f"{name}-reset": at(30), f"{name}-limit": "1000"}
    return found


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("12ms", 0.012),
        ("1s", 1.0),
        ("6m0s", 360.0),
        ("1h2m3.5s", 3723.5),
        ("1d", 86400.0),
        ("850us", 0.00085),
        ("59.96", 59.96),
        ("60", 60.0),
        ("", None),
        ("soon", None),
        ("5 s", None),
        ("1m-3s", None),
        ("-1", None),
        ("1e9", None),
        ("²", None),
    ],
)
def test_durations(text: str, seconds: float | None) -> None:
    assert duration_of(text) == (None if seconds is None else pytest.approx(seconds))


@pytest.mark.parametrize(("text", "known"), [(at(0), True), ("2026-01-01T12:00:00+00:00", True), ("tomorrow", False)])
def test_moments(text: str, known: bool) -> None:
    assert moment_of(text) == (UNIX if known else None)


@pytest.mark.parametrize(
    ("headers", "tokens", "wait"),
    [
        ({}, 10_000, 0.0),
        (openai("10", "5000", "6s", "60"), 100, 0.0),
        (openai("0", "", "60s", "60"), 1, 1.0),  # the bucket holds 60, fills in a minute: one a second
        (openai("0", "", "60s"), 1, 60.0),
        (openai("0"), 1, ASSUMED_SECONDS),
        (openai("0", "", "nonsense", "60"), 1, ASSUMED_SECONDS / 60),
        (openai("", "400", "6s", "1000"), 700, 3.0),
        (openai("", "400", "6s", "1000"), 400, 0.0),
        (openai("", "400", "6s", "1000"), 99_999, 6.0),  # more than ever fits in: when it is full
        (openai("0", "400", "6s", "1000"), 700, 3.0),
        (openai("0", "", "9h"), 1, MOST_SECONDS),
        (openai("-1", "x", "6s"), 1, 0.0),
    ],
)
def test_openai(headers: dict[str, str], tokens: int, wait: float) -> None:
    told = ToldLimits(Family.OPENAI)
    told.tell(headers, NOW, UNIX)
    assert told.ready_at(tokens, NOW) - NOW == pytest.approx(wait)


@pytest.mark.parametrize(
    ("headers", "wait"),
    [
        (anthropic(requests=5, tokens=900), 0.0),
        (anthropic(requests=0), 0.03),
        (anthropic(tokens=250), 10.0),
        (anthropic(tokens=900, input_tokens=250), 10.0),
        (anthropic(input_tokens=900, output_tokens=250), 10.0),
        ({"anthropic-ratelimit-requests-remaining": "0", "anthropic-ratelimit-requests-reset": at(-5)}, 0.0),
        ({"x-ratelimit-remaining-requests": "0"}, 0.0),
    ],
)
def test_anthropic(headers: dict[str, str], wait: float) -> None:
    told = ToldLimits(Family.ANTHROPIC)
    told.tell(headers, NOW, UNIX)
    assert told.ready_at(500, NOW) - NOW == pytest.approx(wait)


def test_what_is_sent_counts_until_the_next_answer() -> None:
    told = ToldLimits(Family.OPENAI)
    told.tell(openai("3", "1000", "60s", "60"), NOW, UNIX)
    told.use(600)
    assert told.ready_at(300, NOW) <= NOW
    assert told.ready_at(500, NOW) > NOW
    told.use(100)
    told.use(100)
    assert told.ready_at(1, NOW) > NOW
    told.tell(openai("3", "1000", "60s", "60"), NOW, UNIX)
    assert told.ready_at(500, NOW) <= NOW


def test_it_is_forgotten_when_the_bucket_has_filled() -> None:
    told = ToldLimits(Family.OPENAI)
    told.tell(openai("0", "", "10s"), NOW, UNIX)
    assert told.ready_at(1, NOW + 9) == NOW + 10
    assert told.ready_at(1, NOW + 10) == NOW + 10
    told.use(5)
    assert told.ready_at(1, NOW + 10) <= NOW + 10
