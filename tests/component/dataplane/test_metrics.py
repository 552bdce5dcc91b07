"""Metrics on a running data plane: what a request leaves behind, and that the reference page names all of it."""

from __future__ import annotations

import re
from pathlib import Path

from prometheus_client import CollectorRegistry
from prometheus_client.parser import text_string_to_metric_families

from tollway.dataplane.cache.counts import CacheMetrics
from tollway.testkit.lone_dataplane import LoneDataPlane
from tollway.testkit.upstream import USAGE, Upstream, completion, event, stream, whole, words

PAGE = Path(__file__).resolve().parents[3] / "docs" / "reference" / "metrics.md"
ROW = re.compile(r"^\| `(tollway_\w+)` \| (counter|gauge|histogram) \|([^|]*)\|", re.M)
Series = dict[tuple[str, frozenset[tuple[str, str]]], float]


def series(plane: LoneDataPlane) -> Series:
    """Every series of a scrape."""
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(plane.process.metrics().decode())
        for sample in family.samples
    }


def value(found: Series, name: str, **labels: str) -> float:
    """One series; 0 where there is none."""
    return found.get((name, frozenset(labels.items())), 0.0)


async def test_a_request_is_seen_by_model_provider_and_project(gateway: LoneDataPlane, upstream: Upstream) -> None:
    upstream.script = whole(completion(usage=USAGE))
    assert (await gateway.chat()).status == 200
    upstream.script = stream([*words(), event(finish="stop"), event(usage=USAGE), b"data: [DONE]\n\n"])
    answer = await gateway.chat(stream=True, stream_options={"include_usage": True})
    await answer.read()
    assert (await gateway.chat(model="down")).status == 502
    gateway.client.headers["Authorization"] = "Bearer nobody"
    assert (await gateway.chat()).status == 401
    found = series(gateway)
    endpoint = "/v1/chat/completions"
    assert value(found, "tollway_requests_total", endpoint=endpoint, model="m", project="p1", status="200") == 2
    assert value(found, "tollway_request_seconds_count", endpoint=endpoint, model="m") == 2
    assert value(found, "tollway_errors_total", code="provider_unavailable", model="down", project="p1") == 1
    assert value(found, "tollway_errors_total", code="invalid_api_key", model="", project="") == 1
    assert value(found, "tollway_attempts_total", provider="up", model="m", outcome="ok") == 2
    where = {"provider": "nowhere", "model": "down"}
    assert value(found, "tollway_attempt_errors_total", **where, code="provider_unavailable") >= 1
    retried = sum(count for (name, _), count in found.items() if name == "tollway_retries_total")
    assert value(found, "tollway_attempts_total", **where, outcome="error") == 1 + retried
    whose = {"provider": "up", "model": "m", "project": "p1"}
    assert value(found, "tollway_tokens_total", **whose, direction="input") == 18
    assert value(found, "tollway_tokens_total", **whose, direction="output") == 6
    assert round(value(found, "tollway_cost_dollars_total", **whose), 9) == 30e-6
    assert value(found, "tollway_time_to_first_byte_seconds_count", provider="up", model="m") == 2
    assert value(found, "tollway_time_to_first_token_seconds_count", provider="up", model="m") == 1
    up = {"provider": "up", "model": "up-model"}
    assert value(found, "tollway_target_breakers", **up, state="closed") == 1
    assert value(found, "tollway_target_in_flight", **up) == 0
    assert value(found, "tollway_target_limit", **up) >= 1
    idle, busy = (value(found, "tollway_upstream_connections", state=state) for state in ("idle", "busy"))
    assert (idle, busy) == (1, 0)


async def test_names_that_clients_choose_are_no_labels(gateway: LoneDataPlane, upstream: Upstream) -> None:
    for number in range(3):
        assert (await gateway.chat(model=f"up/of-a-client-{number}")).status == 200
        assert (await gateway.chat(model=f"unknown-{number}")).status == 404
    found = series(gateway)
    endpoint = "/v1/chat/completions"
    assert value(found, "tollway_requests_total", endpoint=endpoint, model="other", project="p1", status="200") == 3
    assert value(found, "tollway_target_breakers", provider="up", model="other", state="closed") == 3
    labels = {label for _, pairs in found for _, label in pairs}
    assert not [label for label in labels if "of-a-client" in label or "unknown" in label]


async def test_the_reference_page_names_every_metric_with_its_labels(gateway: LoneDataPlane) -> None:
    await gateway.chat()
    process = gateway.process
    telemetry = process.telemetry
    telemetry.retry("m", "same")
    telemetry.fallback("m", "fallback")
    telemetry.hedge("m", "first")
    telemetry.error("internal_error", "m", "p1")
    telemetry.attempt_error("up", "m", "provider_error")
    telemetry.first_token("up", "m", 1.0)
    telemetry.spans(1, 1, 1)
    telemetry.bound.tell("tollway_requests", 1)
    text = process.metrics().decode()
    if "tollway_cache_" not in text:
        caches = CollectorRegistry()
        CacheMetrics(caches)
        families = [*text_string_to_metric_families(text), *caches.collect()]
    else:
        families = list(text_string_to_metric_families(text))
    shown = {}
    for family in families:
        name = f"{family.name}_total" if family.type == "counter" else family.name
        labels = {label for sample in family.samples for label in sample.labels} - {"le"}
        shown[name] = (family.type, labels)
    data_plane = PAGE.read_text().partition("## Control plane")[0]
    told = {name: (kind, set(re.findall(r"`(\w+)`", labels))) for name, kind, labels in ROW.findall(data_plane)}
    assert told.keys() == shown.keys()
    wrong = {name: (told[name], shown[name]) for name in told if shown[name][1] and told[name] != shown[name]}
    assert wrong == {}
