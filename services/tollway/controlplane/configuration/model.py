"""The messages of declarative configuration. Pure; values of secrets are in no representation."""

from __future__ import annotations

import msgspec

from tollway.controlplane.access.model import RoleSpec, UserRoleSpec
from tollway.controlplane.alerts.model import AlertChannelSpec
from tollway.controlplane.catalog.model import Capabilities, Price, Target, Timeouts
from tollway.controlplane.catalog.routing import Routing
from tollway.controlplane.credentials.model import CredentialCheck, NewCredential
from tollway.controlplane.rules.model import Limit
from tollway.controlplane.signin.model import IdentitySpec
from tollway.controlplane.workflows.model import PolicySpec

DEFAULT_SET = "default"


class BudgetSpec(msgspec.Struct, frozen=True, kw_only=True):
    """Message of the contract."""

    limit: str
    period: str = ""
    timezone: str = ""
    fiscal_start: str = ""
    mode: str = ""
    carry_over: bool = False
    alerts: list[float] = []


class LimitsSpec(msgspec.Struct, frozen=True, kw_only=True):
    """Message of the contract."""

    limits: list[Limit] = []


class OrganisationSpec(msgspec.Struct, frozen=True, kw_only=True):
    """Message of the contract."""

    name: str
    budget: BudgetSpec | None = None
    limits: LimitsSpec | None = None


class UserSpec(msgspec.Struct, frozen=True, kw_only=True):
    """Message of the contract."""

    name: str
    roles: list[UserRoleSpec] = []
    budget: BudgetSpec | None = None
    limits: LimitsSpec | None = None


class ProviderSpec(msgspec.Struct, frozen=True, kw_only=True):
    """Message of the contract."""

    name: str
    kind: str
    base_url: str = ""
    api_version: str = ""
    credentials: list[NewCredential] = []
    timeouts: Timeouts | None = None
    hangup: str = ""
    probe_seconds: float = 0.0


class ModelSpec(Routing, frozen=True, kw_only=True):
    """Message of the contract."""

    name: str
    targets: list[Target]
    aliases: list[str] = msgspec.field(default_factory=list)
    strategy: str = ""
    price: Price | None = None
    capabilities: Capabilities | None = None
    limits: LimitsSpec | None = None


class BusinessUnitSpec(msgspec.Struct, frozen=True, kw_only=True):
    """Message of the contract."""

    name: str
    description: str = ""
    managers: list[str] = []
    budget: BudgetSpec | None = None
    limits: LimitsSpec | None = None


class KeySpec(msgspec.Struct, frozen=True, kw_only=True):
    """Message of the contract."""

    name: str
    value: str = ""
    models: list[str] = []
    expires_seconds: int = 0
    tags: dict[str, str] = {}
    user: str = ""
    budget: BudgetSpec | None = None
    limits: LimitsSpec | None = None

    def __repr__(self) -> str:
        return f"KeySpec(name={self.name!r})"


class LoggingSpec(msgspec.Struct, frozen=True, kw_only=True):
    """Message of the contract: what the request log keeps of a project."""

    bodies: str = ""
    retention_days: int = 0


class CacheSpec(msgspec.Struct, frozen=True, kw_only=True):
    """Message of the contract: whether a project's answers are kept and given again."""

    enabled: bool = False
    ttl_seconds: int = 0
    scope: str = ""
    similarity: float | None = None


class KeyPolicySpec(msgspec.Struct, frozen=True, kw_only=True):
    """Message of the contract: what a project asks of its keys."""

    lifetime_days: int | None = None
    max_keys: int | None = None
    max_keys_per_user: int | None = None


class ProjectSpec(msgspec.Struct, frozen=True, kw_only=True):
    """Message of the contract."""

    name: str
    description: str = ""
    business_unit: str = ""
    models: list[str] = []
    keys: list[KeySpec] = []
    dialect_policy: str = ""
    logging: LoggingSpec = LoggingSpec()
    cache: CacheSpec = CacheSpec()
    priority: str = ""
    key_policy: KeyPolicySpec = KeyPolicySpec()
    budget: BudgetSpec | None = None
    limits: LimitsSpec | None = None


class Configuration(msgspec.Struct, frozen=True, kw_only=True):
    """Message of the contract."""

    providers: list[ProviderSpec] = []
    models: list[ModelSpec] = []
    business_units: list[BusinessUnitSpec] = []
    projects: list[ProjectSpec] = []
    organisations: list[OrganisationSpec] = []
    users: list[UserSpec] = []
    alert_channels: list[AlertChannelSpec] = []
    identity: IdentitySpec = IdentitySpec()
    roles: list[RoleSpec] = []
    policies: list[PolicySpec] = []


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """Message of the contract: one step of a plan."""

    action: str
    kind: str
    name: str
    details: list[str] = []


class ApplyRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Message of the contract."""

    configuration: Configuration
    set: str = ""
    prune: bool = False
    dry_run: bool = False
    force: bool = False
    verify: bool = False


class GeneratedKey(msgspec.Struct, frozen=True, kw_only=True):
    """Message of the contract: a secret that is shown this once."""

    project: str
    name: str
    secret: str

    def __repr__(self) -> str:
        return f"GeneratedKey(project={self.project!r}, name={self.name!r})"


class ApplyResponse(msgspec.Struct, frozen=True, kw_only=True):
    """Message of the contract."""

    changes: list[Change]
    generated_keys: list[GeneratedKey] = []
    applied: bool = False
    checks: list[CredentialCheck] = []
