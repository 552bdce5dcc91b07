"""Where stored responses are kept between requests, as the rest of the data plane sees it.

One implementation is Redis (`redis_responses`), one is memory (`memory_responses`). Values are sealed: a store never
sees what was said. Everything is scoped to a project, which has a quota.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol


class ResponseStore(Protocol):
    """All methods raise `ports.StoreUnavailable` when the store cannot be reached."""

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
        """Keeps a value for `seconds`, and its ancestors, where they still are, for as long.

        `items` are names of parts of it, by which `owners` finds it. A project keeps at most `quota` bytes: what would
        go first goes earlier. False: the value alone is larger.
        """

    async def get(self, project: str, names: Sequence[str]) -> list[bytes | None]:
        """The values, None for those that are not there (any more)."""

    async def owners(self, project: str, items: Sequence[str]) -> list[str | None]:
        """The names of the values that hold these parts, None for those that are not known (any more)."""

    async def remove(self, project: str, name: str) -> bool:
        """Forgets a value; whether it was there."""

    async def close(self) -> None:
        """Gives the connections back."""
