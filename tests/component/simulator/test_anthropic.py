"""Anthropic's dialect: through the official client, and its event grammar byte by byte."""

from __future__ import annotations

import json
import re
from typing import Any

import anthropic
import pytest

from tollway.testkit.simulator import SimulatorServer
from tollway.testkit.stack import http

HELLO: list[Any] = [{"role": "user", "content": "Hello"}]
TOOLS: list[Any] = [
    {"name": "get_weather", "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}}},
    {"name": "clock", "input_schema": {"type": "object", "properties": {}}},
]
CALL: list[Any] = [{"role": "user", "content": [{"type": "text", "text": "call get_weather and call clock"}]}]
VERSION = {"anthropic-version": "2023-06-01"}

# The order that https://docs.anthropic.com/en/api/messages-streaming promises, as one letter an event.
LETTERS = {
    "message_start": "M",
    "content_block_start": "S",
    "ping": "p",
    "content_block_delta": "d",
    "content_block_stop": "E",
    "message_delta": "U",
    "message_stop": "T",
}
GRAMMAR = re.compile(r"M(S[pd]*E)*UT")


def events_of(text: str) -> list[dict[str, Any]]:
    """The events of a stream; each is an event line, a data line, a blank line."""
    found = []
    for block in text.removesuffix("\n\n").split("\n\n"):
        name, data = block.split("\n")
        found.append(json.loads(data.removeprefix("data: ")))
        assert name == f"event: {found[-1]['type']}"
    return found


def test_an_answer_and_its_usage(claude: anthropic.Anthropic, simulator: SimulatorServer) -> None:
    answer = claude.messages.create(
        model="sim-fast/cached=3,cache_write=2", max_tokens=100, system="You are kind.", messages=HELLO
    )
    (block,) = answer.content
    assert block.type == "text"
    assert block.text == "Simulated answer to: Hello"
    assert answer.stop_reason == "end_turn"
    usage = answer.usage
    # The system prompt's 13 characters are 4 tokens, the message 4 + 2; what is cached is not input.
    assert (usage.input_tokens, usage.cache_read_input_tokens, usage.cache_creation_input_tokens) == (5, 3, 2)
    assert usage.output_tokens == 7
    counts = simulator.settled(1)
    assert (counts["prompt_tokens"], counts["cached_tokens"], counts["completion_tokens"]) == (10, 3, 7)


async def test_a_stream_says_what_the_whole_answer_says(aclaude: anthropic.AsyncAnthropic) -> None:
    for fields in ({"messages": HELLO}, {"messages": CALL, "tools": TOOLS}, {"messages": HELLO, "max_tokens": 9}):
        request: dict[str, Any] = {"model": "sim-fast/reasoning=6", "max_tokens": 100, **fields}
        whole = await aclaude.messages.create(**request)
        async with aclaude.messages.stream(**request) as stream:
            streamed = await stream.get_final_message()
        for message in (whole, streamed):
            for number, block in enumerate(message.content):
                if block.type == "tool_use":
                    block.id = f"toolu_{number}"
        left, right = whole.to_dict(), streamed.to_dict()
        for name in ("content", "stop_reason", "stop_sequence", "usage"):
            assert left[name] == right[name], (name, fields)


def test_tools_are_called_after_a_sentence(claude: anthropic.Anthropic) -> None:
    answer = claude.messages.create(model="sim-fast", max_tokens=100, messages=CALL, tools=TOOLS)
    assert [block.type for block in answer.content] == ["text", "tool_use", "tool_use"]
    assert [block.input for block in answer.content if block.type == "tool_use"] == [{"city": "sample"}, {}]
    assert answer.stop_reason == "tool_use"
    result = {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": "call clock"}]}
    messages: list[Any] = [*CALL, {"role": "assistant", "content": answer.content}, result]
    after = claude.messages.create(model="sim-fast", max_tokens=100, messages=messages, tools=TOOLS)
    assert after.stop_reason == "end_turn"


@pytest.mark.parametrize(
    "fields",
    [
        {"messages": HELLO},
        {"messages": HELLO, "model": "sim-fast/tokens=0"},
        {"messages": HELLO, "model": "sim-fast/reasoning=4"},
        {"messages": HELLO, "model": "sim-fast/reasoning=40,tokens=40", "max_tokens": 10},
        {"messages": CALL, "tools": TOOLS},
        {"messages": CALL, "tools": TOOLS, "model": "sim-fast/reasoning=2,chunk=3"},
        {"messages": CALL, "tools": TOOLS, "max_tokens": 12},
        {"messages": HELLO, "tools": TOOLS, "tool_choice": {"type": "tool", "name": "clock"}},
        {"messages": HELLO, "stop_sequences": ["answer"]},
    ],
)
def test_the_event_grammar(simulator: SimulatorServer, fields: dict[str, Any]) -> None:
    body = {"model": "sim-fast", "max_tokens": 100, "stream": True, **fields}
    status, _headers, text = http("POST", f"{simulator.origin}/v1/messages", body=body, headers=VERSION)
    events = events_of(text)
    assert status == 200
    assert GRAMMAR.fullmatch("".join(LETTERS[event["type"]] for event in events))
    starts = [event for event in events if event["type"] == "content_block_start"]
    assert [event["index"] for event in starts] == list(range(len(starts)))
    fitting = {
        "text": {"text_delta"},
        "thinking": {"thinking_delta", "signature_delta"},
        "tool_use": {"input_json_delta"},
    }
    current = 0
    for event in events:
        if event["type"] == "content_block_start":
            current = event["index"]
        elif "index" in event:
            assert event["index"] == current
        if event["type"] == "content_block_delta":
            assert event["delta"]["type"] in fitting[starts[current]["content_block"]["type"]]
    ended = events[-2]
    record = simulator.requests()[-1]
    assert ended["usage"]["output_tokens"] == record["completion_tokens"] == record["delivered_tokens"]
    assert ended["usage"]["input_tokens"] == events[0]["message"]["usage"]["input_tokens"] == record["prompt_tokens"]
    assert events[0]["message"]["stop_reason"] is None
    if "stop_sequences" in fields:
        assert ended["delta"] == {"stop_reason": "stop_sequence", "stop_sequence": "answer"}


def test_a_tool_without_arguments_streams_one_empty_delta(simulator: SimulatorServer) -> None:
    body = {
        "model": "sim-fast",
        "max_tokens": 100,
        "stream": True,
        "messages": HELLO,
        "tools": TOOLS,
        "tool_choice": {"type": "tool", "name": "clock"},
    }
    events = events_of(http("POST", f"{simulator.origin}/v1/messages", body=body, headers=VERSION)[2])
    deltas = [e["delta"] for e in events if e["type"] == "content_block_delta" and e["index"] == 1]
    assert deltas == [{"type": "input_json_delta", "partial_json": ""}]


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"max_tokens": None}, "max_tokens: Field required"),
        ({"max_tokens": 0}, "greater than or equal to 1"),
        ({"messages": []}, "at least one message is required"),
        ({"messages": [{"role": "system", "content": "x"}]}, "Unexpected role"),
        ({"model": "m/fault=melt"}, "unknown fault"),
    ],
)
def test_what_is_wrong_is_refused(claude: anthropic.Anthropic, fields: dict[str, Any], says: str) -> None:
    body = {"model": "m", "max_tokens": 10, "messages": HELLO, **fields}
    with pytest.raises(anthropic.BadRequestError, match=says) as caught:
        claude.post("/v1/messages", body=body, cast_to=object)
    shown: Any = caught.value.body
    assert (shown["type"], shown["error"]["type"]) == ("error", "invalid_request_error")
    assert shown["request_id"] == caught.value.response.headers["request-id"]


def test_the_version_header_is_wanted(simulator: SimulatorServer) -> None:
    body = {"model": "m", "max_tokens": 10, "messages": HELLO}
    status, _headers, found = http("POST", f"{simulator.origin}/v1/messages", body=body)
    assert (status, found["error"]["message"]) == (400, "anthropic-version: header is required")


def test_tokens_can_be_counted_beforehand(claude: anthropic.Anthropic) -> None:
    answer = claude.messages.create(model="m", max_tokens=10, messages=CALL, tools=TOOLS)
    assert claude.messages.count_tokens(model="m", messages=CALL, tools=TOOLS).input_tokens == answer.usage.input_tokens
