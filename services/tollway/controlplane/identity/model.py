"""Business units and projects as values: the messages of the contract and the rows behind them. Pure."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

import msgspec

from tollway.controlplane.resources import etag
from tollway.core.catalog import Bodies, DialectPolicy, Logging

ORGANISATION = "default"
DEFAULT_UNIT = "default"
ALL_MODELS = ("*",)


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


class CreateProjectRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Message of the contract."""

    name: str
    description: str = ""
    business_unit: str = ""
    models: list[str] = []
    dialect_policy: str = ""
    log_bodies: str = ""
    log_retention_days: int = 0


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


class ProjectRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `projects` with the name of its unit."""

    id: UUID
    business_unit_id: UUID
    business_unit: str
    name: str
    description: str
    models: list[str]
    dialect_policy: DialectPolicy
    log_bodies: Bodies
    log_retention_days: int
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


def allow_list(models: list[str]) -> list[str]:
    """Globs of allowed models without repetitions; nothing means all."""
    return list(dict.fromkeys(models)) or list(ALL_MODELS)
