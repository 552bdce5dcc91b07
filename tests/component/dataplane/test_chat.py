"""Chat through the gateway: what the client gets, what the provider is sent, and what is booked."""

from __future__ import annotations

import gzip
import json

import pytest

from tollway.core.ledger import Outcome
from tollway.core.usage import Usage
from tollway.testkit.lone_dataplane import LoneDataPlane
from tollway.testkit.upstream import USAGE, Upstream, completion, stream, whole, words


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


async def test_a_streams_usage_is_booked_but_not_shown(gateway: LoneDataPlane, upstream: Upstream) -> None:
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
