"""Prices with dates through the API of a running control plane: who is charged what, from when, and what is told."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tollway.controlplane.app import ControlPlane
from tollway.controlplane.catalog.pricebook import BOOK_VERSION
from tollway.controlplane.catalog.snapshot import build_catalog
from tollway.controlplane.prices.watch import PriceWatch
from tollway.controlplane.resources import from_ms
from tollway.core.catalog import Catalog
from tollway.core.pricing import Price
from tollway.testkit.fakes.clock import FakeClock

NOW_MS = int(datetime(2026, 11, 21, 12, tzinfo=UTC).timestamp() * 1000)
CHEAP, DEAR = {"input": "1", "output": "2"}, {"input": "3", "output": "4"}


def iso(at: datetime) -> str:
    """RFC 3339."""
    return at.isoformat().replace("+00:00", "Z")


class Desk:
    """An API whose clock the test sets, and what data planes would get from it."""

    def __init__(self, api: Any, clock: FakeClock, watch: PriceWatch) -> None:
        self.api = api
        self.clock = clock
        self.watch = watch

    def at(self, **ahead: float) -> str:
        """A time after now."""
        return iso(from_ms(self.clock.now_ms()) + timedelta(**ahead))

    async def ok(self, verb: str, path: str, body: Any = None) -> Any:
        """The body of a call that succeeds."""
        answer = await self.api.call(verb, path, body)
        assert answer.status == 200, answer.body
        return answer.body

    async def refused(self, verb: str, path: str, body: Any = None) -> tuple[int, str, str]:
        """Status, field and message of a call that fails."""
        answer = await self.api.call(verb, path, body)
        assert answer.status >= 400, answer.body
        return answer.status, answer.error["field"] or "", answer.error["message"]

    async def catalog(self) -> Catalog:
        """What data planes are given."""
        async with self.api.plane.pool.connection() as db:
            return await build_catalog(db, self.api.plane.vault)

    async def price(self, model: str) -> Price | None:
        """The price that data planes have."""
        return (await self.catalog()).models[model].price


@pytest.fixture
async def desk(api: Any, plane: ControlPlane) -> Desk:
    clock = FakeClock(now_ms=NOW_MS)
    plane.dispatcher._clock = clock
    await plane.prices.close()  # the test looks by itself
    watch = PriceWatch(plane.pool, clock)
    made = Desk(api, clock, watch)
    await made.ok("POST", "providers", {"name": "openai", "kind": "openai"})
    await made.ok("POST", "providers", {"name": "own", "kind": "vllm", "base_url": "http://127.0.0.1:9/v1"})
    for name, provider, target in (("small", "openai", "gpt-4o-mini"), ("local", "own", "llama")):
        await made.ok("POST", "models", {"name": name, "targets": [{"provider": provider, "model": target}]})
    return made


async def test_without_overrides_prices_are_as_before(desk: Desk) -> None:
    small, local = await desk.price("small"), await desk.price("local")
    assert small is not None
    assert local is not None
    assert (small.version, small.input, local.version, local.input) == (BOOK_VERSION, 150_000_000, "free", 0)
    assert not await desk.watch.look()
    history = await desk.ok("GET", f"prices/{BOOK_VERSION.replace(' ', '%20')}")
    assert [found["model"] for found in history["publications"]] == ["small"]
    assert history["publications"][0]["price"]["input"] == "0.15"


async def test_a_future_price_begins_and_ends_at_its_time_by_itself(desk: Desk) -> None:
    before = (await desk.catalog()).version
    made = await desk.ok(
        "POST",
        "prices",
        {"model": "small", "price": DEAR, "valid_from": desk.at(hours=1), "valid_until": desk.at(hours=2)},
    )
    assert made["version"].startswith("price@")
    assert (await desk.price("small")).version == BOOK_VERSION  # type: ignore[union-attr]
    assert not await desk.watch.look()
    set_at = (await desk.catalog()).version
    assert set_at == before + 1
    desk.clock.advance(3599.999)
    assert not await desk.watch.look()
    assert (await desk.catalog()).version == set_at
    desk.clock.advance(0.001)
    assert await desk.watch.look()
    assert not await desk.watch.look()
    assert (await desk.catalog()).version == set_at + 1
    dear = await desk.price("small")
    assert dear is not None
    assert (dear.version, dear.input, dear.output) == (made["version"], 3_000_000_000, 4_000_000_000)
    desk.clock.advance(3600)
    assert await desk.watch.look()
    assert (await desk.price("small")).version == BOOK_VERSION  # type: ignore[union-attr]
    history = await desk.ok("GET", f"prices/{made['version']}")
    assert [(p["model"], p["source"]) for p in history["publications"]] == [("small", "override")]
    assert history["versions"][0]["price"]["output"] == "4"


async def test_a_boundary_that_passed_while_nobody_ran_is_found_at_the_start(desk: Desk) -> None:
    await desk.ok("POST", "prices", {"model": "small", "price": DEAR, "valid_from": desk.at(hours=1)})
    desk.clock.advance(7 * 86_400)
    assert await PriceWatch(desk.api.plane.pool, desk.clock).look()
    assert (await desk.price("small")).input == 3_000_000_000  # type: ignore[union-attr]


async def test_of_two_processes_one_publishes(desk: Desk) -> None:
    other = PriceWatch(desk.api.plane.pool, desk.clock)
    await asyncio.gather(desk.watch.look(), other.look())
    await desk.ok("POST", "prices", {"model": "small", "price": DEAR, "valid_from": desk.at(seconds=1)})
    version = (await desk.catalog()).version
    desk.clock.advance(1)
    for _ in range(2):
        await asyncio.gather(desk.watch.look(), other.look())
    assert (await desk.catalog()).version == version + 1


async def test_the_running_control_plane_looks_by_itself(
    database: str, make_settings: Callable[..., Any], desk: Desk
) -> None:
    """The task of the process itself, on the machine's clock."""
    soon = datetime.now(UTC) + timedelta(seconds=1)
    desk.api.plane.dispatcher._clock = desk.api.plane.clock
    await desk.ok("POST", "prices", {"model": "small", "price": DEAR, "valid_from": iso(soon)})
    other = ControlPlane(make_settings(database))
    await other.start()
    try:
        async with asyncio.timeout(10):
            while (await desk.price("small")).input != 3_000_000_000:  # type: ignore[union-attr]
                await asyncio.sleep(0.05)
        assert datetime.now(UTC) >= soon
    finally:
        await other.stop()


