"""Business units and projects as values: the messages of the contract and the rows behind them. Pure."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from tollway.controlplane.resources import etag
from tollway.core.catalog import Bodies, CacheScope, Caching, DialectPolicy, Logging, Priority

ORGANISATION = "default"
DEFAULT_UNIT = "default"
ALL_MODELS = ("*",)
KEY_POLICY = ("key_lifetime_days", "max_keys", "max_keys_per_user")
"""What a project asks of its keys, each None: nothing."""
NO_SIMILARITY = (
    "answers to requests that mean the same cannot be given: nothing of this installation compares meanings. "
    "Leave it out; the very same request is answered from the cache without it"
)


class BusinessUnit(msgspec.Struct, frozen=True, kw_only=True):
    """A business unit as it is shown."""

    id: str
    name: str
    description: str
    created_at: datetime
    updated_at: datetime
    etag: str


class CreateBusinessUnitRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Message of the contract."""

    name: str
    description: str = ""


class GetBusinessUnitRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Message of the contract."""

    business_unit: str


class ListBusinessUnitsRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Message of the contract."""

    page_size: int = 0
    page_token: str = ""


class ListBusinessUnitsResponse(msgspec.Struct, frozen=True, kw_only=True):
    """Message of the contract."""

    business_units: list[BusinessUnit]
    next_page_token: str = ""


class UpdateBusinessUnitRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Message of the contract; the mask is in the call."""

    business_unit: str
    description: str = ""
    etag: str = ""


class ArchiveBusinessUnitRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Message of the contract."""

    business_unit: str
    etag: str = ""


class Project(msgspec.Struct, frozen=True, kw_only=True):
    """A project as it is shown; `business_unit` is the unit's name."""

    id: str
    name: str
    description: str
    business_unit: str
    models: list[str]
    created_at: datetime
    updated_at: datetime
    etag: str
    dialect_policy: str
    log_bodies: str
    log_retention_days: int
    cache_enabled: bool
    cache_ttl_seconds: int
    cache_scope: str
    cache_similarity: float | None
    priority: str
    key_lifetime_days: int | None
    max_keys: int | None
    max_keys_per_user: int | None


class CreateProjectRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Message of the contract."""

    name: str
    description: str = ""
    business_unit: str = ""
    models: list[str] = []
    dialect_policy: str = ""
    log_bodies: str = ""
    log_retention_days: int = 0
    cache_enabled: bool = False
    cache_ttl_seconds: int = 0
    cache_scope: str = ""
    cache_similarity: float | None = None
    priority: str = ""
    key_lifetime_days: int | None = None
    max_keys: int | None = None
    max_keys_per_user: int | None = None


class GetProjectRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Message of the contract."""

    project: str


class ListProjectsRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Message of the contract."""

    page_size: int = 0
    page_token: str = ""
    business_unit: str = ""


class ListProjectsResponse(msgspec.Struct, frozen=True, kw_only=True):
    """Message of the contract."""

    projects: list[Project]
    next_page_token: str = ""


class UpdateProjectRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Message of the contract; the mask is in the call."""

    project: str
    description: str = ""
    business_unit: str = ""
    models: list[str] = []
    etag: str = ""
    dialect_policy: str = ""
    log_bodies: str = ""
    log_retention_days: int = 0
    cache_enabled: bool = False
    cache_ttl_seconds: int = 0
    cache_scope: str = ""
    cache_similarity: float | None = None
    priority: str = ""
    key_lifetime_days: int | None = None
    max_keys: int | None = None
    max_keys_per_user: int | None = None


class ArchiveProjectRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Message of the contract."""

    project: str
    etag: str = ""


class UnitRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `business_units`."""

    id: UUID
    name: str
    description: str
    revision: int
    created_at: datetime
    updated_at: datetime
    archived_at: datetime | None = None
    managed_by: str | None = None
    applied_digest: bytes | None = None

    def view(self) -> BusinessUnit:
        """The unit as it is shown."""
        return BusinessUnit(
            id=str(self.id),
            name=self.name,
            description=self.description,
            created_at=self.created_at,
            updated_at=self.updated_at,
            etag=etag(self.id, self.revision),
        )


