"""The dispatcher's scope check: where the resources of a call lie, and whether the caller may do this there.

Deny is the default: what cannot be placed lies on the platform, where only roles on the platform reach. A method that
filters may be called without naming a resource; its handler then shows what lies within the call's reach.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import msgspec

from tollway.controlplane.access.postgres import SQL
from tollway.controlplane.call import ApiCode, ApiError, Call
from tollway.controlplane.db.statements import Database
from tollway.controlplane.identity.model import DEFAULT_UNIT
from tollway.controlplane.resources import as_uuid, changed_fields
from tollway.wire.contract import PUBLIC, MethodContract

_CONTROL = "tollway.control.v1."


class Place(msgspec.Struct, frozen=True):
    """Where a resource lies, and whose it is; nothing set: on the platform, and nobody's."""

    unit: UUID | None = None
    project: UUID | None = None
    owner: str | None = None


PLATFORM = Place()
Places = tuple[Place, ...]
Resolver = Callable[[Call, Any], Awaitable[Places | None]]
"""The places that a request is about, all of which must be allowed; None: it names no resource."""


def denied(permission: str) -> ApiError:
    """The same for what is not there, so that nobody learns what is."""
    return ApiError(ApiCode.PERMISSION_DENIED, f"this needs the permission {permission} on the resource")


async def check(call: Call, contract: MethodContract, request: Any, *, filters: bool) -> None:
    """Raises ApiError unless the caller may do this; notes on the call what a handler that filters may show."""
    principal, permission = call.principal, contract.permission
    if permission == PUBLIC or principal.permissions is None or permission in principal.permissions:
        return
    places = await _resolver(contract)(call, request)
    if places is None and not filters:
        raise ApiError(
            ApiCode.PERMISSION_DENIED,
            f"this needs the permission {permission} on the whole platform, or {_field(contract)} within your scope",
        )
    if filters:
        call.reach = principal.reach(permission)
    for place in places or ():
        if principal.may(permission, unit=place.unit, project=place.project):
            continue
        owner = principal.name if filters and place.owner is None and place != PLATFORM else place.owner
        if not principal.may(permission, unit=place.unit, project=place.project, owner=owner):
            raise denied(permission)
        call.owned = True


def _field(contract: MethodContract) -> str:
    return f"the field {contract.scope_field}" if contract.scope_field else "a role"


def _resolver(contract: MethodContract) -> Resolver:
    special = BY_METHOD.get(contract.name.removeprefix(_CONTROL))
    if special is not None:
        return special
    if not contract.scope_field:
        return _nothing
    finder = BY_FIELD.get(contract.scope_field)
    if finder is None:
        return _platform

    async def resolve(call: Call, request: Any) -> Places | None:
        reference = getattr(request, contract.scope_field)
        return (await finder(call.db, reference),) if reference else None

    return resolve


async def _nothing(_call: Call, _request: Any) -> Places | None:
    return None


async def _platform(_call: Call, _request: Any) -> Places | None:
    return (PLATFORM,)


Finder = Callable[[Database, str], Awaitable[Place]]


async def _one(db: Database, statement: str, **params: Any) -> Place:
    return await SQL.one(db, statement, Place, **params) or PLATFORM


async def _named(db: Database, statement: str, reference: str) -> Place:
    found = as_uuid(reference)
    return await _one(db, statement, id=found, name=None if found else reference)


async def unit(db: Database, reference: str) -> Place:
    """Where a business unit lies, by id or name."""
    return await _named(db, "place_of_unit", reference)


async def project(db: Database, reference: str) -> Place:
    """Where a project lies, by id or name."""
    return await _named(db, "place_of_project", reference)


async def key(db: Database, reference: str) -> Place:
    """Where a key lies, by id or public id."""
    found = as_uuid(reference)
    return await _one(db, "place_of_key", id=found, public_id=None if found else reference)


async def subject(db: Database, reference: str) -> Place:
    """Where the subject of budgets and limits lies."""
    kind, _, name = reference.partition(":")
    if kind == "business_unit":
        return await unit(db, name)
    if kind == "project":
        return await project(db, name)
    if kind == "key":
        label, slash, name_of_key = name.partition("/")
        if slash:
            return await _one(db, "place_of_named_key", project=label, name=name_of_key)
        return await key(db, name)
    return Place(owner=name) if kind == "user" and name else PLATFORM


async def _channel(db: Database, reference: str) -> Place:
    return await _named(db, "place_of_channel", reference)


async def _alert(db: Database, reference: str) -> Place:
    return await _one(db, "place_of_alert", id=as_uuid(reference))


async def account(db: Database, reference: str) -> Place:
    """Where a service account lies, by id or name."""
    return await _named(db, "place_of_account", reference)


async def _binding(db: Database, reference: str) -> Place:
    return await _one(db, "place_of_binding", id=as_uuid(reference))


async def _logged_request(db: Database, reference: str) -> Place:
    found = as_uuid(reference)
    if found is None or found.version != 7:
        return PLATFORM
    day = datetime.fromtimestamp(min(found.int >> 80, 253_402_300_799_000) / 1000, UTC).date()
    return await _one(db, "place_of_logged_request", id=found, day=day)


