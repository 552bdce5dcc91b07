"""What the client gets, and what is booked, when the provider fails."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import pytest

from tollway.core.ledger import Outcome
from tollway.testkit.lone_dataplane import LoneDataPlane
from tollway.testkit.upstream import Upstream, event, raw, stream, whole, words


def code(body: Any) -> str:
    found: str = body["error"]["code"]
    return found


@pytest.mark.parametrize(
    ("status", "expected", "shown"),
    [
        (401, 502, "provider_auth_failed"),
        (403, 502, "provider_auth_failed"),
        (429, 429, "provider_rate_limited"),
        (500, 502, "provider_unavailable"),
        (503, 502, "provider_unavailable"),
        (400, 400, "invalid_request"),
    ],
)
async def test_error_statuses(
    gateway: LoneDataPlane, upstream: Upstream, status: int, expected: int, shown: str
) -> None:
    error = {"error": {"message": "Incorrect key sk-upstream-canary", "type": "x", "param": None, "code": None}}
    upstream.script = whole(error, status, retry_after="7")
    response = await gateway.chat()
    body = await response.json()
    assert (response.status, code(body)) in [(expected, shown), (502, "provider_error")]
    assert response.headers["x-tollway-error-code"] == code(body)
    assert "canary" not in json.dumps(body)
    if status == 429:
        assert response.headers["Retry-After"] == "7"
    if status == 401:
        assert response.headers["x-should-retry"] == "false"
    assert len(upstream.requests) == 1
    (row,) = await gateway.wait_rows(1)
    assert row.outcome == Outcome.ERROR
    assert row.attempts[0].cost_nano == 0
    assert row.attempts[0].status == status


@pytest.mark.parametrize(
    ("script", "expected"),
    [
        (raw(b"SSH-2.0-OpenSSH_9.2\r\n\r\n"), "provider_error"),
        (whole(b"<html><body>502 Bad Gateway</body></html>"), "provider_error"),
        (whole(b'{"choices": '), "provider_error"),
        (raw(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{"), "provider_unavailable"),
        (raw(b""), "provider_unavailable"),
    ],
    ids=["not-http", "html", "half-json", "short", "closed"],
)
async def test_garbage(gateway: LoneDataPlane, upstream: Upstream, script: Any, expected: str) -> None:
    upstream.script = script
    response = await gateway.chat()
    assert response.status == 502
    body = await response.text()
    assert code(json.loads(body)) == expected
    assert "<html" not in body


async def test_a_provider_that_cannot_be_reached_costs_nothing_and_leaves_no_row(gateway: LoneDataPlane) -> None:
    response = await gateway.chat(model="down")
    assert (response.status, code(await response.json())) == (502, "provider_unavailable")
    assert gateway.rows() == []


@pytest.mark.parametrize(
    ("script", "limit", "seconds"),
    [
        (raw(b"", close=False), "first_byte", 0.6),
        (raw(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\n{", close=False), "between_chunks", 0.5),
        (stream([event({"content": "x"})] * 100, pause=0.3), "total", 2.0),
    ],
    ids=["first_byte", "between_chunks", "total"],
)
async def test_timeouts_before_the_commit(
    gateway: LoneDataPlane, upstream: Upstream, script: Any, limit: str, seconds: float
) -> None:
    upstream.script = script
    loop = asyncio.get_running_loop()
    began = loop.time()
    response = await gateway.chat()
    took = loop.time() - began
    error = (await response.json())["error"]
    assert (response.status, error["code"], error["param"]) == (504, "provider_timeout", limit)
    assert seconds <= took < seconds * 1.1 + 0.1
    async with asyncio.timeout(1):
        while upstream.open:
            await asyncio.sleep(0.01)


async def test_a_stream_that_pauses_too_long_ends_in_an_error_event(gateway: LoneDataPlane, upstream: Upstream) -> None:
    upstream.script = stream(words()[:3], end="stuck")
    response = await gateway.chat(stream=True)
    text = await response.text()
    assert response.status == 200
    assert '"provider_timeout"' in text
    assert "[DONE]" not in text
    (row,) = await gateway.wait_rows(1)
    assert row.attempts[0].estimated
    assert row.error_code == "provider_timeout"


async def test_a_stream_that_is_cut_ends_in_an_error_event(gateway: LoneDataPlane, upstream: Upstream) -> None:
    upstream.script = stream(words()[:3], end="cut")
    text = await (await gateway.chat(stream=True)).text()
    last = json.loads(text.strip().rsplit("data: ", 1)[1])
    assert last["error"]["code"] == "provider_unavailable"
    assert "[DONE]" not in text
    (row,) = await gateway.wait_rows(1)
    assert (row.outcome, row.attempts[0].estimated) == (Outcome.ERROR, True)


async def test_an_end_without_the_terminal_event_is_no_end(gateway: LoneDataPlane, upstream: Upstream) -> None:
    upstream.script = stream(words()[:3])
    text = await (await gateway.chat(stream=True)).text()
    assert '"error"' in text
    assert "[DONE]" not in text


async def test_an_error_event_before_any_content_is_an_ordinary_error(
    gateway: LoneDataPlane, upstream: Upstream
) -> None:
    bad = b'data: {"error": {"message": "overloaded", "type": "server_error", "code": null}}\n\n'
    upstream.script = stream([bad])
    response = await gateway.chat(stream=True)
    assert response.status == 502
    assert code(await response.json()) in ("provider_error", "provider_unavailable")


async def test_a_connection_that_went_stale_is_tried_once_more_and_both_are_recorded(
    gateway: LoneDataPlane, upstream: Upstream
) -> None:
    await gateway.chat()
    answers = iter([raw(b""), whole()])

    async def script(request: Any, writer: asyncio.StreamWriter) -> None:
        await next(answers)(request, writer)

    upstream.script = script
    response = await gateway.chat()
    assert response.status == 200
    assert response.headers["x-tollway-attempts"] == "2"
    rows = await gateway.wait_rows(2)
    assert [a.outcome for a in rows[1].attempts] == [Outcome.ERROR, Outcome.OK]
    assert [a.cost_nano for a in rows[1].attempts] == [0, 15_000]
