"""Chat through the gateway: what the client gets, what the provider is sent, and what is booked."""

from __future__ import annotations

import asyncio
import gzip
import json
from typing import Any

import aiohttp
import openai
import pytest

from tollway.core.ledger import Outcome
from tollway.core.usage import Usage
from tollway.testkit.lone_dataplane import LoneDataPlane
from tollway.testkit.upstream import USAGE, Upstream, completion, event, raw, stream, whole, words


async def test_an_answer_comes_back_byte_for_byte_and_is_booked(gateway: LoneDataPlane, upstream: Upstream) -> None:
    body = json.dumps(completion(), indent=1).encode()
    upstream.script = whole(body)
    response = await gateway.chat(temperature=0.5, unknown_field={"model": "inner"})
    assert response.status == 200
    assert await response.read() == body
    assert response.headers["x-tollway-model"] == "m"
    assert response.headers["x-tollway-provider"] == "up"
    assert response.headers["x-tollway-attempts"] == "1"
    assert response.headers["x-tollway-cost"] == "0.000015"
    (received,) = upstream.requests
    assert received.json["model"] == "up-model"
    assert received.json["unknown_field"] == {"model": "inner"}
    assert received.headers["authorization"] == "Bearer sk-upstream-canary"
    (row,) = await gateway.wait_rows(1)
    (attempt,) = row.attempts
    assert (row.project, row.model, row.status, row.outcome) == ("p1", "m", 200, Outcome.OK)
    assert attempt.usage == Usage(input=9, output=3)
    assert attempt.cost_nano == 9 * 1000 + 3 * 2000
    assert attempt.price_version == "test@1"
    assert not attempt.estimated


async def test_a_stream_passes_and_its_usage_is_booked_but_not_shown(gateway: LoneDataPlane, upstream: Upstream) -> None:
    upstream.script = stream(words())
    response = await gateway.chat(stream=True)
    text = (await response.read()).decode()
    assert response.headers["Content-Type"].startswith("text/event-stream")
    assert text.endswith("data: [DONE]\n\n")
    assert '"usage"' not in text
    assert upstream.requests[0].json["stream_options"] == {"include_usage": True}
    (row,) = await gateway.wait_rows(1)
    assert row.stream
    assert row.attempts[0].usage == Usage(input=9, output=3)


async def test_the_usage_chunk_is_shown_to_who_asks(gateway: LoneDataPlane, upstream: Upstream) -> None:
    upstream.script = stream(words())
    response = await gateway.chat(stream=True, stream_options={"include_usage": True})
    chunks = [json.loads(line[6:]) for line in (await response.text()).splitlines() if line.startswith("data: {")]
    assert chunks[-1]["usage"] == USAGE


async def test_an_explicit_zero_stays_zero(gateway: LoneDataPlane, upstream: Upstream) -> None:
    upstream.script = whole(completion(usage={"prompt_tokens": 5, "completion_tokens": 0, "total_tokens": 5}))
    await gateway.chat()
    (row,) = await gateway.wait_rows(1)
    assert row.attempts[0].usage == Usage(input=5)
    assert not row.attempts[0].estimated


async def test_an_answer_without_usage_is_estimated(gateway: LoneDataPlane, upstream: Upstream) -> None:
    answer = completion("x" * 40)
    del answer["usage"]
    upstream.script = whole(answer)
    assert (await gateway.chat()).status == 200
    (row,) = await gateway.wait_rows(1)
    assert row.attempts[0].estimated
    assert row.attempts[0].usage.output == 10


async def test_no_price_is_not_free_but_unknown(gateway: LoneDataPlane, upstream: Upstream) -> None:
    response = await gateway.chat(model="unpriced")
    assert "x-tollway-cost" not in response.headers
    (row,) = await gateway.wait_rows(1)
    assert row.attempts[0].price_version is None
    assert row.attempts[0].usage == Usage(input=9, output=3)


@pytest.mark.parametrize("name", ["small", "up/anything-else"])
async def test_other_names_for_a_model(gateway: LoneDataPlane, upstream: Upstream, name: str) -> None:
    response = await gateway.chat(model=name)
    assert response.status == 200
    assert upstream.requests[0].json["model"] == ("up-model" if name == "small" else "anything-else")


async def test_request_ids_and_tags(gateway: LoneDataPlane, upstream: Upstream) -> None:
    upstream.script = whole(x_request_id="provider-7")
    async with gateway.client.post(
        f"{gateway.base_url}/chat/completions",
        json={"model": "m", "messages": [{"role": "user", "content": "x"}]},
        headers={"x-request-id": "mine-1", "x-tollway-tags": "team=web, job=42"},
    ) as response:
        assert response.headers["x-request-id"] == "mine-1"
    (row,) = await gateway.wait_rows(1)
    assert row.client_request_id == "mine-1"
    assert row.id != "mine-1"
    assert row.tags == {"team": "web", "job": "42"}
    assert row.attempts[0].provider_request_id == "provider-7"


