"""Executes the steps of a plan through the use cases of the features. Errors get the path of the document in front."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any

from tollway.controlplane.call import ApiError, Call
from tollway.controlplane.catalog import model as catalog
from tollway.controlplane.catalog import models, providers, routing
from tollway.controlplane.configuration import state
from tollway.controlplane.configuration.channels import Channels
from tollway.controlplane.configuration.document import key_policy_fields
from tollway.controlplane.configuration.issuers import Issuers
from tollway.controlplane.configuration.model import (
    Configuration,
    GeneratedKey,
    KeySpec,
    ModelSpec,
    ProjectSpec,
    ProviderSpec,
)
from tollway.controlplane.configuration.plan import SECRET_FIELD, Kind, Step
from tollway.controlplane.configuration.policies import Policies
from tollway.controlplane.configuration.roles import Roles
from tollway.controlplane.configuration.rules import Rules
from tollway.controlplane.configuration.state import State
from tollway.controlplane.credentials.model import NewCredential
from tollway.controlplane.identity import model as identity
from tollway.controlplane.identity import service as identities
from tollway.controlplane.keys import model as keys
from tollway.controlplane.keys import postgres as key_rows
from tollway.controlplane.keys import service as key_service
from tollway.controlplane.resources import from_ms

_NO_GRACE = timedelta(0)


class Executor:
    """One execution. `generated` are the secrets of the keys that it made."""

    def __init__(self, call: Call, configuration: Configuration, before: State) -> None:
        self._call = call
        self._before = before
        self.generated: list[GeneratedKey] = []
        self._units = {spec.name: spec for spec in configuration.business_units}
        self._providers = {spec.name: spec for spec in configuration.providers}
        self._models = {spec.name: spec for spec in configuration.models}
        self._projects = {spec.name: spec for spec in configuration.projects}
        self._rules = Rules(call, configuration, before.present)
        self._channels = Channels(call, configuration)
        self._issuers = Issuers(call, configuration)
        self._roles = Roles(call, configuration, before.present)
        self._policies = Policies(call, configuration)

    async def create(self, step: Step) -> None:
        """Makes an object of the document."""
        await _at(step, lambda: _CREATE[step.kind](self, step))

    async def update(self, step: Step) -> None:
        """Writes the fields of a step."""
        self._call.update_mask = step.fields
        await _at(step, lambda: _UPDATE[step.kind](self, step))

    async def archive(self, step: Step) -> None:
        """Archives, removes or revokes an object that the document does not name."""
        await _at(step, lambda: _ARCHIVE[step.kind](self, step))

    async def _create_unit(self, step: Step) -> None:
        spec = self._units[step.name]
        request = identity.CreateBusinessUnitRequest(name=spec.name, description=spec.description)
        await identities.create_unit(self._call, request)

    async def _update_unit(self, step: Step) -> None:
        request = identity.UpdateBusinessUnitRequest(
            business_unit=step.name, description=self._units[step.name].description
        )
        await identities.update_unit(self._call, request)

    async def _archive_unit(self, step: Step) -> None:
        await identities.archive_unit(self._call, identity.ArchiveBusinessUnitRequest(business_unit=step.name))

    async def _create_provider(self, step: Step) -> None:
        spec: ProviderSpec = self._providers[step.name]
        request = catalog.CreateProviderRequest(
            name=spec.name,
            kind=spec.kind,
            base_url=spec.base_url,
            api_version=spec.api_version,
            timeouts=spec.timeouts,
            hangup=spec.hangup,
            probe_seconds=spec.probe_seconds,
        )
        await providers.create_provider(self._call, request)

    async def _update_provider(self, step: Step) -> None:
        spec = self._providers[step.name]
        request = catalog.UpdateProviderRequest(
            provider=spec.name,
            base_url=spec.base_url,
            api_version=spec.api_version,
            timeouts=spec.timeouts,
            hangup=spec.hangup,
            probe_seconds=spec.probe_seconds,
        )
        await providers.update_provider(self._call, request)

    async def _archive_provider(self, step: Step) -> None:
        await providers.archive_provider(self._call, catalog.ArchiveProviderRequest(provider=step.name))

    def _credential(self, step: Step) -> tuple[str, NewCredential]:
        provider, _, name = step.name.partition("/")
        return provider, next(spec for spec in self._providers[provider].credentials if spec.name == name)

    async def _create_credential(self, step: Step) -> None:
        provider, spec = self._credential(step)
        request = catalog.AddCredentialRequest(
            provider=provider, name=spec.name, api_key=spec.api_key, weight=spec.weight, quota=spec.quota
        )
        await providers.add_credential(self._call, request)

    async def _update_credential(self, step: Step) -> None:
        provider, spec = self._credential(step)
        if SECRET_FIELD in step.fields:
            request = catalog.RotateCredentialRequest(provider=provider, credential=spec.name, api_key=spec.api_key)
            await providers.rotate_credential(self._call, request)
        rest = step.fields - {SECRET_FIELD}
        if rest:
            self._call.update_mask = rest
            await providers.update_credential(
                self._call,
                catalog.UpdateCredentialRequest(
                    provider=provider, credential=spec.name, weight=spec.weight, quota=spec.quota
                ),
            )

    async def _archive_credential(self, step: Step) -> None:
        provider, _, name = step.name.partition("/")
        request = catalog.RemoveCredentialRequest(provider=provider, credential=name)
        await providers.remove_credential(self._call, request)

    async def _create_model(self, step: Step) -> None:
        spec: ModelSpec = self._models[step.name]
        request = catalog.CreateModelRequest(
            name=spec.name,
            aliases=spec.aliases,
            strategy=spec.strategy,
            targets=spec.targets,
            price=spec.price,
            capabilities=spec.capabilities,
            **_routing(spec),
        )
        await models.create_model(self._call, request, references_later=True)

    async def _update_model(self, step: Step) -> None:
        spec = self._models[step.name]
        request = catalog.UpdateModelRequest(
            model=spec.name,
            aliases=spec.aliases,
            strategy=spec.strategy,
            targets=spec.targets,
            price=spec.price,
            capabilities=spec.capabilities,
            **_routing(spec),
        )
        await models.update_model(self._call, request, references_later=True)

    async def _archive_model(self, step: Step) -> None:
        request = catalog.ArchiveModelRequest(model=step.name)
        await models.archive_model(self._call, request, references_later=True)

    async def _create_project(self, step: Step) -> None:
        spec: ProjectSpec = self._projects[step.name]
        request = identity.CreateProjectRequest(name=spec.name, **_project(spec))
        await identities.create_project(self._call, request)

    async def _update_project(self, step: Step) -> None:
        spec = self._projects[step.name]
        request = identity.UpdateProjectRequest(project=spec.name, **_project(spec))
        await identities.update_project(self._call, request)

    async def _archive_project(self, step: Step) -> None:
        await identities.archive_project(self._call, identity.ArchiveProjectRequest(project=step.name))

    def _key(self, step: Step) -> tuple[str, KeySpec]:
        project, _, name = step.name.partition("/")
        return project, next(spec for spec in self._projects[project].keys if spec.name == name)

    async def _create_key(self, step: Step) -> None:
        project, spec = self._key(step)
        now = from_ms(self._call.clock.now_ms())  # one moment for age and expiry, or the next apply would differ
        request = keys.CreateKeyRequest(
            project=project,
            name=spec.name,
            models=spec.models,
            tags=spec.tags,
            expires_at=state.expiry(spec, now),
            value=spec.value,
            user=spec.user,
        )
        made = await key_service.create_key_at(self._call, request, now)
        if made.secret:
            self.generated.append(GeneratedKey(project=project, name=spec.name, secret=made.secret))

    async def _update_key(self, step: Step) -> None:
        _, spec = self._key(step)
        reference = str(self._before.present[Kind.KEY, step.name].identity)
        if SECRET_FIELD in step.fields:
            row = await key_rows.key(self._call.db, reference, "_for_update")
            assert row is not None
            made = await key_service.replace_key(self._call, row, _NO_GRACE, spec.value)
            reference = made.key.id
        rest = step.fields - {SECRET_FIELD}
        if rest:
            self._call.update_mask = rest
            request = keys.UpdateKeyRequest(
                key=reference,
                models=spec.models,
                tags=spec.tags,
                expires_at=state.expiry(spec, self._before.created[step.name]),
                user=spec.user,
            )
            await key_service.update_key(self._call, request)

    async def _archive_key(self, step: Step) -> None:
        reference = str(self._before.present[Kind.KEY, step.name].identity)
        await key_service.revoke_key(self._call, keys.RevokeKeyRequest(key=reference))


def _routing(spec: ModelSpec) -> dict[str, Any]:
    """The part of a model's requests that is about routing."""
    return {field: getattr(spec, field) for field in routing.FIELDS}


