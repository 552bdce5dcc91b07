from tollway.wire.gen.buf.validate import validate_pb2 as _validate_pb2
from google.api import annotations_pb2 as _annotations_pb2
from tollway.wire.gen.tollway.control.v1 import access_pb2 as _access_pb2
from tollway.wire.gen.tollway.control.v1 import alerts_pb2 as _alerts_pb2
from tollway.wire.gen.tollway.control.v1 import budgets_pb2 as _budgets_pb2
from tollway.wire.gen.tollway.control.v1 import catalog_pb2 as _catalog_pb2
from tollway.wire.gen.tollway.control.v1 import options_pb2 as _options_pb2
from tollway.wire.gen.tollway.control.v1 import signin_pb2 as _signin_pb2
from tollway.wire.gen.tollway.control.v1 import workflows_pb2 as _workflows_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class BudgetSpec(_message.Message):
    __slots__ = ("limit", "period", "timezone", "fiscal_start", "mode", "carry_over", "alerts")
    LIMIT_FIELD_NUMBER: _ClassVar[int]
    PERIOD_FIELD_NUMBER: _ClassVar[int]
    TIMEZONE_FIELD_NUMBER: _ClassVar[int]
    FISCAL_START_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    CARRY_OVER_FIELD_NUMBER: _ClassVar[int]
    ALERTS_FIELD_NUMBER: _ClassVar[int]
    limit: str
    period: str
    timezone: str
    fiscal_start: str
    mode: str
    carry_over: bool
    alerts: _containers.RepeatedScalarFieldContainer[float]
    def __init__(self, limit: _Optional[str] = ..., period: _Optional[str] = ..., timezone: _Optional[str] = ..., fiscal_start: _Optional[str] = ..., mode: _Optional[str] = ..., carry_over: _Optional[bool] = ..., alerts: _Optional[_Iterable[float]] = ...) -> None: ...

class LimitsSpec(_message.Message):
    __slots__ = ("limits",)
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    limits: _containers.RepeatedCompositeFieldContainer[_budgets_pb2.Limit]
    def __init__(self, limits: _Optional[_Iterable[_Union[_budgets_pb2.Limit, _Mapping]]] = ...) -> None: ...

class OrganisationSpec(_message.Message):
    __slots__ = ("name", "budget", "limits")
    NAME_FIELD_NUMBER: _ClassVar[int]
    BUDGET_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    name: str
    budget: BudgetSpec
    limits: LimitsSpec
    def __init__(self, name: _Optional[str] = ..., budget: _Optional[_Union[BudgetSpec, _Mapping]] = ..., limits: _Optional[_Union[LimitsSpec, _Mapping]] = ...) -> None: ...

class UserSpec(_message.Message):
    __slots__ = ("name", "roles", "budget", "limits")
    NAME_FIELD_NUMBER: _ClassVar[int]
    ROLES_FIELD_NUMBER: _ClassVar[int]
    BUDGET_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    name: str
    roles: _containers.RepeatedCompositeFieldContainer[_access_pb2.UserRoleSpec]
    budget: BudgetSpec
    limits: LimitsSpec
    def __init__(self, name: _Optional[str] = ..., roles: _Optional[_Iterable[_Union[_access_pb2.UserRoleSpec, _Mapping]]] = ..., budget: _Optional[_Union[BudgetSpec, _Mapping]] = ..., limits: _Optional[_Union[LimitsSpec, _Mapping]] = ...) -> None: ...

class ProviderSpec(_message.Message):
    __slots__ = ("name", "kind", "base_url", "api_version", "credentials", "timeouts", "hangup", "probe_seconds")
    NAME_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    BASE_URL_FIELD_NUMBER: _ClassVar[int]
    API_VERSION_FIELD_NUMBER: _ClassVar[int]
    CREDENTIALS_FIELD_NUMBER: _ClassVar[int]
    TIMEOUTS_FIELD_NUMBER: _ClassVar[int]
    HANGUP_FIELD_NUMBER: _ClassVar[int]
    PROBE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    name: str
    kind: str
    base_url: str
    api_version: str
    credentials: _containers.RepeatedCompositeFieldContainer[_catalog_pb2.NewCredential]
    timeouts: _catalog_pb2.Timeouts
    hangup: str
    probe_seconds: float
    def __init__(self, name: _Optional[str] = ..., kind: _Optional[str] = ..., base_url: _Optional[str] = ..., api_version: _Optional[str] = ..., credentials: _Optional[_Iterable[_Union[_catalog_pb2.NewCredential, _Mapping]]] = ..., timeouts: _Optional[_Union[_catalog_pb2.Timeouts, _Mapping]] = ..., hangup: _Optional[str] = ..., probe_seconds: _Optional[float] = ...) -> None: ...

