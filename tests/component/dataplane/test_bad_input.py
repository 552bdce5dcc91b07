"""Bad input: the right status, shape and code, and nothing is sent or booked."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import openai
import pytest

from tollway.testkit.lone_dataplane import LoneDataPlane
from tollway.testkit.upstream import Upstream, whole


def code(body: Any) -> str:
    """The error code of an answer."""
    found: str = body["error"]["code"]
    return found


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


MESSAGES: Any = [{"role": "user", "content": "x"}]


@pytest.mark.parametrize(
    ("key", "expected"),
    [("revoked", "key_revoked"), ("expired", "key_expired"), ("of a deleted project", "key_revoked")],
)
async def test_keys_that_ended_are_authentication_errors(gateway: LoneDataPlane, key: str, expected: str) -> None:
    async with openai.AsyncOpenAI(base_url=gateway.base_url, api_key=gateway.keys[key]) as client:
        with pytest.raises(openai.AuthenticationError) as caught:
            await client.chat.completions.create(model="m", messages=MESSAGES)
    assert caught.value.code == expected
    assert caught.value.response.headers["x-tollway-error-code"] == expected


async def test_the_official_sdk_raises_its_own_exceptions(gateway: LoneDataPlane, upstream: Upstream) -> None:
    async with openai.AsyncOpenAI(base_url=gateway.base_url, api_key=gateway.keys["narrow"]) as narrow:
        with pytest.raises(openai.PermissionDeniedError):
            await narrow.chat.completions.create(model="m", messages=MESSAGES)
    async with openai.AsyncOpenAI(base_url=gateway.base_url, api_key="sk-tw-nobody", max_retries=0) as stranger:
        with pytest.raises(openai.AuthenticationError):
            await stranger.chat.completions.create(model="m", messages=[{"role": "user", "content": "x"}])
    async with openai.AsyncOpenAI(base_url=gateway.base_url, api_key=gateway.key, max_retries=0) as client:
        with pytest.raises(openai.NotFoundError):
            await client.chat.completions.create(model="nope", messages=[{"role": "user", "content": "x"}])
        with pytest.raises(openai.BadRequestError):
            await client.chat.completions.create(model="m", messages=[])
        with pytest.raises(openai.APIStatusError) as caught:
            await client.chat.completions.create(model="m", messages=[{"role": "user", "content": "x" * (33 << 20)}])
        assert caught.value.status_code == 413
        with pytest.raises(openai.APIStatusError) as caught:
            await client.get("/chat/completions", cast_to=object)
        assert (caught.value.status_code, caught.value.code) == (405, "method_not_allowed")
        with pytest.raises(openai.NotFoundError) as missing:
            await client.files.list()
        assert missing.value.code == "endpoint_not_found"
        upstream.script = whole({"error": {"message": "boom"}}, 500)
        with pytest.raises(openai.InternalServerError):
            await client.chat.completions.create(model="m", messages=[{"role": "user", "content": "x"}])
        upstream.script = whole({"error": {"message": "slow down"}}, 429, retry_after="1")
        with pytest.raises(openai.RateLimitError):
            await client.chat.completions.create(model="m", messages=[{"role": "user", "content": "x"}])
