"""The control plane's metrics: what its parts count, in the Prometheus text format."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric

from tollway.controlplane.ledger.service import LedgerCounters
from tollway.controlplane.publish.model import PublishCounters


class Parts:
    """A collector over the counters of the parts; reads them when it is scraped."""

    def __init__(
        self,
        calls: Mapping[tuple[str, str], int],
        publish: PublishCounters,
        ledger: LedgerCounters,
        subscribers: Mapping[str, int],
    ) -> None:
        self._calls = calls
        self._publish = publish
        self._ledger = ledger
        self._subscribers = subscribers

    def collect(self) -> Iterator[Metric]:
        """One family for each count."""
        calls = CounterMetricFamily("tollway_api_calls", "Management calls.", labels=["permission", "code"])
        for (permission, code), count in list(self._calls.items()):
            calls.add_metric([permission, code], count)
        yield calls
        for title, counters in (("config", self._publish), ("ledger", self._ledger)):
            for field in dataclasses.fields(counters):
                value = getattr(counters, field.name)
                yield CounterMetricFamily(f"tollway_{title}_{field.name}", f"{title}: {field.name}.", value=value)
        yield GaugeMetricFamily("tollway_config_subscribers", "Open streams.", value=self._subscribers["open"])


def render(parts: Parts) -> bytes:
    """The text of a scrape."""
    registry = CollectorRegistry(auto_describe=False)
    registry.register(parts)
    return generate_latest(registry)
