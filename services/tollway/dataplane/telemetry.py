"""The data plane's metrics: bounded series (no key or user is a label), summed over processes by the exporter."""

from __future__ import annotations

from collections.abc import Callable

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, multiprocess

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)


class Telemetry:
    """One for each process. Label children are looked up once and kept: a request costs a few additions."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self._requests = Counter(
            "tollway_requests",
            "Client requests, by endpoint and status.",
            ["endpoint", "status"],
            registry=self.registry,
        )
        self._attempts = Counter(
            "tollway_attempts",
            "Upstream calls, by provider and outcome.",
            ["provider", "outcome"],
            registry=self.registry,
        )
        self._tokens = Counter(
            "tollway_tokens",
            "Tokens, by model, provider and direction.",
            ["model", "provider", "direction"],
            registry=self.registry,
        )
        self._cost = Counter(
            "tollway_cost_dollars",
            "Spend in US dollars, by model and provider.",
            ["model", "provider"],
            registry=self.registry,
        )
        self._duration = Histogram(
            "tollway_request_seconds", "Request duration.", ["endpoint"], buckets=_SECONDS, registry=self.registry
        )
        self._first_byte = Histogram(
            "tollway_time_to_first_byte_seconds", "From the upstream call to its first byte.", ["provider"],
            buckets=_SECONDS, registry=self.registry,
        )  # fmt: skip
        self.in_flight = Gauge(
            "tollway_requests_in_flight", "Requests under way.", registry=self.registry, multiprocess_mode="livesum"
        )
        self.backlog = Gauge(
            "tollway_journal_backlog_bytes", "Ledger rows that are not acknowledged yet.",
            registry=self.registry, multiprocess_mode="livesum",
        )  # fmt: skip
        self.staleness = Gauge(
            "tollway_config_stale_seconds", "Since the last sign of life of the configuration stream.",
            registry=self.registry, multiprocess_mode="livemax",
        )  # fmt: skip
        self._children: dict[tuple[str, ...], Callable[[float], None]] = {}

    def _child(self, key: tuple[str, ...], make: Callable[[], Callable[[float], None]]) -> Callable[[float], None]:
        child = self._children.get(key)
        if child is None:
            child = self._children[key] = make()
        return child

    def request(self, endpoint: str, status: int, seconds: float) -> None:
        """A client request has ended. Status 499: the client left."""
        text = str(status)
        self._child(("r", endpoint, text), lambda: self._requests.labels(endpoint, text).inc)(1)
        self._child(("d", endpoint), lambda: self._duration.labels(endpoint).observe)(seconds)

    def attempt(self, provider: str, outcome: str, first_byte_seconds: float | None) -> None:
        """An upstream call has ended."""
        self._child(("a", provider, outcome), lambda: self._attempts.labels(provider, outcome).inc)(1)
        if first_byte_seconds is not None:
            self._child(("f", provider), lambda: self._first_byte.labels(provider).observe)(first_byte_seconds)

    def usage(self, model: str, provider: str, tokens_in: int, tokens_out: int, cost_nano: int) -> None:
        """Tokens and cost were booked."""
        if tokens_in:
            self._child(("i", model, provider), lambda: self._tokens.labels(model, provider, "input").inc)(tokens_in)
        if tokens_out:
            self._child(("o", model, provider), lambda: self._tokens.labels(model, provider, "output").inc)(tokens_out)
        if cost_nano:
            self._child(("c", model, provider), lambda: self._cost.labels(model, provider).inc)(cost_nano / 1e9)


def render(registry: CollectorRegistry, multiprocess_dir: str) -> bytes:
    """The Prometheus text: of this process alone, or summed over all that share the directory."""
    if not multiprocess_dir:
        return generate_latest(registry)
    summed = CollectorRegistry()
    multiprocess.MultiProcessCollector(summed, path=multiprocess_dir)  # type: ignore[no-untyped-call]
    return generate_latest(summed)
