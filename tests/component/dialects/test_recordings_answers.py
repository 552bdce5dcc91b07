"""Every recorded answer, told to a client of every dialect: nothing is lost, added, merged or renamed.

What a client must be told is worked out from the recording alone. One request of the client is one upstream request,
and the ledger holds the usage that the provider told.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import replace as changed
from pathlib import Path

import pytest
import pytest_asyncio

from tollway.testkit.client_views import (
    CHAT,
    COMPLETIONS,
    MESSAGES,
    PATHS,
    RESPONSES,
    Told,
    counts_of,
    request,
    told,
)
from tollway.testkit.messages_grammar import check_events
from tollway.testkit.recorded_truth import Truth, data_of, is_answer, truth_of, whole_of
from tollway.testkit.replay import Exchange, recorded, replay
from tollway.testkit.replay_gateway import ReplayGateway, Reply
from tollway.testkit.servers import ValkeyServer

pytestmark = pytest.mark.asyncio(loop_scope="module")

FOLDER = Path(__file__).parents[2] / "fixtures" / "providers"
ANSWERS = {exchange.name: exchange for exchange in recorded(FOLDER) if is_answer(exchange)}
STREAMS = [name for name, exchange in ANSWERS.items() if exchange.stream]
# A provider that serves the client's own call is asked for that, so recorded chats are answered by its neighbour.
TARGETS = {
    (COMPLETIONS, "huggingface"): "openai",
    (RESPONSES, "openai"): "compatible",
}
TRUNCATED = "anthropic-h1"
"""Made by hand: a tool's input whose beginning is missing. No stream of the provider breaks its grammar so."""


def target_of(path: str, exchange: Exchange) -> str:
    return TARGETS.get((path, exchange.provider), exchange.provider)


def passes(path: str, exchange: Exchange) -> bool:
    """Whether client and provider speak the same dialect."""
    return path == (MESSAGES if exchange.provider == "anthropic" else CHAT)


def cases(names: list[str]) -> list[tuple[str, str]]:
    """Recordings with the dialects that have a place for them: legacy completions know text alone."""
    found = [(path, name) for name in names for path in PATHS]
    return [(path, name) for path, name in found if path != COMPLETIONS or not truth_of(ANSWERS[name]).calls]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(tmp_path_factory: pytest.TempPathFactory, valkey: ValkeyServer) -> AsyncIterator[ReplayGateway]:
    async with ReplayGateway(tmp_path_factory.mktemp("recordings") / "data", valkey.url) as found:
        yield found


async def ask(gateway: ReplayGateway, path: str, exchange: Exchange, size: int | None = None) -> Reply:
    body = request(path, target_of(path, exchange), stream=exchange.stream)
    reply = await gateway.ask(path, body, replay(exchange, size=size))
    assert reply.status == 200, reply.body
    return reply


def check(path: str, truth: Truth, found: Told) -> None:
    """What the client of `path` was told is what the provider said, in that dialect's words."""
    assert found.text == truth.text
    assert found.model == truth.model
    assert truth.id in found.id or path == RESPONSES
    assert found.refusal == truth.refusal
    finish = truth.finish
    if path == COMPLETIONS:
        finish = "stop" if finish == "tool_calls" else finish
        assert (found.calls, found.thoughts) == ([], [])
    else:
        calls = [
            call if call.id else changed(call, id=made.id) for call, made in zip(truth.calls, found.calls, strict=True)
        ]
        assert found.calls == calls
        assert all(call.id for call in found.calls)
        assert found.reasoning == truth.reasoning
    if path == RESPONSES and not truth.calls:  # a response is complete or not; calls speak for themselves
        finish = "stop" if finish == "tool_calls" else finish
    assert found.finish == finish
    if path == MESSAGES:
        assert found.thoughts == truth.thoughts
        assert found.sealed == truth.sealed
        assert found.stop_sequence == truth.stop_sequence
    if path == RESPONSES:  # opaque reasoning travels sealed in items of its own
        assert len([sealed for _, sealed in found.thoughts if sealed]) == len(truth.thoughts) + len(truth.sealed)
    wanted = counts_of(truth)
    assert found.counts == ((0, 0, 0, 0, 0) if wanted is None and path == MESSAGES else wanted)


@pytest.mark.parametrize(("path", "name"), cases(list(ANSWERS)))
async def test_a_client_is_told_what_the_provider_said(gateway: ReplayGateway, path: str, name: str) -> None:
    exchange = ANSWERS[name]
    truth = truth_of(exchange)
    reply = await ask(gateway, path, exchange)
    if passes(path, exchange):
        assert reply.body == exchange.body
    else:
        check(path, truth, told(path, reply.body, stream=exchange.stream))
        if path == MESSAGES and exchange.stream:
            check_events(reply.body)
    assert reply.told is (truth.usage is not None)
    if truth.usage is not None:
        assert reply.usage == truth.usage


@pytest.mark.parametrize("size", [1, 13])
@pytest.mark.parametrize("path", PATHS)
async def test_the_pieces_in_which_a_stream_comes_change_nothing(gateway: ReplayGateway, path: str, size: int) -> None:
    for name in ("anthropic-27", "anthropic-25", "openai-15", "openai-23"):
        if (path, name) in cases(STREAMS):
            whole, pieces = [await ask(gateway, path, ANSWERS[name], pace) for pace in (None, size)]
            if passes(path, ANSWERS[name]):
                assert whole.body == pieces.body
            stripped = [told(path, reply.body, stream=True) for reply in (whole, pieces)]
            if path == RESPONSES:
                for found in stripped:  # the gateway's own id
                    found.id = ""
            assert stripped[0] == stripped[1]
            assert whole.usage == pieces.usage


@pytest.mark.parametrize(("path", "name"), [case for case in cases(STREAMS) if case[1] != TRUNCATED])
async def test_a_stream_amounts_to_the_same_answer_given_whole(gateway: ReplayGateway, path: str, name: str) -> None:
    streamed = ANSWERS[name]
    whole = changed(
        streamed,
        stream=False,
        headers={"content-type": "application/json"},
        body=json.dumps(whole_of(streamed)).encode(),
    )
    assert truth_of(whole) == truth_of(streamed)
    replies = [await ask(gateway, path, exchange) for exchange in (streamed, whole)]
    first = told(path, replies[0].body, stream=True)
    second = told(path, replies[1].body, stream=False)
    if path == RESPONSES:
        first.id = second.id = ""
    if passes(path, streamed) and truth_of(streamed).usage is None:
        assert (first.counts, second.counts) == (None, None)
    assert first == second
    assert replies[0].told is replies[1].told
    if replies[0].told:
        assert replies[0].usage == replies[1].usage


@pytest.mark.parametrize("name", STREAMS)
async def test_usage_that_only_the_gateway_wanted_is_not_shown(gateway: ReplayGateway, name: str) -> None:
    exchange = ANSWERS[name]
    body = request(CHAT, exchange.provider, stream=True)
    del body["stream_options"]
    reply = await gateway.ask(CHAT, body, replay(exchange))
    shown = [chunk for chunk in data_of(reply.body) if not chunk["choices"] and chunk.get("usage")]
    assert shown == []
    assert reply.told is (truth_of(exchange).usage is not None)
