"""What may be asked for: the fields of each kind, and the place that they are about.

Whoever asks must already have something to do with the place, or a policy that approves by amount would let anybody
raise anybody's budget; a place that one may not see is answered like one that does not exist.
"""

from __future__ import annotations

from uuid import UUID

import msgspec

from tollway.controlplane.access.permissions import SCOPES, Level, Role
from tollway.controlplane.call import ApiCode, ApiError, Call
from tollway.controlplane.identity import postgres as identity
from tollway.controlplane.identity.model import DEFAULT_UNIT
from tollway.controlplane.resources import from_ms, not_found, refuse_id_as_name
from tollway.controlplane.rules import checks
from tollway.controlplane.rules.model import Scope
from tollway.controlplane.rules.subjects import resolve
from tollway.controlplane.workflows.model import ApprovalTerms, Place
from tollway.core.approvals.model import Kind

FIELDS: dict[Kind, tuple[frozenset[str], frozenset[str]]] = {
    Kind.PLATFORM_ACCESS: (frozenset({"role"}), frozenset({"subject"})),
    # Models too: a project without a list of them may use all.
    Kind.PROJECT: (frozenset({"project", "models"}), frozenset({"business_unit", "amount", "description"})),
    Kind.MODEL_ACCESS: (frozenset({"project", "models"}), frozenset()),
    Kind.CREDIT: (frozenset({"subject", "amount"}), frozenset({"until"})),
    Kind.LIMIT: (frozenset({"subject", "measure", "limit"}), frozenset({"window", "model"})),
}
"""The fields that a kind needs, and those that it may have."""


def _field(name: str) -> str:
    return f"terms.{name}"


def _refuse(name: str, message: str) -> ApiError:
    return checks.invalid(_field(name), message)


async def checked(call: Call, kind: Kind, terms: ApprovalTerms) -> tuple[ApprovalTerms, Place]:
    """The terms in their usual form, and where they apply. Raises ApiError with the field and the remedy."""
    needed, allowed = FIELDS[kind]
    for info in msgspec.structs.fields(ApprovalTerms):
        filled = getattr(terms, info.name) not in ("", None, [])
        if info.name in needed and not filled:
            raise _refuse(info.name, f"is required for a request of the kind {kind}")
        if filled and info.name not in needed | allowed:
            raise _refuse(info.name, f"must be left out: it is not for requests of the kind {kind}")
    if kind is Kind.PLATFORM_ACCESS:
        return await _access(call, terms)
    if kind is Kind.PROJECT:
        return await _new_project(call, terms)
    if kind is Kind.MODEL_ACCESS:
        return await _models(call, terms)
    if kind is Kind.CREDIT:
        return await _credit(call, terms)
    return await _subject_of(call, terms)


async def _access(call: Call, terms: ApprovalTerms) -> tuple[ApprovalTerms, Place]:
    if call.principal.user_id is None:
        raise ApiError(ApiCode.FAILED_PRECONDITION, "roles are asked for by a user who has signed in")
    roles = {role.value: role for role in Role}
    role = roles.get(terms.role)
    if role is None or role is Role.SERVICE_ACCOUNT:
        known = ", ".join(name for name in roles if name != Role.SERVICE_ACCOUNT)
        raise _refuse("role", f"must be one of {known}")
    scope, _, name = terms.subject.partition(":")
    place, level = Place(), Level.PLATFORM
    if scope == Level.UNIT and name:
        place, level = await _unit(call, name, "subject"), Level.UNIT
        terms = msgspec.structs.replace(terms, subject=f"{scope}:{place.business_unit}")
    elif scope == Level.PROJECT and name:
        place, level = await _project(call, name, "subject"), Level.PROJECT
        terms = msgspec.structs.replace(terms, subject=f"{scope}:{place.project}")
    elif terms.subject:
        raise _refuse("subject", "must be business_unit:NAME or project:NAME, or empty for the platform")
    if level not in SCOPES[role]:
        where = " or ".join(sorted(found.value.replace("_", " ") for found in SCOPES[role]))
        raise _refuse("subject", f"is not where the role {role} is given: that is a {where}")
    return terms, place


