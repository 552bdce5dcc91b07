"""The price book's own calculation is what ours is held against."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import genai_prices
import pytest
from genai_prices.data_snapshot import get_snapshot
from hypothesis import given
from hypothesis import strategies as st

from tollway.controlplane.catalog.pricebook import book_model, book_price, dearest
from tollway.core.catalog import ProviderKind
from tollway.core.money import NANO_PER_DOLLAR
from tollway.core.pricing import FREE, Price, cost
from tollway.core.usage import Usage

NOW = datetime(2026, 6, 1, tzinfo=UTC)
GEMINI = "https://generativelanguage.googleapis.com/v1beta/openai"
GROQ = "https://api.groq.com/openai/v1"
OPENAI = ProviderKind.OPENAI
OTHER = ProviderKind.OPENAI_COMPATIBLE
MODELS: list[tuple[ProviderKind, str, str]] = [
    (OPENAI, "", "gpt-4o-mini"),
    (OPENAI, "", "gpt-5.4"),
    (ProviderKind.ANTHROPIC, "", "claude-sonnet-4-5"),
    (OTHER, GEMINI, "gemini-2.5-pro"),
    (OTHER, "https://api.x.ai/v1", "grok-4"),
    (OTHER, "https://api.deepseek.com", "deepseek-chat"),
    (OTHER, "https://api.perplexity.ai", "sonar"),
]
COUNT = st.integers(0, 300_000)


def theirs(place: tuple[ProviderKind, str, str], **usage: Any) -> Decimal:
    """Nano-dollars by the book's own arithmetic."""
    model = book_model(*place)
    assert model is not None
    provider = next(p for p in get_snapshot().providers if any(m is model for m in p.models))
    given_usage = genai_prices.Usage(**usage)
    return model.calc_price(given_usage, provider, genai_request_timestamp=NOW).total_price * NANO_PER_DOLLAR


def ours(place: tuple[ProviderKind, str, str]) -> Price:
    price = book_price(*place, NOW)
    assert price is not None
    return price


@pytest.mark.parametrize("place", MODELS, ids=lambda place: place[2])
@given(plain=COUNT.filter(bool), cached=COUNT, output=COUNT, searches=st.integers(0, 5))
def test_tokens_tiers_and_searches(
    place: tuple[ProviderKind, str, str], plain: int, cached: int, output: int, searches: int
) -> None:
    price = ours(place)
    usage = Usage(input=plain + cached, cached_input=cached, output=output, searches=searches)
    counts = {"input_tokens": usage.input, "cache_read_tokens": cached, "output_tokens": output}
    expected = theirs(place, **counts, web_searches=searches)
    assert abs(cost(usage, price) - expected) <= Decimal("0.5")


def test_long_requests_have_prices_of_their_own() -> None:
    price = ours((OTHER, GEMINI, "gemini-2.5-pro"))
    (tier,) = price.tiers
    assert (tier.above, tier.input, tier.output) == (200_000, 2_500_000_000, 15_000_000_000)
    assert cost(Usage(input=200_000), price) == 250_000_000
    assert cost(Usage(input=200_001), price) == 500_002_500


def test_writes_to_the_cache() -> None:
    place = (ProviderKind.ANTHROPIC, "", "claude-sonnet-4-5")
    usage = Usage(input=1000, cache_write_5m=300, cache_write_1h=500, output=10)
    told = {"cache_write_tokens": 800, "cache_write_1h_tokens": 500}
    assert cost(usage, ours(place)) == theirs(place, input_tokens=1000, output_tokens=10, **told)


def test_sound_images_and_characters() -> None:
    whisper = (OPENAI, "", "whisper-1")
    assert cost(Usage(audio_ms=61_000), ours(whisper)) == 6_100_000  # 0.006 a minute
    turbo = (OTHER, GROQ, "whisper-large-v3-turbo")
    assert cost(Usage(audio_ms=3_600_000), ours(turbo)) == theirs(turbo, input_audio_seconds=3600)
    tts = (OPENAI, "", "tts-1")
    assert cost(Usage(characters=4096), ours(tts)) == theirs(tts, input_characters=4096)
    image = (OPENAI, "", "gpt-image-1")
    usage = Usage(input=323, image_input=311, output=1056, image_output=1056)
    told = {"input_tokens": 323, "input_image_tokens": 311, "output_tokens": 1056, "output_image_tokens": 1056}
    assert cost(usage, ours(image)) == theirs(image, **told)
    heard = (OPENAI, "", "gpt-4o-transcribe")
    usage = Usage(input=100, audio_input=90, output=20)
    assert cost(usage, ours(heard)) == theirs(heard, input_tokens=100, input_audio_tokens=90, output_tokens=20)


def test_a_fee_for_the_request() -> None:
    price = book_price(OTHER, "https://api.perplexity.ai", "sonar", NOW)
    assert price is not None
    assert price.request == 12_000_000


def test_the_dearest_of_two_models_that_are_not_sold_by_the_token() -> None:
    price = dearest([FREE, book_price(OPENAI, "", "whisper-1", NOW)])
    assert price is not None
    assert price.audio_hour == 360_000_000
