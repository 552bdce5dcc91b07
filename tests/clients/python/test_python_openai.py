"""OpenAI's Python client in chat, synchronous and not: stream helper, parsers, raw responses, Azure, errors."""

from __future__ import annotations

import json
import time
from enum import Enum
from typing import Any

import openai
import pytest
from pydantic import BaseModel, Field

from tollway.testkit.clever_gateway import CleverGateway

CHATS = ("gpt-4.1", "open-large", "sonnet", "3-7-sonnet")
HELLO: Any = [{"role": "user", "content": "Hello"}]
GREETING = "Hello! How can I help you today?"
TWO_CITIES: Any = [{"role": "user", "content": "What is the weather in Paris and in Berlin?"}]
PIXEL = "data:image/png;base64,iVBORw0KGgo="
PDF = "data:application/pdf;base64,JVBERi0xLjQK"


class Weather(BaseModel):
    """The weather of a city."""

    city: str


class Colour(Enum):
    """Two of them."""

    RED = "red"
    BLUE = "blue"


class Part(BaseModel):
    """A part of something."""

    name: str
    size: int = Field(ge=1, le=50)


class Thing(BaseModel):
    """Something with parts."""

    title: str
    colour: Colour
    parts: list[Part]
    weight: float | None


WEATHER = openai.pydantic_function_tool(Weather, name="weather")


@pytest.fixture(params=CHATS)
def model(request: pytest.FixtureRequest) -> str:
    """A model of each kind of provider."""
    name: str = request.param
    return name


def test_the_stream_helper(openai_client: openai.OpenAI, model: str) -> None:
    whole = openai_client.chat.completions.create(model=model, messages=HELLO)
    with openai_client.chat.completions.stream(
        model=model, messages=HELLO, stream_options={"include_usage": True}
    ) as stream:
        events = list(stream)
        final = stream.get_final_completion()
    kinds = [event.type for event in events if event.type != "chunk"]
    assert kinds[-1] == "content.done"
    assert kinds.count("content.delta") > 2
    deltas = [event.delta for event in events if event.type == "content.delta"]
    assert "".join(deltas) == final.choices[0].message.content == whole.choices[0].message.content == GREETING
    assert final.choices[0].finish_reason == whole.choices[0].finish_reason == "stop"
    assert whole.usage is not None
    assert final.usage is not None
    told = (whole.usage.prompt_tokens, whole.usage.completion_tokens)
    assert (final.usage.prompt_tokens, final.usage.completion_tokens) == told


async def test_the_asynchronous_stream_helper(async_openai: openai.AsyncOpenAI, model: str) -> None:
    async with async_openai.chat.completions.stream(model=model, messages=HELLO) as stream:
        snapshots = [event.snapshot async for event in stream if event.type == "content.delta"]
        final = await stream.get_final_completion()
    assert snapshots[-1] == GREETING
    assert final.usage is None


def test_streamed_tools_with_their_events(openai_client: openai.OpenAI, model: str) -> None:
    with openai_client.chat.completions.stream(model=model, messages=TWO_CITIES, tools=[WEATHER]) as stream:
        events = list(stream)
        final = stream.get_final_completion()
    done = [event for event in events if event.type == "tool_calls.function.arguments.done"]
    assert [event.parsed_arguments for event in done] == [Weather(city="Paris"), Weather(city="Berlin")]
    assert [event.index for event in done] == [0, 1]
    deltas = [event for event in events if event.type == "tool_calls.function.arguments.delta"]
    for event in done:
        assert "".join(d.arguments_delta for d in deltas if d.index == event.index) == event.arguments
    calls = final.choices[0].message.tool_calls
    assert calls is not None
    assert len({call.id for call in calls}) == 2
    assert final.choices[0].finish_reason == "tool_calls"


async def test_parallel_tools_and_their_results(async_openai: openai.AsyncOpenAI, model: str) -> None:
    asked: Any = {"model": model, "tools": [WEATHER]}
    answer = await async_openai.chat.completions.create(messages=TWO_CITIES, **asked)
    message = answer.choices[0].message
    assert message.tool_calls is not None
    assert [json.loads(call.function.arguments)["city"] for call in message.tool_calls] == ["Paris", "Berlin"]
    results: Any = [
        {"role": "tool", "tool_call_id": call.id, "content": f"sun {number}"}
        for number, call in enumerate(message.tool_calls)
    ]
    last = await async_openai.chat.completions.create(messages=[*TWO_CITIES, message, *results], **asked)
    assert last.choices[0].message.content == "The tools say: sun 0; sun 1"


