"""Use cases of business units and projects.

Changes lock the row first, so that of two administrators who read the same etag exactly one succeeds. Nothing is ever
deleted: archived rows keep their ids for the ledger.
"""

from __future__ import annotations

from typing import Any

import msgspec

from tollway.controlplane.call import ApiCode, ApiError, Call
from tollway.controlplane.db.statements import Database
from tollway.controlplane.identity import postgres
from tollway.controlplane.identity.model import (
    DEFAULT_UNIT,
    NO_SIMILARITY,
    ArchiveBusinessUnitRequest,
    ArchiveProjectRequest,
    BusinessUnit,
    CreateBusinessUnitRequest,
    CreateProjectRequest,
    GetBusinessUnitRequest,
    GetProjectRequest,
    ListBusinessUnitsRequest,
    ListBusinessUnitsResponse,
    ListProjectsRequest,
    ListProjectsResponse,
    Project,
    ProjectColumns,
    ProjectRow,
    UnitRow,
    UpdateBusinessUnitRequest,
    UpdateProjectRequest,
    choices,
)
from tollway.controlplane.resources import (
    changed_fields,
    check_etag,
    from_ms,
    not_found,
    page_limit,
    page_start,
    page_token,
    refuse_id_as_name,
    snapshot,
    taken,
)


async def ensure_defaults(db: Database) -> None:
    """Makes the organisation and the unit `default` when they are missing. For the start of the control plane."""
    await postgres.ensure_organisation(db)
    if await postgres.unit(db, DEFAULT_UNIT) is None:
        await postgres.insert_unit(db, DEFAULT_UNIT, "")


async def _unit(db: Database, reference: str, lock: postgres.Lock = "") -> UnitRow:
    row = await postgres.unit(db, reference, lock)
    if row is None:
        raise not_found("business unit", reference, "business_unit")
    return row


async def _project(db: Database, reference: str, lock: postgres.Lock = "") -> ProjectRow:
    row = await postgres.project(db, reference, lock)
    if row is None:
        raise not_found("project", reference, "project")
    return row


async def create_unit(call: Call, request: CreateBusinessUnitRequest) -> BusinessUnit:
    """A new business unit."""
    refuse_id_as_name(request.name)
    await postgres.ensure_organisation(call.db)
    unit_id = await postgres.insert_unit(call.db, request.name, request.description)
    if unit_id is None:
        raise taken("business unit", request.name)
    view = (await postgres.unit_by_id(call.db, unit_id)).view()
    call.audit(f"business_unit:{view.name}", None, snapshot(view))
    return view


async def get_unit(call: Call, request: GetBusinessUnitRequest) -> BusinessUnit:
    """A live unit by id or name."""
    return (await _unit(call.db, request.business_unit)).view()


async def list_units(call: Call, request: ListBusinessUnitsRequest) -> ListBusinessUnitsResponse:
    """Live units by name, a page at a time."""
    limit = page_limit(request.page_size)
    rows = await postgres.units(call.db, page_start("business_units", request.page_token), limit + 1, call.reach)
    following = page_token("business_units", rows[limit - 1].name) if len(rows) > limit else ""
    return ListBusinessUnitsResponse(business_units=[row.view() for row in rows[:limit]], next_page_token=following)


async def update_unit(call: Call, request: UpdateBusinessUnitRequest) -> BusinessUnit:
    """Changes the description."""
    row = await _unit(call.db, request.business_unit, "_for_update")
    check_etag(request.etag, row.id, row.revision, f"business unit {row.name!r}")
    fields = changed_fields(call.update_mask, request, frozenset({"description"}))
    if not fields or row.description == request.description:
        return row.view()
    await postgres.update_unit(call.db, row.id, request.description, from_ms(call.clock.now_ms()))
    view = (await postgres.unit_by_id(call.db, row.id)).view()
    call.audit(f"business_unit:{view.name}", snapshot(row.view()), snapshot(view))
    return view


