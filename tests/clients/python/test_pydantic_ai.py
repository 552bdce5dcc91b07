"""pydantic-ai's agents: tools, structured output and streams, by each of its models at providers of both dialects."""

from __future__ import annotations

from collections.abc import AsyncIterator

import anthropic
import openai
import pytest
from pydantic import BaseModel
from pydantic_ai import Agent, BinaryContent, ModelRetry, NativeOutput, RunContext, ToolOutput
from pydantic_ai.messages import FunctionToolCallEvent, FunctionToolResultEvent, ModelResponse, ThinkingPart
from pydantic_ai.models import Model
from pydantic_ai.models.anthropic import AnthropicModel, AnthropicModelSettings
from pydantic_ai.models.openai import OpenAIChatModel, OpenAIResponsesModel
from pydantic_ai.profiles.anthropic import anthropic_model_profile
from pydantic_ai.providers.anthropic import AnthropicProvider
from pydantic_ai.providers.openai import OpenAIProvider

GREETING = "Hello! How can I help you today?"
PAIRS = [
    ("chat", "gpt-4.1"),
    ("chat", "open-large"),
    ("chat", "sonnet"),
    ("responses", "open-large"),
    ("responses", "sonnet"),
    ("messages", "sonnet"),
    ("messages", "gpt-4.1"),
    ("messages", "open-large"),
]


class City(BaseModel):
    """A city and how many people live there."""

    name: str
    people: int


@pytest.fixture(params=PAIRS, ids="-".join)
async def model(
    request: pytest.FixtureRequest, async_openai: openai.AsyncOpenAI, async_anthropic: anthropic.AsyncAnthropic
) -> AsyncIterator[Model]:
    """A model of pydantic-ai at a model of the gateway."""
    kind, name = request.param
    if kind == "messages":
        profile = anthropic_model_profile("claude-sonnet-4-5")
        yield AnthropicModel(name, provider=AnthropicProvider(anthropic_client=async_anthropic), profile=profile)
    elif kind == "responses":
        yield OpenAIResponsesModel(name, provider=OpenAIProvider(openai_client=async_openai))
    else:
        yield OpenAIChatModel(name, provider=OpenAIProvider(openai_client=async_openai))


async def test_text(model: Model) -> None:
    agent = Agent(model, instructions="Be kind.")
    result = await agent.run("Hello")
    assert result.output == GREETING
    assert result.usage.input_tokens > 0
    assert result.usage.output_tokens > 0
    again = await agent.run("hey", message_history=result.all_messages())
    assert again.output == GREETING


async def test_streamed_text(model: Model) -> None:
    agent = Agent(model)
    async with agent.run_stream("Hello") as result:
        pieces = [piece async for piece in result.stream_text(delta=True, debounce_by=None)]
    assert "".join(pieces) == GREETING
    assert len(pieces) > 2
    assert result.usage.output_tokens > 0


async def test_tools(model: Model) -> None:
    agent = Agent(model, deps_type=str)
    asked: list[str] = []

    @agent.tool
    async def weather(context: RunContext[str], city: str) -> str:
        """The weather of a city."""
        asked.append(city)
        return f"{context.deps} in {city}"

    @agent.tool_plain
    def clock() -> str:
        """The time of the day."""
        return "noon"

    result = await agent.run("What is the weather in Paris and in Berlin?", deps="sun")
    assert sorted(asked) == ["Berlin", "Paris"]
    assert result.output == "The tools say: sun in Paris; sun in Berlin"
    assert (await agent.run("Ask the clock", deps="rain")).output == "The tools say: noon"


async def test_streamed_tools(model: Model) -> None:
    agent = Agent(model)

    @agent.tool_plain
    def weather(city: str) -> str:
        """The weather of a city."""
        return f"sun in {city}"

    async with agent.run_stream_events("weather in Rome") as stream:
        events = [event async for event in stream]
    calls = [event.part.args_as_dict() for event in events if isinstance(event, FunctionToolCallEvent)]
    assert calls == [{"city": "Rome"}]
    assert len([event for event in events if isinstance(event, FunctionToolResultEvent)]) == 1


async def test_a_tool_that_asks_again(model: Model) -> None:
    agent = Agent(model)
    tries: list[int] = []

    @agent.tool_plain(retries=2)
    def weather(city: str) -> str:
        """The weather of a city."""
        tries.append(1)
        raise ModelRetry("Say which country.")

    result = await agent.run("weather in Rome")
    assert tries == [1]
    assert "Say which country." in result.output


@pytest.mark.parametrize("mode", [ToolOutput, NativeOutput])
async def test_structured_output(model: Model, mode: type) -> None:
    agent = Agent(model, output_type=mode(City))
    result = await agent.run("'Rome' has 3 million people")
    assert result.output == City(name="Rome", people=3)


@pytest.mark.parametrize("mode", [ToolOutput, NativeOutput])
async def test_streamed_structured_output(model: Model, mode: type) -> None:
    agent = Agent(model, output_type=mode(list[City]))
    async with agent.run_stream("'Rome' has 3 million, 'Oslo' 1") as result:
        outputs = [output async for output in result.stream_output(debounce_by=None)]
    assert outputs[-1] == [City(name="Rome", people=3), City(name="Oslo", people=1)]


async def test_tools_and_structured_output(model: Model) -> None:
    agent = Agent(model, output_type=City)

    @agent.tool_plain
    def people(name: str) -> int:
        """How many people live in a city."""
        return 7

    result = await agent.run("How many people has 'Oslo'?")
    assert result.output == City(name="Oslo", people=7)


async def test_images_and_documents(model: Model) -> None:
    agent = Agent(model)
    image = BinaryContent(b"\x89PNG\r\n\x1a\n", media_type="image/png")
    document = BinaryContent(b"%PDF-1.4\n", media_type="application/pdf")
    result = await agent.run(["What is this?", image, document])
    assert result.output == "You show me 1 document, 1 image."


@pytest.mark.parametrize("streamed", [False, True])
async def test_thinking_goes_back(async_anthropic: anthropic.AsyncAnthropic, streamed: bool) -> None:
    """The provider refuses thinking whose signature is missing or wrong."""
    model = AnthropicModel("sonnet", provider=AnthropicProvider(anthropic_client=async_anthropic))
    settings = AnthropicModelSettings(max_tokens=4000, anthropic_thinking={"type": "enabled", "budget_tokens": 2000})
    agent = Agent(model, model_settings=settings)

    @agent.tool_plain
    def weather(city: str) -> str:
        """The weather of a city."""
        return f"sun in {city}"

    if streamed:
        async with agent.run_stream("weather in Rome") as stream:
            assert await stream.get_output() == "The tools say: sun in Rome"
            messages = stream.all_messages()
    else:
        messages = (await agent.run("weather in Rome")).all_messages()
    parts = [part for message in messages if isinstance(message, ModelResponse) for part in message.parts]
    thoughts = [part for part in parts if isinstance(part, ThinkingPart)]
    assert [thought.content for thought in thoughts] == ["The user says: weather in Rome"] * 2
    assert all(thought.signature for thought in thoughts)