class ModelSpec(_message.Message):
    __slots__ = ("name", "aliases", "strategy", "targets", "price", "capabilities", "limits", "affinity", "fallbacks", "context_fallbacks", "filter_fallbacks", "retries", "breaker", "hedge")
    NAME_FIELD_NUMBER: _ClassVar[int]
    ALIASES_FIELD_NUMBER: _ClassVar[int]
    STRATEGY_FIELD_NUMBER: _ClassVar[int]
    TARGETS_FIELD_NUMBER: _ClassVar[int]
    PRICE_FIELD_NUMBER: _ClassVar[int]
    CAPABILITIES_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    AFFINITY_FIELD_NUMBER: _ClassVar[int]
    FALLBACKS_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FALLBACKS_FIELD_NUMBER: _ClassVar[int]
    FILTER_FALLBACKS_FIELD_NUMBER: _ClassVar[int]
    RETRIES_FIELD_NUMBER: _ClassVar[int]
    BREAKER_FIELD_NUMBER: _ClassVar[int]
    HEDGE_FIELD_NUMBER: _ClassVar[int]
    name: str
    aliases: _containers.RepeatedScalarFieldContainer[str]
    strategy: str
    targets: _containers.RepeatedCompositeFieldContainer[_catalog_pb2.Target]
    price: _catalog_pb2.Price
    capabilities: _catalog_pb2.Capabilities
    limits: LimitsSpec
    affinity: str
    fallbacks: _containers.RepeatedScalarFieldContainer[str]
    context_fallbacks: _containers.RepeatedScalarFieldContainer[str]
    filter_fallbacks: _containers.RepeatedScalarFieldContainer[str]
    retries: _catalog_pb2.Retries
    breaker: _catalog_pb2.Breaker
    hedge: _catalog_pb2.Hedge
    def __init__(self, name: _Optional[str] = ..., aliases: _Optional[_Iterable[str]] = ..., strategy: _Optional[str] = ..., targets: _Optional[_Iterable[_Union[_catalog_pb2.Target, _Mapping]]] = ..., price: _Optional[_Union[_catalog_pb2.Price, _Mapping]] = ..., capabilities: _Optional[_Union[_catalog_pb2.Capabilities, _Mapping]] = ..., limits: _Optional[_Union[LimitsSpec, _Mapping]] = ..., affinity: _Optional[str] = ..., fallbacks: _Optional[_Iterable[str]] = ..., context_fallbacks: _Optional[_Iterable[str]] = ..., filter_fallbacks: _Optional[_Iterable[str]] = ..., retries: _Optional[_Union[_catalog_pb2.Retries, _Mapping]] = ..., breaker: _Optional[_Union[_catalog_pb2.Breaker, _Mapping]] = ..., hedge: _Optional[_Union[_catalog_pb2.Hedge, _Mapping]] = ...) -> None: ...

class BusinessUnitSpec(_message.Message):
    __slots__ = ("name", "description", "managers", "budget", "limits")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    MANAGERS_FIELD_NUMBER: _ClassVar[int]
    BUDGET_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    name: str
    description: str
    managers: _containers.RepeatedScalarFieldContainer[str]
    budget: BudgetSpec
    limits: LimitsSpec
    def __init__(self, name: _Optional[str] = ..., description: _Optional[str] = ..., managers: _Optional[_Iterable[str]] = ..., budget: _Optional[_Union[BudgetSpec, _Mapping]] = ..., limits: _Optional[_Union[LimitsSpec, _Mapping]] = ...) -> None: ...

class KeySpec(_message.Message):
    __slots__ = ("name", "value", "models", "expires_seconds", "tags", "user", "budget", "limits")
    class TagsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    NAME_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    MODELS_FIELD_NUMBER: _ClassVar[int]
    EXPIRES_SECONDS_FIELD_NUMBER: _ClassVar[int]
    TAGS_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    BUDGET_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    name: str
    value: str
    models: _containers.RepeatedScalarFieldContainer[str]
    expires_seconds: int
    tags: _containers.ScalarMap[str, str]
    user: str
    budget: BudgetSpec
    limits: LimitsSpec
    def __init__(self, name: _Optional[str] = ..., value: _Optional[str] = ..., models: _Optional[_Iterable[str]] = ..., expires_seconds: _Optional[int] = ..., tags: _Optional[_Mapping[str, str]] = ..., user: _Optional[str] = ..., budget: _Optional[_Union[BudgetSpec, _Mapping]] = ..., limits: _Optional[_Union[LimitsSpec, _Mapping]] = ...) -> None: ...

