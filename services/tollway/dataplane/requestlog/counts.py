"""What became of captured bodies, as numbers and metrics. Each number has one thread that writes it."""

from __future__ import annotations

from collections import Counter as Tally
from typing import NamedTuple

from prometheus_client import CollectorRegistry, Counter, Gauge

REASONS = ("memory", "queue", "spool_full", "spool_failed", "not_packed", "refused", "unreadable")
"""Why a body can be lost: too much is held at once; too many wait; no room on disk, or none to be written; it could not
be packed; the control plane does not take it; its record on disk was damaged."""


class Levels(NamedTuple):
    """Bytes held in memory, bytes not acknowledged on disk, seconds since the oldest of these requests began."""

    memory_bytes: int
    spool_bytes: int
    oldest_seconds: float


class Counts:
    """The totals since the process began. `dropped_here` is the event loop's, `dropped_aside` the writer's."""

    def __init__(self) -> None:
        self.captured = 0
        self.shipped = 0
        self.dropped_here: Tally[str] = Tally()
        self.dropped_aside: Tally[str] = Tally()

    @property
    def dropped(self) -> int:
        """All that was lost."""
        return sum(sum(tally[reason] for reason in REASONS) for tally in (self.dropped_here, self.dropped_aside))

    def by_reason(self) -> dict[str, int]:
        """What was lost, by reason."""
        return {reason: self.dropped_here[reason] + self.dropped_aside[reason] for reason in REASONS}


class BodyMetrics:
    """The metrics; `update` brings them to what was counted."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._captured = Counter(
            "tollway_bodies_captured", "Requests that were taken for the request log.", registry=registry
        )
        self._shipped = Counter(
            "tollway_bodies_shipped", "Bodies that the control plane has stored.", registry=registry
        )
        self._dropped = Counter(
            "tollway_bodies_dropped", "Bodies that were lost, by reason.", ["reason"], registry=registry
        )
        self._memory = Gauge(
            "tollway_bodies_memory_bytes", "Bodies held in memory.", registry=registry, multiprocess_mode="livesum"
        )
        self._spool = Gauge(
            "tollway_bodies_spool_bytes", "Bodies on disk that are not acknowledged yet.",
            registry=registry, multiprocess_mode="livesum",
        )  # fmt: skip
        self._oldest = Gauge(
            "tollway_bodies_oldest_seconds", "Age of the oldest body that is not acknowledged yet.",
            registry=registry, multiprocess_mode="livemax",
        )  # fmt: skip
        for reason in REASONS:
            self._dropped.labels(reason)
        self._seen = dict.fromkeys(("captured", "shipped", *REASONS), 0)

    def update(self, counts: Counts, levels: Levels) -> None:
        """Called every second and before a scrape."""
        for name, value, counter in (
            ("captured", counts.captured, self._captured),
            ("shipped", counts.shipped, self._shipped),
            *((reason, value, self._dropped.labels(reason)) for reason, value in counts.by_reason().items()),
        ):
            counter.inc(value - self._seen[name])
            self._seen[name] = value
        self._memory.set(levels.memory_bytes)
        self._spool.set(levels.spool_bytes)
        self._oldest.set(min(max(levels.oldest_seconds, 0.0), 1e9))
