"""Spans: what the collector gets, what the provider is told, and what an absent collector does to requests: nothing."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tollway.core.catalog import Caching, ProviderKind
from tollway.dataplane.settings import GRPC, HTTP_PROTOBUF
from tollway.testkit.lone_dataplane import LoneDataPlane
from tollway.testkit.otlp import Collector, read
from tollway.testkit.servers import ValkeyServer
from tollway.testkit.upstream import USAGE, Upstream, completion, event, stream, whole, words

SERVER, CLIENT, ERROR = 2, 3, 2
SAMPLED = 1
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"


@pytest.fixture
async def upstream() -> AsyncIterator[Upstream]:
    async with Upstream() as server:
        yield server


@pytest.fixture
async def collector(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Collector]:
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")
    monkeypatch.setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "4")
    async with Collector() as found:
        yield found


@pytest.fixture
async def plane(
    tmp_path: Path, valkey: ValkeyServer, upstream: Upstream, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[LoneDataPlane]:
    async with traced(tmp_path, valkey, upstream, collector.http, monkeypatch) as found:
        yield found


def traced(
    folder: Path,
    valkey: ValkeyServer,
    upstream: Upstream,
    endpoint: str,
    monkeypatch: pytest.MonkeyPatch,
    protocol: str = HTTP_PROTOBUF,
    queue: int = 2048,
) -> LoneDataPlane:
    """A data plane that sends its spans to `endpoint`."""
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", endpoint)
    plane = LoneDataPlane(folder / "data", valkey.url, otlp_endpoint=endpoint, otlp_protocol=protocol, span_queue=queue)
    plane.add_provider("up", ProviderKind.OPENAI_COMPATIBLE, upstream.url)
    plane.add_provider("nowhere", ProviderKind.OPENAI_COMPATIBLE, "http://127.0.0.1:1/v1")
    plane.add_model("m", ("up", "up-model"))
    plane.add_model("down", ("nowhere", "x"))
    return plane


async def test_a_request_is_a_server_span_and_its_call_a_client_span_on_the_clients_trace(
    plane: LoneDataPlane, upstream: Upstream, collector: Collector
) -> None:
    upstream.script = whole(completion("A secret answer", model="up-model-2026", usage=USAGE))
    plane.client.headers["traceparent"] = f"00-{TRACE}-{PARENT}-01"
    plane.client.headers["tracestate"] = "vendor=1"
    response = await plane.chat(messages=[{"role": "user", "content": "A secret question"}])
    assert response.status == 200
    server, client = await collector.wait(2)
    assert (server.kind, client.kind) == (SERVER, CLIENT)
    assert server.name == "POST /v1/chat/completions"
    assert client.name == "chat up-model"
    assert {span.trace_id.hex() for span in (server, client)} == {TRACE}
    assert server.parent_span_id.hex() == PARENT
    assert client.parent_span_id == server.span_id
    told = upstream.requests[0].headers
    assert told["traceparent"] == f"00-{TRACE}-{client.span_id.hex()}-01"
    assert told["tracestate"] == "vendor=1"
    ours, theirs = read(server.attributes), read(client.attributes)
    assert ours["http.response.status_code"] == 200
    assert ours["gen_ai.request.model"] == "m"
    assert ours["tollway.project"] == "p1"
    assert ours["tollway.request_id"] == response.headers["x-request-id"]
    assert theirs["gen_ai.operation.name"] == "chat"
    assert theirs["gen_ai.provider.name"] == "openai_compatible"
    assert theirs["gen_ai.response.model"] == "up-model-2026"
    assert theirs["gen_ai.usage.input_tokens"] == 9
    assert theirs["gen_ai.usage.output_tokens"] == 3
    assert collector.resources[0]["service.name"] == "tollway-dataplane"
    for secret in (b"secret", plane.key.encode(), b"sk-upstream-canary"):
        assert secret not in collector.raw


async def test_a_stream_tells_its_model_and_the_time_to_its_first_chunk(
    plane: LoneDataPlane, upstream: Upstream, collector: Collector
) -> None:
    upstream.script = stream([*words(), event(finish="stop"), event(usage=USAGE), b"data: [DONE]\n\n"])
    response = await plane.chat(stream=True, stream_options={"include_usage": True})
    await response.read()
    server, client = await collector.wait(2)
    found = read(client.attributes)
    assert found["gen_ai.response.model"] == "up"
    assert 0 <= found["gen_ai.response.time_to_first_chunk"] < 5
    assert found["gen_ai.usage.output_tokens"] == 3
    assert read(server.attributes)["gen_ai.request.stream"] is True


async def test_an_answer_from_the_cache_is_a_server_span_alone(
    tmp_path: Path, valkey: ValkeyServer, upstream: Upstream, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    plane = traced(tmp_path, valkey, upstream, collector.http, monkeypatch)
    plane.add_project("p1", caching=Caching(enabled=True))
    async with plane:
        for _ in range(2):
            await plane.chat()
        spans = await collector.wait(3)
        servers = [read(span.attributes) for span in spans if span.kind == SERVER]
        assert [found["tollway.cache"] for found in servers] == ["miss", "hit"]
        assert [found["tollway.attempts"] for found in servers] == [1, 0]


async def test_failures_are_marked_with_their_code(plane: LoneDataPlane, collector: Collector) -> None:
    response = await plane.chat(model="down")
    assert response.status == 502
    spans = await collector.wait(2)
    server, *calls = spans
    assert server.status.code == ERROR
    assert read(server.attributes)["error.type"] == "provider_unavailable"
    assert calls
    assert all(read(call.attributes)["error.type"] == "provider_unavailable" for call in calls)
    assert all(call.status.code == ERROR for call in calls)


async def test_grpc_carries_them_too(
    tmp_path: Path, valkey: ValkeyServer, upstream: Upstream, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with traced(tmp_path, valkey, upstream, collector.grpc, monkeypatch, GRPC) as plane:
        await plane.chat()
        server, client = await collector.wait(2)
        assert client.trace_id == server.trace_id
        async with asyncio.timeout(5):
            while "tollway_spans_exported_total 2.0" not in plane.process.metrics().decode():
                await asyncio.sleep(0.02)


async def test_the_standard_sampler_decides_and_the_provider_is_told(
    tmp_path: Path, valkey: ValkeyServer, upstream: Upstream, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_TRACES_SAMPLER", "parentbased_always_off")
    async with traced(tmp_path, valkey, upstream, collector.http, monkeypatch) as plane:
        await plane.chat()
        assert int(upstream.requests[0].headers["traceparent"][-2:], 16) & SAMPLED == 0
        plane.client.headers["traceparent"] = f"00-{TRACE}-{PARENT}-01"
        await plane.chat()
        spans = await collector.wait(2)
    assert {span.trace_id.hex() for span in spans} == {TRACE}


async def test_spans_that_do_not_get_through_are_counted_and_hold_up_nobody(
    tmp_path: Path, valkey: ValkeyServer, upstream: Upstream, collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    collector.refuse = True
    async with traced(tmp_path, valkey, upstream, collector.http, monkeypatch, queue=4) as plane:
        answers = await asyncio.gather(*(plane.chat() for _ in range(40)))
        assert {answer.status for answer in answers} == {200}

        def dropped() -> dict[str, float]:
            lines = plane.process.metrics().decode().splitlines()
            found = [line for line in lines if line.startswith("tollway_spans_dropped_total{")]
            return {line.split('"')[1]: float(line.split()[-1]) for line in found}

        async with asyncio.timeout(5):
            while sum(dropped().values()) < 80:
                await asyncio.sleep(0.05)
        assert dropped()["queue_full"] > 0
        assert dropped()["failed"] >= 4


async def test_without_an_endpoint_nothing_is_traced_and_the_sdk_is_not_loaded(
    tmp_path: Path, valkey: ValkeyServer, upstream: Upstream
) -> None:
    plane = LoneDataPlane(tmp_path / "data", valkey.url)
    plane.add_provider("up", ProviderKind.OPENAI_COMPATIBLE, upstream.url)
    plane.add_model("m", ("up", "up-model"))
    async with plane:
        plane.client.headers["traceparent"] = f"00-{TRACE}-{PARENT}-01"
        assert (await plane.chat()).status == 200
        assert "traceparent" not in upstream.requests[0].headers
    program = "import sys, tollway.dataplane.app; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], check=True, capture_output=True, text=True, timeout=30)
    loaded = set(done.stdout.split())
    assert "tollway.dataplane.tracing.choice" in loaded
    heavy = (
        "opentelemetry.sdk.trace",
        "opentelemetry.exporter",
        "opentelemetry.proto",
        "tollway.dataplane.tracing.otel",
    )
    assert not [name for name in loaded if name.startswith(heavy)]
