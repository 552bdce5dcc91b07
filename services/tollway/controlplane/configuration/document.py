"""What a document must be like in itself, and its objects in the form that the plan compares. Pure.

References are checked against what the document and the database have together, so that the order of objects in the
document does not matter. Errors name the path.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from tollway.controlplane.call import ApiCode, ApiError
from tollway.controlplane.catalog import fallbacks, routing, rules
from tollway.controlplane.catalog.model import (
    Capabilities,
    StoredPrice,
    effective_timeouts,
    stored_timeouts,
)
from tollway.controlplane.configuration.model import (
    Configuration,
    KeyPolicySpec,
    KeySpec,
    ModelSpec,
    ProjectSpec,
    ProviderSpec,
)
from tollway.controlplane.identity.model import (
    DEFAULT_UNIT,
    KEY_POLICY,
    NO_SIMILARITY,
    allow_list,
    caching_of,
    logging_of,
    policy_of,
    priority_of,
)
from tollway.core.catalog import Caching, Logging

ROOT = "configuration"
_DEFAULT_STRATEGY = "weighted"
_DEFAULT_HANGUP = "close"


@dataclass(frozen=True)
class Known:
    """What the database has: reference (id or name) -> name."""

    providers: Mapping[str, str]
    units: Mapping[str, str]
    chains: Mapping[str, fallbacks.Chains]
    """Of each model by name: the names of other models in its lists of fallbacks."""


def check(document: Configuration, known: Known) -> None:
    """Raises ApiError for a name given twice or a reference to what is neither in the document nor in the database."""
    _unique(f"{ROOT}.providers", document.providers)
    _unique(f"{ROOT}.business_units", document.business_units)
    _unique(f"{ROOT}.projects", document.projects)
    _unique(f"{ROOT}.organisations", document.organisations)
    _unique(f"{ROOT}.users", document.users)
    _unique(f"{ROOT}.alert_channels", document.alert_channels)
    _unique(f"{ROOT}.identity.issuers", document.identity.issuers)
    for index, provider in enumerate(document.providers):
        _unique(f"{ROOT}.providers[{index}].credentials", provider.credentials)
    for index, project in enumerate(document.projects):
        _unique(f"{ROOT}.projects[{index}].keys", project.keys)
    _check_model_names(document.models)
    providers = {spec.name for spec in document.providers} | known.providers.keys()
    for index, model in enumerate(document.models):
        for number, target in enumerate(model.targets):
            if target.provider not in providers:
                raise _invalid(
                    f"{ROOT}.models[{index}].targets[{number}].provider", f"there is no provider {target.provider!r}"
                )
    units = {spec.name for spec in document.business_units} | known.units.keys() | {DEFAULT_UNIT, ""}
    for index, project in enumerate(document.projects):
        if project.business_unit not in units:
            raise _invalid(
                f"{ROOT}.projects[{index}].business_unit", f"there is no business unit {project.business_unit!r}"
            )
        if project.cache.similarity is not None:
            raise _invalid(f"{ROOT}.projects[{index}].cache.similarity", NO_SIMILARITY)

    check_fallbacks(document, known.chains)


def check_fallbacks(document: Configuration, present: Mapping[str, fallbacks.Chains]) -> None:
    """Raises ApiError when a model of the document falls back to none that there is, or to itself by any way."""
    paths = {model.name: f"{ROOT}.models[{index}]" for index, model in enumerate(document.models)}
    stated = {model.name: {field: getattr(model, field) for field in fallbacks.CHAINS} for model in document.models}
    if any(any(chains.values()) for chains in stated.values()):
        problem = fallbacks.problem({**present, **stated}, stated)
        if problem is not None:
            raise _invalid(f"{paths[problem.model]}.{problem.place}", problem.message)


def _invalid(path: str, message: str) -> ApiError:
    return ApiError(ApiCode.INVALID, f"{path}: {message}", field=path)


def _unique(path: str, specs: Iterable[Any]) -> None:
    seen: set[str] = set()
    for index, spec in enumerate(specs):
        if spec.name in seen:
            raise _invalid(f"{path}[{index}].name", f"{spec.name!r} is there twice")
        seen.add(spec.name)


def _check_model_names(models: Sequence[ModelSpec]) -> None:
    owners: dict[str, str] = {}
    for index, model in enumerate(models):
        names = [(f"{ROOT}.models[{index}].name", model.name)]
        names += [(f"{ROOT}.models[{index}].aliases[{at}]", alias) for at, alias in enumerate(model.aliases)]
        for path, name in names:
            if name in owners:
                raise _invalid(path, f"{name!r} is the name or an alias at {owners[name]} already")
            owners[name] = path


def provider_fields(spec: ProviderSpec, path: str) -> dict[str, Any]:
    """The comparable fields of a provider; its credentials are objects of their own."""
    return {
        "kind": spec.kind,
        "base_url": rules.base_url(spec.kind, spec.base_url, f"{path}.base_url"),
        "api_version": spec.api_version,
        "timeouts": msgspec.to_builtins(effective_timeouts(stored_timeouts(spec.timeouts))),
        "hangup": spec.hangup or _DEFAULT_HANGUP,
        "probe_seconds": rules.probe_seconds(spec.probe_seconds, f"{path}.probe_seconds"),
    }


def model_fields(spec: ModelSpec, providers: Mapping[str, str], path: str) -> dict[str, Any]:
    """The comparable fields of a model; targets by the provider's name."""
    return {
        "aliases": rules.aliases(spec.name, spec.aliases, f"{path}.aliases"),
        "strategy": spec.strategy or _DEFAULT_STRATEGY,
        "targets": [
            target_fields(
                providers.get(target.provider, target.provider),
                target.model,
                1 if target.weight is None else target.weight,
                target.priority,
            )
            for target in spec.targets
        ],
        "price": price_fields(rules.price_override(spec.price, f"{path}.price")),
        "capabilities": capability_fields(spec.capabilities or Capabilities()),
        **routing.plain(routing.settled(spec, spec.name, path=path)),
    }


