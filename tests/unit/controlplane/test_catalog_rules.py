"""Prices, capabilities and addresses: the pure rules of the catalog."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollway.controlplane.call import ApiError
from tollway.controlplane.catalog import rules
from tollway.controlplane.catalog.capabilities import effective_capabilities, known_row
from tollway.controlplane.catalog.capability_table import ROWS
from tollway.controlplane.catalog.model import Capabilities, Price, PriceTier, StoredPrice, shown_price
from tollway.controlplane.catalog.pricebook import BOOK_VERSION, book_price
from tollway.controlplane.prices.book import PriceBook, Target
from tollway.core import pricing
from tollway.core.catalog import ProviderKind
from tollway.core.money import format_dollars
from tollway.core.pricing import Tier

NOW = datetime(2026, 6, 1, tzinfo=UTC)
OPENAI = (ProviderKind.OPENAI, "https://api.openai.com/v1", "gpt-4o-mini")
DEAR = (ProviderKind.OPENAI, "https://api.openai.com/v1", "gpt-4o")
FREE = (ProviderKind.VLLM, "http://127.0.0.1", "any")
UNKNOWN = (ProviderKind.OPENAI_COMPATIBLE, "http://127.0.0.1", "nobody-knows")
NANO = st.integers(0, 9_999_999 * 10**9)


@given(NANO, NANO, NANO)
def test_an_override_survives_the_way_to_text_and_back(rate_in: int, rate_out: int, cached: int) -> None:
    given_price = Price(
        input=format_dollars(rate_in), output=format_dollars(rate_out), cached_input=format_dollars(cached)
    )
    stored = rules.price_override(given_price)
    assert stored == StoredPrice(input=rate_in, output=rate_out, cached_input=cached)
    assert stored == msgspec.json.decode(msgspec.json.encode(stored), type=StoredPrice)
    shown = shown_price(stored.at("override@1"))
    assert (shown.input, shown.output, shown.cached_input) == (
        given_price.input,
        given_price.output,
        given_price.cached_input,
    )


def test_the_book_knows_commercial_models() -> None:
    price = book_price(*OPENAI, NOW)
    assert price is not None
    assert (price.input, price.output, price.cached_input) == (150_000_000, 600_000_000, 75_000_000)
    claude = book_price(ProviderKind.ANTHROPIC, "https://api.anthropic.com", "claude-sonnet-4-5", NOW)
    assert claude is not None
    assert (claude.input, claude.output) == (3_000_000_000, 15_000_000_000), "the base tier"
    assert claude.tiers == (
        Tier(
            above=200_000,
            input=6_000_000_000,
            output=22_500_000_000,
            cached_input=600_000_000,
            cache_write_5m=7_500_000_000,
            cache_write_1h=12_000_000_000,
        ),
    )
    assert claude.search == 10_000_000_000
    assert (claude.cached_input, claude.cache_write_5m, claude.cache_write_1h) == (
        300_000_000,
        3_750_000_000,
        6_000_000_000,
    )
    embedding = book_price(ProviderKind.OPENAI, "", "text-embedding-3-small", NOW)
    assert embedding is not None
    assert (embedding.input, embedding.output) == (20_000_000, 0)
    assert claude.version == BOOK_VERSION


def test_the_routers_price_needs_the_chosen_provider() -> None:
    url = "https://router.huggingface.co/v1"
    assert book_price(ProviderKind.HUGGINGFACE, url, "Qwen/Qwen2.5-7B-Instruct", NOW) is None
    assert book_price(ProviderKind.HUGGINGFACE, url, "Qwen/Qwen2.5-7B-Instruct:together", NOW) is not None
    assert book_price(ProviderKind.HUGGINGFACE, url, "Qwen/Qwen2.5-7B-Instruct:nobody", NOW) is None


def test_a_compatible_server_is_known_by_its_address() -> None:
    assert book_price(ProviderKind.OPENAI_COMPATIBLE, "https://api.groq.com/openai/v1", "llama-3.1-8b-instant", NOW)
    assert book_price(*UNKNOWN, NOW) is None


def test_the_order_of_sources() -> None:
    def price(*targets: tuple[ProviderKind, str, str], own: pricing.Price | None = None) -> pricing.Price | None:
        return PriceBook([]).price("m", own, [Target("p", *target) for target in targets], NOW)

    own = StoredPrice(input=1, output=2).at("override@4")
    assert price(FREE, own=own) == own
    free = price(FREE)
    assert free is not None
    assert (free.version, free.input, free.output) == ("free", 0, 0)
    assert price(UNKNOWN) is None
    assert price(FREE, UNKNOWN) is None, "unknown is not free"
    assert price(OPENAI, FREE, UNKNOWN) == book_price(*OPENAI, NOW)
    assert price(OPENAI, DEAR) == book_price(*DEAR, NOW), "the dearest counts"


@pytest.mark.parametrize(
    ("price", "field"),
    [
        (Price(), "price.input"),
        (Price(input="1"), "price.output"),
        (Price(free=True, output="1"), "price.free"),
        (Price(input="1.0000000001", output="1"), "price.input"),
        (Price(image="1", input="1"), "price.output"),
        (Price(search="1"), "price.input"),
        (Price(reasoning="1"), "price.input"),
        (Price(free=True, image="1"), "price.free"),
        (Price(free=True, tiers=[PriceTier(above=1, input="0")]), "price.free"),
        (Price(image="1", tiers=[PriceTier(above=1, input="1")]), "price.input"),
        (Price(audio_minute="1", audio_hour="60"), "price.audio_minute"),
        (Price(input="1", output="1", tiers=[PriceTier(input="1")]), "price.tiers[0].above"),
        (Price(input="1", output="1", tiers=[PriceTier(above=1)]), "price.tiers[0]"),
        (Price(input="1", output="1", tiers=[PriceTier(above=1, input="x")]), "price.tiers[0].input"),
        (Price(input="1", output="1", tiers=[PriceTier(above=1, input="1")] * 2), "price.tiers[1].above"),
    ],
)
def test_overrides_that_are_refused(price: Price, field: str) -> None:
    with pytest.raises(ApiError) as refused:
        rules.price_override(price)
    assert refused.value.field == field


@pytest.mark.parametrize(
    ("price", "stored"),
    [
        (Price(image="0.04"), StoredPrice(input=0, output=0, image=40_000_000)),
        (Price(audio_minute="0.006"), StoredPrice(input=0, output=0, audio_hour=360_000_000)),
        (Price(audio_hour="0.04"), StoredPrice(input=0, output=0, audio_hour=40_000_000)),
        (Price(characters="15", search="10"), StoredPrice(input=0, output=0, characters=15 * 10**9, search=10**10)),
        (Price(request="0"), StoredPrice(input=0, output=0, request=0)),
    ],
)
def test_what_is_sold_by_other_units_needs_no_token_price(price: Price, stored: StoredPrice) -> None:
    assert rules.price_override(price) == stored
    shown = shown_price(stored.at("override@1"))
    kept = {name: text for name, text in msgspec.structs.asdict(price).items() if text}
    assert {name: getattr(shown, name) for name in kept} == kept
    assert (shown.input, shown.output, shown.free) == ("0", "0", stored.request == 0)


def test_free_is_an_explicit_zero() -> None:
    assert rules.price_override(Price(free=True, input="0")) == StoredPrice(input=0, output=0, free=True)
    assert rules.price_override(None) is None


@given(st.text(max_size=60))
def test_any_address_is_taken_without_slash_or_refused_by_name(text: str) -> None:
    refused = None
    try:
        url = rules.base_url("simulator", text)
    except ApiError as error:
        refused = error.field
    assert refused == "base_url" or (url.startswith(("http://", "https://")) and not url.endswith("/"))


def test_capabilities() -> None:
    assert effective_capabilities(Capabilities(), [OPENAI]).input_modalities == ("text", "image")
    both = effective_capabilities(
        Capabilities(), [OPENAI, (ProviderKind.VLLM, "", "HuggingFaceTB/SmolLM2-135M-Instruct")]
    )
    assert (both.input_modalities, both.context_tokens, both.tools) == (("text",), 8_192, False)
    own = effective_capabilities(Capabilities(context_tokens=7, tools=True, streaming=False), [OPENAI])
    assert (own.context_tokens, own.tools, own.streaming, own.max_output_tokens) == (7, True, False, 16_384)
    nothing = effective_capabilities(Capabilities(), [UNKNOWN])
    assert (nothing.context_tokens, nothing.tools, nothing.streaming) == (None, None, True)


def test_the_table_finds_models_by_any_of_their_names() -> None:
    for name in ("gpt-4o-2024-08-06", "claude-sonnet-4-5-20250929", "meta-llama/Llama-3.3-70B-Instruct:together"):
        assert known_row(name) is not None
    assert known_row("nobody-knows") is None
    assert len({row.pattern for row in ROWS}) == len(ROWS)
    for index, row in enumerate(ROWS):
        if "*" not in row.pattern:
            assert known_row(row.pattern) is ROWS[index]