async def test_compressed_requests_are_unpacked(gateway: LoneDataPlane, upstream: Upstream) -> None:
    data = gzip.compress(json.dumps({"model": "m", "messages": [{"role": "user", "content": "x" * 500}]}).encode())
    headers = {"Content-Encoding": "gzip", "Content-Type": "application/json"}
    async with gateway.client.post(f"{gateway.base_url}/chat/completions", data=data, headers=headers) as response:
        assert response.status == 200
    assert upstream.requests[0].json["messages"][0]["content"] == "x" * 500


# -- faults of the provider -------------------------------------------------------------------------------------------


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


# -- clients that leave -------------------------------------------------------------------------------------------------


async def test_leaving_a_stream_closes_the_upstream_and_books_what_was_delivered(
    gateway: LoneDataPlane, upstream: Upstream
) -> None:
    upstream.script = stream([event({"content": "12345678"})] * 200, pause=0.02)
    response = await gateway.chat(stream=True)
    for _ in range(5):
        await response.content.readuntil(b"\n\n")
    response.close()
    async with asyncio.timeout(1):
        while upstream.open:
            await asyncio.sleep(0.01)
    (row,) = await gateway.wait_rows(1)
    (attempt,) = row.attempts
    assert row.outcome == Outcome.CLIENT_CLOSED
    assert attempt.estimated
    assert attempt.usage.output >= 5 * 2
    assert attempt.usage.input > 0


async def test_leaving_before_the_answer_closes_the_upstream(gateway: LoneDataPlane, upstream: Upstream) -> None:
    upstream.script = raw(b"", close=False)
    request = asyncio.ensure_future(gateway.chat())
    async with asyncio.timeout(1):
        while not upstream.requests:
            await asyncio.sleep(0.01)
    request.cancel()
    async with asyncio.timeout(1):
        while upstream.open:
            await asyncio.sleep(0.01)
    (row,) = await gateway.wait_rows(1)
    assert (row.outcome, row.attempts[0].estimated) == (Outcome.CLIENT_CLOSED, True)


async def test_a_drained_stream_is_booked_exactly(gateway: LoneDataPlane, upstream: Upstream) -> None:
    upstream.script = stream(words(20), pause=0.02)
    response = await gateway.chat(model="drain", stream=True)
    await response.content.readuntil(b"\n\n")
    response.close()
    (row,) = await gateway.wait_rows(1)
    assert row.outcome == Outcome.CLIENT_CLOSED
    assert row.attempts[0].usage == Usage(input=9, output=3)
    assert not row.attempts[0].estimated


async def test_repeated_disconnects_leave_nothing_open(gateway: LoneDataPlane, upstream: Upstream) -> None:
    upstream.script = stream([event({"content": "x"})] * 500, pause=0.01)
    for _ in range(30):
        response = await gateway.chat(stream=True)
        await response.content.readuntil(b"\n\n")
        response.close()
    await gateway.wait_rows(30)
    async with asyncio.timeout(2):
        while upstream.open or gateway.process.routes.in_flight:
            await asyncio.sleep(0.01)


# -- bad input ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "status", "expected", "param"),
    [
        (b"", 400, "invalid_json", None),
        (b"{", 400, "invalid_json", None),
        (b"[]", 400, "invalid_request", None),
        (b'{"messages": [{}]}', 400, "invalid_request", "model"),
        (b'{"model": 7, "messages": [{}]}', 400, "invalid_request", "model"),
        (b'{"model": "m"}', 400, "invalid_request", "messages"),
        (b'{"model": "m", "messages": []}', 400, "invalid_request", "messages"),
        (b'{"model": "m", "messages": "hi"}', 400, "invalid_request", "messages"),
        (b'{"model": "m", "messages": [{}], "stream": "yes"}', 400, "invalid_request", "stream"),
        (b'{"model": "nope", "messages": [{}]}', 404, "model_not_found", "model"),
    ],
)
async def test_bad_bodies(
    gateway: LoneDataPlane, upstream: Upstream, body: bytes, status: int, expected: str, param: str | None
) -> None:
    headers = {"Content-Type": "application/json"}
    async with gateway.client.post(f"{gateway.base_url}/chat/completions", data=body, headers=headers) as response:
        error = (await response.json())["error"]
    assert (response.status, error["code"]) == (status, expected)
    assert param is None or error["param"] == param
    assert upstream.requests == []
    assert gateway.rows() == []


async def test_urls_in_requests_pass_the_address_guard(gateway: LoneDataPlane, upstream: Upstream) -> None:
    part = {"type": "image_url", "image_url": {"url": "http://169.254.169.254/latest/meta-data/"}}
    response = await gateway.chat(messages=[{"role": "user", "content": [part]}])
    assert response.status == 400
    assert "169.254" not in (await response.json())["error"]["message"] or upstream.requests == []
    assert upstream.requests == []


async def test_a_body_over_the_limit_is_refused_without_being_read(gateway: LoneDataPlane) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", int(gateway.origin.rsplit(":", 1)[1]))
    writer.write(
        b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
        b"authorization: Bearer " + gateway.key.encode() + b"\r\ncontent-length: 99999999\r\n\r\n{"
    )
    async with asyncio.timeout(2):
        answer = await reader.readuntil(b"\r\n\r\n")
    assert b" 413 " in answer
    assert b"x-tollway-error-code: request_too_large" in answer
    writer.close()


