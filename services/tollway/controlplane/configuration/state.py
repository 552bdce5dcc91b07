"""Both sides of the comparison: the objects of a document and those of the database, in the form of the plan."""

from __future__ import annotations

import hmac
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec

from tollway.controlplane.call import Call
from tollway.controlplane.catalog import postgres as catalog
from tollway.controlplane.catalog import routing
from tollway.controlplane.catalog.model import ModelRow, ProviderRow, effective_timeouts
from tollway.controlplane.configuration import channels, document, issuers, policies, postgres, roles, rules
from tollway.controlplane.configuration.document import ROOT, Known
from tollway.controlplane.configuration.model import Configuration, KeySpec
from tollway.controlplane.configuration.plan import SECRET_FIELD, Desired, Kind, Present, Ref, read_applied
from tollway.controlplane.credentials import postgres as credentials
from tollway.controlplane.credentials.model import NewCredential, quota_form
from tollway.controlplane.credentials.vault import Peppers, value_fingerprint
from tollway.controlplane.identity import postgres as identity
from tollway.controlplane.identity.model import DEFAULT_UNIT, KEY_POLICY, ProjectRow, UnitRow
from tollway.controlplane.keys import postgres as keys
from tollway.controlplane.keys.model import SecretRow
from tollway.core.catalog import Quota
from tollway.core.ids import secret_digest

_DIFFERS = "differs"


@dataclass(frozen=True)
class State:
    """What there is: objects by kind and name, names by reference, and what secrets are compared with."""

    present: Mapping[Ref, Present]
    known: Known
    created: Mapping[str, datetime]
    """When a key was made, by "<project>/<key>"."""
    secrets: Mapping[str, tuple[SecretRow, ...]]
    """The secrets of a key that have no end."""
    peppers: Peppers


def _iso(at: datetime | None) -> str:
    return "" if at is None else at.astimezone(UTC).isoformat()


async def load(call: Call, managing_set: str, configuration: Configuration, peppers: Peppers) -> State:
    """Everything that the document could touch, as it is now."""
    db = call.db
    found: dict[Ref, Present] = {}

    def add(kind: Kind, name: str, row: Any, fields: Mapping[str, Any]) -> None:
        applied = read_applied(row.applied_digest)
        found[kind, name] = Present(kind, name, row.id, fields, row.managed_by, applied)

    for gone in await postgres.gone(db, managing_set):
        found[gone.kind, gone.name] = Present(gone.kind, gone.name, gone.id, {}, managing_set, {}, gone=True)
    units = await identity.units(db)
    for unit in units:
        add(Kind.BUSINESS_UNIT, unit.name, unit, {"description": unit.description})
    _adopt_default_unit(found, units)
    providers = {row.id: row for row in await catalog.providers(db)}
    for provider in providers.values():
        add(Kind.PROVIDER, provider.name, provider, _provider_fields(provider))
    for credential in await credentials.credentials(db, list(providers)):
        name = f"{providers[credential.provider_id].name}/{credential.name}"
        value = credential.fingerprint.hex()
        fields = {"weight": credential.weight, "quota": quota_form(credential.quota), SECRET_FIELD: value}
        add(Kind.CREDENTIAL, name, credential, fields)
    models = await catalog.models(db)
    for model in models:
        add(Kind.MODEL, model.name, model, _model_fields(model, providers))
    for project in await identity.projects(db):
        add(Kind.PROJECT, project.name, project, _project_fields(project))
    rows = await postgres.keys(db, managing_set, [spec.name for spec in configuration.projects])
    secrets: dict[UUID, list[SecretRow]] = {row.id: [] for row in rows}
    for secret in await keys.secrets(db, list(secrets)):
        if secret.not_after is None:
            secrets[secret.key_id].append(secret)
    for row in rows:
        value = ",".join(sorted(secret.digest.hex() for secret in secrets[row.id]))
        add(Kind.KEY, f"{row.project}/{row.name}", row, _present_key(row) | {SECRET_FIELD: value})
    found |= await rules.load(db)
    found |= await channels.load(db)
    found |= await issuers.load(db)
    found |= await roles.load(db)
    found |= await policies.load(db)
    known = Known(
        providers={reference: row.name for row in providers.values() for reference in (str(row.id), row.name)},
        units={reference: row.name for row in units for reference in (str(row.id), row.name)},
        chains={row.name: routing.chains(row) for row in models},
    )
    return State(
        present=found,
        known=known,
        created={f"{row.project}/{row.name}": row.created_at for row in rows},
        secrets={f"{row.project}/{row.name}": tuple(secrets[row.id]) for row in rows},
        peppers=peppers,
    )


def _present_key(row: postgres.KeyState) -> dict[str, Any]:
    """The comparable fields of a key but for its value."""
    return {"models": row.models, "tags": row.tags, "user": row.user_name, "expires_at": _iso(row.expires_at)}


