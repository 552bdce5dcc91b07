"""Which statement of the price book holds when."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollway.controlplane.catalog.model import StoredPrice
from tollway.controlplane.catalog.pricebook import book_price
from tollway.controlplane.prices.book import PriceBook, PriceVersion, Target, latest
from tollway.core.catalog import ProviderKind

T0 = datetime(2026, 1, 1, tzinfo=UTC)
HOUR = timedelta(hours=1)
MINI = Target("p1", ProviderKind.OPENAI, "", "gpt-4o-mini")
OWN = Target("p2", ProviderKind.VLLM, "http://127.0.0.1:9/v1", "llama")
ODD = Target("p3", ProviderKind.OPENAI_COMPATIBLE, "http://127.0.0.1:8/v1", "odd")
ZERO = StoredPrice(input=0, output=0)


def version(
    number: int,
    *,
    model: str = "",
    provider: str = "",
    target_model: str = "",
    start: datetime | None = None,
    end: datetime | None = None,
    rates: StoredPrice | None = None,
    source: str = "override",
) -> PriceVersion:
    return PriceVersion(
        id=uuid4(),
        number=number,
        version=f"price@{number}",
        source=source,
        model=model,
        provider=provider,
        target_model=target_model,
        rates=rates or StoredPrice(input=number, output=number),
        valid_from=start,
        valid_until=end,
        note="",
        created_by="test",
        created_at=T0,
    )


def test_validity_includes_its_beginning_and_not_its_end() -> None:
    one = version(1, model="m", start=T0, end=T0 + HOUR)
    moments = (T0 - timedelta(microseconds=1), T0, T0 + HOUR - timedelta(microseconds=1), T0 + HOUR)
    assert [one.holds(at) for at in moments] == [False, True, True, False]


def test_after_a_temporary_price_the_one_before_holds_again() -> None:
    book = PriceBook([version(1, model="m", start=T0), version(2, model="m", start=T0 + HOUR, end=T0 + 2 * HOUR)])
    found = [book.price("m", None, [MINI], T0 + step * HOUR) for step in range(3)]
    assert [price and price.version for price in found] == ["price@1", "price@2", "price@1"]


def test_of_two_that_begin_together_the_later_made_holds() -> None:
    found = latest([version(2, model="m", start=T0), version(1, model="m", start=T0)], T0)
    assert found is not None
    assert found.number == 2


@given(st.permutations(range(6)))
def test_the_order_of_rows_does_not_matter(order: list[int]) -> None:
    rows = [
        version(1, target_model="*"),
        version(2, target_model="gpt-*"),
        version(3, target_model="gpt-4o-mini"),
        version(4, target_model="gpt-*", provider="p1"),
        version(5, target_model="gpt-4o-mini", provider="p9"),
        version(6, target_model="claude-*", provider="p1"),
    ]
    price = PriceBook([rows[index] for index in order]).price("m", None, [MINI], T0)
    assert price is not None
    assert price.version == "price@4"


def test_free_servers_are_free_until_a_price_is_set() -> None:
    assert PriceBook([]).price("m", None, [OWN], T0).version == "free"  # type: ignore[union-attr]
    book = PriceBook([version(1, provider="p2", target_model="llama", start=T0)])
    assert book.price("m", None, [OWN], T0).version == "price@1"  # type: ignore[union-attr]
    assert book.price("m", None, [OWN], T0 - HOUR).version == "free"  # type: ignore[union-attr]


def test_the_dearest_of_the_targets_counts_and_unknown_is_not_free() -> None:
    book = PriceBook([version(7, target_model="gpt-4o-mini"), version(9, provider="p2", target_model="*", rates=ZERO)])
    assert book.price("m", None, [MINI, OWN], T0).version == "price@7"  # type: ignore[union-attr]
    assert book.price("m", None, [OWN, ODD], T0) is None
    assert PriceBook([]).price("m", None, [ODD], T0) is None


def test_without_an_import_the_installed_book_holds_and_with_one_the_import() -> None:
    assert PriceBook([]).price("m", None, [MINI], T0) == book_price(MINI.kind, "", MINI.model, T0)
    imported = version(3, provider="openai", target_model="gpt-4o-mini", source="genai-prices")
    assert PriceBook([imported]).price("m", None, [MINI], T0).version == "price@3"  # type: ignore[union-attr]


@pytest.mark.parametrize("own", [True, False])
def test_an_override_is_told_apart_from_the_model_s_own_price(own: bool) -> None:
    book = PriceBook([version(1, target_model="*")])
    price = StoredPrice(input=5, output=5).at("override@2") if own else None
    found = book.price("m", price, [MINI], T0)
    assert (book.source(found, price), book.override("m", MINI, T0).version) == (  # type: ignore[union-attr]
        "model" if own else "override",
        "price@1",
    )