async def test_keys(gateway: LoneDataPlane) -> None:
    async def post(headers: dict[str, str]) -> tuple[int, str]:
        async with (
            aiohttp.ClientSession() as session,
            session.post(
                f"{gateway.base_url}/chat/completions",
                json={"model": "m", "messages": [{"role": "user", "content": "x"}]},
                headers=headers,
            ) as response,
        ):
            body = await response.json()
            return response.status, code(body) if "error" in body else "ok"

    assert await post({}) == (401, "invalid_api_key")
    assert await post({"Authorization": "Basic abc"}) == (401, "invalid_api_key")
    assert await post({"Authorization": "Bearer sk-tw-wrong"}) == (401, "invalid_api_key")
    assert await post({"x-api-key": gateway.key}) == (200, "ok")
    assert await post({"api-key": gateway.key}) == (200, "ok")
    assert await post({"Authorization": f"Bearer {gateway.key}", "x-api-key": gateway.key}) == (200, "ok")
    assert await post({"Authorization": f"Bearer {gateway.key}", "x-api-key": "other"}) == (400, "invalid_request")


async def test_paths_and_methods(gateway: LoneDataPlane) -> None:
    async with gateway.client.get(f"{gateway.base_url}/chat/completions") as response:
        assert (response.status, code(await response.json())) == (405, "method_not_allowed")
        assert response.headers["Allow"] == "POST"
    async with gateway.client.post(f"{gateway.base_url}/files") as response:
        assert (response.status, code(await response.json())) == (404, "endpoint_not_found")
    async with gateway.client.post(f"{gateway.base_url}/chat/completions", data=b"a=b") as response:
        assert (response.status, code(await response.json())) == (415, "unsupported_media_type")


async def test_probes(gateway: LoneDataPlane) -> None:
    for path in ("/livez", "/healthz", "/readyz"):
        async with gateway.client.get(gateway.origin + path) as response:
            assert response.status == 200


async def test_the_official_sdk_raises_its_own_exceptions(gateway: LoneDataPlane, upstream: Upstream) -> None:
    async with openai.AsyncOpenAI(base_url=gateway.base_url, api_key="sk-tw-nobody", max_retries=0) as stranger:
        with pytest.raises(openai.AuthenticationError):
            await stranger.chat.completions.create(model="m", messages=[{"role": "user", "content": "x"}])
    async with openai.AsyncOpenAI(base_url=gateway.base_url, api_key=gateway.key, max_retries=0) as client:
        with pytest.raises(openai.NotFoundError):
            await client.chat.completions.create(model="nope", messages=[{"role": "user", "content": "x"}])
        with pytest.raises(openai.BadRequestError):
            await client.chat.completions.create(model="m", messages=[])
        upstream.script = whole({"error": {"message": "slow down"}}, 429, retry_after="1")
        with pytest.raises(openai.RateLimitError):
            await client.chat.completions.create(model="m", messages=[{"role": "user", "content": "x"}])
        upstream.script = whole({"error": {"message": "boom"}}, 500)
        with pytest.raises(openai.InternalServerError):
            await client.chat.completions.create(model="m", messages=[{"role": "user", "content": "x"}])


# -- models ---------------------------------------------------------------------------------------------------------------


async def test_models_are_listed_with_what_they_can_and_cost(gateway: LoneDataPlane, upstream: Upstream) -> None:
    async with gateway.client.get(f"{gateway.base_url}/models") as response:
        listed = {model["id"]: model for model in (await response.json())["data"]}
    assert set(listed) == {"m", "down", "drain", "unpriced"}
    assert listed["m"]["object"] == "model"
    assert listed["m"]["tollway"]["price"] == {"input": "1", "output": "2", "cached_input": "0.5"}
    assert listed["unpriced"]["tollway"]["price"] is None
    assert listed["m"]["tollway"]["status"] == "available"
    async with gateway.client.get(f"{gateway.base_url}/models/small") as response:
        assert (await response.json())["id"] == "m"
    async with gateway.client.get(f"{gateway.base_url}/models/nope") as response:
        assert (response.status, code(await response.json())) == (404, "model_not_found")
    async with gateway.client.get(f"{gateway.base_url}/models", headers={"anthropic-version": "2023-06-01"}) as response:
        assert (await response.json())["data"][0]["type"] == "model"


async def test_a_failing_provider_shows_in_the_status(gateway: LoneDataPlane, upstream: Upstream) -> None:
    upstream.script = whole({"error": {"message": "boom"}}, 500)
    for _ in range(3):
        await gateway.chat()
    async with gateway.client.get(f"{gateway.base_url}/models/m") as response:
        assert (await response.json())["tollway"]["status"] == "unavailable"
    upstream.script = whole()
    await gateway.chat()
    async with gateway.client.get(f"{gateway.base_url}/models/m") as response:
        assert (await response.json())["tollway"]["status"] == "available"