class LoggingSpec(_message.Message):
    __slots__ = ("bodies", "retention_days")
    BODIES_FIELD_NUMBER: _ClassVar[int]
    RETENTION_DAYS_FIELD_NUMBER: _ClassVar[int]
    bodies: str
    retention_days: int
    def __init__(self, bodies: _Optional[str] = ..., retention_days: _Optional[int] = ...) -> None: ...

class CacheSpec(_message.Message):
    __slots__ = ("enabled", "ttl_seconds", "scope", "similarity")
    ENABLED_FIELD_NUMBER: _ClassVar[int]
    TTL_SECONDS_FIELD_NUMBER: _ClassVar[int]
    SCOPE_FIELD_NUMBER: _ClassVar[int]
    SIMILARITY_FIELD_NUMBER: _ClassVar[int]
    enabled: bool
    ttl_seconds: int
    scope: str
    similarity: float
    def __init__(self, enabled: _Optional[bool] = ..., ttl_seconds: _Optional[int] = ..., scope: _Optional[str] = ..., similarity: _Optional[float] = ...) -> None: ...

class KeyPolicySpec(_message.Message):
    __slots__ = ("lifetime_days", "max_keys", "max_keys_per_user")
    LIFETIME_DAYS_FIELD_NUMBER: _ClassVar[int]
    MAX_KEYS_FIELD_NUMBER: _ClassVar[int]
    MAX_KEYS_PER_USER_FIELD_NUMBER: _ClassVar[int]
    lifetime_days: int
    max_keys: int
    max_keys_per_user: int
    def __init__(self, lifetime_days: _Optional[int] = ..., max_keys: _Optional[int] = ..., max_keys_per_user: _Optional[int] = ...) -> None: ...

class ProjectSpec(_message.Message):
    __slots__ = ("name", "description", "business_unit", "models", "keys", "dialect_policy", "logging", "cache", "priority", "key_policy", "budget", "limits")
    NAME_FIELD_NUMBER: _ClassVar[int]
    DESCRIPTION_FIELD_NUMBER: _ClassVar[int]
    BUSINESS_UNIT_FIELD_NUMBER: _ClassVar[int]
    MODELS_FIELD_NUMBER: _ClassVar[int]
    KEYS_FIELD_NUMBER: _ClassVar[int]
    DIALECT_POLICY_FIELD_NUMBER: _ClassVar[int]
    LOGGING_FIELD_NUMBER: _ClassVar[int]
    CACHE_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    KEY_POLICY_FIELD_NUMBER: _ClassVar[int]
    BUDGET_FIELD_NUMBER: _ClassVar[int]
    LIMITS_FIELD_NUMBER: _ClassVar[int]
    name: str
    description: str
    business_unit: str
    models: _containers.RepeatedScalarFieldContainer[str]
    keys: _containers.RepeatedCompositeFieldContainer[KeySpec]
    dialect_policy: str
    logging: LoggingSpec
    cache: CacheSpec
    priority: str
    key_policy: KeyPolicySpec
    budget: BudgetSpec
    limits: LimitsSpec
    def __init__(self, name: _Optional[str] = ..., description: _Optional[str] = ..., business_unit: _Optional[str] = ..., models: _Optional[_Iterable[str]] = ..., keys: _Optional[_Iterable[_Union[KeySpec, _Mapping]]] = ..., dialect_policy: _Optional[str] = ..., logging: _Optional[_Union[LoggingSpec, _Mapping]] = ..., cache: _Optional[_Union[CacheSpec, _Mapping]] = ..., priority: _Optional[str] = ..., key_policy: _Optional[_Union[KeyPolicySpec, _Mapping]] = ..., budget: _Optional[_Union[BudgetSpec, _Mapping]] = ..., limits: _Optional[_Union[LimitsSpec, _Mapping]] = ...) -> None: ...