async def _new_project(call: Call, terms: ApprovalTerms) -> tuple[ApprovalTerms, Place]:
    refuse_id_as_name(terms.project)
    if not checks_name(terms.project):
        raise _refuse("project", "must have 1 to 63 lower-case letters, digits and hyphens, for example retail-bot")
    if await identity.project(call.db, terms.project) is not None:
        raise ApiError(ApiCode.ALREADY_EXISTS, f"there is a project {terms.project!r} already", field=_field("project"))
    if terms.amount:
        checks.amount(terms.amount, _field("amount"))
    place = await _unit(call, terms.business_unit or DEFAULT_UNIT, "business_unit")
    named = msgspec.structs.replace(terms, business_unit=place.business_unit)
    return named, msgspec.structs.replace(place, target=f"new:{terms.project}")


def checks_name(name: str) -> bool:
    """Whether a text can be the name of a project."""
    allowed = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-")
    return 1 <= len(name) <= 63 and not name.startswith("-") and not name.endswith("-") and frozenset(name) <= allowed


async def _models(call: Call, terms: ApprovalTerms) -> tuple[ApprovalTerms, Place]:
    place = await _project(call, terms.project, "project")
    _belongs(call, place, terms.project, "project")
    models = list(dict.fromkeys(terms.models))
    if any(model != model.strip() or not model.isprintable() for model in models):
        raise _refuse("models", "must be globs of model names, for example gpt-4o*")
    return msgspec.structs.replace(terms, project=place.project, models=models), place


async def _credit(call: Call, terms: ApprovalTerms) -> tuple[ApprovalTerms, Place]:
    if not checks.amount(terms.amount, _field("amount")):
        raise _refuse("amount", "must be more than 0")
    if terms.until is not None and terms.until <= from_ms(call.clock.now_ms()):
        raise _refuse("until", "must be in the future")
    return await _subject_of(call, terms)


async def _subject_of(call: Call, terms: ApprovalTerms) -> tuple[ApprovalTerms, Place]:
    """The place of a subject of budgets or limits that the caller has to do with."""
    subject = await resolve(call.db, terms.subject)
    target = subject.scope.value if subject.scope is Scope.ORGANISATION else f"{subject.scope.value}:{subject.id}"
    place = Place()
    if subject.scope in (Scope.PROJECT, Scope.KEY):
        place = await _project(call, subject.name.partition("/")[0], "subject")
    elif subject.scope is Scope.BUSINESS_UNIT:
        place = await _unit(call, subject.id, "subject")
    own = subject.scope is Scope.USER and subject.name in (call.principal.name, call.principal.email)
    if not own:
        _belongs(call, place, terms.subject, "subject")
    return msgspec.structs.replace(terms, subject=subject.reference), msgspec.structs.replace(place, target=target)


def _belongs(call: Call, place: Place, reference: str, name: str) -> None:
    """Refuses a place in which the caller has no role."""
    principal = call.principal
    inside = any(grant.covers(place.unit_id, place.project_id) for grant in principal.grants)
    if not inside and not principal.may("budgets.read", unit=place.unit_id, project=place.project_id):
        raise not_found(reference.partition(":")[0].replace("_", " ") or "subject", reference, _field(name))


async def _unit(call: Call, reference: str, name: str) -> Place:
    row = await identity.unit(call.db, reference)
    if row is None:
        raise not_found("business unit", reference, _field(name))
    return Place(target=f"business_unit:{row.id}", unit_id=row.id, business_unit=row.name)


async def _project(call: Call, reference: str, name: str) -> Place:
    row = await identity.project(call.db, reference)
    if row is None:
        raise not_found("project", reference, _field(name))
    unit: UUID = row.business_unit_id
    return Place(
        target=f"project:{row.id}", unit_id=unit, project_id=row.id, business_unit=row.business_unit, project=row.name
    )