class ProjectColumns(msgspec.Struct, frozen=True, kw_only=True):
    """What can change of a project, as columns of `projects`."""

    business_unit_id: UUID
    description: str
    models: list[str]
    dialect_policy: DialectPolicy
    log_bodies: Bodies
    log_retention_days: int
    cache_enabled: bool
    cache_ttl_seconds: int
    cache_scope: CacheScope
    cache_similarity: float | None
    priority: Priority
    key_lifetime_days: int | None
    max_keys: int | None
    max_keys_per_user: int | None


class ProjectRow(ProjectColumns, frozen=True, kw_only=True):
    """A row of `projects` with the name of its unit."""

    id: UUID
    business_unit: str
    name: str
    revision: int
    created_at: datetime
    updated_at: datetime
    archived_at: datetime | None = None
    managed_by: str | None = None
    applied_digest: bytes | None = None

    @property
    def logging(self) -> Logging:
        """What the request log keeps of it."""
        return Logging(bodies=self.log_bodies, retention_days=self.log_retention_days)

    @property
    def caching(self) -> Caching:
        """Whether its answers are kept and given again."""
        return Caching(
            enabled=self.cache_enabled,
            ttl_seconds=self.cache_ttl_seconds,
            scope=self.cache_scope,
            similarity=self.cache_similarity,
        )

    @property
    def columns(self) -> ProjectColumns:
        """What can change of it."""
        return ProjectColumns(**{name: getattr(self, name) for name in ProjectColumns.__struct_fields__})

    def view(self) -> Project:
        """The project as it is shown."""
        return Project(
            id=str(self.id),
            name=self.name,
            description=self.description,
            business_unit=self.business_unit,
            models=self.models,
            created_at=self.created_at,
            updated_at=self.updated_at,
            etag=etag(self.id, self.revision),
            dialect_policy=self.dialect_policy.value,
            log_bodies=self.log_bodies.value,
            log_retention_days=self.log_retention_days,
            cache_enabled=self.cache_enabled,
            cache_ttl_seconds=self.cache_ttl_seconds,
            cache_scope=self.cache_scope.value,
            cache_similarity=self.cache_similarity,
            priority=self.priority.value,
            key_lifetime_days=self.key_lifetime_days,
            max_keys=self.max_keys,
            max_keys_per_user=self.max_keys_per_user,
        )


def policy_of(text: str) -> DialectPolicy:
    """The policy with this name; nothing means lenient."""
    return DialectPolicy(text) if text else DialectPolicy.LENIENT


def logging_of(bodies: str, retention_days: int) -> Logging:
    """What the request log shall keep; what is empty or 0 has its default."""
    default = Logging()
    return Logging(
        bodies=Bodies(bodies) if bodies else default.bodies, retention_days=retention_days or default.retention_days
    )


def caching_of(enabled: bool, ttl_seconds: int, scope: str, similarity: float | None) -> Caching:
    """How answers shall be kept and given again; what is empty or 0 has its default."""
    default = Caching()
    return Caching(
        enabled=enabled,
        ttl_seconds=ttl_seconds or default.ttl_seconds,
        scope=CacheScope(scope) if scope else default.scope,
        similarity=similarity,
    )


def priority_of(text: str) -> Priority:
    """The priority with this name; nothing means interactive."""
    return Priority(text) if text else Priority.INTERACTIVE


def choices(request: CreateProjectRequest | UpdateProjectRequest) -> dict[str, Any]:
    """What a request says of a project, by column; what is empty has its default. The unit is not among it."""
    kept = logging_of(request.log_bodies, request.log_retention_days)
    cache = caching_of(request.cache_enabled, request.cache_ttl_seconds, request.cache_scope, request.cache_similarity)
    return {
        "description": request.description,
        "models": allow_list(request.models),
        "dialect_policy": policy_of(request.dialect_policy),
        "log_bodies": kept.bodies,
        "log_retention_days": kept.retention_days,
        "cache_enabled": cache.enabled,
        "cache_ttl_seconds": cache.ttl_seconds,
        "cache_scope": cache.scope,
        "cache_similarity": cache.similarity,
        "priority": priority_of(request.priority),
        **{name: getattr(request, name) for name in KEY_POLICY},
    }


def allow_list(models: list[str]) -> list[str]:
    """Globs of allowed models without repetitions; nothing means all."""
    return list(dict.fromkeys(models)) or list(ALL_MODELS)
