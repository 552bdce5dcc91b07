"""Every recorded error and every stream that breaks off, as a client of each dialect is told of it.

Shape, status and code are those of the client's dialect; a stream that failed never looks like one that ended.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from tollway.testkit.client_views import CHAT, COMPLETIONS, MESSAGES, PATHS, RESPONSES, request
from tollway.testkit.messages_grammar import check_events
from tollway.testkit.openai_schemas import Description
from tollway.testkit.recorded_truth import data_of, is_answer
from tollway.testkit.replay import Exchange, recorded, replay
from tollway.testkit.replay_gateway import ReplayGateway, Reply
from tollway.testkit.servers import ValkeyServer

pytestmark = pytest.mark.asyncio(loop_scope="module")

FIXTURES = Path(__file__).parents[2] / "fixtures"
EXCHANGES = {exchange.name: exchange for exchange in recorded(FIXTURES / "providers")}
TRUNCATED = "anthropic-h1"
"""Made by hand: it breaks the grammar itself, and so do its bytes passed on."""
STREAMS = [
    name for name, exchange in EXCHANGES.items() if exchange.stream and is_answer(exchange) and name != TRUNCATED
]
OPENAI = Description(FIXTURES / "openai")
ERRORS = {
    "anthropic-39": (400, "invalid_request"),
    "anthropic-41": (502, "provider_auth_failed"),  # the gateway's key, not the client's
    "anthropic-q400len": (400, "context_length_exceeded"),
    "anthropic-q529": (502, "provider_unavailable"),
    "azure-05": (502, "provider_error"),  # the operator named a deployment that is not there
    "azure-q400cf": (400, "content_filter"),
    "azure-q429": (429, "provider_rate_limited"),
    "huggingface-q400list": (400, "invalid_request"),
    "huggingface-q503": (502, "provider_unavailable"),
    "openai-19": (502, "provider_error"),
    "openai-21": (400, "invalid_request"),
    "openai-q429": (502, "provider_error"),  # the account's quota: to try again is no use
    "openai-q500html": (502, "provider_unavailable"),
}
FINAL = {name for name, (status, _) in ERRORS.items() if status == 400} | {
    "anthropic-41",
    "azure-05",
    "openai-19",
    "openai-q429",
}
"""Errors that another attempt does not mend."""
WAITS = {"azure-q429": "22", "huggingface-q503": "20"}
"""How many seconds the provider asks to wait, in a header or in the body."""
TYPES = {
    "context_length_exceeded": ("invalid_request_error", "invalid_request_error"),
    "content_filter": ("invalid_request_error", "invalid_request_error"),
    "invalid_request": ("invalid_request_error", "invalid_request_error"),
    "provider_auth_failed": ("server_error", "api_error"),
    "provider_error": ("server_error", "api_error"),
    "provider_rate_limited": ("requests", "rate_limit_error"),
    "provider_unavailable": ("server_error", "api_error"),
}
"""What kind of error it is to clients of OpenAI's dialects and of Anthropic's."""
KEPT_TO_THE_OPERATOR = ("sk-", "quota, please", "API deployment", "gpt-5.2-proo", "x-api-key", "<html")
TRANSLATED = {(COMPLETIONS, "huggingface"): "openai", (RESPONSES, "openai"): "compatible"}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def gateway(tmp_path_factory: pytest.TempPathFactory, valkey: ValkeyServer) -> AsyncIterator[ReplayGateway]:
    async with ReplayGateway(tmp_path_factory.mktemp("errors") / "data", valkey.url) as found:
        yield found


def check_error(path: str, body: dict[str, Any], code: str) -> str:
    """The error is of the client's dialect and says what it is; returns its message."""
    openai, anthropic = TYPES[code]
    if path == MESSAGES:
        assert body["type"] == "error"
        assert set(body["error"]) == {"type", "message"}
        assert body["error"]["type"] == anthropic
    else:
        assert OPENAI.breaks("ErrorResponse", body) == []
        assert set(body["error"]) == {"message", "type", "param", "code"}
        assert (body["error"]["type"], body["error"]["code"]) == (openai, code)
    message: str = body["error"]["message"]
    assert message
    return message


async def test_every_recorded_error_is_here() -> None:
    assert set(ERRORS) == {name for name, exchange in EXCHANGES.items() if exchange.status != 200}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("name", ERRORS)
async def test_an_error_of_the_provider(gateway: ReplayGateway, name: str, path: str, stream: bool) -> None:
    exchange = EXCHANGES[name]
    status, code = ERRORS[name]
    reply = await gateway.ask(path, request(path, exchange.provider, stream=stream), replay(exchange))
    assert reply.sent is not None
    assert (reply.status, reply.headers["x-tollway-error-code"]) == (status, code)
    assert reply.headers["content-type"].startswith("application/json")
    message = check_error(path, reply.json, code)
    if path == MESSAGES:
        assert reply.json["request_id"] == reply.headers["x-request-id"]
    assert not any(secret in message for secret in KEPT_TO_THE_OPERATOR), message
    assert reply.headers.get("x-should-retry") == ("false" if name in FINAL else None)
    assert reply.headers.get("retry-after") == WAITS.get(name)
    assert reply.row is not None
    (attempt,) = reply.row.attempts
    assert (attempt.status, attempt.outcome, attempt.error_code) == (exchange.status, "error", code)
    assert (attempt.cost_nano, attempt.usage.input, attempt.usage.output) == (0, 0, 0)


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("name", [name for name, (status, _) in ERRORS.items() if status == 400])
async def test_the_clients_own_mistakes_are_told_in_the_providers_words(
    gateway: ReplayGateway, name: str, path: str
) -> None:
    exchange = EXCHANGES[name]
    told = json.loads(exchange.body)["error"]
    words = told if isinstance(told, list) else [told["message"]]
    reply = await gateway.ask(path, request(path, exchange.provider, stream=False), replay(exchange))
    assert all(word in reply.json["error"]["message"] for word in words)


