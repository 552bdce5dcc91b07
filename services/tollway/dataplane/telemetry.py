"""The data plane's metrics of requests and calls: bounded series, summed over processes by the exporter.

A request costs a few additions to dicts of our own; the exporter gets the sums every second. No key, no user and
nothing that a client may choose is a label.
"""

from __future__ import annotations

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    disable_created_metrics,
    generate_latest,
    multiprocess,
)

from tollway.dataplane.metrics.series import Bound

DEFAULT_SERIES = 1000

Request = tuple[str, str, str, int]
"""Endpoint, model, project and status; the model is its name in the catalog or `other`."""
Call = tuple[str, str, str, str]
"""Provider, model, project and outcome; the model as in `Request`."""


class Telemetry:
    """One for each process. `most_series` bounds the label combinations of each metric."""

    def __init__(self, most_series: int = DEFAULT_SERIES) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # they would nearly double the series of counters
        self.registry = CollectorRegistry()
        self.bound = bound = Bound(self.registry, most_series)
        counter, seconds = bound.counter, bound.seconds
        where = ("endpoint", "model", "project", "status")
        self._request = counter("tollway_requests", "Client requests. Status 499: the client left.", *where)
        self._duration = seconds(
            "tollway_request_seconds", "From a request's arrival to the end of its answer.", "endpoint", "model"
        )
        self._error = counter(
            "tollway_errors", "Requests that ended in an error, by its code.", "code", "model", "project"
        )
        self._attempt = counter("tollway_attempts", "Upstream calls, by outcome.", "provider", "model", "outcome")
        self._fault = counter(
            "tollway_attempt_errors", "Upstream calls that failed, by code.", "provider", "model", "code"
        )
        whose = ("provider", "model", "project")
        self._tokens = counter("tollway_tokens", "Tokens that were booked.", *whose, "direction")
        self._cost = counter("tollway_cost_dollars", "Spend that was booked, in US dollars.", *whose)
        self._first_byte = seconds(
            "tollway_time_to_first_byte_seconds", "From an upstream call to status and headers of its answer.",
            "provider", "model",
        )  # fmt: skip
        self._first_token = seconds(
            "tollway_time_to_first_token_seconds", "From a request's arrival to the first content of its stream.",
            "provider", "model",
        )  # fmt: skip
        self._again = counter("tollway_retries", "Calls that were made again, by what was tried.", "model", "kind")
        self._fallback = counter("tollway_fallbacks", "Requests that went to another model.", "model", "kind")
        self._hedge = counter("tollway_hedges", "Second calls of a request, by which was used.", "model", "result")
        self._gauges()
        self._requests: dict[Request, list[float]] = {}
        self._calls: dict[Call, list[tuple[float | None, int, int, int]]] = {}
        self._tokens_first: dict[tuple[str, str], list[float]] = {}
        self._rare: dict[tuple[str, ...], int] = {}
        self._rarely = {
            "error": self._error, "fault": self._fault, "retry": self._again, "fallback": self._fallback,
            "hedge": self._hedge,
        }  # fmt: skip

    def _gauges(self) -> None:
        def gauge(name: str, text: str, mode: str = "livesum") -> Gauge:
            return Gauge(name, text, registry=self.registry, multiprocess_mode=mode)  # type: ignore[arg-type]

        self.in_flight = gauge("tollway_requests_in_flight", "Requests under way.")
        self.backlog = gauge("tollway_journal_backlog_bytes", "Ledger rows that are not acknowledged yet.")
        self.staleness = gauge(
            "tollway_config_stale_seconds", "Since the last sign of life of the configuration stream.", "livemax"
        )
        self.counters_away = gauge(
            "tollway_counters_away_seconds", "Since the counters of budgets and limits stopped to answer; 0: they do.",
            "livemax",
        )  # fmt: skip
        self.accounts = gauge("tollway_admission_accounts", "Windows of budgets and limits that are known.")
        self.reserved = gauge(
            "tollway_admission_accounts_reserved", "Of these, windows of which something is reserved."
        )
        self._exported = Counter(
            "tollway_spans_exported", "Spans that the collector has taken.", registry=self.registry
        )
        self._dropped = Counter(
            "tollway_spans_dropped", "Spans that did not reach the collector: the queue was full, or sending failed.",
            ["reason"], registry=self.registry,
        )  # fmt: skip

    # -- on the path of requests: dicts and lists of our own -------------------------------------------------------

    def request(self, endpoint: str, model: str, project: str, status: int, seconds: float) -> None:
        """A client request has ended. Status 499: the client left. `model` and `project` are "" where not known."""
        key = (endpoint, model, project, status)
        found = self._requests.get(key)
        if found is None:
            found = self._requests[key] = []
        found.append(seconds)

    def attempt(
        self,
        call: Call,
        first_byte_seconds: float | None,
        tokens_in: int,
        tokens_out: int,
        cost_nano: int,
    ) -> None:
        """An upstream call has ended and is booked."""
        found = self._calls.get(call)
        if found is None:
            found = self._calls[call] = []
        found.append((first_byte_seconds, tokens_in, tokens_out, cost_nano))

    def first_token(self, provider: str, model: str, seconds: float) -> None:
        """A stream has its first content, so long after the request came."""
        key = (provider, model)
        found = self._tokens_first.get(key)
        if found is None:
            found = self._tokens_first[key] = []
        found.append(seconds)

    # -- seldom -----------------------------------------------------------------------------------------------------

    def error(self, code: str, model: str, project: str) -> None:
        """A request has ended in this error."""
        self._count("error", code, model, project)

    def attempt_error(self, provider: str, model: str, code: str) -> None:
        """An upstream call has failed so."""
        self._count("fault", provider, model, code)

    def retry(self, model: str, kind: str) -> None:
        """A call is made again: `same` target, another `credential`, or another `target`."""
        self._count("retry", model, kind)

    def fallback(self, model: str, kind: str) -> None:
        """A request for `model` goes to another one: `fallback`, `context_fallback` or `filter_fallback`."""
        self._count("fallback", model, kind)

    def hedge(self, model: str, result: str) -> None:
        """A second call was made; `first`, `second` or `neither` was used."""
        self._count("hedge", model, result)

    def _count(self, what: str, *labels: str) -> None:
        key = (what, *labels)
        self._rare[key] = self._rare.get(key, 0) + 1

    # -- every second -----------------------------------------------------------------------------------------------

    def admission(self, away_seconds: float, accounts: int, reserved: int) -> None:
        """How budgets and limits are kept."""
        self.counters_away.set(away_seconds)
        self.accounts.set(accounts)
        self.reserved.set(reserved)

    def spans(self, exported: int, queue_full: int, failed: int) -> None:
        """What has become of so many further spans."""
        self._exported.inc(exported)
        self._dropped.labels("queue_full").inc(queue_full)
        self._dropped.labels("failed").inc(failed)

    def flush(self) -> None:
        """Hands what was gathered to the exporter; called every second and before a scrape."""
        requests, self._requests = self._requests, {}
        durations: dict[tuple[str, str], list[float]] = {}
        for (endpoint, model, project, status), seconds in requests.items():
            self._request.add((endpoint, model, project, str(status)), len(seconds), len(seconds))
            durations.setdefault((endpoint, model), []).extend(seconds)
        for labels, seconds in durations.items():
            self._duration.add(labels, seconds)
        self._flush_calls()
        firsts, self._tokens_first = self._tokens_first, {}
        for place, seconds in firsts.items():
            self._first_token.add(place, seconds)
        rare, self._rare = self._rare, {}
        for (what, *labels_of), count in rare.items():
            self._rarely[what].add(tuple(labels_of), count, count)

    def _flush_calls(self) -> None:
        calls, self._calls = self._calls, {}
        waits: dict[tuple[str, str], list[float]] = {}
        for (provider, model, project, outcome), ended in calls.items():
            count = len(ended)
            self._attempt.add((provider, model, outcome), count, count)
            first_bytes, tokens_in, tokens_out, costs = zip(*ended, strict=True)
            whose = (provider, model, project)
            if tokens := sum(tokens_in):
                self._tokens.add((*whose, "input"), tokens, count)
            if tokens := sum(tokens_out):
                self._tokens.add((*whose, "output"), tokens, count)
            if cost := sum(costs):
                self._cost.add(whose, cost * 1e-9, count)
            known = [seconds for seconds in first_bytes if seconds is not None]
            if known:
                waits.setdefault((provider, model), []).extend(known)
        for labels, seconds in waits.items():
            self._first_byte.add(labels, seconds)


def render(registry: CollectorRegistry, multiprocess_dir: str) -> bytes:
    """The Prometheus text: of this process alone, or summed over all that share the directory."""
    if not multiprocess_dir:
        return generate_latest(registry)
    summed = CollectorRegistry()
    multiprocess.MultiProcessCollector(summed, path=multiprocess_dir)  # type: ignore[no-untyped-call]
    return generate_latest(summed)
