"""Anthropic's Python client, synchronous and not: streams, tools, thinking, images, counting, betas, errors."""

from __future__ import annotations

import json
import time
from typing import Any

import anthropic
import pytest
from anthropic import beta_async_tool, beta_tool
from pydantic import BaseModel

from tollway.testkit.clever_gateway import CleverGateway

MODELS = ("sonnet", "gpt-4.1", "open-large")
HELLO: Any = [{"role": "user", "content": "Hello"}]
EVENTS = [
    "message_start",
    "content_block_start",
    "content_block_delta",
    "text",
    "content_block_stop",
    "message_delta",
    "message_stop",
]
GREETING = "Hello! How can I help you today?"
WEATHER: Any = {
    "name": "weather",
    "description": "The weather of a city",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
CLOCK: Any = {"name": "clock", "input_schema": {"type": "object", "properties": {}}}
TWO_CITIES: Any = [{"role": "user", "content": "What is the weather in Paris and in Berlin?"}]
PNG: Any = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "iVBORw0KGgo="}}
PDF: Any = {"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0xLjQK"}}


class City(BaseModel):
    """A city."""

    name: str
    people: int


@pytest.fixture(params=MODELS)
def model(request: pytest.FixtureRequest) -> str:
    """A model of each kind of provider."""
    name: str = request.param
    return name


def texts_of(message: Any) -> list[str]:
    """The texts of an answer."""
    return [block.text for block in message.content if block.type == "text"]


def read(message: Any) -> int:
    """Input tokens that the provider had in its cache."""
    return int(message.usage.cache_read_input_tokens or 0)


def test_the_stream_helper(anthropic_client: anthropic.Anthropic, model: str) -> None:
    asked: Any = {"model": model, "max_tokens": 100, "messages": HELLO}
    whole = anthropic_client.messages.create(**asked)
    with anthropic_client.messages.stream(**asked) as stream:
        events = list(stream)
        final = stream.get_final_message()
    kinds: list[str] = list(dict.fromkeys(event.type for event in events if event.type in EVENTS))
    assert kinds == EVENTS
    texts = [event for event in events if event.type == "text"]
    assert "".join(event.text for event in texts) == texts[-1].snapshot == GREETING
    for message in (whole, final):
        assert texts_of(message) == [GREETING]
        assert (message.stop_reason, message.role, message.type) == ("end_turn", "assistant", "message")
        assert message.id.startswith("msg_")
    assert read(whole) + whole.usage.input_tokens == read(final) + final.usage.input_tokens
    assert whole.usage.output_tokens == final.usage.output_tokens


async def test_the_asynchronous_stream_helper(async_anthropic: anthropic.AsyncAnthropic, model: str) -> None:
    async with async_anthropic.messages.stream(model=model, max_tokens=100, messages=HELLO) as stream:
        assert [text async for text in stream.text_stream if text]
        assert await stream.get_final_text() == GREETING
    raw = await async_anthropic.messages.create(model=model, max_tokens=100, messages=HELLO, stream=True)
    last = [event async for event in raw][-1]
    assert last.type == "message_stop"


def told(client: anthropic.Anthropic, streamed: bool, **asked: Any) -> Any:
    """The answer, streamed or not."""
    if not streamed:
        return client.messages.create(**asked)
    with client.messages.stream(**asked) as stream:
        inputs = [event.snapshot for event in stream if event.type == "input_json"]
        final = stream.get_final_message()
    calls = [block.input for block in final.content if block.type == "tool_use"]
    assert all(call in [*inputs, {}] for call in calls)
    return final


@pytest.mark.parametrize("streamed", [False, True])
def test_parallel_tools_and_their_results(anthropic_client: anthropic.Anthropic, model: str, streamed: bool) -> None:
    asked: Any = {"model": model, "max_tokens": 100, "tools": [WEATHER, CLOCK]}
    answer = told(anthropic_client, streamed, messages=TWO_CITIES, **asked)
    calls = [block for block in answer.content if block.type == "tool_use"]
    assert [(call.name, call.input) for call in calls] == [("weather", {"city": c}) for c in ("Paris", "Berlin")]
    assert answer.stop_reason == "tool_use"
    results: Any = [
        {"type": "tool_result", "tool_use_id": calls[0].id, "content": "sun"},
        {"type": "tool_result", "tool_use_id": calls[1].id, "content": [{"type": "text", "text": "rain"}]},
    ]
    history = [*TWO_CITIES, {"role": "assistant", "content": answer.content}, {"role": "user", "content": results}]
    last = told(anthropic_client, streamed, messages=history, **asked)
    assert last.content[0].text == "The tools say: sun; rain"


