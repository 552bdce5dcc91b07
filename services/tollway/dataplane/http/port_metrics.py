"""The metrics of the clients' port: connections, limits that were broken, certificate changes."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge

from tollway.dataplane.http.listener import Listener
from tollway.dataplane.http.tls import Certificate


class PortMetrics:
    """`update` brings them to what was counted."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._open = Gauge(
            "tollway_connections", "Connections of clients.", registry=registry, multiprocess_mode="livesum"
        )
        self._refused = Counter(
            "tollway_connections_refused", "Connections beyond the limit of their process.", registry=registry
        )
        self._dropped = Counter(
            "tollway_connections_dropped",
            "Connections closed because the client was too slow, by what it was slow with: head, reader.",
            ["reason"],
            registry=registry,
        )
        self._loads = Counter(
            "tollway_tls_reloads", "Changes of the certificate's files, by result: used, failed.", ["result"],
            registry=registry,
        )  # fmt: skip
        self._seen: dict[str, int] = {}

    def update(self, listener: Listener, certificate: Certificate | None) -> None:
        """Called every second and before a scrape."""
        self._open.set(listener.connections)
        self._refused.inc(self._more("refused", listener.refused))
        for reason, count in listener.dropped.items():
            self._dropped.labels(reason).inc(self._more(reason, count))
        if certificate is not None:
            self._loads.labels("used").inc(self._more("used", certificate.reloads))
            self._loads.labels("failed").inc(self._more("failed", certificate.failures))

    def _more(self, name: str, total: int) -> int:
        """How much was counted since the last update."""
        more = total - self._seen.get(name, 0)
        self._seen[name] = total
        return more
