"""Metrics with an explicit bound on their label combinations: beyond it, names are counted as `other`.

Owns the bound and what is folded. Names of models, providers and projects are the labels that may grow; everything else
that is a label comes from a fixed list. Keys, users and what clients choose are never labels.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Mapping, Sequence

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

OTHER = "other"
PROJECT = frozenset({"project"})
GROWING = PROJECT | {"model", "provider"}
"""The labels that are folded: the project first, which there are most of, then all."""
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300)

Labels = tuple[str, ...]


class Room:
    """Which combination of one metric has a series of its own, and which counts for the others.

    `most` have one; then projects are `other`, with `most` combinations of what is left; then everything is.
    """

    def __init__(self, names: Labels, most: int) -> None:
        self._names = names
        self._most = most
        self._named: set[Labels] = set()
        self._without_project: set[Labels] = set()

    def of(self, values: Labels) -> Labels:
        """The combination that these labels are counted as."""
        if values in self._named:
            return values
        if len(self._named) < self._most:
            self._named.add(values)
            return values
        place = self._folded(values, PROJECT)
        if place in self._without_project or (place != values and len(self._without_project) < self._most):
            self._without_project.add(place)
            return place
        return self._folded(values, GROWING)

    def _folded(self, values: Labels, which: frozenset[str]) -> Labels:
        return tuple([OTHER if name in which else value for name, value in zip(self._names, values, strict=True)])


class Sums(Histogram):
    """A histogram that takes many observations at once."""

    def add(self, counts: Sequence[int], total: float) -> None:
        """`counts` has what fell into each bucket, the last one endless; `total` is the sum of the observations."""
        self._sum.inc(total)
        for bucket, count in zip(self._buckets, counts, strict=True):
            if count:
                bucket.inc(count)

    def observe_all(self, values: Iterable[float]) -> None:
        """Many observations."""
        bounds = self._upper_bounds
        counts = [0] * len(bounds)
        total = 0.0
        for value in values:
            counts[bisect_left(bounds, value)] += 1
            total += value
        self.add(counts, total)


class Bound:
    """The bound of every metric of one process, and the count of what it folded."""

    def __init__(self, registry: CollectorRegistry, most: int) -> None:
        """`most`: label combinations of one metric."""
        self.registry = registry
        self.most = most
        self._folded = Counter(
            "tollway_metrics_folded",
            "Updates that were counted under the label value other, because a metric has no room for more series.",
            ["metric"],
            registry=registry,
        )

    def tell(self, metric: str, updates: int) -> None:
        """So many updates of a metric were folded."""
        self._folded.labels(metric).inc(updates)

    def counter(self, name: str, text: str, *labels: str) -> BoundedCounter:
        """A counter; its series end in `_total`."""
        return BoundedCounter(self, name, labels, Counter(name, text, labels, registry=self.registry))

    def seconds(self, name: str, text: str, *labels: str) -> BoundedSeconds:
        """A histogram of seconds."""
        metric = Sums(name, text, labels, buckets=SECONDS, registry=self.registry)
        return BoundedSeconds(self, name, labels, metric)

    def levels(self, name: str, text: str, *labels: str) -> BoundedLevels:
        """A gauge that is summed over the processes that live."""
        metric = Gauge(name, text, labels, registry=self.registry, multiprocess_mode="livesum")
        return BoundedLevels(self, labels, metric)


class BoundedCounter:
    """A counter of which only so many label combinations are kept."""

    def __init__(self, bound: Bound, name: str, labels: Labels, metric: Counter) -> None:
        self._bound, self._name, self._metric = bound, name, metric
        self._room = Room(labels, bound.most)
        self._children: dict[Labels, Counter] = {}

    def add(self, labels: Labels, amount: float, updates: int = 1) -> None:
        """Adds to one combination; `updates` is how many events that stands for."""
        child = self._children.get(labels)
        if child is None:
            place = self._room.of(labels)
            child = self._metric.labels(*place)
            if place == labels:
                self._children[labels] = child
            else:
                self._bound.tell(self._name, updates)
        child.inc(amount)


class BoundedSeconds:
    """A histogram of which only so many label combinations are kept."""

    def __init__(self, bound: Bound, name: str, labels: Labels, metric: Sums) -> None:
        self._bound, self._name, self._metric = bound, name, metric
        self._room = Room(labels, bound.most)
        self._children: dict[Labels, Sums] = {}

    def add(self, labels: Labels, values: Sequence[float]) -> None:
        """Adds the observations of one combination."""
        child = self._children.get(labels)
        if child is None:
            place = self._room.of(labels)
            child = self._metric.labels(*place)
            if place == labels:
                self._children[labels] = child
            else:
                self._bound.tell(self._name, len(values))
        child.observe_all(values)


class BoundedLevels:
    """A gauge of which only so many label combinations are kept; one that is not set any more is 0."""

    def __init__(self, bound: Bound, labels: Labels, metric: Gauge) -> None:
        self._metric = metric
        self._room = Room(labels, bound.most)
        self._shown: set[Labels] = set()

    def set_all(self, values: Mapping[Labels, float]) -> None:
        """The values of every combination that there is. Those beyond the bound are added up."""
        sums = dict.fromkeys(self._shown, 0.0)
        for labels, value in values.items():
            place = self._room.of(labels)
            sums[place] = sums.get(place, 0.0) + value
        for place, value in sums.items():
            self._metric.labels(*place).set(value)
        self._shown.update(sums)