class Configuration(_message.Message):
    __slots__ = ("providers", "models", "business_units", "projects", "organisations", "users", "alert_channels", "identity", "roles", "policies")
    PROVIDERS_FIELD_NUMBER: _ClassVar[int]
    MODELS_FIELD_NUMBER: _ClassVar[int]
    BUSINESS_UNITS_FIELD_NUMBER: _ClassVar[int]
    PROJECTS_FIELD_NUMBER: _ClassVar[int]
    ORGANISATIONS_FIELD_NUMBER: _ClassVar[int]
    USERS_FIELD_NUMBER: _ClassVar[int]
    ALERT_CHANNELS_FIELD_NUMBER: _ClassVar[int]
    IDENTITY_FIELD_NUMBER: _ClassVar[int]
    ROLES_FIELD_NUMBER: _ClassVar[int]
    POLICIES_FIELD_NUMBER: _ClassVar[int]
    providers: _containers.RepeatedCompositeFieldContainer[ProviderSpec]
    models: _containers.RepeatedCompositeFieldContainer[ModelSpec]
    business_units: _containers.RepeatedCompositeFieldContainer[BusinessUnitSpec]
    projects: _containers.RepeatedCompositeFieldContainer[ProjectSpec]
    organisations: _containers.RepeatedCompositeFieldContainer[OrganisationSpec]
    users: _containers.RepeatedCompositeFieldContainer[UserSpec]
    alert_channels: _containers.RepeatedCompositeFieldContainer[_alerts_pb2.AlertChannelSpec]
    identity: _signin_pb2.IdentitySpec
    roles: _containers.RepeatedCompositeFieldContainer[_access_pb2.RoleSpec]
    policies: _containers.RepeatedCompositeFieldContainer[_workflows_pb2.PolicySpec]
    def __init__(self, providers: _Optional[_Iterable[_Union[ProviderSpec, _Mapping]]] = ..., models: _Optional[_Iterable[_Union[ModelSpec, _Mapping]]] = ..., business_units: _Optional[_Iterable[_Union[BusinessUnitSpec, _Mapping]]] = ..., projects: _Optional[_Iterable[_Union[ProjectSpec, _Mapping]]] = ..., organisations: _Optional[_Iterable[_Union[OrganisationSpec, _Mapping]]] = ..., users: _Optional[_Iterable[_Union[UserSpec, _Mapping]]] = ..., alert_channels: _Optional[_Iterable[_Union[_alerts_pb2.AlertChannelSpec, _Mapping]]] = ..., identity: _Optional[_Union[_signin_pb2.IdentitySpec, _Mapping]] = ..., roles: _Optional[_Iterable[_Union[_access_pb2.RoleSpec, _Mapping]]] = ..., policies: _Optional[_Iterable[_Union[_workflows_pb2.PolicySpec, _Mapping]]] = ...) -> None: ...

class Change(_message.Message):
    __slots__ = ("action", "kind", "name", "details")
    ACTION_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    DETAILS_FIELD_NUMBER: _ClassVar[int]
    action: str
    kind: str
    name: str
    details: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, action: _Optional[str] = ..., kind: _Optional[str] = ..., name: _Optional[str] = ..., details: _Optional[_Iterable[str]] = ...) -> None: ...

class ApplyRequest(_message.Message):
    __slots__ = ("set", "configuration", "prune", "dry_run", "force", "verify")
    SET_FIELD_NUMBER: _ClassVar[int]
    CONFIGURATION_FIELD_NUMBER: _ClassVar[int]
    PRUNE_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    FORCE_FIELD_NUMBER: _ClassVar[int]
    VERIFY_FIELD_NUMBER: _ClassVar[int]
    set: str
    configuration: Configuration
    prune: bool
    dry_run: bool
    force: bool
    verify: bool
    def __init__(self, set: _Optional[str] = ..., configuration: _Optional[_Union[Configuration, _Mapping]] = ..., prune: _Optional[bool] = ..., dry_run: _Optional[bool] = ..., force: _Optional[bool] = ..., verify: _Optional[bool] = ...) -> None: ...

class ApplyResponse(_message.Message):
    __slots__ = ("changes", "generated_keys", "applied", "checks")
    CHANGES_FIELD_NUMBER: _ClassVar[int]
    GENERATED_KEYS_FIELD_NUMBER: _ClassVar[int]
    APPLIED_FIELD_NUMBER: _ClassVar[int]
    CHECKS_FIELD_NUMBER: _ClassVar[int]
    changes: _containers.RepeatedCompositeFieldContainer[Change]
    generated_keys: _containers.RepeatedCompositeFieldContainer[GeneratedKey]
    applied: bool
    checks: _containers.RepeatedCompositeFieldContainer[_catalog_pb2.CredentialCheck]
    def __init__(self, changes: _Optional[_Iterable[_Union[Change, _Mapping]]] = ..., generated_keys: _Optional[_Iterable[_Union[GeneratedKey, _Mapping]]] = ..., applied: _Optional[bool] = ..., checks: _Optional[_Iterable[_Union[_catalog_pb2.CredentialCheck, _Mapping]]] = ...) -> None: ...

class GeneratedKey(_message.Message):
    __slots__ = ("project", "name", "secret")
    PROJECT_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    SECRET_FIELD_NUMBER: _ClassVar[int]
    project: str
    name: str
    secret: str
    def __init__(self, project: _Optional[str] = ..., name: _Optional[str] = ..., secret: _Optional[str] = ...) -> None: ...