@pytest.mark.parametrize("streamed", [False, True])
def test_choices_and_empty_arguments(anthropic_client: anthropic.Anthropic, model: str, streamed: bool) -> None:
    asked: Any = {"model": model, "max_tokens": 100, "tools": [WEATHER, CLOCK]}
    one = told(
        anthropic_client,
        streamed,
        messages=TWO_CITIES,
        tool_choice={"type": "auto", "disable_parallel_tool_use": True},
        **asked,
    )
    assert [block.input for block in one.content if block.type == "tool_use"] == [{"city": "Paris"}]
    timed = told(anthropic_client, streamed, messages=HELLO, tool_choice={"type": "tool", "name": "clock"}, **asked)
    (call,) = timed.content
    assert (call.type, call.name, call.input) == ("tool_use", "clock", {})
    forced = told(anthropic_client, streamed, messages=HELLO, tool_choice={"type": "any"}, **asked)
    assert forced.stop_reason == "tool_use"
    none = told(anthropic_client, streamed, messages=TWO_CITIES, tool_choice={"type": "none"}, **asked)
    assert none.stop_reason == "end_turn"


def test_failed_tools_and_pictures_as_results(anthropic_client: anthropic.Anthropic, model: str) -> None:
    asked: Any = {"model": model, "max_tokens": 100, "tools": [CLOCK]}
    call = {"type": "tool_use", "id": "toolu_1", "name": "clock", "input": {}}
    for result in ({"content": "It broke", "is_error": True}, {"content": [PNG, {"type": "text", "text": "a"}]}, {}):
        results: Any = [{"type": "tool_result", "tool_use_id": "toolu_1", **result}]
        turns: Any = [{"role": "assistant", "content": [call]}, {"role": "user", "content": results}]
        answer = anthropic_client.messages.create(messages=[*HELLO, *turns], **asked)
        assert answer.stop_reason == "end_turn"


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("name", ["sonnet", "open-large"])
def test_thinking_and_back(anthropic_client: anthropic.Anthropic, name: str, streamed: bool) -> None:
    """The provider refuses thinking whose signature is missing or wrong."""
    asked: Any = {
        "model": name,
        "max_tokens": 4000,
        "tools": [WEATHER],
        "thinking": {"type": "enabled", "budget_tokens": 2000},
    }
    question: Any = [{"role": "user", "content": "weather in Paris"}]
    answer = told(anthropic_client, streamed, messages=question, **asked)
    assert [block.type for block in answer.content] == ["thinking", "tool_use"]
    assert answer.content[0].thinking == "The user says: weather in Paris"
    result = {"type": "tool_result", "tool_use_id": answer.content[1].id, "content": "sun"}
    history = [*question, {"role": "assistant", "content": answer.content}, {"role": "user", "content": [result]}]
    last = told(anthropic_client, streamed, messages=history, **asked)
    assert [block.text for block in last.content if block.type == "text"] == ["The tools say: sun"]


async def test_images_and_documents(async_anthropic: anthropic.AsyncAnthropic, model: str) -> None:
    linked: Any = {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}}
    content: Any = [{"type": "text", "text": "What is this?"}, PNG, linked, PDF]
    answer = await async_anthropic.messages.create(
        model=model, max_tokens=100, messages=[{"role": "user", "content": content}]
    )
    (block,) = answer.content
    assert block.type == "text"
    assert block.text == "You show me 1 document, 2 image."


def test_plain_text_documents(anthropic_client: anthropic.Anthropic, model: str) -> None:
    source: Any = {"type": "text", "media_type": "text/plain", "data": "some words"}
    content: Any = [{"type": "document", "source": source, "title": "Words"}, {"type": "text", "text": "Hello"}]
    answer = anthropic_client.messages.create(
        model=model, max_tokens=100, messages=[{"role": "user", "content": content}]
    )
    assert answer.stop_reason == "end_turn"


