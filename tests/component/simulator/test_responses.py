"""The Responses API: through the official client, and its event grammar."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import openai
import pytest
from pydantic import BaseModel

from tollway.testkit.simulator import SimulatorServer
from tollway.testkit.stack import http

TOOLS: list[Any] = [
    {
        "type": "function",
        "name": "get_weather",
        "strict": True,
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
    },
    {"type": "function", "name": "clock", "parameters": {"type": "object", "properties": {}}},
]
CALL = 'call get_weather {"city":"Paris"} and call clock'
# Which delta of which event fills which kind of item.
DELTAS = {
    "response.output_text.delta": "message",
    "response.function_call_arguments.delta": "function_call",
    "response.reasoning_summary_text.delta": "reasoning",
}


def events_of(text: str) -> list[dict[str, Any]]:
    """The events of a stream; each is an event line, a data line, a blank line."""
    found = []
    for block in text.removesuffix("\n\n").split("\n\n"):
        name, data = block.split("\n")
        found.append(json.loads(data.removeprefix("data: ")))
        assert name == f"event: {found[-1]['type']}"
    return found


def without_ids(response: Any) -> dict[str, Any]:
    """A response without what differs from one request to the next."""
    found = response.to_dict()
    for item in found["output"]:
        for name in ("id", "call_id"):
            item.pop(name, None)
        for part in item.get("content") or ():
            part.pop("parsed", None)
        item.pop("parsed_arguments", None)
    return {name: found[name] for name in ("output", "status", "usage", "incomplete_details", "tools", "error")}


def test_an_answer_and_its_usage(client: openai.OpenAI, simulator: SimulatorServer) -> None:
    answer = client.responses.create(model="sim-fast/cached=2,reasoning=3", input="Hello", instructions="Be kind.")
    assert answer.id.startswith("resp_")
    assert (answer.output_text, answer.status) == ("Simulated answer to: Hello", "completed")
    assert answer.usage is not None
    # Instructions are a message of 2 tokens, the input one of 2; each message has 4 more.
    assert (answer.usage.input_tokens, answer.usage.output_tokens, answer.usage.total_tokens) == (12, 10, 22)
    assert answer.usage.input_tokens_details.cached_tokens == 2
    assert answer.usage.output_tokens_details.reasoning_tokens == 3
    counts = simulator.settled(1)
    assert counts["by_endpoint"]["/v1/responses"]["completed"] == 1
    # Reasoning that is not summarised is told but not delivered.
    assert (counts["completion_tokens"], counts["delivered_tokens"]) == (10, 7)


@pytest.mark.parametrize(
    "fields",
    [
        {"input": "Hello"},
        {"input": [{"role": "user", "content": [{"type": "input_text", "text": "Hello"}]}], "max_output_tokens": 16},
        {"input": CALL, "tools": TOOLS, "parallel_tool_calls": True},
        {"input": "Hello", "tools": TOOLS, "tool_choice": {"type": "function", "name": "clock"}},
        {"input": "Hello", "model": "sim-fast/reasoning=4", "reasoning": {"summary": "auto", "effort": "low"}},
        {"input": "Hello", "model": "sim-fast/reasoning=4", "include": ["reasoning.encrypted_content"]},
        {"input": CALL, "tools": TOOLS, "model": "sim-fast/reasoning=2,chunk=3", "max_output_tokens": 16},
        {"input": "Hello", "model": "sim-fast/fault=filter"},
        {"input": "Hello", "model": "sim-fast/tokens=0"},
    ],
)
def test_a_stream_says_what_the_whole_answer_says(
    client: openai.OpenAI,
    simulator: SimulatorServer,
    fields: dict[str, Any],
    breaks: Callable[[str, Any], list[str]],
) -> None:
    request: dict[str, Any] = {"model": "sim-fast", "metadata": {"a": "b"}, "store": False, **fields}
    whole = client.responses.create(**request)
    with client.responses.stream(**request) as stream:
        streamed = [event for event in stream if event.type in ("response.completed", "response.incomplete")]
    (ended,) = streamed
    assert without_ids(ended.response) == without_ids(whole)
    body = {**request, "stream": True}
    events = events_of(http("POST", f"{simulator.openai_url}/responses", body=body)[2])
    plain = http("POST", f"{simulator.openai_url}/responses", body=request)[2]
    assert breaks("Response", plain) == []
    assert [e["sequence_number"] for e in events] == list(range(len(events)))
    for event in events:
        inner = event.get("response")
        assert breaks("Response", inner) == [] if inner else breaks("ResponseStreamEvent", event) == []
    assert [e["type"] for e in events[:2]] == ["response.created", "response.in_progress"]
    assert events[-1]["type"] == f"response.{whole.status}"
    record = simulator.requests()[-2]
    assert record["usage_sent"] is True
    assert record["completion_tokens"] == events[-1]["response"]["usage"]["output_tokens"]


def test_deltas_make_up_each_item_between_its_events(simulator: SimulatorServer) -> None:
    body = {
        "model": "sim-fast/reasoning=3",
        "input": f"{CALL} please",
        "tools": TOOLS,
        "stream": True,
        "reasoning": {"summary": "auto"},
    }
    events = events_of(http("POST", f"{simulator.openai_url}/responses", body=body)[2])
    items = events[-1]["response"]["output"]
    assert [item["type"] for item in items] == ["reasoning", "function_call", "function_call"]
    texts, current = ["" for _item in items], -1
    for event in events:
        if event["type"] == "response.output_item.added":
            current += 1
            assert event["output_index"] == current
            assert event["item"]["type"] == items[current]["type"]
        elif event["type"] in DELTAS:
            assert DELTAS[event["type"]] == items[current]["type"]
            assert (event["output_index"], event["item_id"]) == (current, items[current]["id"])
            texts[current] += event["delta"]
    assert texts == [items[0]["summary"][0]["text"], '{"city":"Paris"}', "{}"]


def test_after_the_tools_result_comes_text(client: openai.OpenAI) -> None:
    first = client.responses.create(model="sim-fast", input=CALL, tools=TOOLS)
    assert [item.type for item in first.output] == ["function_call", "function_call"]
    items: list[Any] = [{"role": "user", "content": CALL}, *(item.to_dict() for item in first.output)]
    for item in first.output:
        call: Any = item
        items.append({"type": "function_call_output", "call_id": call.call_id, "output": "Sunny"})
    after = client.responses.create(model="sim-fast", input=items, tools=TOOLS)
    assert [item.type for item in after.output] == ["message"]
    one = client.responses.create(model="sim-fast", input=CALL, tools=TOOLS, parallel_tool_calls=False)
    assert len(one.output) == 1


def test_structured_output_follows_its_schema(client: openai.OpenAI) -> None:
    class Person(BaseModel):
        name: str
        age: int

    assert client.responses.parse(
        model="sim-fast", input="Hello", text_format=Person
    ).output_parsed == Person(name="sample", age=1)  # fmt: skip


def test_azure_has_both_of_its_paths(azure: openai.AzureOpenAI, simulator: SimulatorServer) -> None:
    assert azure.responses.create(model="sim-fast", input="Hello").output_text == "Simulated answer to: Hello"
    body = {"model": "m", "input": "Hello"}
    assert http("POST", f"{simulator.azure_url}/openai/v1/responses", body=body)[0] == 200
    assert set(simulator.settled(2)["by_endpoint"]) == {"/openai/responses", "/openai/v1/responses"}


def test_an_error_in_mid_stream_has_its_number(simulator: SimulatorServer) -> None:
    body = {"model": "m/fault=error-event,after=2", "input": "Hello", "stream": True}
    events = events_of(http("POST", f"{simulator.openai_url}/responses", body=body)[2])
    assert (events[-1]["type"], events[-1]["code"]) == ("error", "server_error")
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert simulator.settled(1)["failed"] == 1


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"model": ""}, "must provide a model"),
        ({"input": []}, "'input'"),
        ({"input": [{"role": "wizard", "content": "x"}]}, "role"),
        ({"input": [{"type": "function_call", "name": "x", "arguments": "{}"}]}, "call_id"),
        ({"input": [{"type": 5}]}, "type"),
        ({"max_output_tokens": 15}, "max_output_tokens"),
        ({"previous_response_id": "resp_1"}, "'resp_1' not found"),
        ({"tools": [{"type": "function"}]}, "tools"),
    ],
)
def test_what_is_wrong_is_refused(client: openai.OpenAI, fields: dict[str, Any], says: str) -> None:
    with pytest.raises(openai.BadRequestError, match=says):
        client.post("/responses", body={"model": "m", "input": "Hello", **fields}, cast_to=object)
