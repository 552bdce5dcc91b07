"""Anthropic's thinking, signed blocks, structured output, and counting tokens beforehand."""

from __future__ import annotations

import json
from typing import Any

import anthropic
import pytest

from tollway.testkit.simulator import SimulatorServer
from tollway.testkit.stack import http

HELLO: list[Any] = [{"role": "user", "content": "Hello"}]
THINKING: Any = {"type": "enabled", "budget_tokens": 1024}
TOOLS: list[Any] = [
    {"name": "get_weather", "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}}},
    {"name": "clock", "input_schema": {"type": "object", "properties": {}}},
]
CALL: list[Any] = [{"role": "user", "content": "call get_weather and call clock"}]


def test_who_enables_thinking_sees_it_signed(claude: anthropic.Anthropic) -> None:
    request: dict[str, Any] = {"model": "sim-fast", "max_tokens": 2048, "messages": HELLO}
    assert [block.type for block in claude.messages.create(**request).content] == ["text"]
    whole = claude.messages.create(**request, thinking=THINKING)
    thought: Any = whole.content[0]
    assert [block.type for block in whole.content] == ["thinking", "text"]
    assert (len(thought.thinking), whole.usage.output_tokens) == (16 * 4, 16 + 7)
    with claude.messages.stream(**request, thinking=THINKING) as stream:
        streamed = stream.get_final_message()
    assert streamed.content[0].to_dict() == thought.to_dict()
    more: Any = claude.messages.create(**{**request, "model": "sim-fast/reasoning=3"}, thinking=THINKING).content[0]
    assert len(more.thinking) == 12
    assert more.signature not in ("", thought.signature)


def test_a_block_is_taken_back_with_its_signature_alone(claude: anthropic.Anthropic) -> None:
    request: dict[str, Any] = {"model": "sim-fast", "max_tokens": 2048, "thinking": THINKING, "tools": TOOLS}
    first = claude.messages.create(**request, messages=CALL)
    assert [block.type for block in first.content] == ["thinking", "text", "tool_use", "tool_use"]
    calls: list[Any] = [block for block in first.content if block.type == "tool_use"]
    assert [call.input for call in calls] == [{"city": "sample"}, {}]
    results = [{"type": "tool_result", "tool_use_id": call.id, "content": "12"} for call in calls]
    turns: list[Any] = [*CALL, {"role": "assistant", "content": first.content}, {"role": "user", "content": results}]
    assert claude.messages.create(**request, messages=turns).stop_reason == "end_turn"
    bare = [{"type": "thinking", "thinking": "Hm", "signature": ""}, {"type": "text", "text": "x"}]
    turns[1] = {"role": "assistant", "content": bare}
    with pytest.raises(anthropic.BadRequestError, match=r"messages\.1\.content\.0\.thinking\.signature"):
        claude.messages.create(**request, messages=turns)


def test_thinking_can_be_left_out_of_sight(simulator: SimulatorServer) -> None:
    body = {"model": "m", "max_tokens": 2048, "messages": HELLO, "thinking": {**THINKING, "display": "omitted"}}
    version = {"anthropic-version": "2023-06-01"}
    whole = http("POST", f"{simulator.origin}/v1/messages", body=body, headers=version)[2]
    thought = whole["content"][0]
    assert thought["thinking"] == ""
    text = http("POST", f"{simulator.origin}/v1/messages", body={**body, "stream": True}, headers=version)[2]
    events = [json.loads(line[6:]) for line in text.splitlines() if line.startswith("data: ")]
    deltas = [event["delta"] for event in events if event["type"] == "content_block_delta" and not event["index"]]
    assert deltas == [{"type": "signature_delta", "signature": thought["signature"]}]
    assert events[-2]["usage"]["output_tokens"] == whole["usage"]["output_tokens"] == 23
    assert [record["delivered_tokens"] for record in simulator.requests()] == [7, 7]


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"thinking": {"type": "enabled"}}, "budget_tokens"),
        ({"thinking": {"type": "enabled", "budget_tokens": 1023}}, "greater than or equal to 1024"),
        ({"thinking": {"type": "enabled", "budget_tokens": 4096}}, "must be greater than"),
        ({"thinking": {"type": "often"}}, "thinking.type"),
        ({"thinking": THINKING, "tools": TOOLS, "tool_choice": {"type": "any"}}, "forces tool use"),
    ],
)
def test_thinking_that_cannot_be_is_refused(claude: anthropic.Anthropic, fields: dict[str, Any], says: str) -> None:
    with pytest.raises(anthropic.BadRequestError, match=says):
        claude.messages.create(model="m", max_tokens=2048, messages=HELLO, **fields)


def test_writes_to_the_cache_are_of_the_asked_time(claude: anthropic.Anthropic) -> None:
    for ttl, wanted in (("5m", (3, 0)), ("1h", (0, 3))):
        part: Any = {"type": "text", "text": "A long prompt", "cache_control": {"type": "ephemeral", "ttl": ttl}}
        message: Any = {"role": "user", "content": [part]}
        usage = claude.messages.create(model="m/cache_write=3", max_tokens=50, messages=[message]).usage
        assert usage.cache_creation is not None
        written = usage.cache_creation
        assert (written.ephemeral_5m_input_tokens, written.ephemeral_1h_input_tokens) == wanted


def test_structured_output_follows_its_schema(claude: anthropic.Anthropic) -> None:
    schema: dict[str, object] = {
        "type": "object",
        "properties": {"name": {"type": "string"}, "age": {"type": "integer"}},
    }
    answer: Any = claude.messages.create(
        model="m",
        max_tokens=50,
        messages=HELLO,
        output_config={"format": {"type": "json_schema", "schema": schema}},
    )
    assert json.loads(answer.content[0].text) == {"name": "sample", "age": 1}


def test_counting_tokens_is_counted_and_can_fail(claude: anthropic.Anthropic, simulator: SimulatorServer) -> None:
    system: Any = [{"type": "text", "text": "You are kind."}]
    answer = claude.messages.create(model="m", max_tokens=10, messages=CALL, tools=TOOLS, system=system)
    found = claude.messages.count_tokens(model="m", messages=CALL, tools=TOOLS, system=system)
    assert found.input_tokens == answer.usage.input_tokens
    with pytest.raises(anthropic.RateLimitError):
        claude.messages.count_tokens(model="m/fault=429", messages=HELLO)
    with pytest.raises(anthropic.BadRequestError, match="at least one message"):
        claude.messages.count_tokens(model="m", messages=[])
    counts = simulator.settled(4)["by_endpoint"]["/v1/messages/count_tokens"]
    assert (counts["received"], counts["completed"], counts["failed"]) == (3, 1, 2)
    assert counts["prompt_tokens"] == found.input_tokens