def target_fields(provider: str, model: str, weight: int, priority: int) -> dict[str, Any]:
    """The comparable form of a target."""
    return {"provider": provider, "model": model, "weight": weight, "priority": priority}


def price_fields(price: StoredPrice | None) -> Any:
    """The comparable form of a price override, in nano-dollars; None is the price book."""
    return None if price is None else msgspec.to_builtins(price)


def capability_fields(capabilities: Capabilities) -> dict[str, Any]:
    """Only what is set."""
    plain: dict[str, Any] = msgspec.to_builtins(capabilities)
    return {name: value for name, value in plain.items() if value not in (None, [])}


def project_fields(spec: ProjectSpec, units: Mapping[str, str]) -> dict[str, Any]:
    """The comparable fields of a project; its keys are objects of their own."""
    unit = spec.business_unit or DEFAULT_UNIT
    return {
        "description": spec.description,
        "business_unit": units.get(unit, unit),
        "models": allow_list(spec.models),
        "dialect_policy": policy_of(spec.dialect_policy).value,
        **logging_fields(logging_of(spec.logging.bodies, spec.logging.retention_days)),
        **cache_fields(caching_of(spec.cache.enabled, spec.cache.ttl_seconds, spec.cache.scope, spec.cache.similarity)),
        "priority": priority_of(spec.priority).value,
        **key_policy_fields(spec.key_policy),
    }


def key_policy_fields(policy: KeyPolicySpec) -> dict[str, Any]:
    """The comparable form of what a project asks of its keys, by column."""
    found = (policy.lifetime_days, policy.max_keys, policy.max_keys_per_user)
    return dict(zip(KEY_POLICY, found, strict=True))


def logging_fields(logging: Logging) -> dict[str, Any]:
    """The comparable form of what the request log keeps of a project."""
    return {"log_bodies": logging.bodies.value, "log_retention_days": logging.retention_days}


def cache_fields(caching: Caching) -> dict[str, Any]:
    """The comparable form of whether a project's answers are kept and given again."""
    return {f"cache_{name}": value for name, value in msgspec.to_builtins(caching).items()}


def key_fields(spec: KeySpec) -> dict[str, Any]:
    """The comparable fields of a key but for those that need the present key (expiry and value)."""
    return {"models": allow_list(spec.models), "tags": dict(spec.tags), "user": spec.user}