BY_FIELD: Mapping[str, Finder] = {
    "business_unit": unit,
    "project": project,
    "key": key,
    "subject": subject,
    "channel": _channel,
    "alert": _alert,
    "service_account": account,
    "binding": _binding,
    "request_id": _logged_request,
}
"""How the resource that a scope field names is placed. A field that is not here lies on the platform."""


async def place(db: Database, business_unit: str, project_name: str) -> Place:
    """The place that a request names by unit or project, at most one of them."""
    if project_name:
        return await project(db, project_name)
    return await unit(db, business_unit) if business_unit else PLATFORM


async def _given_place(call: Call, request: Any) -> Places | None:
    return (await place(call.db, request.business_unit, request.project),)


async def _new_project(call: Call, request: Any) -> Places | None:
    return (await unit(call.db, request.business_unit or DEFAULT_UNIT),)


async def _changed_project(call: Call, request: Any) -> Places | None:
    """What widens a project (models, priority, what is asked of its keys) is up to the unit, a move to both units."""
    found = await project(call.db, request.project)
    fields = changed_fields(call.update_mask, request, _FIELDS_OF_THE_UNIT | _FIELDS_OF_THE_PROJECT)
    if not fields & _FIELDS_OF_THE_UNIT:
        return (found,)
    above = Place(unit=found.unit)
    if "business_unit" not in fields:
        return found, above
    return found, above, await unit(call.db, request.business_unit or DEFAULT_UNIT)


_FIELDS_OF_THE_UNIT = frozenset(
    {"business_unit", "models", "priority", "key_lifetime_days", "max_keys", "max_keys_per_user"}
)
_FIELDS_OF_THE_PROJECT = frozenset(
    {"description", "dialect_policy", "log_bodies", "log_retention_days", "cache_enabled", "cache_ttl_seconds",
     "cache_scope", "cache_similarity"}
)  # fmt: skip


async def _new_key(call: Call, request: Any) -> Places | None:
    """A key for nobody in particular, made by somebody who may have keys of their own, becomes their own."""
    found = await project(call.db, request.project)
    if found == PLATFORM:
        return (PLATFORM,)
    return (msgspec.structs.replace(found, owner=request.user or call.principal.name),)


async def _changed_key(call: Call, request: Any) -> Places | None:
    found = await key(call.db, request.key)
    fields = changed_fields(call.update_mask, request, frozenset({"models", "tags", "expires_at", "user"}))
    if "user" not in fields or found == PLATFORM:
        return (found,)
    return found, msgspec.structs.replace(found, owner=request.user or None)


async def _above_subject(call: Call, request: Any) -> Places | None:
    """Nobody sets the budget that holds them: that of a key is the project's, of a project the unit's, of a unit the
    platform's.
    """
    found = await subject(call.db, request.subject)
    if request.subject.startswith("key:"):
        return (Place(unit=found.unit, project=found.project),)
    return (Place(unit=found.unit) if request.subject.startswith("project:") else PLATFORM,)


async def _channel_scope(db: Database, scope: str, name: str) -> Place:
    if scope == "business_unit" and name:
        return await unit(db, name)
    return await project(db, name) if scope == "project" and name else PLATFORM


async def _new_channel(call: Call, request: Any) -> Places | None:
    return (await _channel_scope(call.db, request.scope, request.subject),)


async def _changed_channel(call: Call, request: Any) -> Places | None:
    """Whoever moves a channel must be allowed at both ends, and name both scope and subject."""
    found = await _channel(call.db, request.channel)
    fields = changed_fields(
        call.update_mask, request, frozenset({"url", "secret", "recipients", "scope", "subject", "alerts"})
    )
    if not fields & {"scope", "subject"}:
        return (found,)
    return found, await _channel_scope(call.db, request.scope, request.subject)


async def _named_place(call: Call, request: Any) -> Places | None:
    """Of a listing: the unit or project that it is narrowed to, if any."""
    if not request.business_unit and not request.project:
        return None
    return (await place(call.db, request.business_unit, request.project),)


async def _erased(call: Call, request: Any) -> Places | None:
    if request.request_id:
        return (await _logged_request(call.db, request.request_id),)
    return (await project(call.db, request.project),) if request.project else None


BY_METHOD: Mapping[str, Resolver] = {
    "ProjectService/CreateProject": _new_project,
    "ProjectService/UpdateProject": _changed_project,
    "KeyService/CreateKey": _new_key,
    "KeyService/UpdateKey": _changed_key,
    "BudgetService/SetBudget": _above_subject,
    "BudgetService/RemoveBudget": _above_subject,
    "BudgetService/IncreaseBudget": _above_subject,
    "BudgetService/RevokeIncrease": _above_subject,
    "LimitService/SetLimits": _above_subject,
    "AlertService/CreateAlertChannel": _new_channel,
    "AlertService/UpdateAlertChannel": _changed_channel,
    "AlertService/ListAlerts": _named_place,
    "RequestLogService/DeleteLoggedRequests": _erased,
    "ServiceAccountService/CreateServiceAccount": _given_place,
    "RoleService/GrantRole": _given_place,
    "RoleService/ListRoles": _named_place,
}
"""Methods whose resources are more than the scope field says."""