def test_system_stop_limit_and_cache(anthropic_client: anthropic.Anthropic, model: str) -> None:
    marked: Any = [{"type": "text", "text": "Be kind.", "cache_control": {"type": "ephemeral", "ttl": "5m"}}]
    stopped = anthropic_client.messages.create(
        model=model,
        max_tokens=100,
        messages=HELLO,
        system=marked,
        stop_sequences=["help"],
        extra_body={"temperature": 0.5},
    )
    (block,) = stopped.content
    assert block.type == "text"
    assert block.text == "Hello! How can I "
    if model == "sonnet":  # the others do not tell which one it was
        assert (stopped.stop_reason, stopped.stop_sequence) == ("stop_sequence", "help")
        assert stopped.usage.cache_creation_input_tokens
    short = anthropic_client.messages.create(model=model, max_tokens=2, messages=HELLO, system="Be brief.")
    assert short.stop_reason == "max_tokens"


def test_parse(anthropic_client: anthropic.Anthropic, model: str) -> None:
    said: Any = [{"role": "user", "content": "'Rome', 3 million people"}]
    answer = anthropic_client.messages.parse(model=model, max_tokens=100, messages=said, output_format=City)
    assert answer.parsed_output == City(name="Rome", people=3)
    with anthropic_client.messages.stream(model=model, max_tokens=100, messages=said, output_format=City) as stream:
        assert stream.get_final_message().parsed_output == City(name="Rome", people=3)


@pytest.mark.parametrize("threads", [{}, {"thread": False}], ids=["threads", "no threads"])
def test_the_tool_runner(anthropic_client: anthropic.Anthropic, model: str, threads: Any) -> None:
    """It would have the provider hold the conversation; told that nobody does, it sends the whole of it."""
    asked: list[str] = []

    @beta_tool
    def weather(city: str) -> str:
        """The weather of a city."""
        asked.append(city)
        return f"sun in {city}"

    question: Any = [{"role": "user", "content": "weather in Rome"}]
    runner = anthropic_client.beta.messages.tool_runner(
        model=model, max_tokens=200, tools=[weather], messages=question, **threads
    )
    assert texts_of(runner.until_done()) == ["The tools say: sun in Rome"]
    assert asked == ["Rome"]


async def test_the_asynchronous_tool_runner_in_streams(async_anthropic: anthropic.AsyncAnthropic, model: str) -> None:
    @beta_async_tool
    async def weather(city: str) -> str:
        """The weather of a city."""
        return f"sun in {city}"

    question: Any = [{"role": "user", "content": "weather in Rome"}]
    runner = async_anthropic.beta.messages.tool_runner(
        model=model, max_tokens=200, tools=[weather], messages=question, stream=True
    )
    answers = [await stream.get_final_message() async for stream in runner]
    assert [answer.stop_reason for answer in answers] == ["tool_use", "end_turn"]
    assert texts_of(answers[-1]) == ["The tools say: sun in Rome"]


def test_a_conversation_that_nobody_holds(anthropic_client: anthropic.Anthropic, model: str) -> None:
    """Without the earlier turns the answer would be to another question."""
    with pytest.raises(anthropic.BadRequestError, match="'thread'"):
        anthropic_client.beta.messages.create(
            model=model,
            max_tokens=100,
            messages=HELLO,
            thread={"type": "continue", "previous_message_id": "msg_1"},
        )


def test_a_system_message_between_turns(anthropic_client: anthropic.Anthropic, model: str) -> None:
    turns: Any = [*HELLO, {"role": "system", "content": "Be brief."}, {"role": "user", "content": "hey"}]
    answer = anthropic_client.messages.create(model=model, max_tokens=100, messages=turns)
    assert texts_of(answer) == [GREETING]


async def test_counting(async_anthropic: anthropic.AsyncAnthropic, model: str) -> None:
    asked: Any = {"model": model, "messages": TWO_CITIES, "tools": [WEATHER], "system": "Be kind."}
    counted = await async_anthropic.messages.count_tokens(**asked)
    answer = await async_anthropic.messages.create(max_tokens=100, **asked)
    assert 0.5 < counted.input_tokens / answer.usage.input_tokens < 2


