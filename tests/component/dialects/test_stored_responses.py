"""Stored responses are the gateway's own: by project, at any provider, and no provider's id or storage is involved."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import openai
import pytest

from tollway.core.catalog import ProviderKind
from tollway.testkit.lone_dataplane import LoneDataPlane
from tollway.testkit.servers import ValkeyServer, valkey_server
from tollway.testkit.simulator import SimulatorServer
from tollway.testkit.upstream import Upstream, whole


async def test_a_conversation_over_three_providers(
    openai_client: openai.AsyncOpenAI, simulator: SimulatorServer
) -> None:
    previous: Any = openai.omit
    inputs = []
    for model in ("gpt", "claude", "hub", "gpt"):
        answer = await openai_client.responses.create(model=model, input="and then?", previous_response_id=previous)
        assert answer.usage is not None
        inputs.append(answer.usage.input_tokens)
        previous = answer.id
    assert inputs == sorted(set(inputs)), "each turn is told all that came before"
    assert simulator.counts()["received"] == 4


async def test_reading_and_deleting(openai_client: openai.AsyncOpenAI, model: str) -> None:
    first = await openai_client.responses.create(model=model, input="one")
    second = await openai_client.responses.create(model=model, input="two", previous_response_id=first.id)
    again = await openai_client.responses.retrieve(second.id)
    assert again.model_dump() == second.model_dump()
    items = [item async for item in await openai_client.responses.input_items.list(second.id, order="asc", limit=1)]
    said = [part.text for item in items for part in getattr(item, "content", []) if hasattr(part, "text")]
    assert "two" in str(items[-1])
    assert any(first.output_text in text for text in said)
    await openai_client.responses.delete(first.id)
    for gone in (openai_client.responses.retrieve(first.id), openai_client.responses.delete(first.id)):
        with pytest.raises(openai.NotFoundError) as missing:
            await gone
        assert missing.value.code == "response_not_found"
    with pytest.raises(openai.NotFoundError) as broken:
        await openai_client.responses.create(model=model, input="three", previous_response_id=second.id)
    assert broken.value.param == "previous_response_id"


async def test_another_project_knows_nothing_of_it(
    openai_client: openai.AsyncOpenAI, gateway: LoneDataPlane, simulator: SimulatorServer
) -> None:
    answer = await openai_client.responses.create(model="gpt", input="secret")
    item = answer.output[0].id
    async with openai.AsyncOpenAI(base_url=gateway.base_url, api_key=gateway.keys["strict"], max_retries=0) as stranger:
        calls: list[Any] = [
            stranger.responses.retrieve(answer.id),
            stranger.responses.delete(answer.id),
            stranger.responses.input_items.list(answer.id),
            stranger.responses.create(model="gpt", input="go on", previous_response_id=answer.id),
        ]
        for call in calls:
            with pytest.raises(openai.NotFoundError):
                await call
        reference: Any = [{"type": "item_reference", "id": item}, {"role": "user", "content": "go on"}]
        with pytest.raises(openai.BadRequestError) as refused:
            await stranger.responses.create(model="gpt", input=reference)
        assert refused.value.param == "input[0]"
    assert simulator.counts()["received"] == 1
    assert (await openai_client.responses.retrieve(answer.id)).id == answer.id


async def test_items_may_be_named(openai_client: openai.AsyncOpenAI, model: str) -> None:
    first = await openai_client.responses.create(model=model, input="one")
    assert first.usage is not None
    item: Any = {"type": "item_reference", "id": first.output[0].id}
    again = await openai_client.responses.create(model=model, input=[item, {"role": "user", "content": "and?"}])
    assert again.usage is not None
    assert again.usage.input_tokens > 4
    items = [item async for item in await openai_client.responses.input_items.list(again.id, order="asc")]
    assert items[0].id == first.output[0].id


@pytest.mark.parametrize("streamed", [False, True])
async def test_what_is_not_to_be_stored_is_not(openai_client: openai.AsyncOpenAI, model: str, streamed: bool) -> None:
    if streamed:
        async with openai_client.responses.stream(model=model, input="hi", store=False) as stream:
            answer: Any = await stream.get_final_response()
    else:
        answer = await openai_client.responses.create(model=model, input="hi", store=False)
    with pytest.raises(openai.NotFoundError):
        await openai_client.responses.retrieve(answer.id)


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    async with Upstream() as server:
        yield server


async def test_providers_store_nothing_and_their_ids_stay_inside(
    tmp_path: Path, valkey: ValkeyServer, upstream: Upstream
) -> None:
    told = {"id": "resp_provider", "object": "response", "status": "completed", "output": [], "store": False}
    upstream.script = whole({**told, "model": "m", "usage": {"input_tokens": 1, "output_tokens": 1}})
    plane = LoneDataPlane(tmp_path / "data", valkey.url)
    plane.add_provider("openai", ProviderKind.OPENAI, upstream.url)
    plane.add_model("gpt", ("openai", "gpt-x"))
    async with plane, openai.AsyncOpenAI(base_url=plane.base_url, api_key=plane.key, max_retries=0) as client:
        first = await client.responses.create(model="gpt", input="one", store=True)
        second = await client.responses.create(model="gpt", input="two", previous_response_id=first.id)
        assert "resp_provider" not in second.model_dump_json()
        assert (second.previous_response_id, first.model_dump()["store"]) == (first.id, True)
        sent = [request.json for request in upstream.requests]
        assert [body["store"] for body in sent] == [False, False]
        assert all("previous_response_id" not in body for body in sent)
        assert [item["content"] for item in sent[1]["input"]] == ["one", "two"]


async def test_without_its_store_a_conversation_waits_and_a_new_one_does_not(
    tmp_path: Path, simulator: SimulatorServer
) -> None:
    store = valkey_server(tmp_path / "valkey").start()
    plane = LoneDataPlane(tmp_path / "data", store.url)
    plane.add_provider("openai", ProviderKind.OPENAI, simulator.openai_url)
    plane.add_model("gpt", ("openai", "sim-gpt"))
    async with plane, openai.AsyncOpenAI(base_url=plane.base_url, api_key=plane.key, max_retries=0) as client:
        first = await client.responses.create(model="gpt", input="one")
        store.kill()
        with pytest.raises(openai.InternalServerError) as waits:
            await client.responses.create(model="gpt", input="two", previous_response_id=first.id)
        assert (waits.value.status_code, waits.value.code) == (503, "overloaded")
        assert int(waits.value.response.headers["retry-after"]) > 0
        assert (await client.responses.create(model="gpt", input="new")).output_text
