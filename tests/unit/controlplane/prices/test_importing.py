"""What an import makes of a book and of what was imported before."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from uuid import uuid4

from tollway.controlplane.prices.book import stored
from tollway.controlplane.prices.importing import Plan, plan
from tollway.controlplane.prices.shipped import Segment, segments, shipped_book, shipped_key
from tollway.controlplane.prices.store import OpenImport
from tollway.core.catalog import ProviderKind
from tollway.core.pricing import Price

NOW = datetime(2026, 6, 15, 8, tzinfo=UTC)
KEY = ("maker", "one")
MAY, JUNE, JULY = date(2026, 5, 1), date(2026, 6, 1), date(2026, 7, 1)


def price(rate: int) -> Price:
    return Price(version="", input=rate, output=rate)


def book(*found: tuple[date | None, int]) -> dict[tuple[str, str], tuple[Segment, ...]]:
    return {KEY: tuple(Segment(start, price(rate)) for start, rate in found)}


def known(*found: tuple[date | None, int], key: tuple[str, str] = KEY) -> list[OpenImport]:
    return [
        OpenImport(id=uuid4(), provider=key[0], target_model=key[1], rates=stored(price(rate)), book_start=start)
        for start, rate in found
    ]


def made(done: Plan) -> list[tuple[datetime | None, int]]:
    return [(row["valid_from"], row["rates"].input) for row in done.rows]


def kinds(done: Plan) -> list[str]:
    return [change.kind for change in done.changes]


def closed(done: Plan, before: Sequence[OpenImport]) -> list[int]:
    return [row.rates.input for row in before if row.id in done.closed]


def test_what_is_new_holds_for_all_times() -> None:
    done = plan(book((None, 1), (JUNE, 2)), [], frozenset(), NOW)
    assert made(done) == [(None, 1), (datetime(2026, 6, 1, tzinfo=UTC), 2)]
    assert (kinds(done), done.closed, done.unchanged) == (["new"], [], 0)


def test_the_same_book_changes_nothing() -> None:
    done = plan(book((None, 1), (JUNE, 2)), known((None, 1), (JUNE, 2)), frozenset(), NOW)
    assert (done.rows, done.closed, done.changes, done.unchanged) == ([], [], [], 1)


def test_another_price_without_a_day_holds_from_the_import_on() -> None:
    before = known((None, 1))
    done = plan(book((None, 5)), before, frozenset({KEY}), NOW)
    assert (made(done), closed(done, before), kinds(done)) == ([(NOW, 5)], [1], ["changed"])
    assert done.changes[0].in_use


def test_another_price_with_a_day_holds_from_that_day_on() -> None:
    before = known((None, 1), (MAY, 2))
    done = plan(book((None, 1), (JUNE, 3), (JULY, 4)), before, frozenset(), NOW)
    assert made(done) == [(datetime(2026, 6, 1, tzinfo=UTC), 3), (datetime(2026, 7, 1, tzinfo=UTC), 4)]
    assert closed(done, before) == [2]


def test_a_correction_of_what_held_before_does_not_reach_the_present() -> None:
    before = known((None, 1), (JUNE, 2))
    done = plan(book((None, 9), (JUNE, 2)), before, frozenset(), NOW)
    assert (made(done), closed(done, before)) == ([(None, 9)], [1])


def test_what_is_gone_is_told_and_kept() -> None:
    before = known((None, 1)) + known((None, 7), key=("maker", "old"))
    done = plan(book((None, 1)), before, frozenset(), NOW)
    assert (kinds(done), done.rows, done.closed, done.unchanged) == (["gone"], [], [], 1)
    assert done.changes[0].before is not None
    assert done.changes[0].after is None


def test_what_is_in_use_comes_first_in_the_report() -> None:
    found = {("a", "x"): book((None, 1))[KEY], ("b", "y"): book((None, 1))[KEY]}
    done = plan(found, [], frozenset({("b", "y")}), NOW)
    assert [(change.provider, change.in_use) for change in done.changes] == [("b", True), ("a", False)]


def test_the_shipped_book_has_models_with_days_and_knows_targets() -> None:
    shipped = shipped_book()
    assert len(shipped) > 1000
    dated = [found for found in shipped.values() if len(found) > 1]
    assert dated
    for found in shipped.values():
        starts = [segment.start or date.min for segment in found]
        assert starts == sorted(set(starts))
        assert found[0].start is None
    key = shipped_key(ProviderKind.OPENAI, "", "gpt-4o-mini-2024-07-18")
    assert key == ("openai", "gpt-4o-mini")
    assert shipped_key(ProviderKind.AZURE_OPENAI, "", "gpt-4o-mini") in shipped
    assert shipped_key(ProviderKind.OPENAI, "", "nobody-knows-it") is None


def test_segments_are_those_of_the_book_itself() -> None:
    from genai_prices.data_snapshot import get_snapshot

    provider = next(found for found in get_snapshot().providers if found.id == "openai")
    model = next(found for found in provider.models if found.id == "gpt-4o-mini")
    (only,) = segments(model)
    assert (only.start, only.price.input, only.price.output) == (None, 150_000_000, 600_000_000)
