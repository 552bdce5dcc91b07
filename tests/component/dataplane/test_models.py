"""`GET /v1/models`: what a key may use, what it costs, how it is."""

from __future__ import annotations

from typing import Any

from tollway.testkit.lone_dataplane import LoneDataPlane
from tollway.testkit.upstream import Upstream, whole


def code(body: Any) -> str:
    """The error code of an answer."""
    found: str = body["error"]["code"]
    return found


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
    async with gateway.client.get(
        f"{gateway.base_url}/models", headers={"anthropic-version": "2023-06-01"}
    ) as response:
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
