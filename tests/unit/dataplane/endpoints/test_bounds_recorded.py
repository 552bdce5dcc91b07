"""Every recorded answer is within the bound of its request, or its request is refused by name.

The usage is what the provider really told. Where a recording's request was shortened, as much text as was taken out is
put back.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tollway.core.catalog import ProviderKind
from tollway.core.errors import Code, TollwayError
from tollway.core.pricing import Price
from tollway.testkit.codecs import CHAT, bound
from tollway.testkit.recorded_truth import is_answer, truth_of
from tollway.testkit.replay import Exchange, recorded

FOLDER = Path(__file__).parents[3] / "fixtures" / "providers"
ANSWERED = {
    exchange.name: exchange for exchange in recorded(FOLDER) if is_answer(exchange) and exchange.request is not None
}
KINDS = {"openai": "openai", "azure": "azure_openai", "anthropic": "anthropic", "huggingface": "huggingface"}
REFUSED = {
    "anthropic-15": "tools[0].type",  # code execution
    "anthropic-33": "tools[0].max_uses",  # a web search without a limit
    "anthropic-35": "context_management.edits[0].type",  # compaction
    "openai-11": "service_tier",  # priority
}
PRICE = Price(version="t", input=1, output=1, search=1)
_CUT = re.compile(r"\u2026\[trimmed (\d+) chars\]")


def whole(value: Any) -> Any:
    """The request with what was taken out put back, as so much base64 or text."""
    if isinstance(value, dict):
        return {name: whole(item) for name, item in value.items()}
    if isinstance(value, list):
        return [whole(item) for item in value]
    return _CUT.sub(lambda cut: "A" * int(cut[1]), value) if isinstance(value, str) else value


def bound_of(exchange: Exchange, **more: Any) -> Any:
    kind = KINDS[exchange.provider]
    path = "/v1/messages" if kind == ProviderKind.ANTHROPIC else CHAT
    request = whole(exchange.request)
    return bound(kind, path=path, model=request["model"], body=json.dumps(request).encode(), price=PRICE, **more)


@pytest.mark.parametrize("name", sorted(ANSWERED.keys() - REFUSED))
def test_the_usage_is_within_the_bound(name: str) -> None:
    exchange = ANSWERED[name]
    usage = truth_of(exchange).usage
    if usage is None:  # this provider told none: there is nothing to compare, but the request has its bound
        assert bound_of(exchange).input > 0
        return
    found = bound_of(exchange)
    assert found.admits(usage, usage.output if found.output is None else None), (found, usage)
    if found.output is None:
        assert exchange.request.keys().isdisjoint({"max_tokens", "max_completion_tokens"})


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_what_has_no_bound_is_refused_by_name(name: str) -> None:
    with pytest.raises(TollwayError) as caught:
        bound_of(ANSWERED[name], context_tokens=200_000)
    assert caught.value.code is Code.UNSUPPORTED_PARAMETER
    assert caught.value.param == REFUSED[name]


def test_a_recorded_search_is_within_the_bound_of_one_with_a_limit() -> None:
    exchange = ANSWERED["anthropic-33"]
    request = whole(exchange.request)
    request["tools"][0]["max_uses"] = 1
    usage = truth_of(exchange).usage
    assert usage is not None
    assert usage.searches == 1
    found = bound(
        "anthropic",
        path="/v1/messages",
        model=request["model"],
        body=json.dumps(request).encode(),
        price=PRICE,
        context_tokens=200_000,
    )
    assert found.admits(usage), (found, usage)


def test_the_recordings_were_looked_at() -> None:
    told = [name for name, exchange in ANSWERED.items() if truth_of(exchange).usage is not None]
    assert len(told) >= 30
    assert ANSWERED.keys() >= REFUSED.keys()
