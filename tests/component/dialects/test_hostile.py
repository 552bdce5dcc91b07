"""Names that a client chooses, and what a provider repeats, harm nobody."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tollway.core.catalog import ProviderKind
from tollway.testkit.lone_dataplane import LoneDataPlane
from tollway.testkit.servers import ValkeyServer
from tollway.testkit.simulator import SimulatorServer
from tollway.testkit.upstream import Upstream, whole

HI = [{"role": "user", "content": "hi"}]
SECRET = "0123456789abcdef0123456789abcdef"


@pytest.mark.parametrize("name", ["a\r\nSet-Cookie: x", "a\u0000b", "naïve", "a\u2028b"])
async def test_a_dropped_field_cannot_break_a_header(gateway: LoneDataPlane, name: str) -> None:
    answer = await gateway.chat(model="claude", messages=HI, **{name: 1})
    assert answer.status == 200
    assert "Set-Cookie" not in answer.headers
    assert answer.headers["x-tollway-dropped"].isascii()


async def test_many_dropped_fields_are_counted(gateway: LoneDataPlane) -> None:
    answer = await gateway.chat(model="claude", messages=HI, **{f"field{n}" + "x" * 500: 1 for n in range(2000)})
    assert answer.status == 200
    assert answer.headers["x-tollway-dropped"].endswith("+1950")


async def test_a_models_name_holds_no_control_characters(gateway: LoneDataPlane, simulator: SimulatorServer) -> None:
    answer = await gateway.chat(model="compatible/x\r\nA: b", messages=HI)
    assert (answer.status, (await answer.json())["error"]["param"]) == (400, "model")
    assert simulator.counts()["received"] == 0


@pytest.mark.parametrize("name", ["bytes", "item:msg_tw1", "resp_x", "resp_" + "0" * 33])
async def test_only_ids_of_responses_lead_to_the_store(gateway: LoneDataPlane, name: str) -> None:
    url = f"{gateway.base_url}/responses/{name}"
    for method in ("GET", "DELETE"):
        async with gateway.client.request(method, url) as answer:
            assert (answer.status, (await answer.json())["error"]["code"]) == (404, "response_not_found")
    body = {"model": "gpt", "input": "hi", "previous_response_id": name}
    async with gateway.client.post(f"{gateway.base_url}/responses", json=body) as answer:
        assert (answer.status, (await answer.json())["error"]["param"]) == (404, "previous_response_id")


async def test_azures_paths_name_the_model_of_a_form(gateway: LoneDataPlane, simulator: SimulatorServer) -> None:
    for fields in ({}, {"model": "other"}):
        form = aiohttp.FormData(fields)
        form.add_field("file", b"RIFF" + bytes(100), filename="talk.wav", content_type="audio/wav")
        url = f"{gateway.origin}/openai/deployments/gpt/audio/transcriptions?api-version=2024-10-21"
        async with gateway.client.post(url, data=form) as answer:
            assert answer.status == 200
    assert [request["model"] for request in simulator.requests()] == ["sim-gpt", "sim-gpt"]


async def test_a_chat_is_not_stored_by_the_provider(gateway: LoneDataPlane, upstream: Upstream) -> None:
    answer = await gateway.chat(model="scripted", messages=HI, store=True, metadata={"a": "b"})
    assert (answer.status, answer.headers["x-tollway-dropped"]) == (200, "store, metadata")
    assert {"store", "metadata"}.isdisjoint(upstream.requests[0].json)


@pytest.mark.parametrize("field", ["message", "code"])
async def test_a_repeated_credential_is_shown_to_nobody(
    gateway: LoneDataPlane, upstream: Upstream, field: str, capsys: pytest.CaptureFixture[str]
) -> None:
    told: dict[str, Any] = {"message": "no", "type": "invalid_request_error"} | {field: f"key {SECRET} is wrong"}
    upstream.script = whole({"error": told}, status=400)
    answer = await gateway.chat(model="scripted", messages=HI)
    assert answer.status == 400
    assert SECRET not in json.dumps(await answer.json())
    assert SECRET not in capsys.readouterr().out


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    async with Upstream() as server:
        yield server


@pytest.fixture
async def gateway(
    tmp_path: Path, valkey: ValkeyServer, simulator: SimulatorServer, upstream: Upstream
) -> AsyncIterator[LoneDataPlane]:
    """Models at the simulator, and one at a provider that does what a test says and whose key is `SECRET`."""
    plane = LoneDataPlane(tmp_path / "data", valkey.url)
    plane.add_provider("openai", ProviderKind.OPENAI, simulator.openai_url)
    plane.add_provider("anthropic", ProviderKind.ANTHROPIC, simulator.anthropic_url)
    plane.add_provider("compatible", ProviderKind.OPENAI_COMPATIBLE, simulator.openai_url)
    plane.add_provider("scripted", ProviderKind.OPENAI, upstream.url, api_key=SECRET)
    plane.add_model("gpt", ("openai", "sim-gpt"))
    plane.add_model("other", ("compatible", "sim-other"))
    plane.add_model("claude", ("anthropic", "claude-sim"))
    plane.add_model("scripted", ("scripted", "gpt-x"))
    async with plane:
        yield plane