async def test_the_most_exact_statement_wins(desk: Desk) -> None:
    async def now() -> str:
        found = await desk.price("small")
        assert found is not None
        return found.version

    versions = []
    for what in (
        {"target_model": "*"},
        {"target_model": "gpt-*"},
        {"target_model": "gpt-4o-mini"},
        {"provider": "openai", "target_model": "gpt-*"},
    ):
        versions.append((await desk.ok("POST", "prices", {**what, "price": DEAR}))["version"])
        assert await now() == versions[-1]
    await desk.ok("POST", "prices", {"target_model": "gpt-4o*", "price": CHEAP})
    assert await now() == versions[-1], "one for any provider is less exact"
    assert (await desk.price("local")).version == versions[0]  # type: ignore[union-attr]
    await desk.ok("PATCH", "models/small", {"price": CHEAP})
    assert await now() == "override@1", "the model's own price comes before those of targets"
    (await desk.ok("POST", "prices", {"model": "small", "price": DEAR}))["version"]
    last = await desk.ok("POST", "prices", {"model": "small", "price": {"free": True}, "valid_until": desk.at(days=1)})
    assert await now() == last["version"]
    shown = (await desk.ok("GET", "models/small"))["price"]
    assert (shown["version"], shown["free"]) == (last["version"], True)
    ended = await desk.ok("POST", f"prices/{last['version']}:end", {})
    assert ended["valid_until"] == iso(from_ms(desk.clock.now_ms()) + timedelta(microseconds=1))
    desk.clock.advance(1)
    await desk.watch.look()
    assert (await desk.price("small")).input == 3_000_000_000  # type: ignore[union-attr]


