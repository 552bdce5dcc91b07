"""Every client dialect at every kind of provider, with the official clients: one request is one upstream request.

What the client is told, what the ledger holds and what the simulator served are the same, streamed and not.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import anthropic
import openai
import pytest

from tollway.testkit.lone_dataplane import LoneDataPlane
from tollway.testkit.simulator import SimulatorServer

WEATHER = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
ANSWER = "Simulated answer to: hi"


@pytest.fixture
def booked(gateway: LoneDataPlane, simulator: SimulatorServer) -> Callable[[int, int], Any]:
    """Asserts one upstream request and one row with these tokens."""

    async def check(input_tokens: int, output_tokens: int) -> None:
        counts = simulator.settled(1)
        (row,) = await gateway.wait_rows(1)
        (attempt,) = row.attempts
        assert counts["received"] == 1
        assert (attempt.usage.input, attempt.usage.output) == (input_tokens, output_tokens)
        assert (attempt.outcome, attempt.estimated) == ("ok", False)
        (served,) = simulator.requests()
        assert (served["prompt_tokens"], served["completion_tokens"]) == (input_tokens, output_tokens)

    return check


async def test_chat(openai_client: openai.AsyncOpenAI, model: str, booked: Any) -> None:
    answer = await openai_client.chat.completions.create(model=model, messages=[{"role": "user", "content": "hi"}])
    assert answer.choices[0].message.content == ANSWER
    assert answer.usage is not None
    await booked(answer.usage.prompt_tokens, answer.usage.completion_tokens)


async def test_chat_streamed(openai_client: openai.AsyncOpenAI, model: str, booked: Any) -> None:
    async with openai_client.chat.completions.stream(
        model=model, messages=[{"role": "user", "content": "hi"}], stream_options={"include_usage": True}
    ) as stream:
        answer = await stream.get_final_completion()
    assert answer.choices[0].message.content == ANSWER
    assert answer.usage is not None
    await booked(answer.usage.prompt_tokens, answer.usage.completion_tokens)


async def test_completions(openai_client: openai.AsyncOpenAI, model: str, booked: Any) -> None:
    answer = await openai_client.completions.create(model=model, prompt="hi")
    assert answer.choices[0].text == ANSWER
    assert answer.usage is not None
    await booked(answer.usage.prompt_tokens, answer.usage.completion_tokens)


async def test_completions_streamed(openai_client: openai.AsyncOpenAI, model: str, booked: Any) -> None:
    stream = await openai_client.completions.create(
        model=model, prompt="hi", stream=True, stream_options={"include_usage": True}
    )
    chunks = [chunk async for chunk in stream]
    assert "".join(choice.text for chunk in chunks for choice in chunk.choices) == ANSWER
    usage = chunks[-1].usage
    assert usage is not None
    await booked(usage.prompt_tokens, usage.completion_tokens)


async def test_responses(openai_client: openai.AsyncOpenAI, model: str, booked: Any) -> None:
    answer = await openai_client.responses.create(model=model, input="hi")
    assert answer.output_text == ANSWER
    assert answer.id.startswith("resp_")
    assert answer.usage is not None
    await booked(answer.usage.input_tokens, answer.usage.output_tokens)


async def test_responses_streamed(openai_client: openai.AsyncOpenAI, model: str, booked: Any) -> None:
    async with openai_client.responses.stream(model=model, input="hi") as stream:
        answer = await stream.get_final_response()
    assert answer.output_text == ANSWER
    assert answer.usage is not None
    await booked(answer.usage.input_tokens, answer.usage.output_tokens)


async def test_messages(anthropic_client: anthropic.AsyncAnthropic, model: str, booked: Any) -> None:
    answer = await anthropic_client.messages.create(
        model=model, max_tokens=50, messages=[{"role": "user", "content": "hi"}]
    )
    (block,) = answer.content
    assert block.type == "text"
    assert (block.text, answer.stop_reason) == (ANSWER, "end_turn")
    await booked(answer.usage.input_tokens, answer.usage.output_tokens)


async def test_messages_streamed(anthropic_client: anthropic.AsyncAnthropic, model: str, booked: Any) -> None:
    async with anthropic_client.messages.stream(
        model=model, max_tokens=50, messages=[{"role": "user", "content": "hi"}]
    ) as stream:
        answer = await stream.get_final_message()
    (block,) = answer.content
    assert block.type == "text"
    assert (block.text, answer.stop_reason) == (ANSWER, "end_turn")
    await booked(answer.usage.input_tokens, answer.usage.output_tokens)


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_tool_round_trip_in_chat(openai_client: openai.AsyncOpenAI, model: str, streamed: bool) -> None:
    tools: Any = [{"type": "function", "function": {"name": "weather", "parameters": WEATHER}}]
    messages: Any = [{"role": "user", "content": "weather in Paris?"}]
    asked: Any = {"model": model, "tools": tools, "tool_choice": "required"}
    if streamed:
        async with openai_client.chat.completions.stream(messages=messages, **asked) as stream:
            answer: Any = await stream.get_final_completion()
    else:
        answer = await openai_client.chat.completions.create(messages=messages, **asked)
    message = answer.choices[0].message
    (call,) = message.tool_calls
    assert (call.function.name, answer.choices[0].finish_reason) == ("weather", "tool_calls")
    assert isinstance(json.loads(call.function.arguments), dict)
    messages += [
        {
            "role": "assistant",
            "content": message.content,
            "tool_calls": [call.model_dump(exclude={"parsed_arguments"})],
        },
        {"role": "tool", "tool_call_id": call.id, "content": "sunny"},
    ]
    last = await openai_client.chat.completions.create(model=model, messages=messages, tools=tools, tool_choice="none")
    assert last.choices[0].finish_reason == "stop"


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_tool_round_trip_in_messages(
    anthropic_client: anthropic.AsyncAnthropic, model: str, streamed: bool
) -> None:
    tools: Any = [{"name": "weather", "input_schema": WEATHER}]
    messages: Any = [{"role": "user", "content": "weather in Paris?"}]
    asked: Any = {"model": model, "max_tokens": 100, "tools": tools, "tool_choice": {"type": "any"}}
    if streamed:
        async with anthropic_client.messages.stream(messages=messages, **asked) as stream:
            answer: Any = await stream.get_final_message()
    else:
        answer = await anthropic_client.messages.create(messages=messages, **asked)
    (call,) = [block for block in answer.content if block.type == "tool_use"]
    assert (call.name, answer.stop_reason) == ("weather", "tool_use")
    messages += [
        {"role": "assistant", "content": [block.model_dump(exclude_none=True) for block in answer.content]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": call.id, "content": "sunny"}]},
    ]
    asked["tool_choice"] = {"type": "none"}
    last = await anthropic_client.messages.create(messages=messages, **asked)
    assert last.stop_reason == "end_turn"


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_tool_round_trip_in_responses(openai_client: openai.AsyncOpenAI, model: str, streamed: bool) -> None:
    tools: Any = [{"type": "function", "name": "weather", "parameters": WEATHER, "strict": False}]
    asked: Any = {"model": model, "tools": tools}
    if streamed:
        async with openai_client.responses.stream(input="weather?", tool_choice="required", **asked) as stream:
            answer: Any = await stream.get_final_response()
    else:
        answer = await openai_client.responses.create(input="weather?", tool_choice="required", **asked)
    (call,) = [item for item in answer.output if item.type == "function_call"]
    assert call.name == "weather"
    result: Any = [{"type": "function_call_output", "call_id": call.call_id, "output": "sunny"}]
    last = await openai_client.responses.create(
        input=result, previous_response_id=answer.id, tool_choice="none", **asked
    )
    assert (last.status, last.previous_response_id) == ("completed", answer.id)
    assert last.output_text