def _adopt_default_unit(found: dict[Ref, Present], units: list[UnitRow]) -> None:
    """The default unit as every installation makes it belongs to whoever describes it first."""
    for unit in units:
        if unit.name == DEFAULT_UNIT and unit.managed_by is None and unit.revision == 1:
            ref = (Kind.BUSINESS_UNIT, unit.name)
            found[ref] = Present(*ref, unit.id, {"description": unit.description}, applied={})


def _provider_fields(row: ProviderRow) -> dict[str, Any]:
    return {
        "kind": row.kind,
        "base_url": row.base_url,
        "api_version": row.api_version,
        "timeouts": msgspec.to_builtins(effective_timeouts(row.timeouts)),
        "hangup": row.hangup,
        "probe_seconds": row.probe_seconds,
    }


def _project_fields(row: ProjectRow) -> dict[str, Any]:
    return {
        "description": row.description,
        "business_unit": row.business_unit,
        "models": row.models,
        "dialect_policy": row.dialect_policy.value,
        **document.logging_fields(row.logging),
        **document.cache_fields(row.caching),
        "priority": row.priority.value,
        **{name: getattr(row, name) for name in KEY_POLICY},
    }


def _model_fields(row: ModelRow, providers: Mapping[UUID, ProviderRow]) -> dict[str, Any]:
    return {
        "aliases": row.aliases,
        "strategy": row.strategy,
        "targets": [
            document.target_fields(providers[target.provider_id].name, target.model, target.weight, target.priority)
            for target in row.targets
        ],
        "price": document.price_fields(row.price),
        "capabilities": document.capability_fields(row.capabilities),
        **routing.plain(routing.columns(row)),
    }


def desired(configuration: Configuration, state: State) -> Iterator[Desired]:
    """The objects of a document, compared with nothing yet but for secrets and expiries, which need the present one."""
    for index, unit in enumerate(configuration.business_units):
        path = f"{ROOT}.business_units[{index}]"
        yield Desired(Kind.BUSINESS_UNIT, unit.name, {"description": unit.description}, path)
    for index, provider in enumerate(configuration.providers):
        path = f"{ROOT}.providers[{index}]"
        yield Desired(Kind.PROVIDER, provider.name, document.provider_fields(provider, path), path)
        for number, credential in enumerate(provider.credentials):
            name = f"{provider.name}/{credential.name}"
            fields = _credential_fields(credential, state.present.get((Kind.CREDENTIAL, name)), state.peppers)
            yield Desired(Kind.CREDENTIAL, name, fields, f"{path}.credentials[{number}]")
    for index, model in enumerate(configuration.models):
        path = f"{ROOT}.models[{index}]"
        yield Desired(Kind.MODEL, model.name, document.model_fields(model, state.known.providers, path), path)
    for index, project in enumerate(configuration.projects):
        path = f"{ROOT}.projects[{index}]"
        yield Desired(Kind.PROJECT, project.name, document.project_fields(project, state.known.units), path)
        for number, key in enumerate(project.keys):
            name = f"{project.name}/{key.name}"
            yield Desired(Kind.KEY, name, _key_fields(key, name, state), f"{path}.keys[{number}]")
    yield from rules.desired(configuration, state.present)
    yield from channels.desired(configuration, state.present, state.peppers)
    yield from issuers.desired(configuration, state.present, state.peppers)
    yield from roles.desired(configuration, state.present)
    yield from policies.desired(configuration)


def _credential_fields(spec: NewCredential, present: Present | None, peppers: Peppers) -> dict[str, Any]:
    value = _DIFFERS
    if present is not None and not present.gone:
        value = value_fingerprint(peppers, str(present.identity), spec.api_key.strip()).hex()
    return {"weight": spec.weight or 1, "quota": quota_form(spec.quota or Quota()), SECRET_FIELD: value}


def _key_fields(spec: KeySpec, name: str, state: State) -> dict[str, Any]:
    fields = document.key_fields(spec)
    created = state.created.get(name)
    if created is None:
        fields["expires_at"] = f"{spec.expires_seconds} s after it is made" if spec.expires_seconds else ""
    else:
        fields["expires_at"] = _iso(expiry(spec, created))
    if spec.value:
        present = state.present.get((Kind.KEY, name))
        matches = any(
            hmac.compare_digest(secret.digest, secret_digest(state.peppers.digest[secret.pepper], spec.value))
            for secret in state.secrets.get(name, ())
        )
        fields[SECRET_FIELD] = present.fields[SECRET_FIELD] if present is not None and matches else _DIFFERS
    return fields


def expiry(spec: KeySpec, created: datetime) -> datetime | None:
    """When a key of the document ends; it counts from when the key was made."""
    return created + timedelta(seconds=spec.expires_seconds) if spec.expires_seconds else None
