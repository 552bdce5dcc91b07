"""Counters of the control plane, as Prometheus shows them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Protocol

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)


class CallTelemetry(Protocol):
    """Where the dispatcher counts."""

    def call(self, method: str, code: str, seconds: float) -> None:
        """One call that ended, with "ok" or the code of its error."""


class Telemetry:
    """The metrics of one process. Labels are methods and codes of the contract, never anything a caller wrote."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._calls = Counter(
            "tollway_management_calls", "Calls of the management API.", ["method", "code"], registry=self.registry
        )
        self._seconds = Histogram(
            "tollway_management_call_seconds",
            "Duration of calls of the management API.",
            ["method"],
            buckets=SECONDS,
            registry=self.registry,
        )

    def call(self, method: str, code: str, seconds: float) -> None:
        """One call of the management API that ended."""
        self._calls.labels(method, code).inc()
        self._seconds.labels(method).observe(seconds)

    def totals(self, prefix: str, help_text: str, read: Callable[[], dict[str, int]]) -> None:
        """Shows totals that are kept elsewhere: `tollway_<prefix>_<name>_total`."""
        self.registry.register(_Totals(f"tollway_{prefix}", help_text, read))

    def gauge(self, name: str, help_text: str, read: Callable[[], float]) -> None:
        """Shows a value that is read when it is asked for."""
        Gauge(f"tollway_{name}", help_text, registry=self.registry).set_function(read)

    def render(self) -> bytes:
        """The Prometheus text format."""
        return generate_latest(self.registry)


class _Totals(Collector):
    def __init__(self, prefix: str, help_text: str, read: Callable[[], dict[str, int]]) -> None:
        self._prefix = prefix
        self._help = help_text
        self._read = read

    def collect(self) -> Iterator[Metric]:
        for name, value in self._read().items():
            yield CounterMetricFamily(f"{self._prefix}_{name}", f"{self._help}: {name.replace('_', ' ')}.", value=value)
