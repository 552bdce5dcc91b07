"""The data plane's metrics: bounded series (no key or user is a label), summed over processes by the exporter."""

from __future__ import annotations

from collections import defaultdict

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, multiprocess

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)


class Telemetry:
    """One for each process. A request costs a few additions; the exporter gets the sums every second."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        requests = Counter(
            "tollway_requests",
            "Client requests, by endpoint and status.",
            ["endpoint", "status"],
            registry=self.registry,
        )
        attempts = Counter(
            "tollway_attempts",
            "Upstream calls, by provider and outcome.",
            ["provider", "outcome"],
            registry=self.registry,
        )
        tokens = Counter(
            "tollway_tokens",
            "Tokens, by model, provider and direction.",
            ["model", "provider", "direction"],
            registry=self.registry,
        )
        cost = Counter(
            "tollway_cost_dollars",
            "Spend in US dollars, by model and provider.",
            ["model", "provider"],
            registry=self.registry,
        )
        duration = Histogram(
            "tollway_request_seconds", "Request duration.", ["endpoint"], buckets=_SECONDS, registry=self.registry
        )
        first_byte = Histogram(
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
        self._admission_gauges()
        self._counters = {"request": requests, "attempt": attempts, "tokens": tokens, "cost": cost}
        self._histograms = {"request": duration, "first_byte": first_byte}
        self._counts: defaultdict[tuple[str, ...], int] = defaultdict(int)
        self._seconds: defaultdict[tuple[str, ...], list[float]] = defaultdict(list)

    def _admission_gauges(self) -> None:
        self.counters_away = Gauge(
            "tollway_counters_away_seconds", "Since the counters of budgets and limits stopped to answer; 0: they do.",
            registry=self.registry, multiprocess_mode="livemax",
        )  # fmt: skip
        self.accounts = Gauge(
            "tollway_admission_accounts", "Windows of budgets and limits that are known.",
            registry=self.registry, multiprocess_mode="livesum",
        )  # fmt: skip
        self.reserved = Gauge(
            "tollway_admission_accounts_reserved", "Of these, windows of which something is reserved.",
            registry=self.registry, multiprocess_mode="livesum",
        )  # fmt: skip

    def request(self, endpoint: str, status: int, seconds: float) -> None:
        """A client request has ended. Status 499: the client left."""
        self._counts["request", endpoint, str(status)] += 1
        self._seconds["request", endpoint].append(seconds)

    def attempt(self, provider: str, outcome: str, first_byte_seconds: float | None) -> None:
        """An upstream call has ended."""
        self._counts["attempt", provider, outcome] += 1
        if first_byte_seconds is not None:
            self._seconds["first_byte", provider].append(first_byte_seconds)

    def admission(self, away_seconds: float, accounts: int, reserved: int) -> None:
        """How budgets and limits are kept."""
        self.counters_away.set(away_seconds)
        self.accounts.set(accounts)
        self.reserved.set(reserved)

    def usage(self, model: str, provider: str, tokens_in: int, tokens_out: int, cost_nano: int) -> None:
        """Tokens and cost were booked."""
        counts = self._counts
        counts["tokens", model, provider, "input"] += tokens_in
        counts["tokens", model, provider, "output"] += tokens_out
        counts["cost", model, provider] += cost_nano

    def flush(self) -> None:
        """Hands what was gathered to the exporter; called every second and before a scrape."""
        counts, self._counts = self._counts, defaultdict(int)
        seconds, self._seconds = self._seconds, defaultdict(list)
        for (name, *labels), count in counts.items():
            scale = 1e-9 if name == "cost" else 1
            self._counters[name].labels(*labels).inc(count * scale)
        for (name, *labels), values in seconds.items():
            histogram = self._histograms[name].labels(*labels)
            for value in values:
                histogram.observe(value)


def render(registry: CollectorRegistry, multiprocess_dir: str) -> bytes:
    """The Prometheus text: of this process alone, or summed over all that share the directory."""
    if not multiprocess_dir:
        return generate_latest(registry)
    summed = CollectorRegistry()
    multiprocess.MultiProcessCollector(summed, path=multiprocess_dir)  # type: ignore[no-untyped-call]
    return generate_latest(summed)
