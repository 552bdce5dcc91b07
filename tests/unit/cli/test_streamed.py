"""Streams as the text that they amount to."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tollway.cli.streamed import told


def stream(*events: Any) -> str:
    return "".join(f"event: x\ndata: {json.dumps(event)}\n\n" for event in events) + "data: [DONE]\n\n"


def chunk(**delta: Any) -> dict[str, Any]:
    return {"object": "chat.completion.chunk", "choices": [{"index": 0, "delta": delta}]}


CALL = {"index": 0, "function": {"name": "weather", "arguments": ""}}
MORE = {"index": 0, "function": {"arguments": '{"city": "Rome"}'}}


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (stream(chunk(role="assistant"), chunk(content="Hel"), chunk(content="lo")), "Hello"),
        (stream(chunk(tool_calls=[CALL]), chunk(tool_calls=[MORE])), '\n[weather] {"city": "Rome"}'),
        (stream({"choices": [{"text": "once"}]}, {"choices": [{"text": " more"}]}), "once more"),
        (
            stream(
                {"type": "content_block_start", "content_block": {"type": "text", "text": ""}},
                {"type": "content_block_delta", "delta": {"type": "text_delta", "text": "Hi"}},
                {"type": "content_block_start", "content_block": {"type": "tool_use", "name": "add"}},
                {"type": "content_block_delta", "delta": {"type": "input_json_delta", "partial_json": "{}"}},
            ),
            "Hi\n[add] {}",
        ),
        (stream({"type": "response.output_text.delta", "delta": "yes"}), "yes"),
        (stream(chunk(content="part"), {"error": {"message": "overloaded"}}), "part\n[error] overloaded"),
        ("data: {cut", ""),
        ("no stream at all", ""),
        (stream([], 1, None, {"choices": 3}, {"choices": [4, {"delta": 5}]}), ""),
    ],
)
def test_what_was_said(body: str, text: str) -> None:
    assert told(body) == text


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["choices", "delta", "text", "content", "type", "error", "tool_calls", "function"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@settings(deadline=None)
@given(st.lists(JSON, max_size=4))
def test_any_stream_is_told_without_failing(events: list[Any]) -> None:
    assert isinstance(told(stream(*events)), str)
