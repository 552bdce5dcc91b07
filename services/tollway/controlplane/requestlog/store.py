"""Where packed bodies are kept: a port with two implementations, in the rows themselves or in an object store.

The row of a body is always in Postgres; only its content can lie elsewhere. Whatever is stored here ends with the row's
retention: the object store is swept by (retention class, day), as the table is by its partitions.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Protocol
from uuid import UUID

import msgspec

from tollway.controlplane.requestlog.rows import FlatBody


class StoreUnavailable(Exception):
    """The store does not answer or refuses; the same call may succeed later. The message is for operators."""


class StoreRefused(StoreUnavailable):
    """The store answered and refused: the settings are wrong, or its permissions."""


class ContentRef(msgspec.Struct, frozen=True):
    """Which content: the place of its row."""

    retention_days: int
    day: date
    id: UUID


class ContentStore(Protocol):
    """Keeps packed contents."""

    async def check(self) -> None:
        """Raises StoreUnavailable when nothing could be stored. For the start of the process."""

    async def put(self, bodies: Sequence[FlatBody]) -> list[bytes | None]:
        """Stores contents and returns what each row keeps in its own column. Again is harmless. StoreUnavailable."""

    async def get(self, ref: ContentRef) -> bytes | None:
        """A content that its row does not hold; None when it is not there. StoreUnavailable."""

    async def delete(self, refs: Sequence[ContentRef]) -> None:
        """Removes contents; absent ones too. StoreUnavailable."""

    async def sweep(self, today: date) -> int:
        """Removes contents whose retention is over; returns how many, at most a bounded number. StoreUnavailable."""

    async def close(self) -> None:
        """Ends connections."""


class RowStore:
    """Contents stay in their rows and go with their partitions."""

    async def check(self) -> None:
        """Nothing to check: the database is looked at elsewhere."""

    async def put(self, bodies: Sequence[FlatBody]) -> list[bytes | None]:
        """The contents themselves."""
        return [body.content for body in bodies]

    async def get(self, ref: ContentRef) -> bytes | None:  # noqa: ARG002 - the port's
        """Refuses: a content that is not in its row is in an object store that this process does not know."""
        raise StoreUnavailable("the bodies of this request are in an object store: set TOLLWAY_BODIES_S3_URL")

    async def delete(self, refs: Sequence[ContentRef]) -> None:
        """Refuses as `get` does: contents that are in their rows go with them and are not told here."""
        if refs:
            await self.get(refs[0])

    async def sweep(self, today: date) -> int:  # noqa: ARG002 - the port's
        """Nothing to remove: contents go with their partitions."""
        return 0

    async def close(self) -> None:
        """Nothing to end."""
