"""The schema in words, one line a column, constraint and index: what `schema.sql` must equal after all migrations."""

from __future__ import annotations

import msgspec

from tollway.controlplane.db.statements import Database, Statements

_sql = Statements(__package__ or "")


class _Line(msgspec.Struct):
    line: str


async def describe(db: Database) -> str:
    """The description of the schema that `db` has."""
    parts = []
    for title in ("columns", "constraints", "indexes"):
        lines = await _sql.all(db, f"schema_{title}", _Line)
        parts.append(f"-- {title}\n" + "\n".join(found.line for found in lines))
    return "\n\n".join(parts) + "\n"
