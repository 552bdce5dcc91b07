"""Models: targets, names, prices and capabilities, and the catalog that is built of them."""

from __future__ import annotations

import asyncio
from typing import Any

from psycopg import AsyncConnection

from tollway.controlplane.catalog.pricebook import BOOK_VERSION
from tollway.controlplane.catalog.snapshot import build_catalog
from tollway.core.catalog import Catalog, Target, decode_catalog, encode
from tollway.core.pricing import TOKEN_RATES, Price, Tier, cost
from tollway.core.usage import Usage


async def _catalog(api: Any) -> Catalog:
    async with await AsyncConnection.connect(api.database_url) as db:
        return await build_catalog(db, api.plane.vault)


async def _providers(api: Any) -> None:
    for name, kind in (("openai", "openai"), ("home", "vllm"), ("other", "openai_compatible")):
        url = {} if kind == "openai" else {"base_url": f"http://127.0.0.1/{name}"}
        assert (await api.call("POST", "providers", {"name": name, "kind": kind, **url})).status == 200


async def _model(api: Any, name: str, provider: str = "openai", target: str = "gpt-4o-mini", **fields: Any) -> Any:
    request = {"name": name, "targets": [{"provider": provider, "model": target}], **fields}
    return await api.call("POST", "models", request)


def _given(price: dict[str, Any]) -> dict[str, Any]:
    """What a price says: without empty fields, in its tiers too."""
    named = {name: value for name, value in price.items() if value}
    return named | ({"tiers": [_given(tier) for tier in price["tiers"]]} if price.get("tiers") else {})


async def test_prices_from_the_override_the_book_free_kinds_and_nowhere(api: Any) -> None:
    await _providers(api)
    book = (await _model(api, "book")).body
    assert (book["price"]["input"], book["price"]["output"], book["price"]["cached_input"]) == ("0.15", "0.6", "0.075")
    assert (book["price"]["version"], book["price_overridden"]) == (BOOK_VERSION, False)
    own = (await _model(api, "own", price={"input": "1.25", "output": "10"})).body
    assert (own["price"]["input"], own["price"]["version"], own["price_overridden"]) == ("1.25", "override@1", True)
    home = (await _model(api, "home", "home", "smollm2")).body
    assert (home["price"]["free"], home["price"]["version"]) == (True, "free")
    unknown = (await _model(api, "unknown", "other", "nobody-knows")).body
    assert unknown.get("price") is None
    free = (await _model(api, "gift", "other", "nobody-knows", price={"free": True})).body
    assert free["price"]["free"] is True
    catalog = await _catalog(api)
    prices = {name: model.price for name, model in catalog.models.items()}
    assert prices["own"] == Price(version="override@1", input=1_250_000_000, output=10_000_000_000)
    assert prices["home"] == Price(version="free", input=0, output=0)
    assert prices["gift"] == Price(version="override@1", input=0, output=0)
    assert prices["unknown"] is None
    assert decode_catalog(encode(catalog)) == catalog


async def test_a_price_of_every_kind_goes_through_all_layers(api: Any) -> None:
    await _providers(api)
    names = [name for name in TOKEN_RATES if name not in ("input", "output")]
    tokens = {"input": "1.25", "output": "10"} | {name: f"{n}.5" for n, name in enumerate(names)}
    others = {"image": "0.04", "audio_minute": "0.006", "characters": "15", "search": "10", "request": "0.005"}
    tiers = [{"above": "200000", "input": "2.5", "output": "15"}, {"above": "500000", "cached_input": "0.000000001"}]
    given = tokens | others | {"tiers": tiers[::-1]}
    made = (await _model(api, "all", price=given)).body["price"]
    assert _given(made) == tokens | others | {"tiers": tiers, "version": "override@1"}
    again = (await api.call("PATCH", "models/all", {"price": {**made, "version": ""}})).body["price"]
    assert again["version"] == "override@1", "what is shown can be set, and is the same"
    price = (await _catalog(api)).models["all"].price
    assert price == decode_catalog(encode(await _catalog(api))).models["all"].price
    assert price is not None
    assert (price.audio_hour, price.image, price.request) == (360_000_000, 40_000_000, 5_000_000)
    assert price.tiers == (
        Tier(above=200_000, input=2_500_000_000, output=15_000_000_000),
        Tier(above=500_000, cached_input=1),
    )
    assert cost(Usage(input=200_001, cached_input=1, output=1), price) == 200_000 * 2_500 + 500 + 15_000 + 5_000_000
    heard = (await _model(api, "whisper", "other", "own-whisper", price={"audio_hour": "0.04"})).body["price"]
    assert _given(heard) == {"input": "0", "output": "0", "audio_hour": "0.04", "version": "override@1"}


