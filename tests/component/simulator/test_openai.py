"""OpenAI's, Azure's and Hugging Face's dialects, through the official client."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import openai
import pytest
from pydantic import BaseModel

from tollway.testkit.simulator import SimulatorServer
from tollway.testkit.stack import http

HELLO: list[Any] = [{"role": "user", "content": "Hello"}]
FUNCTION: dict[str, Any] = {
    "name": "get_weather",
    "parameters": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
TOOLS: list[Any] = [{"type": "function", "function": FUNCTION}]
WITH_USAGE: Any = {"include_usage": True}
CALL: list[Any] = [{"role": "user", "content": 'call get_weather {"city":"Paris"} and call get_weather'}]


def text_of(chunks: list[Any]) -> str:
    return "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)


def test_an_answer_and_its_usage(client: openai.OpenAI, simulator: SimulatorServer) -> None:
    answer = client.chat.completions.create(model="sim-fast", messages=HELLO)
    assert answer.choices[0].message.content == "Simulated answer to: Hello"
    assert answer.choices[0].finish_reason == "stop"
    assert answer.usage is not None
    # One message is 4 tokens and "Hello" is 2; the answer's 26 characters are 7.
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens, answer.usage.total_tokens) == (6, 7, 13)
    counts = simulator.settled(1)
    assert (counts["completed"], counts["prompt_tokens"], counts["completion_tokens"]) == (1, 6, 7)
    assert counts["by_model"]["sim-fast"]["received"] == counts["by_endpoint"]["/v1/chat/completions"]["received"] == 1


async def test_a_stream_says_what_the_whole_answer_says(aclient: openai.AsyncOpenAI) -> None:
    model = "sim-fast/tokens=40,cached=2,reasoning=5"
    whole = await aclient.chat.completions.create(model=model, messages=HELLO, max_tokens=30)
    stream = await aclient.chat.completions.create(
        model=model, messages=HELLO, max_tokens=30, stream=True, stream_options=WITH_USAGE
    )
    chunks = [chunk async for chunk in stream]
    assert text_of(chunks) == whole.choices[0].message.content
    assert chunks[-1].usage == whole.usage
    assert [chunk.usage for chunk in chunks[:-1]] == [None] * (len(chunks) - 1)
    assert chunks[-2].choices[0].finish_reason == whole.choices[0].finish_reason == "length"
    assert whole.usage is not None
    assert whole.usage.prompt_tokens_details is not None
    assert whole.usage.completion_tokens_details is not None
    assert whole.usage.prompt_tokens_details.cached_tokens == 2
    assert whole.usage.completion_tokens_details.reasoning_tokens == 5
    assert whole.usage.completion_tokens == 30


def test_usage_comes_only_to_those_who_ask(client: openai.OpenAI) -> None:
    chunks = list(client.chat.completions.create(model="sim-fast", messages=HELLO, stream=True))
    assert [chunk.usage for chunk in chunks] == [None] * len(chunks)
    assert all(chunk.choices for chunk in chunks)


def test_tool_calls_streamed_and_not(client: openai.OpenAI) -> None:
    whole = client.chat.completions.create(model="sim-fast", messages=CALL, tools=TOOLS)
    calls: Any = whole.choices[0].message.tool_calls
    assert [json.loads(call.function.arguments) for call in calls] == [{"city": "Paris"}, {"city": "sample"}]
    assert (whole.choices[0].finish_reason, whole.choices[0].message.content) == ("tool_calls", None)
    with client.chat.completions.stream(model="sim-fast", messages=CALL, tools=TOOLS) as stream:
        found: Any = stream.get_final_completion().choices[0]
    assert [c.function.arguments for c in found.message.tool_calls] == [c.function.arguments for c in calls]
    assert len({call.id for call in found.message.tool_calls}) == 2
    assert found.finish_reason == "tool_calls"


def test_after_the_tools_result_comes_text(client: openai.OpenAI) -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "get_weather", "arguments": "{}"}}
    messages = [
        *CALL,
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": "Sunny"},
    ]
    answer = client.chat.completions.create(model="sim-fast", messages=messages, tools=TOOLS)
    assert answer.choices[0].finish_reason == "stop"
    assert answer.choices[0].message.tool_calls is None


def test_several_choices_stop_sequences_and_forced_tools(client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(model="sim-fast", messages=HELLO, n=3, stop=[" to:"])
    assert [c.message.content for c in answer.choices] == [
        "Simulated answer",
        "Simulated answer 2",
        "Simulated answer 3",
    ]
    chunks = list(client.chat.completions.create(model="sim-fast", messages=HELLO, n=3, stop=[" to:"], stream=True))
    for index, choice in enumerate(answer.choices):
        mine = [c.choices[0] for c in chunks if c.choices[0].index == index]
        assert "".join(c.delta.content or "" for c in mine) == choice.message.content
        assert mine[-1].finish_reason == "stop"
    forced = client.chat.completions.create(model="sim-fast", messages=HELLO, tools=TOOLS, tool_choice="required")
    assert forced.choices[0].finish_reason == "tool_calls"


def test_answers_fit_the_official_description(
    simulator: SimulatorServer, breaks: Callable[[str, Any], list[str]]
) -> None:
    for messages in (HELLO, CALL):
        body: dict[str, Any] = {"model": "sim-fast/reasoning=2", "messages": messages, "tools": TOOLS}
        _status, _headers, whole = http("POST", f"{simulator.openai_url}/chat/completions", body=body)
        assert breaks("CreateChatCompletionResponse", whole) == []
        body |= {"stream": True, "stream_options": WITH_USAGE}
        _status, _headers, text = http("POST", f"{simulator.openai_url}/chat/completions", body=body)
        events = [json.loads(line[6:]) for line in text.splitlines() if line.startswith("data: {")]
        assert len(events) > 3
        assert [found for event in events for found in breaks("CreateChatCompletionStreamResponse", event)] == []


def test_structured_output_follows_its_schema(client: openai.OpenAI) -> None:
    class Person(BaseModel):
        name: str
        age: int
        tags: list[str]

    found = client.chat.completions.parse(model="sim-fast", messages=HELLO, response_format=Person)
    assert found.choices[0].message.parsed == Person(name="sample", age=1, tags=["sample"])
    plain = client.chat.completions.create(model="sim-fast", messages=HELLO, response_format={"type": "json_object"})
    assert plain.choices[0].message.content == "{}"


def test_azure_filters_what_it_says(azure: openai.AzureOpenAI, simulator: SimulatorServer) -> None:
    chunks = list(azure.chat.completions.create(model="sim-fast", messages=HELLO, stream=True))
    first: Any = chunks[0]
    assert (first.id, first.model, first.object, first.choices) == ("", "", "", [])
    assert first.prompt_filter_results[0]["content_filter_results"]["hate"]["filtered"] is False
    assert text_of(chunks) == "Simulated answer to: Hello"
    answer: Any = azure.chat.completions.create(model="sim-fast/fault=filter", messages=HELLO)
    assert answer.choices[0].finish_reason == "content_filter"
    assert answer.choices[0].content_filter_results["violence"]["filtered"] is True
    assert simulator.settled(2)["by_endpoint"]["/openai/deployments/chat/completions"]["completed"] == 2


def test_azure_knows_its_api_versions(simulator: SimulatorServer) -> None:
    path = f"{simulator.azure_url}/openai/deployments/gpt/chat/completions"
    body = {"messages": HELLO, "stream": True, "stream_options": WITH_USAGE}
    assert http("POST", path, body=body)[0] == 404
    status, _headers, found = http("POST", f"{path}?api-version=2024-06-01", body=body)
    assert (status, found["error"]["message"]) == (400, "Unrecognized request argument supplied: stream_options")
    assert http("POST", f"{path}?api-version=2024-10-21", body=body)[0] == 200
    assert http("POST", f"{simulator.azure_url}/openai/v1/chat/completions", body={**body, "model": "gpt"})[0] == 200


def test_hugging_face_shows_reasoning_and_cached_tokens_at_the_top(huggingface: openai.OpenAI) -> None:
    raw = huggingface.chat.completions.with_raw_response.create(model="org/m/reasoning=2,cached=3", messages=HELLO)
    answer: Any = raw.parse()
    assert raw.headers["retry-after"] == "30"
    assert answer.usage.cached_tokens == 3
    assert len(answer.choices[0].message.reasoning_content) == 8


def test_models_are_listed_in_both_shapes(client: openai.OpenAI, simulator: SimulatorServer) -> None:
    assert {"sim-fast", "sim-small", "sim-large"} <= {model.id for model in client.models.list()}
    assert client.models.retrieve("sim/any").id == "sim/any"
    version = {"anthropic-version": "2023-06-01"}
    _status, _headers, found = http("GET", f"{simulator.openai_url}/models", headers=version)
    assert found["data"][0]["type"] == "model"


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"messages": []}, "empty array"),
        ({"model": ""}, "must provide a model"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"n": 0}, "'n'"),
        ({"messages": "Hello"}, "Invalid request"),
        ({"model": "sim-fast/fault=melt"}, "unknown fault"),
        ({"model": "m" * 301}, "more than 300 characters"),
        ({"model": "sim-fast/tokens=150000", "n": 2}, "more than 200000 tokens"),
        ({"model": "sim-fast/tokens=100000,rate=1"}, "more than 600 s"),
    ],
)
def test_what_is_wrong_is_refused(client: openai.OpenAI, fields: dict[str, Any], says: str) -> None:
    with pytest.raises(openai.BadRequestError, match=says):
        client.post("/chat/completions", body={"model": "m", "messages": HELLO, **fields}, cast_to=object)


def test_bodies_and_paths_that_are_wrong_are_refused(simulator: SimulatorServer) -> None:
    url = f"{simulator.openai_url}/chat/completions"
    assert http("POST", url, body=b"{")[0] == 400
    assert http("POST", url, body=b"\xff")[0] == 400
    assert http("POST", url, body=b"x" * (65 << 20))[0] == 413
    assert http("GET", url)[0] == 404
    assert http("POST", f"{simulator.openai_url}/assistants", body={})[2]["error"]["code"] == "unknown_url"
    assert simulator.counts()["received"] == 2


def test_a_key_can_be_wrong(simulator: SimulatorServer) -> None:
    url = f"{simulator.openai_url}/chat/completions"
    status, _headers, found = http("POST", url, token="sk-invalid-1", body={"model": "m", "messages": HELLO})
    assert (status, found["error"]["code"]) == (401, "invalid_api_key")
