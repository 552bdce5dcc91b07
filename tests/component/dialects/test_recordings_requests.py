"""Every recorded request, sent through the gateway to each kind of provider: what arrives there is what was meant.

At a provider of the client's dialect it is the same JSON. Elsewhere it keeps the rules of that dialect and holds every
text, image, tool, call and result. What cannot be said is refused, naming a field of the request.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tollway.testkit.client_views import CHAT, MESSAGES
from tollway.testkit.provider_rules import check_chat_request, check_messages_request
from tollway.testkit.replay import Exchange, recorded, replay
from tollway.testkit.replay_gateway import TARGETS, ReplayGateway, Reply
from tollway.testkit.request_contents import Contents, contents_of_chat, contents_of_messages, has_field
from tollway.testkit.servers import ValkeyServer

pytestmark = pytest.mark.asyncio(loop_scope="module")

FOLDER = Path(__file__).parents[2] / "fixtures" / "providers"
EXCHANGES = {exchange.name: exchange for exchange in recorded(FOLDER)}
BROKEN = "anthropic-39"
"""A request that is none: its only message is a string."""
ASKED = {name: exchange for name, exchange in EXCHANGES.items() if exchange.request is not None and name != BROKEN}
OURS = [name for name, exchange in ASKED.items() if exchange.provider == "anthropic"]
THEIRS = [name for name in ASKED if name not in OURS]
SHAPED = [name for name in TARGETS if name != "anthropic"]
ANSWERS = {  # what the provider says, of its dialect, whole and streamed
    ("anthropic", False): "anthropic-17",
    ("anthropic", True): "anthropic-23",
    ("openai", False): "openai-11",
    ("openai", True): "openai-23",
}
HOSTED = {"anthropic-15": "tools[0].type", "anthropic-33": "tools[0].type"}
"""Requests for tools that Anthropic runs itself, by the field that says so."""
REFUSED = {
    "openai-03": "functions",
    "openai-05": "messages[0].content[1]",  # sound
    "openai-13": "tools[0].type",  # a tool of free text
    "openai-27": "n",
}
"""Requests that Anthropic's API has no words for."""

DROPPED = {
    **{name: {"thinking"} for name in ("anthropic-05", "anthropic-07", "anthropic-21", "anthropic-27")},
    "anthropic-09": {"cache_control"},
    "anthropic-35": {"cache_control", "context_management"},
    "openai-11": {"service_tier"},
}
"""What a service of the other dialect is not told, because it has no words for it, and the client is told so.

Marks for caching on blocks are left out without a word: these services cache by themselves.
"""
REASON = ("huggingface", "vllm", "compatible")
"""Services that can be told how much to reason, so that nothing of it is dropped."""


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(tmp_path_factory: pytest.TempPathFactory, valkey: ValkeyServer) -> AsyncIterator[ReplayGateway]:
    async with ReplayGateway(tmp_path_factory.mktemp("requests") / "data", valkey.url) as found:
        yield found


def given(exchange: Exchange, target: str) -> dict[str, Any]:
    return {**exchange.request, "model": target}


async def send(gateway: ReplayGateway, exchange: Exchange, target: str) -> Reply:
    body = given(exchange, target)
    dialect = "anthropic" if target == "anthropic" else "openai"
    answer = EXCHANGES[ANSWERS[dialect, bool(body.get("stream"))]]
    path = MESSAGES if exchange.provider == "anthropic" else CHAT
    return await gateway.ask(path, body, replay(answer))


def arrived(reply: Reply, target: str) -> dict[str, Any]:
    assert reply.status == 200, reply.body
    assert reply.sent is not None
    found: dict[str, Any] = reply.sent.json
    assert found.pop("model") == TARGETS[target]
    return found


def plain(exchange: Exchange) -> dict[str, Any]:
    return {name: value for name, value in exchange.request.items() if name != "model"}


def check_dropped(reply: Reply, exchange: Exchange, target: str) -> None:
    """What is dropped is named in the client's words, and it is no more than must be."""
    expected = DROPPED.get(exchange.name, set())
    assert set(reply.dropped) == (expected - {"thinking"} if target in REASON else expected)
    assert all(has_field(exchange.request, name) for name in reply.dropped)


def check_contents(asked: Contents, sent: Contents) -> None:
    """All that was asked is in what was sent."""
    everything = "\n\n".join(sent.texts)
    position = 0
    for text in asked.texts:
        position = everything.find(text.strip(), position)
        assert position >= 0, f"lost, or out of its order: {text[:80]!r}"
    assert sent.images == asked.images
    assert sent.calls == asked.calls
    assert sent.results == asked.results
    assert sent.descriptions == asked.descriptions
    assert {name: schema["properties"] for name, schema in sent.tools.items()} == {
        name: schema.get("properties", {}) for name, schema in asked.tools.items()
    }
    assert sent.schema == asked.schema


@pytest.mark.parametrize("name", OURS)
async def test_a_messages_request_passes_to_anthropic_as_it_is(gateway: ReplayGateway, name: str) -> None:
    exchange = ASKED[name]
    reply = await send(gateway, exchange, "anthropic")
    assert arrived(reply, "anthropic") == plain(exchange)
    assert reply.dropped == []


