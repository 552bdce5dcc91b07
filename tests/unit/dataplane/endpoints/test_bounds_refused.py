"""What cannot be bounded is refused under a hard budget, by the name of the field, with what to do instead."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tollway.core.errors import Code, TollwayError
from tollway.core.pricing import Price
from tollway.testkit.codecs import CHAT, bound

MESSAGES, RESPONSES, COMPLETIONS = "/v1/messages", "/v1/responses", "/v1/completions"
PRICE = Price(version="t", input=1, output=1)
HI = [{"role": "user", "content": "hi"}]
ASKED: dict[str, dict[str, Any]] = {
    CHAT: {"messages": HI},
    COMPLETIONS: {"prompt": "hi"},
    RESPONSES: {"input": "hi"},
    MESSAGES: {"messages": HI, "max_tokens": 10},
    "/v1/embeddings": {"input": "hi"},
    "/v1/moderations": {"input": "hi"},
    "/v1/rerank": {"query": "hi", "documents": ["a"]},
    "/v1/images/generations": {"prompt": "a cat"},
    "/v1/audio/speech": {"input": "hi", "voice": "alloy"},
}
KIND = {MESSAGES: "anthropic", "/v1/rerank": "openai_compatible"}


def asked(path: str, **fields: Any) -> bytes:
    return json.dumps({"model": "alias", **ASKED[path], **fields}).encode()


def part(**fields: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": [fields]}]}


def item(**fields: Any) -> dict[str, Any]:
    return {"input": [{"role": "user", "content": "hi"}, fields]}


CASES: list[tuple[str, dict[str, Any], str]] = [
    (CHAT, {"service_tier": "priority"}, "service_tier"),
    (CHAT, {"prediction": {"type": "content", "content": "x"}}, "prediction"),
    (CHAT, {"web_search_options": {}}, "web_search_options"),
    (CHAT, {"modalities": ["text", "audio"]}, "modalities"),
    (CHAT, {"modalities": ["image"]}, "modalities"),
    (CHAT, {"plugins": [{"id": "web"}]}, "plugins"),
    (CHAT, {"models": ["dearer"]}, "models"),
    (CHAT, {"use_beam_search": True}, "use_beam_search"),
    (CHAT, {"chat_template": "{{ x }}"}, "chat_template"),
    (CHAT, {"tools": [{"type": "browser_search"}]}, "tools[0].type"),
    (CHAT, part(type="hologram"), "messages[0].content[0].type"),
    (CHAT, part(type="file", file={"file_data": "data:application/pdf;base64,AAAA"}), "messages[0].content[0]"),
    (
        CHAT,
        part(type="input_audio", input_audio={"data": "AAAA", "format": "flac"}),
        "messages[0].content[0].input_audio",
    ),
    (CHAT, part(type="image_url", image_url={"url": "https://example.org/a.png"}), "messages[0].content[0].image_url"),
    (COMPLETIONS, {"use_beam_search": True}, "use_beam_search"),
    (RESPONSES, {"service_tier": "priority"}, "service_tier"),
    (RESPONSES, {"context_management": [{"type": "compaction"}]}, "context_management"),
    (RESPONSES, {"tools": [{"type": "web_search"}]}, "tools[0].type"),
    (RESPONSES, {"tools": [{"type": "function", "name": "f"}, {"type": "image_generation"}]}, "tools[1].type"),
    (RESPONSES, item(type="input_hologram"), "input[1].type"),
    (RESPONSES, item(type="web_search_call", id="ws_1"), "input[1]"),
    (MESSAGES, {"speed": "fast"}, "speed"),
    (MESSAGES, {"inference_geo": "us"}, "inference_geo"),
    (MESSAGES, {"mcp_servers": []}, "mcp_servers"),
    (MESSAGES, {"tools": [{"type": "web_fetch_20250910", "name": "web_fetch"}]}, "tools[0].type"),
    (MESSAGES, {"context_management": {"edits": [{"type": "compact_20260112"}]}}, "context_management.edits[0].type"),
    (MESSAGES, {"context_management": {"strategy": "new"}}, "context_management"),
    (MESSAGES, part(type="document", source={"type": "base64", "data": "AAAA"}), "messages[0].content[0].source"),
    ("/v1/embeddings", {"prompt_name": "query"}, "prompt_name"),
    ("/v1/embeddings", {"input": ["a", {"image": "AAAA"}]}, "input[1]"),
    ("/v1/moderations", {"depth": 3}, "depth"),
    ("/v1/rerank", {"documents": ["a", {"image": "AAAA"}]}, "documents[1]"),
    ("/v1/images/generations", {"steps": 50}, "steps"),
    ("/v1/images/generations", {}, "model"),
    ("/v1/audio/speech", {}, "model"),
]


@pytest.mark.parametrize(
    ("path", "fields", "param"), CASES, ids=[f"{c[0][4:]}:{c[2]}:{i}" for i, c in enumerate(CASES)]
)
def test_it_is_refused_by_name(path: str, fields: dict[str, Any], param: str) -> None:
    with pytest.raises(TollwayError) as caught:
        bound(KIND.get(path, "openai"), path=path, model="unlisted", body=asked(path, **fields), price=PRICE)
    error = caught.value
    assert (error.code, error.param) == (Code.UNSUPPORTED_PARAMETER, param)
    assert "hard budget" in error.message
    assert error.message.count(". ") == 1, "no remedy"


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        (CHAT, {"prediction": None, "service_tier": None, "plugins": None}),
        (CHAT, {"service_tier": "default", "modalities": ["text"], "store": True, "metadata": {"a": "b"}}),
        (CHAT, {"service_tier": "flex"}),
        (CHAT, {"chat_template_kwargs": {"enable_thinking": False}, "top_k": 3, "guided_json": {}}),
        (CHAT, {"tools": [{"type": "function", "function": {"name": "f"}}, {"type": "custom", "custom": {}}]}),
        (COMPLETIONS, {"best_of": 2, "echo": True}),
        (RESPONSES, {"background": False, "conversation": None, "reasoning": {"effort": "low"}, "include": []}),
        (RESPONSES, {"tools": [{"type": "function", "name": "f"}, {"type": "custom", "name": "g"}]}),
        (MESSAGES, {"service_tier": "standard_only"}),
        (MESSAGES, {"context_management": {"edits": [{"type": "clear_tool_uses_20250919"}]}}),
        (MESSAGES, {"tools": [{"name": "f", "input_schema": {}}, {"type": "bash_20250124", "name": "bash"}]}),
        ("/v1/embeddings", {"input": [[1, 2], [3]], "dimensions": 8}),
        ("/v1/moderations", {"input": ["a", "b"]}),
        ("/v1/rerank", {"documents": [{"text": "a"}], "top_n": 1, "return_documents": True}),
    ],
)  # fmt: skip
def test_what_is_harmless_passes(path: str, fields: dict[str, Any]) -> None:
    found = bound(KIND.get(path, "openai"), path=path, body=asked(path, **fields), price=PRICE)
    assert found.input >= 1


def test_audio_answers_pass_where_they_have_a_price() -> None:
    priced = Price(version="t", input=1, output=1, audio_output=9)
    found = bound("openai", modalities=["text", "audio"], audio={"voice": "alloy"}, price=priced)
    assert "audio_output" not in found.absent
    assert "audio_output" in bound("openai", price=priced).absent


def test_a_search_needs_a_limit_a_price_and_a_window() -> None:
    tool = {"type": "web_search_20250305", "name": "web_search", "max_uses": 3}
    priced = Price(version="t", input=1, output=1, search=10)

    def of(price: Price, context: int | None) -> Any:
        body = asked(MESSAGES, tools=[tool])
        return bound("anthropic", path=MESSAGES, body=body, price=price, context_tokens=context)

    found = of(priced, 200_000)
    assert (found.searches, found.input, found.choices) == (3, 11 * 200_000, 11)
    for price, context in ((PRICE, 200_000), (priced, None)):
        with pytest.raises(TollwayError) as caught:
            of(price, context)
        assert caught.value.param in ("tools[0].type", "tools")


def test_what_the_window_bounds_passes_where_it_is_known() -> None:
    pdf = {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "AAAA"}}
    body = asked(MESSAGES, **part(**pdf))
    assert bound("anthropic", path=MESSAGES, body=body, context_tokens=200_000).input == 200_000
    beta = {"anthropic-beta": "context-1m-2025-08-07"}
    assert bound("anthropic", path=MESSAGES, body=body, context_tokens=200_000, headers=beta).input == 1_000_000


def test_sound_that_the_provider_keeps_is_refused() -> None:
    messages = [*HI, {"role": "assistant", "audio": {"id": "audio_1"}}, *HI]
    with pytest.raises(TollwayError) as caught:
        bound("openai", model="gpt-4o-audio-preview", messages=messages)
    assert caught.value.param == "messages[1].audio"
