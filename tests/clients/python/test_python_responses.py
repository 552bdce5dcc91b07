"""OpenAI's Python client with the responses API: streams, parsing, and what the gateway keeps of a conversation."""

from __future__ import annotations

import json
from typing import Any

import openai
import pytest
from pydantic import BaseModel

from tollway.testkit.clever_gateway import CleverGateway

TRANSLATED = ("open-large", "sonnet")
GREETING = "Hello! How can I help you today?"


class Weather(BaseModel):
    """The weather of a city."""

    city: str


WEATHER = openai.pydantic_function_tool(Weather, name="weather")
TOOL: Any = {"type": "function", **WEATHER["function"]}


@pytest.fixture(params=[*TRANSLATED, "sim"])
def model(request: pytest.FixtureRequest) -> str:
    """A model of each kind of provider; `sim` is one that serves responses itself."""
    name: str = request.param
    return name


def test_the_stream_helper(openai_client: openai.OpenAI, model: str) -> None:
    whole = openai_client.responses.create(model=model, input="Hello")
    with openai_client.responses.stream(model=model, input="Hello") as stream:
        events = list(stream)
        final = stream.get_final_response()
    kinds = [event.type for event in events]
    assert kinds[:4] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
    ]
    assert kinds[-4:] == [
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
        "response.completed",
    ]
    deltas = [event.delta for event in events if event.type == "response.output_text.delta"]
    assert "".join(deltas) == final.output_text == whole.output_text
    numbers = [event.sequence_number for event in events]
    assert numbers == sorted(set(numbers))
    assert whole.usage is not None
    assert final.usage is not None
    told = (whole.usage.input_tokens, whole.usage.output_tokens, whole.usage.total_tokens)
    assert (final.usage.input_tokens, final.usage.output_tokens, final.usage.total_tokens) == told


@pytest.mark.parametrize("model", TRANSLATED)
async def test_streamed_tools_and_parsing(async_openai: openai.AsyncOpenAI, model: str) -> None:
    asked: Any = {"model": model, "tools": [TOOL]}
    async with async_openai.responses.stream(input="weather in Paris and in Berlin", **asked) as stream:
        events = [event async for event in stream]
        final = await stream.get_final_response()
    calls = [item for item in final.output if item.type == "function_call"]
    assert [json.loads(call.arguments)["city"] for call in calls] == ["Paris", "Berlin"]
    done = [event.arguments for event in events if event.type == "response.function_call_arguments.done"]
    assert done == [call.arguments for call in calls]
    results: Any = [{"type": "function_call_output", "call_id": c.call_id, "output": "sun"} for c in calls]
    last = await async_openai.responses.create(input=results, previous_response_id=final.id, **asked)
    assert last.output_text == "The tools say: sun; sun"
    parsed = await async_openai.responses.parse(model=model, input="'Oslo'", text_format=Weather)
    assert parsed.output_parsed == Weather(city="Oslo")
    async with async_openai.responses.stream(model=model, input="'Rome'", text_format=Weather) as stream:
        streamed = await stream.get_final_response()
    assert streamed.output_parsed == Weather(city="Rome")


@pytest.mark.parametrize("streamed", [False, True])
def test_what_is_kept(openai_client: openai.OpenAI, model: str, streamed: bool) -> None:
    if streamed:
        with openai_client.responses.stream(model=model, input="Hello", metadata={"a": "b"}) as stream:
            first: Any = stream.get_final_response()
    else:
        first = openai_client.responses.create(model=model, input="Hello", metadata={"a": "b"})
    kept = openai_client.responses.retrieve(first.id)
    assert (kept.id, kept.output_text, kept.metadata) == (first.id, first.output_text, {"a": "b"})
    second = openai_client.responses.create(model=model, input="And now?", previous_response_id=first.id)
    assert second.previous_response_id == first.id
    items: Any = list(openai_client.responses.input_items.list(second.id, order="asc", limit=2))
    assert [item.type for item in items] == ["message"] * 3
    assert [item.role for item in items] == ["user", "assistant", "user"]
    assert items[1].content[0].text == first.output_text
    openai_client.responses.delete(first.id)
    for gone in (
        lambda: openai_client.responses.retrieve(first.id),
        lambda: openai_client.responses.delete(first.id),
        lambda: openai_client.responses.create(model=model, input="On", previous_response_id=first.id),
    ):
        with pytest.raises(openai.APIStatusError) as missing:
            gone()
        assert missing.value.code in ("response_not_found", "previous_response_not_found")