async def archive_unit(call: Call, request: ArchiveBusinessUnitRequest) -> BusinessUnit:
    """Archives a unit that has no live project."""
    row = await _unit(call.db, request.business_unit, "_for_update")
    check_etag(request.etag, row.id, row.revision, f"business unit {row.name!r}")
    projects = await postgres.live_projects_of_unit(call.db, row.id)
    if projects:
        raise ApiError(
            ApiCode.FAILED_PRECONDITION,
            f"business unit {row.name!r} still has projects ({', '.join(projects)}); archive or move them first",
        )
    await postgres.archive_unit(call.db, row.id, from_ms(call.clock.now_ms()))
    call.audit(f"business_unit:{row.name}", snapshot(row.view()), None)
    return (await postgres.unit_by_id(call.db, row.id)).view()


async def _unit_of_project(call: Call, reference: str) -> UnitRow:
    """The unit that a project shall belong to, held until the transaction ends; the default one is made on demand."""
    if not reference or reference == DEFAULT_UNIT:
        await ensure_defaults(call.db)
    return await _unit(call.db, reference or DEFAULT_UNIT, "_for_share")


def _refuse_similarity(similarity: float | None) -> None:
    if similarity is not None:
        raise ApiError(ApiCode.INVALID, NO_SIMILARITY, field="cache_similarity")


async def create_project(call: Call, request: CreateProjectRequest) -> Project:
    """A new project in a unit."""
    refuse_id_as_name(request.name)
    unit = await _unit_of_project(call, request.business_unit)
    _refuse_similarity(request.cache_similarity)
    chosen = ProjectColumns(business_unit_id=unit.id, **choices(request))
    project_id = await postgres.insert_project(call.db, request.name, chosen)
    if project_id is None:
        raise taken("project", request.name)
    view = (await postgres.project_by_id(call.db, project_id)).view()
    call.audit(f"project:{view.name}", None, snapshot(view))
    call.catalog_change()
    return view


async def get_project(call: Call, request: GetProjectRequest) -> Project:
    """A live project by id or name."""
    return (await _project(call.db, request.project)).view()


async def list_projects(call: Call, request: ListProjectsRequest) -> ListProjectsResponse:
    """Live projects by name, of one unit or all, a page at a time."""
    unit = await _unit(call.db, request.business_unit) if request.business_unit else None
    limit = page_limit(request.page_size)
    start = page_start("projects", request.page_token)
    rows = await postgres.projects(call.db, start, limit + 1, unit.id if unit else None, call.reach)
    following = page_token("projects", rows[limit - 1].name) if len(rows) > limit else ""
    return ListProjectsResponse(projects=[row.view() for row in rows[:limit]], next_page_token=following)


async def update_project(call: Call, request: UpdateProjectRequest) -> Project:
    """Changes description, unit, allowed models, dialect policy, priority, key policy, what is logged or cached."""
    row = await _project(call.db, request.project, "_for_update")
    check_etag(request.etag, row.id, row.revision, f"project {row.name!r}")
    chosen: dict[str, Any] = choices(request)
    fields = changed_fields(call.update_mask, request, frozenset(chosen) | {"business_unit"})
    chosen = {name: value for name, value in chosen.items() if name in fields}
    _refuse_similarity(chosen.get("cache_similarity"))
    if "business_unit" in fields:
        chosen["business_unit_id"] = (await _unit_of_project(call, request.business_unit)).id
    changed = msgspec.structs.replace(row.columns, **chosen)
    if changed == row.columns:
        return row.view()
    await postgres.update_project(call.db, row.id, changed, from_ms(call.clock.now_ms()))
    view = (await postgres.project_by_id(call.db, row.id)).view()
    call.audit(f"project:{view.name}", snapshot(row.view()), snapshot(view))
    call.catalog_change()
    return view


async def archive_project(call: Call, request: ArchiveProjectRequest) -> Project:
    """Archives a project; it leaves the catalog, so its keys are refused from then on."""
    row = await _project(call.db, request.project, "_for_update")
    check_etag(request.etag, row.id, row.revision, f"project {row.name!r}")
    await postgres.archive_project(call.db, row.id, from_ms(call.clock.now_ms()))
    call.audit(f"project:{row.name}", snapshot(row.view()), None)
    call.catalog_change()
    return (await postgres.project_by_id(call.db, row.id)).view()
