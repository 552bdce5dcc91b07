"""Stored responses in memory: the twin of the Redis store in tests."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple


class _Kept(NamedTuple):
    until: float
    value: bytes


class MemoryResponses:
    """One process's own responses. `now` tells monotonic seconds."""

    def __init__(self, now: Callable[[], float]) -> None:
        self._now = now
        self._projects: dict[str, dict[str, _Kept]] = {}
        self._owners: dict[tuple[str, str], str] = {}

    def _live(self, project: str) -> dict[str, _Kept]:
        now = self._now()
        live = {name: kept for name, kept in self._projects.get(project, {}).items() if kept.until > now}
        self._projects[project] = live
        return live

    async def put(
        self,
        project: str,
        name: str,
        value: bytes,
        *,
        ancestors: Sequence[str],
        items: Sequence[str],
        seconds: int,
        quota: int,
    ) -> bool:
        """As `ResponseStore.put`."""
        if len(value) > quota:
            return False
        live, until = self._live(project), self._now() + seconds
        for ancestor in ancestors:
            if ancestor in live:
                live[ancestor] = _Kept(until, live[ancestor].value)
        live.pop(name, None)
        while sum(len(kept.value) for kept in live.values()) + len(value) > quota:
            del live[min(live, key=lambda each: live[each].until)]
        live[name] = _Kept(until, value)
        self._owners.update({(project, item): name for item in items})
        return True

    async def get(self, project: str, names: Sequence[str]) -> list[bytes | None]:
        """As `ResponseStore.get`."""
        live = self._live(project)
        return [live[name].value if name in live else None for name in names]

    async def owners(self, project: str, items: Sequence[str]) -> list[str | None]:
        """As `ResponseStore.owners`."""
        return [self._owners.get((project, item)) for item in items]

    async def remove(self, project: str, name: str) -> bool:
        """As `ResponseStore.remove`."""
        return self._live(project).pop(name, None) is not None

    async def close(self) -> None:
        """Nothing to give back."""
