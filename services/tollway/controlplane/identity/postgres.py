"""Reads and writes the tables of business units and projects. It never decides what is allowed."""

from __future__ import annotations

from datetime import datetime
from enum import Enum
from typing import Any, Literal
from uuid import UUID

import msgspec
from uuid_utils.compat import uuid7

from tollway.controlplane.call import Reach
from tollway.controlplane.db.statements import Database, Statements
from tollway.controlplane.identity.model import ORGANISATION, ProjectColumns, ProjectRow, UnitRow
from tollway.controlplane.resources import as_uuid

_SQL = Statements(__package__)
Lock = Literal["", "_for_share", "_for_update"]
"""Whether a row is read freely, kept from being archived, or about to be changed."""


async def ensure_organisation(db: Database) -> None:
    """Makes the one organisation of this release when it is missing."""
    await _SQL.run(db, "ensure_organisation", id=uuid7(), name=ORGANISATION)


async def unit(db: Database, reference: str, lock: Lock = "") -> UnitRow | None:
    """The live unit with that id or name."""
    found = as_uuid(reference)
    return await _SQL.one(db, f"unit{lock}", UnitRow, id=found, name=None if found else reference)


async def unit_by_id(db: Database, unit_id: UUID) -> UnitRow:
    """The unit with that id, archived or not; it must exist."""
    row = await _SQL.one(db, "unit_by_id", UnitRow, id=unit_id)
    assert row is not None
    return row


async def units(db: Database, after: str = "", limit: int | None = None, reach: Reach | None = None) -> list[UnitRow]:
    """Live units by name, after a name, within a reach."""
    within = {"everywhere": reach is None, "units": reach.units if reach else []}
    return await _SQL.all(db, "units", UnitRow, after=after, limit=limit, **within)


async def insert_unit(db: Database, name: str, description: str) -> UUID | None:
    """A new unit; None when a live one has the name."""
    unit_id = uuid7()
    touched = await _SQL.run(
        db, "insert_unit", id=unit_id, name=name, description=description, organisation=ORGANISATION
    )
    return unit_id if touched else None


async def update_unit(db: Database, unit_id: UUID, description: str, at: datetime) -> None:
    """Writes what can change of a unit."""
    await _SQL.run(db, "update_unit", id=unit_id, description=description, at=at)


async def archive_unit(db: Database, unit_id: UUID, at: datetime) -> None:
    """Marks a unit as archived."""
    await _SQL.run(db, "archive_unit", id=unit_id, at=at)


async def live_projects_of_unit(db: Database, unit_id: UUID) -> list[str]:
    """Names of up to three live projects of a unit."""
    return [row["name"] for row in await _SQL.all(db, "live_projects_of_unit", dict[str, str], id=unit_id)]


async def project(db: Database, reference: str, lock: Lock = "") -> ProjectRow | None:
    """The live project with that id or name."""
    found = as_uuid(reference)
    return await _SQL.one(db, f"project{lock}", ProjectRow, id=found, name=None if found else reference)


async def project_by_id(db: Database, project_id: UUID) -> ProjectRow:
    """The project with that id, archived or not; it must exist."""
    row = await _SQL.one(db, "project_by_id", ProjectRow, id=project_id)
    assert row is not None
    return row


async def projects(
    db: Database,
    after: str = "",
    limit: int | None = None,
    unit_id: UUID | None = None,
    reach: Reach | None = None,
) -> list[ProjectRow]:
    """Live projects by name, after a name, of one unit or all, within a reach."""
    units, within = (reach.units, reach.projects) if reach else ([], [])
    return await _SQL.all(
        db, "projects", ProjectRow, after=after, limit=limit, unit=unit_id, everywhere=reach is None, units=units,
        projects=within,
    )  # fmt: skip


async def insert_project(db: Database, name: str, chosen: ProjectColumns) -> UUID | None:
    """A new project; None when a live one has the name."""
    project_id = uuid7()
    touched = await _SQL.run(db, "insert_project", id=project_id, name=name, **_columns(chosen))
    return project_id if touched else None


async def update_project(db: Database, project_id: UUID, chosen: ProjectColumns, at: datetime) -> None:
    """Writes what can change of a project."""
    await _SQL.run(db, "update_project", id=project_id, at=at, **_columns(chosen))


def _columns(chosen: ProjectColumns) -> dict[str, Any]:
    values = msgspec.structs.asdict(chosen)
    return {name: value.value if isinstance(value, Enum) else value for name, value in values.items()}


async def archive_project(db: Database, project_id: UUID, at: datetime) -> None:
    """Marks a project as archived."""
    await _SQL.run(db, "archive_project", id=project_id, at=at)
