"""What is known of targets, as metrics: breakers, calls under way and waiting, limits. Bounded as all others."""

from __future__ import annotations

from collections.abc import Iterable

from tollway.core.routing.breaker import State
from tollway.dataplane.config.holder import Routes
from tollway.dataplane.metrics.series import OTHER, Bound, Labels
from tollway.dataplane.routing.targets import Place, TargetState

STATES = {State.CLOSED: "closed", State.HALF_OPEN: "half_open", State.OPEN: "open"}


class TargetMetrics:
    """`update` brings them to what the router knows. Models that the catalog does not name are `other` together."""

    def __init__(self, bound: Bound) -> None:
        levels, where = bound.levels, ("provider", "model")
        self._breakers = levels(
            "tollway_target_breakers", "Processes whose breaker of the target is in this state.", *where, "state"
        )
        self._in_flight = levels("tollway_target_in_flight", "Calls under way.", *where)
        self._waiting = levels("tollway_target_waiting", "Requests that wait for a place at the target.", *where)
        self._limit = levels(
            "tollway_target_limit", "Calls that the target is given at once, as learnt from its latency.", *where
        )
        self._routes: Routes | None = None
        self._named: set[Place] = set()

    def update(self, targets: Iterable[TargetState], routes: Routes | None) -> None:
        """Called every second and before a scrape."""
        if routes is not None and routes is not self._routes:
            self._routes = routes
            models = routes.catalog.models.values()
            self._named = {(target.provider, target.model) for model in models for target in model.targets}
        breakers: dict[Labels, float] = {}
        sums: tuple[dict[Labels, float], ...] = ({}, {}, {})
        for target in targets:
            where = (target.provider.name, target.place[1] if target.place in self._named else OTHER)
            state = (*where, STATES[target.breaker.state])
            breakers[state] = breakers.get(state, 0) + 1
            gate = target.gate
            for values, value in zip(sums, (gate.in_flight, gate.waiting, gate.limit.limit), strict=True):
                values[where] = values.get(where, 0) + value
        for metric, values in zip((self._in_flight, self._waiting, self._limit), sums, strict=True):
            metric.set_all(values)
        self._breakers.set_all(breakers)
