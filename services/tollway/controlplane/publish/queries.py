"""The statements of `queries.sql`, by name."""

from __future__ import annotations

import re
from importlib import resources

from psycopg import sql


def _load() -> dict[str, sql.SQL]:
    text = (resources.files(__package__ or "") / "queries.sql").read_text()
    parts = re.split(r"^-- name: *(\w+) *$", text, flags=re.MULTILINE)
    # The file is part of the program: nothing that a caller sends can get into it.
    return {name: sql.SQL(body.strip().rstrip(";")) for name, body in zip(parts[1::2], parts[2::2], strict=True)}


SQL = _load()