def _project(spec: ProjectSpec) -> dict[str, Any]:
    """What requests say of a project beside its name."""
    return {
        "description": spec.description,
        "business_unit": spec.business_unit,
        "models": spec.models,
        "dialect_policy": spec.dialect_policy,
        "log_bodies": spec.logging.bodies,
        "log_retention_days": spec.logging.retention_days,
        "cache_enabled": spec.cache.enabled,
        "cache_ttl_seconds": spec.cache.ttl_seconds,
        "cache_scope": spec.cache.scope,
        "cache_similarity": spec.cache.similarity,
        "priority": spec.priority,
        **key_policy_fields(spec.key_policy),
    }


Work = Callable[[Executor, Step], Awaitable[None]]
_CREATE: dict[Kind, Work] = {
    Kind.BUSINESS_UNIT: Executor._create_unit,
    Kind.PROVIDER: Executor._create_provider,
    Kind.CREDENTIAL: Executor._create_credential,
    Kind.MODEL: Executor._create_model,
    Kind.PROJECT: Executor._create_project,
    Kind.KEY: Executor._create_key,
    Kind.BUDGET: lambda executor, step: executor._rules.set_budget(step),
    Kind.LIMITS: lambda executor, step: executor._rules.set_limits(step),
    Kind.ALERT_CHANNEL: lambda executor, step: executor._channels.create(step),
    Kind.ISSUER: lambda executor, step: executor._issuers.create(step),
    Kind.ROLE: lambda executor, step: executor._roles.grant(step),
    Kind.POLICY: lambda executor, step: executor._policies.set(step),
}
_UPDATE: dict[Kind, Work] = {
    Kind.BUSINESS_UNIT: Executor._update_unit,
    Kind.PROVIDER: Executor._update_provider,
    Kind.CREDENTIAL: Executor._update_credential,
    Kind.MODEL: Executor._update_model,
    Kind.PROJECT: Executor._update_project,
    Kind.KEY: Executor._update_key,
    Kind.BUDGET: lambda executor, step: executor._rules.set_budget(step),
    Kind.LIMITS: lambda executor, step: executor._rules.set_limits(step),
    Kind.ALERT_CHANNEL: lambda executor, step: executor._channels.update(step),
    Kind.ISSUER: lambda executor, step: executor._issuers.update(step),
    Kind.ROLE: lambda executor, step: executor._roles.grant(step),
    Kind.POLICY: lambda executor, step: executor._policies.set(step),
}
_ARCHIVE: dict[Kind, Work] = {
    Kind.BUSINESS_UNIT: Executor._archive_unit,
    Kind.PROVIDER: Executor._archive_provider,
    Kind.CREDENTIAL: Executor._archive_credential,
    Kind.MODEL: Executor._archive_model,
    Kind.PROJECT: Executor._archive_project,
    Kind.KEY: Executor._archive_key,
    Kind.BUDGET: lambda executor, step: executor._rules.remove_budget(step),
    Kind.LIMITS: lambda executor, step: executor._rules.remove_limits(step),
    Kind.ALERT_CHANNEL: lambda executor, step: executor._channels.delete(step),
    Kind.ISSUER: lambda executor, step: executor._issuers.remove(step),
    Kind.ROLE: lambda executor, step: executor._roles.revoke(step),
    Kind.POLICY: lambda executor, step: executor._policies.set_back(step),
}


async def _at(step: Step, work: Callable[[], Awaitable[None]]) -> None:
    """Runs one step; an error that it meets tells where in the document it comes from."""
    try:
        await work()
    except ApiError as error:
        place = step.path or f"{step.kind.value} {step.name}"
        field = f"{step.path}.{error.field}" if step.path and error.field else step.path or None
        raise ApiError(error.code, f"{place}: {error.message}", field=field) from error
