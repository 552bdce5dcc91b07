"""How listings of other features keep within what a caller reaches."""

from __future__ import annotations

from typing import Any

import msgspec

from tollway.controlplane.access.postgres import SQL
from tollway.controlplane.call import ApiCode, ApiError, Reach
from tollway.controlplane.db.statements import Database

MAX_KEYS = 10_000
"""Keys that one report may be narrowed to."""


class _Text(msgspec.Struct):
    text: str


def places(reach: Reach | None) -> dict[str, Any]:
    """The parameters of statements that filter by unit, project and owner; `everywhere` filters nothing."""
    if reach is None:
        reach = Reach(units=[], projects=[])
        return {"everywhere": True, **msgspec.structs.asdict(reach)}
    return {"everywhere": False, **msgspec.structs.asdict(reach)}


async def ledger_ids(db: Database, reach: Reach | None, project: str = "") -> tuple[list[str] | None, list[str] | None]:
    """Ids of the projects and of the keys that a report on the ledger may look at; None: any.

    A caller with whole projects gets these; one who has keys of their own gets keys. `project` (id or name) is what the
    report is about, if anything. Raises ApiError when it would be too many keys.
    """
    if reach is None:
        return None, None
    params = msgspec.structs.asdict(reach)
    if reach.owner is None:
        found = await SQL.all(
            db, "reached_projects", _Text, units=reach.units, projects=reach.projects, project=project
        )
        return [one.text for one in found], None
    found = await SQL.all(db, "reached_keys", _Text, project=project, limit=MAX_KEYS + 1, **params)
    if len(found) > MAX_KEYS:
        raise ApiError(ApiCode.INVALID, "these are too many keys for one report; name a project", field="project")
    return None, [one.text for one in found]


def both(given: list[str] | None, allowed: list[str] | None) -> list[str] | None:
    """What two filters let through; None lets everything through."""
    if given is None or allowed is None:
        return allowed if given is None else given
    kept = set(allowed)
    return [one for one in given if one in kept]


async def names(db: Database, reach: Reach | None) -> tuple[list[str], list[str]] | None:
    """Names of the live business units and projects within a reach, for what is kept by name; None: all."""
    if reach is None:
        return None
    units = await SQL.all(db, "reached_unit_names", _Text, units=reach.units)
    projects = await SQL.all(db, "reached_project_names", _Text, units=reach.units, projects=reach.projects)
    return [one.text for one in units], [one.text for one in projects]
