"""Look-ups over a catalog: names, targets and what may be used."""

from __future__ import annotations

from tollway.core.catalog import Catalog, Credential, Model, Provider, ProviderKind, Strategy, Target
from tollway.core.pricing import Price
from tollway.dataplane.config.holder import CatalogHolder, Routes

KEYS = (Credential(id="1", name="a", api_key="x", weight=3), Credential(id="2", name="b", api_key="y", weight=1))
PRICE = Price(version="v", input=1, output=2)


def routes(strategy: Strategy = Strategy.WEIGHTED, *targets: Target, version: int = 1) -> Routes:
    provider = Provider(id="p", name="openai", kind=ProviderKind.OPENAI, base_url="https://x", credentials=KEYS)
    found = targets or (Target(provider="p", model="gpt"),)
    model = Model(id="m", name="chat", targets=found, aliases=("small",), strategy=strategy, price=PRICE)
    return Routes(Catalog(epoch="e", version=version, providers={"p": provider}, models={"chat": model}))


def test_a_weight_of_zero_gets_no_traffic() -> None:
    off, on = Target(provider="p", model="off", weight=0), Target(provider="p", model="on")
    route = routes(Strategy.WEIGHTED, off, on).find("chat")
    assert route is not None
    assert [candidate.model for candidate in route.candidates] == ["on"]


def test_names_aliases_and_provider_slash_model_find_their_route() -> None:
    found = routes()
    for name in ("chat", "small"):
        route = found.find(name)
        assert route is not None
        assert route.name == "chat"
    direct = found.find("openai/gpt")
    assert direct is not None
    assert (direct.name, direct.price) == ("openai/gpt", PRICE)  # the price of the model with that very target
    unknown = found.find("openai/other")
    assert unknown is not None
    assert unknown.price is None
    for name in ("nope", "nowhere/gpt", "openai/", "/gpt", ""):
        assert found.find(name) is None


def test_allow_lists_of_project_and_key_both_count() -> None:
    found = routes()
    assert found.allowed(("*",), ("gpt-*",), "gpt-4o")
    assert not found.allowed(("claude-*",), ("*",), "gpt-4o")
    assert not found.allowed(("*",), ("claude-*",), "gpt-4o")
    assert not found.allowed(("*",), (), "gpt-4o")


def test_an_older_catalog_never_replaces_a_newer_one() -> None:
    holder = CatalogHolder()
    assert holder.swap(routes(version=5).catalog)
    assert not holder.swap(routes(version=4).catalog)
    assert not holder.swap(routes(version=5).catalog)
    assert holder.swap(routes(version=6).catalog)
