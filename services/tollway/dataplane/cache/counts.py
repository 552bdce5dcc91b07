"""What the cache has done, as numbers and metrics. No project, model or key is a label."""

from __future__ import annotations

from typing import NamedTuple

from prometheus_client import CollectorRegistry, Counter, Gauge

RESULTS = ("memory", "store", "similar", "shared", "miss")
"""Where an answer was found: in memory, in Redis, of a request that means the same, in a call under way; or not."""
REASONS = ("incomplete", "large", "busy", "quota", "store")
"""Why an answer is not kept: it is not whole; it is too large; too many wait to be stored; its project has no room; the
store did not take it."""


class Levels(NamedTuple):
    """Answers held in memory, bytes of these and of what is known of questions, and calls that others may join."""

    answers: int
    held_bytes: int
    flights: int


class Counts:
    """Totals since the process began; written by the event loop alone."""

    def __init__(self) -> None:
        self.results = dict.fromkeys(RESULTS, 0)
        self.lost = dict.fromkeys(REASONS, 0)
        self.stored = 0
        self.stored_bytes = 0
        self.evicted = 0
        self.errors = 0
        self.saved_nano = 0

    def flat(self) -> dict[str, int]:
        """Every total by a name of its own."""
        return {
            "stored": self.stored,
            "stored_bytes": self.stored_bytes,
            "evicted": self.evicted,
            "errors": self.errors,
            "saved_nano": self.saved_nano,
            **{f"result:{name}": value for name, value in self.results.items()},
            **{f"lost:{name}": value for name, value in self.lost.items()},
        }


class CacheMetrics:
    """The metrics; `update` brings them to what was counted."""

    def __init__(self, registry: CollectorRegistry) -> None:
        def counter(name: str, text: str, *labels: str) -> Counter:
            return Counter(f"tollway_cache_{name}", text, labels, registry=registry)

        def gauge(name: str, text: str) -> Gauge:
            return Gauge(f"tollway_cache_{name}", text, registry=registry, multiprocess_mode="livesum")

        results = counter("requests", "Requests that may be answered from the cache, by where it was found.", "result")
        lost = counter("not_kept", "Answers that were not kept, by reason.", "reason")
        self._scale = {"saved_nano": 1e-9}
        self._counters = {
            "stored": counter("stored", "Answers that were kept."),
            "stored_bytes": counter("stored_bytes", "Their size as kept in Redis."),
            "evicted": counter("evicted", "Answers that went before their time to make room."),
            "errors": counter("errors", "Calls of the cache's store that failed."),
            "saved_nano": counter("saved_dollars", "What the calls had cost that were not made, in US dollars."),
            **{f"result:{name}": results.labels(name) for name in RESULTS},
            **{f"lost:{name}": lost.labels(name) for name in REASONS},
        }
        self._answers = gauge("memory_answers", "Answers held in memory.")
        self._held = gauge("memory_bytes", "Bytes of these, and of what is known of questions by their meaning.")
        self._flights = gauge("shared_calls", "Calls under way that identical requests may join.")
        self._seen = dict.fromkeys(self._counters, 0)

    def update(self, counts: Counts, levels: Levels) -> None:
        """Called every second and before a scrape."""
        for name, value in counts.flat().items():
            self._counters[name].inc((value - self._seen[name]) * self._scale.get(name, 1))
            self._seen[name] = value
        self._answers.set(levels.answers)
        self._held.set(levels.held_bytes)
        self._flights.set(levels.flights)