@pytest.mark.parametrize("streamed", [False, True])
def test_one_tool_at_a_time_and_no_arguments(openai_client: openai.OpenAI, model: str, streamed: bool) -> None:
    clock: Any = {"type": "function", "function": {"name": "clock"}}
    asked: Any = {"model": model, "tools": [WEATHER, clock], "parallel_tool_calls": False}
    if streamed:
        with openai_client.chat.completions.stream(messages=TWO_CITIES, **asked) as stream:
            one: Any = stream.get_final_completion()
    else:
        one = openai_client.chat.completions.create(messages=TWO_CITIES, **asked)
    assert len(one.choices[0].message.tool_calls) == 1
    named: Any = {"type": "function", "function": {"name": "clock"}}
    if streamed:
        with openai_client.chat.completions.stream(messages=HELLO, tool_choice=named, **asked) as stream:
            timed: Any = stream.get_final_completion()
    else:
        timed = openai_client.chat.completions.create(messages=HELLO, tool_choice=named, **asked)
    (call,) = timed.choices[0].message.tool_calls
    assert (call.function.name, json.loads(call.function.arguments)) == ("clock", {})


def test_parse(openai_client: openai.OpenAI, model: str) -> None:
    said: Any = [{"role": "user", "content": "A 'kite', blue, 2 parts: 'sail' of 12, 'tail' of 3, 'end' 4, weight 7"}]
    answer = openai_client.chat.completions.parse(model=model, messages=said, response_format=Thing)
    parsed = answer.choices[0].message.parsed
    assert parsed is not None
    assert (parsed.title, parsed.colour) == ("kite", Colour.BLUE)
    assert [part.name for part in parsed.parts] == ["sail", "tail"]
    tools = openai_client.chat.completions.parse(
        model=model, messages=[{"role": "user", "content": "weather in Rome"}], tools=[WEATHER]
    )
    calls = tools.choices[0].message.tool_calls
    assert calls is not None
    assert calls[0].function.parsed_arguments == Weather(city="Rome")


async def test_parse_of_a_stream(async_openai: openai.AsyncOpenAI, model: str) -> None:
    said: Any = [{"role": "user", "content": "'Oslo'"}]
    async with async_openai.chat.completions.stream(model=model, messages=said, response_format=Weather) as stream:
        done = [event async for event in stream if event.type == "content.done"]
        final = await stream.get_final_completion()
    assert [event.parsed for event in done] == [Weather(city="Oslo")]
    assert final.choices[0].message.parsed == Weather(city="Oslo")


def test_stop_and_limit(openai_client: openai.OpenAI, model: str) -> None:
    stopped = openai_client.chat.completions.create(model=model, messages=HELLO, stop=["help"])
    assert (stopped.choices[0].message.content, stopped.choices[0].finish_reason) == ("Hello! How can I ", "stop")
    short = openai_client.chat.completions.create(model=model, messages=HELLO, max_completion_tokens=2)
    assert (short.choices[0].message.content, short.choices[0].finish_reason) == ("Hello! H", "length")
    with pytest.raises(openai.LengthFinishReasonError):
        openai_client.chat.completions.parse(
            model=model, messages=HELLO, max_completion_tokens=2, response_format=Weather
        )


def test_images_and_files(openai_client: openai.OpenAI, gateway: CleverGateway, model: str) -> None:
    parts: Any = [
        {"type": "text", "text": "What is this?"},
        {"type": "image_url", "image_url": {"url": PIXEL, "detail": "low"}},
        {"type": "file", "file": {"filename": "a.pdf", "file_data": PDF}},
    ]
    answer = openai_client.chat.completions.create(model=model, messages=[{"role": "user", "content": parts}])
    assert answer.choices[0].message.content == "You show me 1 document, 1 image."


def test_sound_and_reasoning(openai_client: openai.OpenAI) -> None:
    sound: Any = [{"type": "input_audio", "input_audio": {"data": "UklGRg==", "format": "wav"}}]
    heard = openai_client.chat.completions.create(model="gpt-4.1", messages=[{"role": "user", "content": sound}])
    assert heard.choices[0].message.content == "You show me 1 sound."
    with pytest.raises(openai.BadRequestError) as refused:
        openai_client.chat.completions.create(model="sonnet", messages=[{"role": "user", "content": sound}])
    assert refused.value.code == "unsupported_parameter"
    assert refused.value.param == "messages[0].content[0]"
    for model in ("open-large", "sonnet"):
        answer = openai_client.chat.completions.create(model=model, messages=HELLO, reasoning_effort="low")
        assert getattr(answer.choices[0].message, "reasoning_content", None) == "The user says: Hello"


