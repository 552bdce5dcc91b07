"""Whether a process is alive and ready, as named conditions."""

from __future__ import annotations

from collections.abc import Callable


class Health:
    """Readiness is the conjunction of named conditions; each says in words why it does not hold."""

    def __init__(self) -> None:
        self._conditions: dict[str, Callable[[], str | None]] = {}
        self.draining = False

    def require(self, name: str, problem: Callable[[], str | None]) -> None:
        """Adds a condition: `problem()` is None when it holds, else a short public reason."""
        self._conditions[name] = problem

    def problems(self) -> dict[str, str]:
        """What keeps the process from being ready; empty when it is."""
        found = {name: text for name, check in self._conditions.items() if (text := check()) is not None}
        if self.draining:
            found["lifecycle"] = "draining"
        return found
