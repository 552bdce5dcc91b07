"""The metrics of second copies and of lost processes."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge

from tollway.dataplane.outbox.copies import Copies
from tollway.dataplane.outbox.lost_nodes import LostNodes


class CopyMetrics:
    """`update` brings them to what was counted."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._rows = Counter(
            "tollway_copied_rows", "Ledger rows of which a second copy was made in Redis.", registry=registry
        )
        self._bytes = Counter("tollway_copied_bytes", "Bytes of these rows.", registry=registry)
        self._kept = Gauge(
            "tollway_copy_kept_bytes", "Bytes of second copies in Redis that the ledger has not acknowledged.",
            registry=registry, multiprocess_mode="livesum",
        )  # fmt: skip
        self._behind = Gauge(
            "tollway_copy_behind_seconds", "For how long there have been rows that should have a second copy.",
            registry=registry, multiprocess_mode="livemax",
        )  # fmt: skip
        self._lost = Counter(
            "tollway_lost_nodes", "Processes that were closed as lost with their journal.", registry=registry
        )
        self._lost_rows = Counter(
            "tollway_lost_node_rows", "Ledger rows that were shipped from the copy of a lost process.",
            registry=registry,
        )  # fmt: skip
        self._seen = [0, 0, 0, 0]

    def update(self, copies: Copies, lost: LostNodes) -> None:
        """Called every second and before a scrape."""
        totals = [copies.rows, copies.bytes, lost.found, lost.rows]
        counters = (self._rows, self._bytes, self._lost, self._lost_rows)
        for counter, total, seen in zip(counters, totals, self._seen, strict=True):
            counter.inc(total - seen)
        self._seen = totals
        self._kept.set(copies.kept_bytes)
        self._behind.set(copies.behind_seconds)
