"""Whole answers of OpenAI-shaped services: every recorded one against an independent reading, and the traps."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollway.core import chat
from tollway.core.dialects.openai_chat import read_answer, read_usage
from tollway.core.dialects.ports import ErrorEvent
from tollway.core.errors import TollwayError

FIXTURES = Path(__file__).parents[3] / "fixtures" / "providers"
RECORDED = {
    path.stem: json.loads(path.read_text())
    for kind in ("openai", "azure", "huggingface")
    for path in sorted(FIXTURES.glob(f"{kind}-*.json"))
}
CHATS = [
    stem
    for stem, exchange in RECORDED.items()
    if exchange["status"] == 200 and not exchange["stream"] and '"chat.completion"' in exchange["body"]
]
FAILURES = [stem for stem, exchange in RECORDED.items() if exchange["status"] != 200]


@pytest.mark.parametrize("stem", CHATS)
def test_recorded_answers(stem: str) -> None:
    body = RECORDED[stem]["body"]
    said = json.loads(body)
    message, finish = said["choices"][0]["message"], said["choices"][0]["finish_reason"]
    answer = read_answer(body.encode())
    assert (answer.text, answer.refusal) == (message["content"], message.get("refusal"))
    calls = [
        (call["id"], call["function"]["name"], json.loads(call["function"]["arguments"]))
        if "function" in call
        else (call["id"], call["custom"]["name"], {"input": call["custom"]["input"]})
        for call in message.get("tool_calls") or ()
    ]
    legacy = message.get("function_call")
    if legacy:
        calls = [(answer.tool_calls[0].id, legacy["name"], json.loads(legacy["arguments"]))]
    assert [(call.id, call.name, json.loads(call.arguments)) for call in answer.tool_calls] == calls
    finish = "tool_calls" if finish == "function_call" else finish
    assert (answer.id, answer.model, answer.created) == (said["id"], said["model"], said["created"])
    assert (answer.finish.value, answer.usage) == (finish, read_usage(said["usage"]))
    assert answer.usage is not None


def test_there_are_recorded_answers() -> None:
    assert len(CHATS) >= 14
    assert len(FAILURES) >= 8


@pytest.mark.parametrize("stem", FAILURES)
def test_recorded_failures_are_no_answers(stem: str) -> None:
    with pytest.raises(TollwayError):
        read_answer(RECORDED[stem]["body"].encode())


def answer_of(message: Any, finish: Any = "stop", **choice: Any) -> chat.Answer:
    body = {"id": "chatcmpl-1", "choices": [{"message": message, "finish_reason": finish} | choice]}
    return read_answer(json.dumps(body).encode(), 5)


@pytest.mark.parametrize(
    ("message", "blocks"),
    [
        ({"content": "x", "reasoning_content": "hm"}, (chat.Thinking("hm"), chat.Text("x"))),
        ({"content": "x", "reasoning_content": "hm", "reasoning": "hm"}, (chat.Thinking("hm"), chat.Text("x"))),
        ({"content": "x", "reasoning": "hm"}, (chat.Thinking("hm"), chat.Text("x"))),
        ({"content": "x", "reasoning": {"summary": [{"text": "hm"}]}}, (chat.Thinking("hm"), chat.Text("x"))),
        ({"content": "<think>a</think>b"}, (chat.Text("<think>a</think>b"),)),
        (
            {
                "content": [
                    {"type": "thinking", "thinking": [{"type": "text", "text": "h"}, {"type": "text", "text": "m"}]},
                    {"type": "text", "text": "x"},
                    {"type": "reference", "reference_ids": [1]},
                    {"type": "text", "text": "y"},
                ]
            },
            (chat.Thinking("hm"), chat.Text("x"), chat.Text("y")),
        ),
        ({"content": None, "refusal": "no"}, (chat.Refusal("no"),)),
        ({"content": ""}, (chat.Text(""),)),
        ({"content": 7}, ()),
        (
            {"tool_calls": [{"id": "", "function": {"name": "f", "arguments": {"x": 1}}}]},
            (chat.ToolCall("call_chatcmpl-1_0", "f", '{"x":1}'),),
        ),
        (
            {
                "tool_calls": [
                    {"id": "c", "function": {"name": "f"}},
                    "junk",
                    {"function": {"name": "g", "arguments": ""}},
                ]
            },
            (chat.ToolCall("c", "f", "{}"), chat.ToolCall("call_chatcmpl-1_1", "g", "{}")),
        ),
        ({"function_call": {"name": "f", "arguments": "{}"}}, (chat.ToolCall("call_chatcmpl-1_0", "f", "{}"),)),
        (None, ()),
    ],
)
def test_shapes_of_messages(message: Any, blocks: Any) -> None:
    assert answer_of(message).blocks == blocks


CALL = {"tool_calls": [{"id": "c", "function": {"name": "f", "arguments": "{}"}}]}


@pytest.mark.parametrize(
    ("finish", "message", "meant"),
    [
        ("stop", CALL, "tool_calls"),
        (None, CALL, "tool_calls"),
        ("length", CALL, "length"),
        ("content_filter", CALL, "content_filter"),
        ("function_call", {}, "tool_calls"),
        ("model_length", {}, "length"),
        ("MAX_TOKENS", {}, "length"),
        ("content_filter: SAFETY", {}, "content_filter"),
        ("eos_token", {}, "stop"),
        (7, {}, "stop"),
    ],
)
def test_why_it_stopped(finish: Any, message: Any, meant: str) -> None:
    assert answer_of(message, finish).finish.value == meant


def test_the_stop_sequence_where_it_is_told() -> None:
    assert answer_of({"content": "x"}, stop_reason="END").stop_sequence == "END"
    assert answer_of({"content": "x"}, stop_reason=151645).stop_sequence is None
    assert answer_of({"content": "x"}).created == 5


def test_only_the_first_choice_counts() -> None:
    choices = [{"message": {"content": text}, "finish_reason": "stop"} for text in "ab"]
    assert read_answer(json.dumps({"choices": choices}).encode()).text == "a"
    assert read_answer(b'{"choices":[]}').blocks == ()


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({"error": {"message": "boom"}}, {"message": "boom"}),
        ({"error": "boom"}, "boom"),
        ({"object": "error", "message": "boom"}, {"object": "error", "message": "boom"}),
        ({"choices": [{"error": {"code": 502}, "finish_reason": "error"}]}, {"code": 502}),
    ],
)
def test_errors_with_status_200(body: Any, error: Any) -> None:
    with pytest.raises(ErrorEvent) as caught:
        read_answer(json.dumps(body).encode())
    assert caught.value.error == error


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"7", b"{}", b'{"choices":null}', b'{"choices":[7]}'])
def test_garbage(body: bytes) -> None:
    with pytest.raises(TollwayError, match="not what its API promises"):
        read_answer(body)


NAMES = ["id", "choices", "message", "content", "type", "text", "thinking", "tool_calls", "function", "name"]
NAMES += ["arguments", "error", "finish_reason", "usage", "reasoning", "prompt_tokens"]
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3) | st.sampled_from(["text", "thinking", "stop"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=4),
    max_leaves=12,
)


@given(values, st.dictionaries(st.sampled_from(NAMES), values))
def test_no_answer_makes_it_raise_anything_else(message: Any, fields: Any) -> None:
    with contextlib.suppress(TollwayError):
        read_answer(json.dumps({"choices": [{"message": message}]} | fields).encode())


@pytest.mark.parametrize("depth", [5, 300, 5000])
@pytest.mark.parametrize("place", ["content", "reasoning", "error", "tool_calls"])
def test_nesting(depth: int, place: str) -> None:
    nested = "[" * depth + "]" * depth
    with contextlib.suppress(TollwayError):
        assert read_answer(b'{"choices":[{"message":{"%b":%b}}]}' % (place.encode(), nested.encode())).text is None
    call = f'{{"id":"c","function":{{"name":"f","arguments":{nested}}}}}'
    with contextlib.suppress(TollwayError):
        read_answer(f'{{"choices":[{{"message":{{"tool_calls":[{call}]}}}}]}}'.encode())
