"""Named SQL of a feature, and how it is run.

A feature keeps its statements in `queries.sql`, each after a line `-- name: some_name`, with `%(name)s` parameters.
This module never builds SQL from values.
"""

from __future__ import annotations

import re
from importlib import resources
from typing import Any, TypeVar

import msgspec
from psycopg import AsyncConnection
from psycopg.rows import dict_row

T = TypeVar("T")
Database = AsyncConnection[Any]


class Statements:
    """The statements of one package's `queries.sql`. Rows come back as structs, by column name."""

    def __init__(self, package: str) -> None:
        text = (resources.files(package) / "queries.sql").read_text(encoding="utf-8")
        parts = re.split(r"^-- name: *(\w+) *$", text, flags=re.MULTILINE)
        self._sql = {name: body.strip().encode() for name, body in zip(parts[1::2], parts[2::2], strict=True)}

    async def run(self, db: Database, name: str, /, **params: Any) -> int:
        """Executes a statement; returns how many rows it touched."""
        async with db.cursor() as cursor:
            await cursor.execute(self._sql[name], params)
            return cursor.rowcount

    async def copy(self, db: Database, name: str, data: bytes) -> None:
        """Feeds a COPY ... FROM STDIN statement."""
        async with db.cursor() as cursor, cursor.copy(self._sql[name]) as target:
            await target.write(data)

    async def all(self, db: Database, name: str, row: type[T], /, **params: Any) -> list[T]:
        """The rows of a statement, each as a `row` struct."""
        async with db.cursor(row_factory=dict_row) as cursor:
            await cursor.execute(self._sql[name], params)
            return msgspec.convert(await cursor.fetchall(), list[row])  # type: ignore[valid-type]

    async def one(self, db: Database, name: str, row: type[T], /, **params: Any) -> T | None:
        """The first row of a statement, or None."""
        found = await self.all(db, name, row, **params)
        return found[0] if found else None
