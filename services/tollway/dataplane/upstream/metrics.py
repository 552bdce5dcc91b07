"""The connections to providers, as metrics."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Gauge

from tollway.dataplane.upstream.native import NativeClient
from tollway.dataplane.upstream.port import UpstreamClient


class ConnectionMetrics:
    """`update` brings them to what the native client has; the other one does not tell."""

    def __init__(self, registry: CollectorRegistry) -> None:
        connections = Gauge(
            "tollway_upstream_connections", "Connections to providers: in use, or kept for the next call.", ["state"],
            registry=registry, multiprocess_mode="livesum",
        )  # fmt: skip
        self._busy, self._idle = connections.labels("busy"), connections.labels("idle")

    def update(self, client: UpstreamClient) -> None:
        """Called every second and before a scrape."""
        if isinstance(client, NativeClient):
            self._busy.set(client.pool.open - client.pool.idle)
            self._idle.set(client.pool.idle)
