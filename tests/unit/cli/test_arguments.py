"""Texts on the command line to values."""

import re
from datetime import UTC, datetime, timedelta

import pytest

from tollway.cli.exits import Usage
from tollway.cli.models import parse_price, parse_target
from tollway.cli.shared import ahead, duration, pairs, when
from tollway.sdk.models import Price, Target


def test_targets() -> None:
    assert parse_target("openai/gpt-4o") == Target(provider="openai", model="gpt-4o")
    assert parse_target("hf/org/m,weight=0,priority=2") == Target(provider="hf", model="org/m", weight=0, priority=2)


@pytest.mark.parametrize("text", ["", "openai", "/m", "p/", "p/m,colour=1", "p/m,weight=x"])
def test_wrong_targets(text: str) -> None:
    with pytest.raises(Usage, match="--target"):
        parse_target(text)


def test_prices() -> None:
    assert parse_price(["free"]) == Price(free=True)
    assert parse_price(["input=0.1,output=0.2"]) == Price(input="0.1", output="0.2")
    assert parse_price(["audio_minute=0.006"]) == Price(audio_minute="0.006")
    assert parse_price(None) is None
    with pytest.raises(Usage, match="unknown tiers"):
        parse_price(["tiers=1"])
    with pytest.raises(Usage, match="unknown inptu"):
        parse_price(["inptu=1"])


def test_times() -> None:
    assert when("2026-01-31", "--from") == datetime(2026, 1, 31, tzinfo=UTC)
    assert when("", "--from") is None
    back = when("7d", "--from")
    assert back is not None
    assert abs(datetime.now(UTC) - back - timedelta(days=7)) < timedelta(seconds=10)
    forth = ahead("90d", "--expires")
    assert forth is not None
    assert abs(forth - datetime.now(UTC) - timedelta(days=90)) < timedelta(seconds=10)
    with pytest.raises(Usage, match="--from"):
        when("yesterday", "--from")
    for text in ("999999w", "0001-01-01T00:00:00+14:00"):
        with pytest.raises(Usage, match=f"--from: {re.escape(text)} lies beyond the calendar"):
            when(text, "--from")
    with pytest.raises(Usage, match="--until: 999999w lies beyond the calendar"):
        ahead("999999w", "--until")


def test_durations_and_pairs() -> None:
    assert duration("12h") == timedelta(hours=12)
    assert duration("12") is None
    assert pairs(["a=b=c"], "--tag") == {"a": "b=c"}
    with pytest.raises(Usage, match="--tag"):
        pairs(["a"], "--tag")
