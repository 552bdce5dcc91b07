"""Every answer, chunk and event that clients get for the recorded exchanges, held against the official descriptions.

OpenAI's dialects against the schemas of its API description, Anthropic's against the types of its own client and the
grammar of its streams. What passes through may break the description where the real service does, translations may not.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from anthropic.types import Message, RawMessageStreamEvent
from anthropic.types.beta import BetaMessage, BetaRawMessageStreamEvent
from pydantic import TypeAdapter

from tollway.testkit.client_views import CHAT, COMPLETIONS, MESSAGES, PATHS, RESPONSES, request
from tollway.testkit.messages_grammar import check_events
from tollway.testkit.openai_schemas import Description
from tollway.testkit.recorded_truth import data_of, is_answer, truth_of
from tollway.testkit.replay import Exchange, recorded, replay
from tollway.testkit.replay_gateway import ReplayGateway
from tollway.testkit.servers import ValkeyServer

pytestmark = pytest.mark.asyncio(loop_scope="module")

FIXTURES = Path(__file__).parents[2] / "fixtures"
ANSWERS = {exchange.name: exchange for exchange in recorded(FIXTURES / "providers") if is_answer(exchange)}
OPENAI = Description(FIXTURES / "openai")
WHOLE = {CHAT: "CreateChatCompletionResponse", COMPLETIONS: "CreateCompletionResponse", RESPONSES: "Response"}
CHUNK = {CHAT: "CreateChatCompletionStreamResponse", COMPLETIONS: "CreateCompletionResponse"}
TARGETS = {(COMPLETIONS, "huggingface"): "openai", (RESPONSES, "openai"): "compatible"}
EVENT: TypeAdapter[Any] = TypeAdapter(RawMessageStreamEvent)
BETA_EVENT: TypeAdapter[Any] = TypeAdapter(BetaRawMessageStreamEvent)
TRUNCATED = "anthropic-h1"
"""Made by hand: its bytes, passed on, break the grammar as they did before."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(tmp_path_factory: pytest.TempPathFactory, valkey: ValkeyServer) -> AsyncIterator[ReplayGateway]:
    async with ReplayGateway(tmp_path_factory.mktemp("schemas") / "data", valkey.url) as found:
        yield found


def cases(*paths: str, stream: bool) -> list[tuple[str, str]]:
    found = [(path, name) for name, exchange in ANSWERS.items() if exchange.stream is stream for path in paths]
    return [(path, name) for path, name in found if path != COMPLETIONS or not truth_of(ANSWERS[name]).calls]


def passes(path: str, exchange: Exchange) -> bool:
    """Whether client and provider speak the same dialect."""
    return path == (MESSAGES if exchange.provider == "anthropic" else CHAT)


async def answer(gateway: ReplayGateway, path: str, exchange: Exchange) -> bytes:
    target = TARGETS.get((path, exchange.provider), exchange.provider)
    reply = await gateway.ask(path, request(path, target, stream=exchange.stream), replay(exchange))
    assert reply.status == 200, reply.body
    return reply.body


@pytest.mark.parametrize(("path", "name"), cases(CHAT, COMPLETIONS, RESPONSES, stream=False))
async def test_a_whole_answer(gateway: ReplayGateway, path: str, name: str) -> None:
    exchange = ANSWERS[name]
    found = json.loads(await answer(gateway, path, exchange))
    if passes(path, exchange):
        assert OPENAI.hard_breaks(WHOLE[path], found) == []
    else:
        assert OPENAI.breaks(WHOLE[path], found) == []


@pytest.mark.parametrize(("path", "name"), cases(CHAT, COMPLETIONS, stream=True))
async def test_every_chunk_of_a_stream(gateway: ReplayGateway, path: str, name: str) -> None:
    exchange = ANSWERS[name]
    chunks = data_of(await answer(gateway, path, exchange))
    if exchange.provider == "azure" and passes(path, exchange):
        first = chunks.pop(0)  # Azure's own, which breaks every description: it tells of the prompt's filters alone
        assert (first["object"], first["choices"]) == ("", [])
        assert first["prompt_filter_results"]
    # The description has no chunk of legacy completions: whole answers have no null in these places.
    strict = path == CHAT and not passes(path, exchange)
    check = OPENAI.breaks if strict else OPENAI.hard_breaks
    broken = {found for chunk in chunks for found in check(CHUNK[path], chunk)}
    assert broken == set()


@pytest.mark.parametrize(("path", "name"), cases(RESPONSES, stream=True))
async def test_every_event_of_a_response(gateway: ReplayGateway, path: str, name: str) -> None:
    events = data_of(await answer(gateway, path, ANSWERS[name]))
    broken = {found for event in events for found in OPENAI.event_breaks(event)}
    assert broken == set()


@pytest.mark.parametrize(("path", "name"), cases(MESSAGES, stream=False))
async def test_a_whole_message(gateway: ReplayGateway, path: str, name: str) -> None:
    exchange = ANSWERS[name]
    body = await answer(gateway, path, exchange)
    (BetaMessage if passes(path, exchange) else Message).model_validate_json(body)


@pytest.mark.parametrize(("path", "name"), cases(MESSAGES, stream=True))
async def test_every_event_of_a_message(gateway: ReplayGateway, path: str, name: str) -> None:
    exchange = ANSWERS[name]
    body = await answer(gateway, path, exchange)
    events = data_of(body)
    for event in events:
        if event["type"] != "ping":
            (BETA_EVENT if passes(path, exchange) else EVENT).validate_python(event)
    if name != TRUNCATED:
        check_events(body)


async def test_the_description_refuses_what_is_wrong() -> None:
    """The checks themselves: each of these would be a break."""
    good = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "m"}
    choice = {"index": 0, "delta": {"content": "a"}, "finish_reason": None}
    name = CHUNK[CHAT]
    assert OPENAI.breaks(name, {**good, "choices": [choice]}) == []
    assert OPENAI.breaks(name, {**good, "choices": [{**choice, "finish_reason": "end_turn"}]}) != []
    assert OPENAI.hard_breaks(name, {**good, "choices": [{"index": 0, "delta": {}}]}) != []
    assert OPENAI.breaks(name, {**good, "created": "1", "choices": [choice]}) != []
    assert OPENAI.event_breaks({"type": "response.gone"}) != []
    delta = {"type": "response.output_text.delta", "sequence_number": 0, "delta": "a", "item_id": "i"}
    assert OPENAI.event_breaks(delta) != []
    places = {"output_index": 0, "content_index": 0, "logprobs": []}
    assert OPENAI.event_breaks(delta | places) == []
    assert set(PATHS) == {*WHOLE, MESSAGES}