async def test_refusals_name_the_field(desk: Desk) -> None:
    one = {"model": "small", "price": CHEAP}
    cases: list[tuple[dict[str, Any], int, str]] = [
        ({"price": CHEAP}, 400, "model"),
        ({**one, "target_model": "x"}, 400, "model"),
        ({**one, "provider": "openai"}, 400, "provider"),
        ({"model": "none", "price": CHEAP}, 404, "model"),
        ({"target_model": "x", "provider": "none", "price": CHEAP}, 404, "provider"),
        ({**one, "valid_from": desk.at(days=2), "valid_until": desk.at(days=1)}, 400, "valid_until"),
        ({**one, "valid_from": "9999-12-31T23:59:59.999999Z"}, 400, "valid_from"),
        ({"model": "small"}, 400, "price"),
        ({"model": "small", "price": {"input": "1"}}, 400, "price.output"),
    ]
    for body, status, field in cases:
        assert (await desk.refused("POST", "prices", body))[:2] == (status, field), body
    assert (await desk.refused("GET", "prices/price@999"))[0] == 404
    assert (await desk.refused("POST", "prices/price@999:end", {}))[0] == 404
    made = await desk.ok("POST", "prices", one)
    desk.clock.advance(60)
    await desk.ok("POST", f"prices/{made['version']}:end", {})
    assert (await desk.refused("POST", f"prices/{made['version']}:end", {}))[0] == 409


async def test_a_list_shows_names_filters_and_pages(desk: Desk) -> None:
    for number in range(3):
        await desk.ok("POST", "prices", {"provider": "openai", "target_model": f"m{number}", "price": CHEAP})
    await desk.ok(
        "POST", "prices", {"model": "small", "price": DEAR, "valid_from": desk.at(days=1), "note": "new year"}
    )
    first = await desk.ok("GET", "prices?page_size=3")
    assert [p["target_model"] or p["model"] for p in first["prices"]] == ["small", "m2", "m1"]
    assert (first["prices"][0]["note"], first["prices"][1]["provider"]) == ("new year", "openai")
    rest = await desk.ok("GET", f"prices?page_size=3&page_token={first['next_page_token']}")
    assert ([p["target_model"] for p in rest["prices"]], rest["next_page_token"]) == (["m0"], "")
    assert len((await desk.ok("GET", "prices?provider=openai"))["prices"]) == 3
    assert len((await desk.ok("GET", f"prices?at={desk.at(hours=1)}"))["prices"]) == 3
    assert len((await desk.ok("GET", "prices?model=small"))["prices"]) == 1
    assert (await desk.refused("GET", "prices?page_token=abc"))[1] == "page_token"


async def test_an_import_pins_the_book_and_twice_is_once(desk: Desk) -> None:
    trial = await desk.ok("POST", "price-imports", {"dry_run": True})
    assert (trial["applied"], trial["id"], trial["changed"], trial["gone"]) == (False, "", 0, 0)
    assert (await desk.ok("GET", "prices"))["prices"] == []
    assert [c["target_model"] for c in trial["changes"] if c["in_use"]] == ["gpt-4o-mini"]
    first = await desk.ok("POST", "price-imports", {})
    assert (first["applied"], first["new"], first["package"]) == (True, trial["new"], BOOK_VERSION)
    assert first["new"] > 1000
    rows = await desk.api.sql("SELECT count(*) FROM price_versions")
    again = await desk.ok("POST", "price-imports", {})
    assert (again["applied"], again["new"], again["changed"], again["unchanged"]) == (False, 0, 0, first["new"])
    assert await desk.api.sql("SELECT count(*) FROM price_versions") == rows
    assert len((await desk.ok("GET", "price-imports"))["imports"]) == 1
    small = await desk.price("small")
    assert small is not None
    assert (small.version, small.input) == (BOOK_VERSION, 150_000_000)
    await desk.api.sql(
        "UPDATE price_versions SET version = 'genai-prices 0.0.1', rates = jsonb_set(rates, '{input}', '7')"
        " WHERE provider = 'openai' AND target_model = 'gpt-4o-mini'"
    )
    report = await desk.ok("POST", "price-imports", {"dry_run": True})
    assert [(c["kind"], c["target_model"], c["in_use"]) for c in report["changes"]] == [
        ("changed", "gpt-4o-mini", True)
    ]
    await desk.ok("POST", "business-units", {"name": "any"})
    await desk.ok("PATCH", "models/small", {"aliases": ["s"]})
    assert (await desk.price("small")).input == 7, "what was imported holds until the next import"  # type: ignore[union-attr]
    await desk.ok("POST", "price-imports", {})
    assert (await desk.price("small")).input == 150_000_000  # type: ignore[union-attr]
    shown = await desk.ok("GET", "prices/genai-prices%200.0.1")
    assert [p["price"]["input"] for p in shown["versions"]] == ["0.000000007"]
    assert shown["versions"][0]["valid_until"] == desk.at()
    assert [p["price"]["input"] for p in shown["publications"]] == ["0.000000007"]