@pytest.mark.parametrize("target", SHAPED)
@pytest.mark.parametrize("name", THEIRS)
async def test_a_chat_request_passes_to_services_of_its_dialect_as_it_is(
    gateway: ReplayGateway, name: str, target: str
) -> None:
    exchange = ASKED[name]
    reply = await send(gateway, exchange, target)
    sent, asked = arrived(reply, target), plain(exchange)
    if exchange.request.get("stream"):
        assert sent.pop("stream_options") == {"include_usage": True}
        asked.pop("stream_options", None)
    for body in (sent, asked):  # the limit has two names, and no service reads both
        limit = body.pop("max_tokens", None) or body.pop("max_completion_tokens", None)
        body["max_tokens"] = limit
    assert sent == asked
    assert reply.dropped == []


@pytest.mark.parametrize("target", SHAPED)
@pytest.mark.parametrize("name", [name for name in OURS if name not in HOSTED])
async def test_a_messages_request_becomes_a_chat(gateway: ReplayGateway, name: str, target: str) -> None:
    exchange = ASKED[name]
    reply = await send(gateway, exchange, target)
    sent, asked = arrived(reply, target), exchange.request
    if target in ("openai", "azure"):
        check_chat_request({**sent, "model": TARGETS[target]})
    check_contents(contents_of_messages(asked), contents_of_chat(sent))
    assert (sent.get("max_tokens") or sent["max_completion_tokens"]) == asked["max_tokens"]
    assert sent.get("stream", False) is asked.get("stream", False)
    assert sent.get("stop", []) == asked.get("stop_sequences", [])
    if "temperature" in asked:
        assert sent["temperature"] == asked["temperature"]
    assert ("reasoning_effort" in sent) is ("thinking" in asked and target in REASON)
    check_dropped(reply, exchange, target)


@pytest.mark.parametrize("name", [name for name in THEIRS if name not in REFUSED])
async def test_a_chat_request_becomes_a_message(gateway: ReplayGateway, name: str) -> None:
    exchange = ASKED[name]
    reply = await send(gateway, exchange, "anthropic")
    sent, asked = arrived(reply, "anthropic"), exchange.request
    check_messages_request({**sent, "model": TARGETS["anthropic"]})
    check_contents(contents_of_chat(asked), contents_of_messages(sent))
    limit = asked.get("max_tokens") or asked.get("max_completion_tokens")
    assert limit is None or sent["max_tokens"] == limit
    assert sent.get("stream", False) is asked.get("stream", False)
    assert "temperature" not in asked or sent["temperature"] == asked["temperature"]
    check_dropped(reply, exchange, "anthropic")


@pytest.mark.parametrize("target", SHAPED)
@pytest.mark.parametrize("name", HOSTED)
async def test_tools_that_only_anthropic_runs_are_refused(gateway: ReplayGateway, name: str, target: str) -> None:
    reply = await send(gateway, ASKED[name], target)
    assert (reply.status, reply.headers["x-tollway-error-code"]) == (400, "unsupported_parameter")
    assert reply.sent is None
    error = reply.json["error"]
    assert error["type"] == "invalid_request_error"
    # This dialect's errors have no place for the field, so the message must name it.
    assert has_field(ASKED[name].request, HOSTED[name])
    named = re.findall(r"'([^']+)'", error["message"])
    assert any(has_field(ASKED[name].request, path) for path in named), error["message"]


@pytest.mark.parametrize("name", REFUSED)
async def test_what_anthropic_cannot_be_told_is_refused(gateway: ReplayGateway, name: str) -> None:
    reply = await send(gateway, ASKED[name], "anthropic")
    assert (reply.status, reply.headers["x-tollway-error-code"]) == (400, "unsupported_parameter")
    assert reply.sent is None
    error = reply.json["error"]
    assert (error["code"], error["type"]) == ("unsupported_parameter", "invalid_request_error")
    assert error["param"] == REFUSED[name]
    assert has_field(ASKED[name].request, error["param"])


@pytest.mark.parametrize("target", TARGETS)
async def test_a_request_that_the_provider_would_refuse_is_refused_here(gateway: ReplayGateway, target: str) -> None:
    reply = await send(gateway, EXCHANGES[BROKEN], target)
    assert (reply.status, reply.headers["x-tollway-error-code"]) == (400, "invalid_request")
    assert reply.sent is None
    assert "messages[0]" in reply.json["error"]["message"]


@pytest.mark.parametrize("name", [name for name in OURS if name not in HOSTED])
async def test_a_conversation_at_anthropic_goes_on_at_openai_and_back(gateway: ReplayGateway, name: str) -> None:
    """The chat that a messages request became is a chat request itself: sent back to Anthropic, nothing is lost."""
    exchange = ASKED[name]
    chat = arrived(await send(gateway, exchange, "openai"), "openai")
    body = {**chat, "model": "anthropic"}
    answer = EXCHANGES[ANSWERS["anthropic", bool(chat.get("stream"))]]
    back = arrived(await gateway.ask(CHAT, body, replay(answer)), "anthropic")
    check_messages_request({**back, "model": TARGETS["anthropic"]})
    asked, found = contents_of_messages(exchange.request), contents_of_messages(back)
    check_contents(asked, found)
    assert json.dumps(found.calls) == json.dumps(asked.calls)
