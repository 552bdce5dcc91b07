"""Long names of tools: a provider sees short ones, the client its own, whole and streamed."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tollway.testkit.codecs import codec

LONG = "mcp__a_server_with_a_long_name__a_tool_with_a_name_that_is_longer_still"
OTHER = LONG + "_2"
DONE = b"data: [DONE]\n\n"


def asked(**fields: Any) -> bytes:
    call = {"type": "tool_use", "id": "c", "name": LONG, "input": {}}
    result = {"type": "tool_result", "tool_use_id": "c", "content": "done"}
    messages = [
        {"role": "user", "content": "q"},
        {"role": "assistant", "content": [call]},
        {"role": "user", "content": [result]},
    ]
    tools = [{"name": name, "input_schema": {"type": "object"}} for name in (LONG, OTHER, "short")]
    return json.dumps({"model": "m", "max_tokens": 9, "messages": messages, "tools": tools, **fields}).encode()


def test_a_provider_sees_short_names() -> None:
    choice = {"type": "tool", "name": OTHER}
    made = codec("openai", path="/v1/messages", body=asked(tool_choice=choice)).payload()
    sent = json.loads(made.body)
    first, second, third = (tool["function"]["name"] for tool in sent["tools"])
    assert (len(first), len(second), third) == (64, 64, "short")
    assert first != second
    assert sent["tool_choice"]["function"]["name"] == second
    assert sent["messages"][1]["tool_calls"][0]["function"]["name"] == first


def test_a_service_without_a_limit_sees_them_whole() -> None:
    sent = json.loads(codec("vllm", path="/v1/messages", body=asked()).payload().body)
    assert sent["tools"][0]["function"]["name"] == LONG


@pytest.mark.parametrize("name", [LONG, "short", "unknown"])
def test_the_client_sees_its_own(name: str) -> None:
    made = codec("openai", path="/v1/messages", body=asked(stream=True))
    sent = json.loads(made.payload().body)
    known = {
        tool["name"]: told["function"]["name"]
        for tool, told in zip(json.loads(asked())["tools"], sent["tools"], strict=True)
    }
    call = {"index": 0, "id": "c", "type": "function", "function": {"name": known.get(name, name), "arguments": "{}"}}
    whole = {
        "id": "x",
        "model": "m",
        "choices": [{"index": 0, "message": {"tool_calls": [call]}, "finish_reason": "tool_calls"}],
    }
    assert json.loads(made.finish({}, json.dumps(whole).encode()).body)["content"][0]["name"] == name
    chunk = {
        "id": "x",
        "model": "m",
        "choices": [{"index": 0, "delta": {"tool_calls": [call]}, "finish_reason": "tool_calls"}],
    }
    told = made.relay({}).feed(b"data: " + json.dumps(chunk).encode() + b"\n\n" + DONE)
    assert f'"name":"{name}"'.encode() in told