def check_broken_stream(path: str, reply: Reply, code: str) -> None:
    """The stream began and ends with one error event of its dialect, and with nothing that looks like an end."""
    assert reply.status == 200
    assert b"[DONE]" not in reply.body
    events = data_of(reply.body)
    last = events[-1]
    openai, _ = TYPES[code]
    if path == MESSAGES:
        check_events(reply.body, may_fail=True)
        check_error(path, last, code)
        assert not any(event["type"] in ("message_delta", "message_stop") for event in events)
    elif path == RESPONSES:
        assert OPENAI.event_breaks(last) == []
        assert (last["type"], last["code"]) == ("error", code)
        assert [event["sequence_number"] for event in events] == list(range(len(events)))
        ends = ("response.completed", "response.incomplete", "response.failed")
        assert not any(event["type"] in ends for event in events)
    else:
        check_error(path, last, code)
        choices = [choice for event in events[:-1] for choice in event["choices"]]
        assert all(choice["finish_reason"] is None for choice in choices)
        assert last["error"]["type"] == openai
    assert reply.row is not None
    assert (reply.row.attempts[0].outcome, reply.row.attempts[0].error_code) == ("error", code)


@pytest.mark.parametrize("size", [None, 1, 64])
@pytest.mark.parametrize("path", PATHS)
async def test_an_error_event_in_mid_stream(gateway: ReplayGateway, path: str, size: int | None) -> None:
    exchange = EXCHANGES["anthropic-qmid"]
    reply = await gateway.ask(path, request(path, exchange.provider, stream=True), replay(exchange, size=size))
    assert b"Partial answer" in reply.body
    check_broken_stream(path, reply, "provider_unavailable")
    assert reply.row is not None
    assert reply.row.attempts[0].usage.input == 9  # what was told before the error is billed
    assert reply.row.attempts[0].usage.output >= 1


def before_end(exchange: Exchange) -> int:
    """An offset in the middle of the content: after more than half of it, and before the events that end it."""
    marks = [exchange.body.find(mark) for mark in (b"event: message_delta", b'"finish_reason":"', b"data: [DONE]")]
    end = min(mark for mark in marks if mark >= 0)
    return max(exchange.body.rfind(b"\n\ndata:", 0, end), exchange.body.rfind(b"\n\nevent:", 0, end)) + 2


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("name", STREAMS)
async def test_a_stream_that_breaks_off(gateway: ReplayGateway, name: str, path: str) -> None:
    exchange = EXCHANGES[name]
    target = TRANSLATED.get((path, exchange.provider), exchange.provider)
    body = request(path, target, stream=True)
    reply = await gateway.ask(path, body, replay(exchange, cut_at=before_end(exchange)))
    if reply.status == 200:
        check_broken_stream(path, reply, "provider_unavailable")
    else:  # nothing of the content had come that this dialect can tell
        assert reply.status == 502
        check_error(path, reply.json, "provider_unavailable")
    assert reply.row is not None
    assert reply.row.attempts[0].error_code == "provider_unavailable"


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("name", ["anthropic-23", "openai-23"])
async def test_a_stream_without_its_terminal_event(gateway: ReplayGateway, name: str, path: str) -> None:
    """All of the content came and the connection was closed in order: still no end."""
    exchange = EXCHANGES[name]
    mark = b"event: message_stop" if exchange.provider == "anthropic" else b"data: [DONE]"
    body = exchange.body[: exchange.body.index(mark)]
    cut = Exchange(**{**vars(exchange), "body": body})
    target = TRANSLATED.get((path, exchange.provider), exchange.provider)
    reply = await gateway.ask(path, request(path, target, stream=True), replay(cut))
    assert reply.status == 200
    assert b"[DONE]" not in reply.body
    assert b"message_stop" not in reply.body
    assert b"response.completed" not in reply.body
    last = data_of(reply.body)[-1]
    assert last.get("type") == "error" or last["error"]["code"] == "provider_unavailable"


@pytest.mark.parametrize("path", [CHAT, COMPLETIONS, RESPONSES, MESSAGES])
async def test_an_answer_of_another_kind_than_was_asked(gateway: ReplayGateway, path: str) -> None:
    """A page of HTML with the status 200, as edges give it, is no answer."""
    page = EXCHANGES["openai-q500html"]
    reply = await gateway.ask(
        path, request(path, "azure", stream=False), replay(Exchange(**{**vars(page), "status": 200}))
    )
    assert (reply.status, reply.headers["x-tollway-error-code"]) == (502, "provider_error")
    check_error(path, reply.json, "provider_error")