def test_models(anthropic_client: anthropic.Anthropic) -> None:
    names = [found.id for found in anthropic_client.models.list(limit=2)]
    assert {*MODELS, "sim"} <= set(names)
    found = anthropic_client.models.retrieve("sonnet")
    assert (found.id, found.type) == ("sonnet", "model")


def test_betas_and_versions(anthropic_client: anthropic.Anthropic, gateway: CleverGateway) -> None:
    answer = anthropic_client.beta.messages.create(
        model="sonnet", max_tokens=100, messages=HELLO, betas=["context-1m-2025-08-07", "other-2025-01-01"]
    )
    assert answer.stop_reason == "end_turn"
    headers = gateway.upstream.requests[-1].headers
    assert headers["anthropic-beta"].replace(" ", "") == "context-1m-2025-08-07,other-2025-01-01"
    assert headers["anthropic-version"] == anthropic_client.default_headers["anthropic-version"]
    assert headers["x-api-key"] == "sk-upstream-canary"
    other = anthropic_client.beta.messages.create(
        model="gpt-4.1", max_tokens=100, messages=HELLO, betas=["context-1m-2025-08-07"]
    )
    assert other.stop_reason == "end_turn"


def test_raw_responses(gateway: CleverGateway, model: str) -> None:
    with anthropic.Anthropic(base_url=gateway.origin, auth_token=gateway.key, api_key=None, max_retries=0) as client:
        raw = client.messages.with_raw_response.create(model=model, max_tokens=100, messages=HELLO)
    assert raw.headers["x-tollway-model"] == model
    message = raw.parse()
    assert message._request_id == raw.headers["request-id"] == raw.headers["x-request-id"]


def test_errors(gateway: CleverGateway, anthropic_client: anthropic.Anthropic) -> None:
    asked: Any = {"max_tokens": 100, "messages": HELLO}
    nobody: Any = [{"role": "nobody", "content": "a"}]
    with pytest.raises(anthropic.AuthenticationError) as wrong_key:
        anthropic_client.with_options(api_key="sk-wrong").messages.create(model="sim", **asked)
    body: Any = wrong_key.value.body
    assert (body["type"], body["error"]["type"]) == ("error", "authentication_error")
    assert body["request_id"] == wrong_key.value.response.headers["x-request-id"]
    with pytest.raises(anthropic.NotFoundError):
        anthropic_client.messages.create(model="none", **asked)
    with pytest.raises(anthropic.BadRequestError):
        anthropic_client.messages.create(model="sim", max_tokens=100, messages=nobody)
    for fault, kind in (("500", anthropic.InternalServerError), ("429", anthropic.RateLimitError)):
        gateway.simulator.behave("sim-gpt", fault=fault)
        with pytest.raises(kind):
            anthropic_client.messages.create(model="sim", **asked)
    time.sleep(1.1)  # for so long the provider asked to be left alone


def test_an_error_names_its_request(anthropic_client: anthropic.Anthropic) -> None:
    with pytest.raises(anthropic.NotFoundError) as missing:
        anthropic_client.messages.create(model="none", max_tokens=100, messages=HELLO)
    assert missing.value.request_id == missing.value.response.headers["x-request-id"]


def test_a_count_names_its_request(anthropic_client: anthropic.Anthropic, model: str) -> None:
    counted = anthropic_client.messages.count_tokens(model=model, messages=HELLO)
    assert counted._request_id


@pytest.mark.parametrize("fault", ["cut", "error-event"])
@pytest.mark.parametrize("name", ["sim", "sim-claude"])
def test_an_error_in_mid_stream(
    gateway: CleverGateway, anthropic_client: anthropic.Anthropic, name: str, fault: str
) -> None:
    gateway.simulator.behave("*", fault=fault, after=2)
    stream = anthropic_client.messages.create(model=name, max_tokens=100, messages=HELLO, stream=True)
    seen: list[Any] = []
    with pytest.raises(anthropic.APIStatusError) as failed:
        seen.extend(stream)
    assert [event.type for event in seen][:2] == ["message_start", "content_block_start"]
    body: Any = failed.value.body
    body = json.loads(body) if isinstance(body, str) else body
    assert body["type"] == "error"