def test_raw_responses(openai_client: openai.OpenAI, gateway: CleverGateway, model: str) -> None:
    raw = openai_client.chat.completions.with_raw_response.create(
        model=model, messages=HELLO, extra_headers={"x-request-id": "my-request"}
    )
    assert raw.headers["x-request-id"] == raw.request_id == "my-request"
    assert raw.headers["x-tollway-model"] == model
    assert raw.headers["x-tollway-attempts"] == "1"
    answer = raw.parse()
    assert answer.choices[0].message.content == GREETING
    assert answer._request_id == "my-request"
    with openai_client.chat.completions.with_streaming_response.create(
        model=model, messages=HELLO, stream=True
    ) as response:
        assert response.headers["content-type"].startswith("text/event-stream")
        assert response.headers["x-tollway-model"] == model
        chunks = list(response.parse())
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == GREETING


def test_what_is_dropped_is_named(openai_client: openai.OpenAI) -> None:
    raw = openai_client.chat.completions.with_raw_response.create(model="sonnet", messages=HELLO, seed=1)
    assert raw.headers["x-tollway-dropped"] == "seed"
    with pytest.raises(openai.BadRequestError) as refused:
        openai_client.chat.completions.create(model="sonnet", messages=HELLO, n=2)
    assert (refused.value.code, refused.value.param) == ("unsupported_parameter", "n")


@pytest.mark.parametrize("name", ["sim-azure", "gpt-4.1", "sonnet"])
def test_azure(gateway: CleverGateway, name: str) -> None:
    with openai.AzureOpenAI(
        azure_endpoint=gateway.origin,
        azure_deployment=name,
        api_key=gateway.key,
        api_version="2024-10-21",
        max_retries=0,
    ) as client:
        raw = client.chat.completions.with_raw_response.create(model="anything", messages=HELLO)
        assert raw.headers["x-tollway-model"] == name
        text = raw.parse().choices[0].message.content
        with client.chat.completions.stream(model="anything", messages=HELLO) as stream:
            assert stream.get_final_completion().choices[0].message.content == text


async def test_azure_without_a_deployment_in_the_client(gateway: CleverGateway, model: str) -> None:
    async with openai.AsyncAzureOpenAI(
        azure_endpoint=gateway.origin, azure_ad_token=gateway.key, api_version="2024-10-21", max_retries=0
    ) as client:
        answer = await client.chat.completions.create(model=model, messages=HELLO)
        assert answer.choices[0].message.content == GREETING
        with pytest.raises(openai.NotFoundError) as missing:
            await client.chat.completions.create(model="no-such", messages=HELLO)
    assert missing.value.code == "model_not_found"


def test_errors(gateway: CleverGateway, openai_client: openai.OpenAI) -> None:
    create = openai_client.chat.completions.create
    wrong_type: Any = "no list"
    with pytest.raises(openai.AuthenticationError) as wrong_key:
        openai_client.with_options(api_key="sk-wrong").chat.completions.create(model="sim", messages=HELLO)
    assert (wrong_key.value.code, wrong_key.value.status_code) == ("invalid_api_key", 401)
    assert wrong_key.value.request_id
    with pytest.raises(openai.BadRequestError) as wrong:
        create(model="sim", messages=wrong_type)
    assert (wrong.value.code, wrong.value.param) == ("invalid_request", "messages")
    for fault, kind in (("500", openai.InternalServerError), ("429", openai.RateLimitError)):
        gateway.simulator.behave("sim-gpt", fault=fault)
        with pytest.raises(kind) as failed:
            create(model="sim", messages=HELLO)
        assert failed.value.response.headers["x-tollway-attempts"] == "1"
    time.sleep(1.1)  # for so long the provider asked to be left alone


@pytest.mark.parametrize("fault", ["cut", "error-event"])
def test_an_error_in_mid_stream(gateway: CleverGateway, openai_client: openai.OpenAI, fault: str) -> None:
    gateway.simulator.behave("sim-gpt", fault=fault, after=2)
    stream = openai_client.chat.completions.create(model="sim", messages=HELLO, stream=True)
    seen: list[Any] = []
    with pytest.raises(openai.APIError) as failed:
        seen.extend(stream)
    assert seen
    assert failed.value.code in ("provider_unavailable", "provider_error")


def test_models(openai_client: openai.OpenAI) -> None:
    names = [model.id for model in openai_client.models.list()]
    assert {"gpt-4.1", "sonnet", "sim"} <= set(names)
    assert openai_client.models.retrieve("sonnet").id == "sonnet"
