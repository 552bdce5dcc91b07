"""How the targets have been doing lately, as seen by this process: what `GET /v1/models` shows as status."""

from __future__ import annotations

from tollway.runtime.clock import Clock

FORGET_SECONDS = 60.0
FAILURES = 3


class TargetHealth:
    """Counts consecutive failures of the provider's making for each target; client errors never count."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._failures: dict[tuple[str, str], tuple[int, float]] = {}

    def succeeded(self, provider: str, model: str) -> None:
        """The target answered."""
        if self._failures:
            self._failures.pop((provider, model), None)

    def failed(self, provider: str, model: str) -> None:
        """The target failed by its own fault."""
        count, _at = self._failures.get((provider, model), (0, 0.0))
        self._failures[provider, model] = (count + 1, self._clock.monotonic())

    def available(self, provider: str, model: str) -> bool:
        """False after several failures in a row, until one succeeds or a minute has passed."""
        count, at = self._failures.get((provider, model), (0, 0.0))
        return count < FAILURES or self._clock.monotonic() - at > FORGET_SECONDS
