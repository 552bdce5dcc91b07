"""Whole answers of every kind: recorded ones exactly, garbage as a fault."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollway.core.catalog import ProviderKind
from tollway.core.errors import Code
from tollway.core.usage import Usage
from tollway.dataplane.providers.port import ProviderFault
from tollway.testkit.codecs import codec

USAGE = {
    "azure-01": Usage(input=15, output=24),
    "azure-03": Usage(input=16, output=24),
    "azure-09": Usage(input=18, output=20),
    "huggingface-01": Usage(input=10, output=995),
    "huggingface-03": Usage(input=4, output=100),
    "huggingface-05": Usage(input=4, output=197),
    "huggingface-07": Usage(input=608, output=30),
    "openai-01": Usage(input=70, output=46),
    "openai-03": Usage(input=82, output=16),
    "openai-05": Usage(input=64, audio_input=44, output=9),
    "openai-07": Usage(input=1220, cache_write_5m=1217, output=100, reasoning=100),
    "openai-09": Usage(input=438, output=16),
    "openai-11": Usage(input=8, output=82, reasoning=64),
    "openai-13": Usage(input=241, output=214, reasoning=192),
    "openai-27": Usage(input=57, output=34),
    "anthropic-09": Usage(input=1532, cached_input=1111, cache_write_5m=418, output=33),
    "anthropic-11": Usage(input=2066, cached_input=2055, output=100),
}


def test_recorded_answers(whole: dict[str, Any], kind_of: Any) -> None:
    body = whole["body"].encode()
    finished = codec(kind_of(whole)).finish(whole["headers"], body)
    shown = json.loads(finished.body)
    if whole["provider"] != "anthropic":
        assert finished.body is body
    if whole["stem"] in USAGE:
        assert finished.usage == USAGE[whole["stem"]]
    assert finished.usage is not None
    assert (shown["usage"]["prompt_tokens"], shown["usage"]["completion_tokens"]) == (
        finished.usage.input,
        finished.usage.output,
    )
    texts = [choice["message"].get("content") or "" for choice in shown["choices"]]
    assert finished.output_chars >= sum(map(len, texts))


def test_anthropic_in_openais_shape(recorded: Any, kind_of: Any) -> None:
    exchange = recorded("anthropic-21")
    finished = codec(kind_of(exchange)).finish({"Date": "Wed, 21 Oct 2015 07:28:00 GMT"}, exchange["body"].encode())
    shown = json.loads(finished.body)
    message = shown["choices"][0]["message"]
    assert (shown["object"], shown["created"], shown["model"]) == (
        "chat.completion",
        1445412480,
        "claude-sonnet-4-20250514",
    )
    assert message["content"].startswith("I'll help you find the largest city")
    assert message["reasoning_content"].startswith("The user is asking about the largest city")
    call = {"name": "get_user_country", "arguments": "{}"}
    assert message["tool_calls"] == [{"id": "toolu_01YGzqpRE16Vricda3Aqcejo", "type": "function", "function": call}]
    assert shown["choices"][0]["finish_reason"] == "tool_calls"
    assert shown["usage"]["total_tokens"] == 398 + 155


def test_a_filtered_choice_without_a_message_is_an_answer() -> None:
    body = b'{"choices":[{"index":0,"finish_reason":"content_filter","content_filter_results":{}}]}'
    finished = codec("azure_openai").finish({}, body)
    assert (finished.body, finished.usage, finished.output_chars) == (body, None, 0)


@pytest.mark.parametrize("kind", [ProviderKind.OPENAI, ProviderKind.ANTHROPIC])
@pytest.mark.parametrize(
    "body", [b"", b"null", b"[]", b"<html>oops</html>", b'{"choices":"x"}', b"{}", b'{"a":', b"\xff"]
)
def test_garbage_is_a_fault(kind: ProviderKind, body: bytes) -> None:
    with pytest.raises(ProviderFault) as caught:
        codec(kind).finish({}, body)
    assert (caught.value.code, caught.value.retryable) == (Code.PROVIDER_ERROR, True)
    assert "<html>" not in caught.value.message


def test_an_error_inside_a_200_is_a_fault() -> None:
    body = b'{"error":{"message":"Rate limit","code":429}}'
    with pytest.raises(ProviderFault) as caught:
        codec("openai_compatible").finish({}, body)
    assert caught.value.code is Code.PROVIDER_RATE_LIMITED


def test_slips_of_real_services_are_harmless() -> None:
    choices = b'[{"message":{"content":"\\ud83d"},"logprobs":{"p":NaN}}]'
    body = b'{"choices":' + choices + b',"usage":{"prompt_tokens":1,"completion_tokens":2}}'
    finished = codec("vllm").finish({}, body)
    assert (finished.body, finished.usage, finished.output_chars) == (body, Usage(input=1, output=2), 1)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["choices", "message", "content", "usage", "error", "prompt_tokens", "type", "tool_calls", "code"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=10,
)


@given(json_values, st.binary(max_size=20), st.sampled_from([ProviderKind.OPENAI, ProviderKind.ANTHROPIC]))
def test_no_answer_makes_it_raise_anything_else(value: Any, tail: bytes, kind: ProviderKind) -> None:
    for body in (json.dumps(value).encode(), json.dumps(value).encode() + tail, tail):
        with contextlib.suppress(ProviderFault):
            codec(kind).finish({}, body)