async def test_input_items_have_the_shape_of_items(async_openai: openai.AsyncOpenAI, model: str) -> None:
    """A text that was sent as `input` comes back as the item that it stands for."""
    answer = await async_openai.responses.create(model=model, input="Hello")
    (item,) = [item async for item in async_openai.responses.input_items.list(answer.id)]
    shown: Any = item.model_dump(exclude_none=True)
    assert shown["content"] == [{"type": "input_text", "text": "Hello"}]


async def test_what_is_not_kept(async_openai: openai.AsyncOpenAI, model: str) -> None:
    answer = await async_openai.responses.create(model=model, input="Hello", store=False)
    assert answer.model_dump().get("store") in (False, None)
    with pytest.raises(openai.NotFoundError):
        await async_openai.responses.retrieve(answer.id)
    history: Any = [{"role": "user", "content": "Hello"}, *answer.output, {"role": "user", "content": "hey"}]
    again = await async_openai.responses.create(model=model, input=history, store=False)
    assert again.output_text


def test_another_project_cannot_see_it(gateway: CleverGateway, openai_client: openai.OpenAI) -> None:
    answer = openai_client.responses.create(model="sonnet", input="Hello")
    with pytest.raises(openai.NotFoundError):
        openai_client.with_options(api_key=gateway.other_key).responses.retrieve(answer.id)


@pytest.mark.parametrize("streamed", [False, True])
def test_reasoning_goes_back_to_who_thought(openai_client: openai.OpenAI, streamed: bool) -> None:
    """The provider refuses thinking whose signature is missing or wrong, with tools in hand."""
    asked: Any = {
        "model": "sonnet",
        "tools": [TOOL],
        "reasoning": {"effort": "low", "summary": "auto"},
        "include": ["reasoning.encrypted_content"],
        "store": False,
        "max_output_tokens": 4000,
    }
    history: Any = [{"role": "user", "content": "weather in Paris"}]
    if streamed:
        with openai_client.responses.stream(input=history, **asked) as stream:
            answer: Any = stream.get_final_response()
    else:
        answer = openai_client.responses.create(input=history, **asked)
    assert [item.type for item in answer.output] == ["reasoning", "function_call"]
    assert answer.output[0].summary[0].text == "The user says: weather in Paris"
    assert answer.output[0].encrypted_content
    call = answer.output[1]
    history += [item.model_dump(exclude_none=True) for item in answer.output]
    history.append({"type": "function_call_output", "call_id": call.call_id, "output": "sun"})
    last = openai_client.responses.create(input=history, **asked)
    assert last.output_text == "The tools say: sun"


def test_raw_responses_and_errors(openai_client: openai.OpenAI, gateway: CleverGateway, model: str) -> None:
    raw = openai_client.responses.with_raw_response.create(model=model, input="Hello")
    assert raw.headers["x-tollway-model"] == model
    assert raw.request_id == raw.headers["x-request-id"] == raw.parse()._request_id
    with pytest.raises(openai.BadRequestError) as wrong:
        openai_client.responses.create(model=model, input=7)  # type: ignore[call-overload]
    assert (wrong.value.code, wrong.value.param) == ("invalid_request", "input")
    with pytest.raises(openai.NotFoundError) as missing:
        openai_client.responses.create(model="none", input="Hello")
    assert missing.value.code == "model_not_found"


def test_a_limit_makes_it_incomplete(openai_client: openai.OpenAI, model: str) -> None:
    answer = openai_client.responses.create(model=model, input="Hello", max_output_tokens=16)
    if answer.status == "incomplete":
        assert answer.incomplete_details is not None
        assert answer.incomplete_details.reason == "max_output_tokens"
    else:
        assert answer.output_text
    if model in TRANSLATED:
        short = openai_client.responses.create(model=model, input="x" * 100, max_output_tokens=16)
        assert (short.status, len(short.output_text)) == ("incomplete", 64)


async def test_images_and_files(async_openai: openai.AsyncOpenAI) -> None:
    parts: Any = [
        {"type": "input_text", "text": "What is this?"},
        {"type": "input_image", "image_url": "data:image/png;base64,iVBORw0KGgo=", "detail": "auto"},
        {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERi0xLjQK"},
    ]
    for model in TRANSLATED:
        answer = await async_openai.responses.create(model=model, input=[{"role": "user", "content": parts}])
        assert answer.output_text == "You show me 1 document, 1 image."


@pytest.mark.parametrize("path", ["/openai/v1/", "/openai/"])
def test_azure_paths(gateway: CleverGateway, path: str) -> None:
    with openai.OpenAI(base_url=gateway.origin + path, api_key=gateway.key, max_retries=0) as client:
        assert client.responses.create(model="sonnet", input="Hello").output_text == GREETING
    with openai.AzureOpenAI(azure_endpoint=gateway.origin, api_key=gateway.key, api_version="preview") as azure:
        assert azure.responses.create(model="sonnet", input="Hello").output_text == GREETING
