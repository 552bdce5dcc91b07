"""What a rule is for: references of the API to units, projects, keys, users, models and the organisation."""

from __future__ import annotations

from uuid import UUID

from tollway.controlplane.call import ApiCode, ApiError, Call
from tollway.controlplane.catalog import postgres as catalog
from tollway.controlplane.db.statements import Database
from tollway.controlplane.identity import postgres as identity
from tollway.controlplane.identity.model import ORGANISATION
from tollway.controlplane.keys import postgres as keys
from tollway.controlplane.resources import not_found
from tollway.controlplane.rules.checks import user_name
from tollway.controlplane.rules.model import Scope, Subject

BUDGET_SCOPES = tuple(scope for scope in Scope if scope is not Scope.MODEL)
FIELD = "subject"


async def resolve(db: Database, reference: str, *, change: bool = False) -> Subject:
    """The live subject of a reference, by id or name; with `change`, kept from being archived until the end of the
    transaction. Raises ApiError.
    """
    kind, _, name = reference.partition(":")
    try:
        scope = Scope(kind)
    except ValueError:
        forms = "organisation, business_unit:NAME, project:NAME, key:PROJECT/NAME, user:NAME or model:NAME"
        raise ApiError(ApiCode.INVALID, f"subject must be {forms}", field=FIELD) from None
    if scope is Scope.ORGANISATION:
        if name not in ("", ORGANISATION):
            raise not_found("organisation", name, FIELD)
        return Subject(scope, ORGANISATION, ORGANISATION)
    if not name:
        raise ApiError(ApiCode.INVALID, f"subject must name a {_word(scope)}, as in {kind}:NAME", field=FIELD)
    if scope is Scope.USER:
        return Subject(scope, user_name(name, FIELD), name)
    found = await _find(db, scope, name, change=change)
    if found is None:
        raise not_found(_word(scope), name, FIELD)
    return found


def _word(scope: Scope) -> str:
    return scope.value.replace("_", " ")


async def _find(db: Database, scope: Scope, name: str, *, change: bool) -> Subject | None:
    if scope is Scope.BUSINESS_UNIT:
        unit = await identity.unit(db, name, "_for_share" if change else "")
        return None if unit is None else Subject(scope, str(unit.id), unit.name)
    if scope is Scope.PROJECT:
        project = await identity.project(db, name, "_for_share" if change else "")
        return None if project is None else Subject(scope, str(project.id), project.name)
    if scope is Scope.MODEL:
        model = await catalog.model(db, name)
        if model is not None and change:
            model = await catalog.model_for_update(db, str(model.id))
        return None if model is None else Subject(scope, str(model.id), model.name)
    return await _key(db, name, change=change)


async def _key(db: Database, name: str, *, change: bool) -> Subject | None:
    project, slash, label = name.partition("/")
    key = await keys.by_name(db, project, label) if slash else await keys.key(db, name)
    if key is not None and key.rules_of is not None:
        key = await keys.key(db, str(key.rules_of))
    if key is not None and change:
        key = await keys.key(db, str(key.id), "_for_update")
        if key is not None and key.rules_of is not None:  # replaced before it was locked
            return await _key(db, str(key.rules_of), change=True)
    if key is None or key.revoked_at is not None or key.project_archived:
        return None
    return Subject(Scope.KEY, str(key.id), f"{key.project}/{key.name}")


async def publish(call: Call, subject: Subject) -> None:
    """Says that data planes must know the rules of a subject anew."""
    if subject.scope is not Scope.KEY:
        call.catalog_change()
        return
    key = UUID(subject.id)
    call.key_change(key)
    for follower in await keys.followers(call.db, key):
        call.key_change(follower)
