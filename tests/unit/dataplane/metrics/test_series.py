"""Bounds of metrics, what they fold, and that nothing is lost in it."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Histogram

from tollway.dataplane.metrics.series import SECONDS, Bound, Sums
from tollway.dataplane.telemetry import Telemetry, render


def value(registry: CollectorRegistry, name: str, **labels: str) -> float:
    """One series of a registry; 0 where there is none."""
    return registry.get_sample_value(name, labels) or 0.0


def test_ten_thousand_keys_of_as_many_projects_make_a_bounded_number_of_series() -> None:
    telemetry = Telemetry(most_series=50)
    for number in range(10_000):
        project = f"project {number}"
        telemetry.attempt(("openai", "gpt", project, "ok"), 0.1, 10, 5, 1_000_000_000)
        telemetry.request("/v1/chat/completions", "gpt", project, 200, 0.5)
    telemetry.flush()
    text = render(telemetry.registry, "").decode()
    series = [line for line in text.splitlines() if line.startswith("tollway_requests_total")]
    assert len(series) == 51
    assert sum(float(line.split()[-1]) for line in series) == 10_000
    where = {"provider": "openai", "model": "gpt", "project": "other"}  # the models' totals are still right
    assert value(telemetry.registry, "tollway_cost_dollars_total", **where) == 9950
    assert value(telemetry.registry, "tollway_tokens_total", **where, direction="input") == 9975 * 10
    assert value(telemetry.registry, "tollway_metrics_folded_total", metric="tollway_requests") == 9950
    assert len(text.splitlines()) < 1000


def test_names_that_no_project_has_are_folded_whole() -> None:
    registry = CollectorRegistry()
    counter = Bound(registry, 2).counter("tollway_things", "Things.", "model", "project", "status")
    for number in range(10):
        counter.add((f"m{number}", "p", "200"), 1)
    assert value(registry, "tollway_things_total", model="m3", project="other", status="200") == 1
    assert value(registry, "tollway_things_total", model="other", project="other", status="200") == 6


def test_a_combination_that_has_its_series_keeps_it_when_others_are_folded() -> None:
    registry = CollectorRegistry()
    counter = Bound(registry, 2).counter("tollway_things", "Things.", "model", "status")
    for model in ("a", "b", "c", "a", "d"):
        counter.add((model, "200"), 1)
    assert value(registry, "tollway_things_total", model="a", status="200") == 2
    assert value(registry, "tollway_things_total", model="other", status="200") == 2
    assert value(registry, "tollway_things_total", model="c", status="200") == 0


def test_levels_beyond_the_bound_are_added_up_and_those_that_end_are_zero() -> None:
    registry = CollectorRegistry()
    levels = Bound(registry, 1).levels("tollway_level", "Level.", "model")
    levels.set_all({("a",): 1, ("b",): 2, ("c",): 3})
    assert value(registry, "tollway_level", model="a") == 1
    assert value(registry, "tollway_level", model="other") == 5
    levels.set_all({("b",): 4})
    assert value(registry, "tollway_level", model="a") == 0
    assert value(registry, "tollway_level", model="other") == 4
    levels.set_all({})
    assert value(registry, "tollway_level", model="other") == 0


@settings(max_examples=50)
@given(st.lists(st.floats(min_value=0, max_value=1000)))
def test_many_observations_at_once_are_the_same_as_one_by_one(values: list[float]) -> None:
    ours, theirs = CollectorRegistry(), CollectorRegistry()
    Sums("x_seconds", "X.", buckets=SECONDS, registry=ours).observe_all(values)
    single = Histogram("x_seconds", "X.", buckets=SECONDS, registry=theirs)
    for seconds in values:
        single.observe(seconds)
    expected = {(s.name, *s.labels.items()): s.value for m in theirs.collect() for s in m.samples}
    found = {(s.name, *s.labels.items()): s.value for m in ours.collect() for s in m.samples}
    for name, amount in expected.items():
        if not str(name[0]).endswith("_created"):
            assert abs(found[name] - amount) <= 1e-9 * max(1, amount)


def test_errors_retries_and_calls_are_counted_where_they_belong() -> None:
    telemetry = Telemetry()
    telemetry.error("rate_limit_exceeded", "gpt", "p")
    telemetry.attempt_error("openai", "gpt", "provider_timeout")
    telemetry.retry("gpt", "target")
    telemetry.fallback("gpt", "context_fallback")
    telemetry.hedge("gpt", "second")
    telemetry.first_token("openai", "gpt", 0.3)
    telemetry.attempt(("openai", "gpt", "p", "error"), None, 0, 0, 0)
    telemetry.flush()
    telemetry.flush()  # nothing is handed over twice
    found = telemetry.registry
    assert value(found, "tollway_errors_total", code="rate_limit_exceeded", model="gpt", project="p") == 1
    assert value(found, "tollway_attempt_errors_total", provider="openai", model="gpt", code="provider_timeout") == 1
    assert value(found, "tollway_retries_total", model="gpt", kind="target") == 1
    assert value(found, "tollway_fallbacks_total", model="gpt", kind="context_fallback") == 1
    assert value(found, "tollway_hedges_total", model="gpt", result="second") == 1
    assert value(found, "tollway_time_to_first_token_seconds_count", provider="openai", model="gpt") == 1
    assert value(found, "tollway_attempts_total", provider="openai", model="gpt", outcome="error") == 1
    assert value(found, "tollway_time_to_first_byte_seconds_count", provider="openai", model="gpt") == 0