async def test_an_override_is_versioned_and_taken_back(api: Any) -> None:
    await _providers(api)
    await _model(api, "m")
    first = (await api.call("PATCH", "models/m", {"price": {"input": "1", "output": "2"}})).body
    second = (await api.call("PATCH", "models/m", {"price": {"input": "1", "output": "3"}})).body
    assert (first["price"]["version"], second["price"]["version"]) == ("override@1", "override@2")
    back = (await api.call("PATCH", "models/m", {"price": None})).body
    assert (back["price"]["version"], back["price_overridden"]) == (BOOK_VERSION, False)
    for price, field in (
        ({"input": "1"}, "price.output"),
        ({"free": True, "input": "1", "output": "1"}, "price.free"),
    ):
        refused = await api.call("PATCH", "models/m", {"price": price})
        assert (refused.status, refused.error["field"]) == (400, field)


async def test_names_and_aliases_are_one_space(api: Any) -> None:
    await _providers(api)
    assert (await _model(api, "big", aliases=["large"])).status == 200
    for name, aliases in (("large", []), ("small", ["big"]), ("small", ["large"]), ("big", [])):
        refused = await _model(api, name, aliases=aliases)
        assert (refused.status, refused.error["code"]) == (409, "already_exists")
    assert (await _model(api, "small", aliases=["small"])).status == 400
    assert (await _model(api, "small")).status == 200
    refused = await api.call("PATCH", "models/small", {"aliases": ["big"]})
    assert refused.status == 409
    assert (await api.call("GET", "models/large")).body["name"] == "big"
    await api.call("DELETE", "models/big")
    assert (await api.call("PATCH", "models/small", {"aliases": ["big", "large"]})).status == 200
    assert set((await _catalog(api)).models) == {"small"}


async def test_of_two_models_that_claim_one_alias_at_once_one_wins(api: Any) -> None:
    await _providers(api)
    answers = await asyncio.gather(*(_model(api, name, aliases=["shared"]) for name in ("a", "b", "c")))
    assert sorted(answer.status for answer in answers) == [200, 409, 409]


async def test_targets_name_live_providers(api: Any) -> None:
    await _providers(api)
    provider = (await api.call("GET", "providers/home")).body
    targets = [
        {"provider": provider["id"], "model": "a", "weight": 0},
        {"provider": "openai", "model": "b", "priority": 1},
    ]
    made = (await api.call("POST", "models", {"name": "org/m:1", "targets": targets, "strategy": "priority"})).body
    assert [(t["provider"], t["weight"], t["priority"]) for t in made["targets"]] == [("home", 0, 0), ("openai", 1, 1)]
    missing = await api.call(
        "POST",
        "models",
        {"name": "n", "targets": [{"provider": "home", "model": "a"}, {"provider": "no", "model": "a"}]},
    )
    assert (missing.status, missing.error["field"]) == (400, "targets[1].provider")
    model = (await _catalog(api)).models["org/m:1"]
    assert model.targets[0] == Target(provider=provider["id"], model="a", weight=0)
    assert model.strategy == "priority"
    assert abs(model.created - 1_700_000_000) < 1_000_000_000
    assert (await api.call("GET", "models/org/m:1")).body["name"] == "org/m:1"


async def test_capabilities_are_configured_over_the_table(api: Any) -> None:
    await _providers(api)
    made = (await _model(api, "m")).body["capabilities"]
    assert (made["input_modalities"], made["context_tokens"], made["tools"]) == (["text", "image"], "128000", True)
    changed = await api.call("PATCH", "models/m", {"capabilities": {"context_tokens": "4096", "tools": False}})
    shown = changed.body["capabilities"]
    assert (shown["context_tokens"], shown["tools"], shown["input_modalities"]) == ("4096", False, ["text", "image"])
    unknown = (await _model(api, "unknown", "other", "nobody-knows")).body["capabilities"]
    assert unknown.get("context_tokens") is None
    assert unknown["input_modalities"] == ["text"]


async def test_models_come_in_pages(api: Any) -> None:
    await _providers(api)
    for name in ("c", "a", "b"):
        await _model(api, name)
    first = (await api.call("GET", "models?page_size=2")).body
    second = (await api.call("GET", f"models?page_size=2&page_token={first['next_page_token']}")).body
    assert [m["name"] for m in first["models"] + second["models"]] == ["a", "b", "c"]
    assert second["next_page_token"] == ""
