"""What is not counted on the path of requests but asked for: brought to the metrics every second and for a scrape."""

from __future__ import annotations

from tollway.dataplane.cache.cache import Cache
from tollway.dataplane.cache.counts import CacheMetrics
from tollway.dataplane.config.holder import CatalogHolder
from tollway.dataplane.routing.metrics import TargetMetrics
from tollway.dataplane.routing.router import Router
from tollway.dataplane.telemetry import Telemetry
from tollway.dataplane.tracing.port import Tracer
from tollway.dataplane.upstream.metrics import ConnectionMetrics
from tollway.dataplane.upstream.port import UpstreamClient
from tollway.runtime import log

_log = log.get(__name__)
LOG_EVERY = 30
"""Updates between two log lines about spans that do not reach the collector."""


class Measures:
    """Targets, connections to providers, the cache, and spans of one process."""

    def __init__(
        self,
        telemetry: Telemetry,
        holder: CatalogHolder,
        router: Router,
        upstream: UpstreamClient,
        tracer: Tracer | None,
        cache: Cache | None,
    ) -> None:
        self._holder, self._router, self._upstream, self._tracer = holder, router, upstream, tracer
        self._targets = TargetMetrics(telemetry.bound)
        self._connections = ConnectionMetrics(telemetry.registry)
        self._spans = telemetry
        self._cache = cache
        self._cache_metrics = CacheMetrics(telemetry.registry) if cache is not None else None
        self._seen = (0, 0, 0)
        self._quiet = 0

    def update(self) -> None:
        """Called every second and before a scrape."""
        self._targets.update(self._router.targets(), self._holder.routes)
        self._connections.update(self._upstream)
        if self._cache is not None and self._cache_metrics is not None:
            self._cache_metrics.update(self._cache.counts, self._cache.levels())
        if self._tracer is not None:
            counts = self._tracer.counts
            seen, self._seen = self._seen, (counts.exported, counts.queue_full, counts.failed)
            exported, full, failed = (now - before for now, before in zip(self._seen, seen, strict=True))
            self._spans.spans(exported, full, failed)
            self._tell(full, failed)

    def _tell(self, full: int, failed: int) -> None:
        self._quiet = max(self._quiet - 1, 0)
        if (full or failed) and not self._quiet:
            self._quiet = LOG_EVERY
            _log.warning("spans do not reach the collector", queue_full=full, failed=failed)
