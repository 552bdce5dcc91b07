"""Who calls, once it is known: what the stages of a request ask about."""

from __future__ import annotations

from typing import Any

from tollway.core.catalog import DirectoryEntry, Project
from tollway.core.rules import Chain
from tollway.dataplane.config.holder import Routes


class Principal:
    """Who calls: a verified key, its project as it is in the catalog in force, and until when that holds.

    For a token of an identity provider, the entry of its user with the project that the request is for.
    """

    __slots__ = ("chain", "entry", "not_after_ms", "project", "routes", "seats")

    def __init__(self, entry: DirectoryEntry, project: Project, routes: Routes, not_after_ms: int | None) -> None:
        self.entry = entry
        self.project = project
        self.routes = routes
        self.not_after_ms = not_after_ms
        self.chain: Chain | None = None  # admission: the rules that hold for it
        self.seats: dict[str, Any] = {}  # admission: the accounts that count its requests, by model
