"""Every fault that can be set, as official clients and bare sockets see it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from typing import Any

import anthropic
import openai
import pytest

from tollway.simulator.behaviour import BEFORE, FAULTS, STATUSES, WITHIN
from tollway.testkit.simulator import SimulatorServer
from tollway.testkit.stack import http

HELLO: list[Any] = [{"role": "user", "content": "Hello"}]
CLASSES: dict[int, type[openai.APIStatusError]] = {
    400: openai.BadRequestError,
    401: openai.AuthenticationError,
    403: openai.PermissionDeniedError,
    404: openai.NotFoundError,
    429: openai.RateLimitError,
    500: openai.InternalServerError,
    503: openai.InternalServerError,
}
TRIED = {
    *map(str, CLASSES),
    *("quota", "html", "garbage", "empty", "wrong-shape", "close-first", "reset-first", "stall-first"),
    *("stall", "cut", "reset", "error-event", "filter", "no-usage", "no-finish", "no-done"),
    *(f"{status}-empty" for status in STATUSES),
}


def test_every_kind_of_fault_is_tried_here() -> None:
    assert FAULTS - {str(status) for status in STATUSES} <= TRIED
    assert {*BEFORE, *WITHIN} <= TRIED


@pytest.mark.parametrize("status", sorted(CLASSES))
def test_errors_have_the_clients_exception(client: openai.OpenAI, simulator: SimulatorServer, status: int) -> None:
    with pytest.raises(CLASSES[status]) as caught:
        client.chat.completions.create(model=f"m/fault={status},retry_after=7s", messages=HELLO)
    assert caught.value.message
    assert caught.value.request_id
    assert caught.value.response.headers.get("retry-after") == ("7" if status in (429, 503) else None)
    assert simulator.settled(1)["failed"] == 1


@pytest.mark.parametrize("status", sorted(STATUSES))
def test_errors_can_come_without_a_body(simulator: SimulatorServer, status: int) -> None:
    found = http(
        "POST", f"{simulator.openai_url}/chat/completions", body={"model": f"m/fault={status}-empty", "messages": HELLO}
    )
    assert (found[0], found[2]) == (status, None)


@pytest.mark.parametrize(
    ("path", "status", "error"),
    [
        ("/v1/chat/completions", 429, {"type": "requests", "code": "rate_limit_exceeded"}),
        ("/openai/v1/chat/completions", 429, {"code": "429"}),
        ("/openai/v1/chat/completions", 404, {"code": "DeploymentNotFound"}),
        ("/v1/messages", 429, {"type": "rate_limit_error"}),
        ("/v1/messages", 529, {"type": "overloaded_error"}),
        ("/v1/messages", 401, {"type": "authentication_error"}),
        ("/hf/v1/chat/completions", 503, "Model is currently loading"),
        ("/hf/v1/chat/completions", 400, ["Simulated error 400."]),
    ],
)
def test_errors_have_each_providers_shape(simulator: SimulatorServer, path: str, status: int, error: Any) -> None:
    body = {"model": f"m/fault={status}", "messages": HELLO, "max_tokens": 10}
    version = {"anthropic-version": "2023-06-01"}
    found_status, _headers, found = http("POST", simulator.origin + path, body=body, headers=version)
    assert found_status == status
    shown = found["error"]
    assert (error.items() <= shown.items()) if isinstance(error, dict) else (shown == error)


async def test_a_429_goes_away_after_its_times(simulator: SimulatorServer) -> None:
    simulator.behave("m", fault="429", times=2, retry_after=0)
    async with openai.AsyncOpenAI(base_url=simulator.openai_url, api_key="x", max_retries=2) as client:
        answer = await client.chat.completions.create(model="m", messages=HELLO)
    assert answer.choices[0].message.content == "Simulated answer to: Hello"
    counts = simulator.settled(3)
    assert (counts["received"], counts["failed"], counts["completed"]) == (3, 2, 1)


def test_spent_credit_is_no_rate_limit(client: openai.OpenAI, simulator: SimulatorServer) -> None:
    with pytest.raises(openai.RateLimitError) as caught:
        client.chat.completions.create(model="m/fault=quota", messages=HELLO)
    assert caught.value.code == "insufficient_quota"
    body = {"model": "m/fault=quota", "messages": HELLO}
    assert http("POST", f"{simulator.huggingface_url}/chat/completions", body=body)[0] == 402


@pytest.mark.parametrize(
    ("fault", "status", "says"),
    [("html", 502, "<html>"), ("garbage", 200, '{"id"'), ("empty", 200, None), ("wrong-shape", 200, "ok")],
)
def test_bodies_that_are_no_answers(simulator: SimulatorServer, fault: str, status: int, says: str | None) -> None:
    body = {"model": f"m/fault={fault}", "messages": HELLO}
    found_status, _headers, found = http("POST", f"{simulator.openai_url}/chat/completions", body=body)
    assert found_status == status
    assert found is None if says is None else says in str(found).replace("'", '"')
    assert simulator.settled(1)["failed"] == 1


def test_a_stream_can_be_garbage(client: openai.OpenAI) -> None:
    with pytest.raises(ValueError):
        list(client.chat.completions.create(model="m/fault=garbage", messages=HELLO, stream=True))


async def received(simulator: SimulatorServer, model: str, *, stream: bool = True) -> tuple[bytes, str]:
    """What arrives before the connection ends, and how it ends; a bare socket tells FIN from RST."""
    body = json.dumps({"model": model, "messages": HELLO, "stream": stream}).encode()
    reader, writer = await asyncio.open_connection("127.0.0.1", simulator.service.ports["simulator"])
    writer.write(b"POST /v1/chat/completions HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
    data = b""
    try:
        async with asyncio.timeout(0.5):
            while chunk := await reader.read(65536):
                data += chunk
                if data.endswith(b"\r\n0\r\n\r\n"):
                    return data, "clean"
        return data, "closed"
    except TimeoutError:
        return data, "silence"
    except ConnectionResetError:
        return data, "reset"
    finally:
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(
    ("fault", "ends", "outcome"),
    [
        ("close-first", "closed", "failed"),
        ("reset-first", "reset", "failed"),
        ("stall-first", "silence", "aborted"),
        ("cut", "closed", "failed"),
        ("reset", "reset", "failed"),
        ("stall", "silence", "aborted"),
    ],
)
async def test_connections_that_end_badly(
    simulator: SimulatorServer, fault: str, ends: str, outcome: str, stream: bool
) -> None:
    data, ended = await received(simulator, f"m/fault={fault},after=2", stream=stream)
    assert ended == ends
    assert (b"Simu" in data) is ("first" not in fault)
    assert b"[DONE]" not in data
    counts = simulator.settled(1)
    assert counts[outcome] == 1
    assert counts["delivered_tokens"] == (2 if stream and "first" not in fault else 0)
    assert (data.count(b'"content":"') == 3) is (stream and "first" not in fault)


async def test_a_fault_with_nothing_before_it_comes_after_the_head(simulator: SimulatorServer) -> None:
    data, ended = await received(simulator, "m/fault=stall,after=0")
    assert ended == "silence"
    assert data.count(b"data: ") == 1


async def test_streams_that_lack_their_end(simulator: SimulatorServer) -> None:
    data, ended = await received(simulator, "m/fault=no-finish")
    assert ended == "clean"
    assert b'"finish_reason":"stop"' not in data
    assert b"[DONE]" not in data
    data, ended = await received(simulator, "m/fault=no-done")
    assert ended == "clean"
    assert b'"finish_reason":"stop"' in data
    assert b"[DONE]" not in data
    assert simulator.settled(2)["failed"] == 2


def test_an_error_event_in_mid_stream(client: openai.OpenAI, claude: anthropic.Anthropic) -> None:
    seen: list[str | None] = []

    def read() -> None:
        stream = client.chat.completions.create(model="m/fault=error-event,after=2", messages=HELLO, stream=True)
        seen.extend(chunk.choices[0].delta.content for chunk in stream)

    with pytest.raises(openai.APIError, match="The server had an error"):
        read()
    assert seen == ["", "Simu", "late"]
    with (
        pytest.raises(anthropic.APIStatusError, match="Overloaded"),
        claude.messages.stream(model="m/fault=error-event", max_tokens=50, messages=HELLO) as stream,
    ):
        stream.get_final_message()
    with pytest.raises(openai.InternalServerError):
        client.chat.completions.create(model="m/fault=error-event", messages=HELLO)


def test_usage_can_be_missing(client: openai.OpenAI, simulator: SimulatorServer) -> None:
    options: Any = {"include_usage": True}
    chunks = list(
        client.chat.completions.create(model="m/fault=no-usage", messages=HELLO, stream=True, stream_options=options)
    )
    assert [chunk.usage for chunk in chunks] == [None] * len(chunks)
    assert client.chat.completions.create(model="m/fault=no-usage", messages=HELLO).usage is None
    counts = simulator.settled(2)
    assert (counts["completed"], counts["completion_tokens"]) == (2, 14)
    assert [request["usage_sent"] for request in simulator.requests()] == [False, False]


def test_the_filter_ends_an_answer(client: openai.OpenAI, claude: anthropic.Anthropic) -> None:
    answer = client.chat.completions.create(model="m/fault=filter,after=2", messages=HELLO)
    assert (answer.choices[0].finish_reason, answer.choices[0].message.content) == ("content_filter", "Simulate")
    assert claude.messages.create(model="m/fault=filter", max_tokens=50, messages=HELLO).stop_reason == "refusal"


def test_latency_and_rate_take_their_time(client: openai.OpenAI) -> None:
    began = time.monotonic()
    times = [
        time.monotonic() - began
        for chunk in client.chat.completions.create(
            model="m/latency=150ms,rate=50,tokens=11", messages=HELLO, stream=True
        )
        if chunk.choices[0].delta.content
    ]
    assert 0.15 <= times[0] < 0.3
    assert 0.15 + 10 / 50 <= times[-1] < 0.7
    began = time.monotonic()
    client.chat.completions.create(model="m/latency=50ms,rate=50,tokens=5", messages=HELLO)
    assert 0.15 <= time.monotonic() - began < 0.5
