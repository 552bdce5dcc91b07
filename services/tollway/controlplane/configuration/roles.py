"""Roles of a document: its `roles`, those of its `users`, and the `managers` of its business units.

A role has no field but its end, so it is there or it is not. One that was taken away elsewhere is given again: the
document says what there shall be. Whoever must not get in is disabled as a user.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import msgspec

from tollway.controlplane.access import bindings, postgres
from tollway.controlplane.access.model import GrantRoleRequest
from tollway.controlplane.access.permissions import Level, Role
from tollway.controlplane.access.rows import label
from tollway.controlplane.access.users import address
from tollway.controlplane.call import ApiCode, ApiError, Call
from tollway.controlplane.configuration.document import ROOT
from tollway.controlplane.configuration.model import Configuration
from tollway.controlplane.configuration.plan import Desired, Kind, Present, Ref, Step, read_applied
from tollway.controlplane.db.statements import Database

_SUBJECTS = ("user", "service_account", "group")


def _invalid(path: str, message: str) -> ApiError:
    return ApiError(ApiCode.INVALID, f"{path}: {message}", field=path)


def _given(document: Configuration) -> Iterator[tuple[GrantRoleRequest, str]]:
    """Every role of a document with where the document has it."""
    for index, spec in enumerate(document.roles):
        yield GrantRoleRequest(**msgspec.structs.asdict(spec)), f"{ROOT}.roles[{index}]"
    for index, user in enumerate(document.users):
        for number, role in enumerate(user.roles):
            request = GrantRoleRequest(
                role=role.role, user=user.name, business_unit=role.business_unit, project=role.project
            )
            yield request, f"{ROOT}.users[{index}].roles[{number}]"
    for index, unit in enumerate(document.business_units):
        for number, manager in enumerate(unit.managers):
            request = GrantRoleRequest(role=Role.UNIT_MANAGER.value, user=manager, business_unit=unit.name)
            yield request, f"{ROOT}.business_units[{index}].managers[{number}]"


def _settled(document: Configuration, present: Mapping[Ref, Present]) -> Iterator[tuple[GrantRoleRequest, str]]:
    """The same, checked, with names for ids. Raises ApiError."""
    names = {
        kind: {reference: one.name for one in present.values() if one.kind is kind and not one.gone
               for reference in (one.name, str(one.identity))}
        for kind in (Kind.BUSINESS_UNIT, Kind.PROJECT)
    }  # fmt: skip
    names[Kind.BUSINESS_UNIT] |= {spec.name: spec.name for spec in document.business_units}
    names[Kind.PROJECT] |= {spec.name: spec.name for spec in document.projects}
    for request, path in _given(document):
        given = [name for name in _SUBJECTS if getattr(request, name)]
        if len(given) != 1:
            raise _invalid(path, "give exactly one of user, service_account and group")
        if request.business_unit and request.project:
            raise _invalid(f"{path}.project", "give either business_unit or project, not both")
        if request.issuer and not request.group:
            raise _invalid(f"{path}.issuer", "an issuer belongs to a group")
        level = Level.PROJECT if request.project else Level.UNIT if request.business_unit else Level.PLATFORM
        try:
            bindings.check_level(Role(request.role), level)
            user = address(request.user, "user") if request.user else ""
        except ApiError as error:
            raise _invalid(f"{path}.{error.field}", error.message) from None
        unit, project = request.business_unit, request.project
        if unit and unit not in names[Kind.BUSINESS_UNIT]:
            raise _invalid(f"{path}.business_unit", f"there is no business unit {unit!r}")
        if project and project not in names[Kind.PROJECT]:
            raise _invalid(f"{path}.project", f"there is no project {project!r}")
        yield (
            msgspec.structs.replace(
                request,
                user=user,
                business_unit=names[Kind.BUSINESS_UNIT][unit] if unit else "",
                project=names[Kind.PROJECT][project] if project else "",
            ),
            path,
        )


def _label(request: GrantRoleRequest) -> str:
    return label(
        request.role,
        user=request.user,
        service_account=request.service_account,
        group=request.group,
        issuer=request.issuer,
        business_unit=request.business_unit,
        project=request.project,
    )


async def load(db: Database) -> dict[Ref, Present]:
    """The roles that there are."""
    found: dict[Ref, Present] = {}
    for row in await postgres.bindings(db):
        ref = (Kind.ROLE, row.label)
        fields = {"expires_at": "" if row.expires_at is None else row.expires_at.isoformat()}
        found[ref] = Present(*ref, row.id, fields, row.managed_by, read_applied(row.applied_digest))
    return found


def desired(document: Configuration, present: Mapping[Ref, Present]) -> Iterator[Desired]:
    """The roles of a document, each once. Raises ApiError for what cannot be one."""
    for name, (_, path) in _by_label(document, present).items():
        yield Desired(Kind.ROLE, name, {"expires_at": ""}, path)


def _by_label(document: Configuration, present: Mapping[Ref, Present]) -> dict[str, tuple[GrantRoleRequest, str]]:
    return {_label(request): (request, path) for request, path in _settled(document, present)}


class Roles:
    """Executes the steps of the roles of one document."""

    def __init__(self, call: Call, document: Configuration, present: Mapping[Ref, Present]) -> None:
        self._call = call
        self._present = present
        self._requests = _by_label(document, present)

    async def grant(self, step: Step) -> None:
        """Gives a role, or takes its end away."""
        await bindings.grant_role(self._call, self._requests[step.name][0])

    async def revoke(self, step: Step) -> None:
        """Takes a role away that the document does not name."""
        row = await postgres.binding(self._call.db, self._present[step.kind, step.name].identity)
        if row is not None:
            await bindings.remove(self._call, row)
