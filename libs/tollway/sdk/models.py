"""The objects of the management API as frozen dataclasses.

Field names, units and meanings are those of `proto/tollway/control/v1`. A field that the server does not send keeps its
default; a field that this version does not know is ignored. Secrets are excluded from `repr`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime

from tollway.sdk.routing import Breaker, CredentialCheck, Hedge, Quota, Retries


@dataclass(frozen=True, kw_only=True)
class BusinessUnit:
    """A part of the organisation that projects belong to."""

    id: str = ""
    name: str = ""
    description: str = ""
    created_at: datetime | None = None
    updated_at: datetime | None = None
    etag: str = ""


@dataclass(frozen=True, kw_only=True)
class Project:
    """A project; `models` are globs of the models that its keys may use, `dialect_policy` is `lenient` or `strict`.

    `log_bodies` (`full`, `masked` or `none`) and `log_retention_days` are what the request log keeps. The members of
    `cache` say whether answers are given again (`cache_similarity` None: only to the very same request); `priority` is
    `interactive` or `batch`. The last three are what is asked of its keys, None: nothing.
    """

    id: str = ""
    name: str = ""
    description: str = ""
    business_unit: str = ""
    models: list[str] = field(default_factory=list)
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
    created_at: datetime | None = None
    updated_at: datetime | None = None
    etag: str = ""


@dataclass(frozen=True, kw_only=True)
class Key:
    """A virtual key without its secret. `status` is KEY_STATUS_ACTIVE, KEY_STATUS_EXPIRED or KEY_STATUS_REVOKED."""

    id: str = ""
    public_id: str = ""
    name: str = ""
    project: str = ""
    models: list[str] = field(default_factory=list)
    tags: dict[str, str] = field(default_factory=dict)
    status: str = ""
    created_at: datetime | None = None
    updated_at: datetime | None = None
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    previous_secret_valid_until: datetime | None = None
    etag: str = ""
    user: str = ""


@dataclass(frozen=True, kw_only=True)
class KeyWithSecret:
    """A key with the secret that is shown this once."""

    key: Key = field(default_factory=Key)
    secret: str = field(default="", repr=False)


@dataclass(frozen=True, kw_only=True)
class Timeouts:
    """Limits on one upstream call, in seconds; None: the server's default."""

    connect_seconds: float | None = None
    first_byte_seconds: float | None = None
    between_chunks_seconds: float | None = None
    total_seconds: float | None = None


@dataclass(frozen=True, kw_only=True)
class Credential:
    """A provider key as it may be shown: never its value. `check` None: its present value was never checked."""

    id: str = ""
    name: str = ""
    weight: int = 0
    created_at: datetime | None = None
    rotated_at: datetime | None = None
    quota: Quota | None = None
    check: CredentialCheck | None = None


@dataclass(frozen=True, kw_only=True)
class NewCredential:
    """A provider key to store. `weight` 0 is the default of 1."""

    name: str
    api_key: str = field(repr=False)
    weight: int = 0
    quota: Quota | None = None


@dataclass(frozen=True, kw_only=True)
class Provider:
    """Where models are served. `hangup` is close or drain; `probe_seconds` 0: failing targets are not probed."""

    id: str = ""
    name: str = ""
    kind: str = ""
    base_url: str = ""
    api_version: str = ""
    timeouts: Timeouts | None = None
    credentials: list[Credential] = field(default_factory=list)
    hangup: str = ""
    probe_seconds: float = 0.0
    created_at: datetime | None = None
    updated_at: datetime | None = None
    etag: str = ""


@dataclass(frozen=True, kw_only=True)
class Target:
    """A provider's model that may answer. `weight` None is 1; a lower `priority` comes first."""

    provider: str = ""
    model: str = ""
    weight: int | None = None
    priority: int = 0


@dataclass(frozen=True, kw_only=True)
class PriceTier:
    """US dollars per million tokens of requests with more than `above` input tokens; empty: as below every tier."""

    above: int = 0
    input: str = ""
    output: str = ""
    cached_input: str = ""
    cache_write_5m: str = ""
    cache_write_1h: str = ""
    audio_input: str = ""
    audio_output: str = ""
    image_input: str = ""
    image_output: str = ""
    reasoning: str = ""
    prediction_accepted: str = ""
    prediction_rejected: str = ""


@dataclass(frozen=True, kw_only=True)
class Price:
    """US dollars as decimal strings, per million tokens but for those of other units; `free` is an explicit zero.

    `image` is per image, `audio_minute` or `audio_hour` per time heard, `characters` per million spoken, `search` per
    thousand, `request` per call that used anything.
    """

    free: bool = False
    input: str = ""
    output: str = ""
    cached_input: str = ""
    cache_write_5m: str = ""
    cache_write_1h: str = ""
    audio_input: str = ""
    audio_output: str = ""
    version: str = ""
    image_input: str = ""
    image_output: str = ""
    reasoning: str = ""
    prediction_accepted: str = ""
    prediction_rejected: str = ""
    image: str = ""
    audio_minute: str = ""
    audio_hour: str = ""
    characters: str = ""
    search: str = ""
    request: str = ""
    tiers: list[PriceTier] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class Capabilities:
    """What a model can do; empty or None: as the price book and the shipped table say."""

    input_modalities: list[str] = field(default_factory=list)
    output_modalities: list[str] = field(default_factory=list)
    context_tokens: int | None = None
    max_output_tokens: int | None = None
    tools: bool | None = None
    streaming: bool | None = None


@dataclass(frozen=True, kw_only=True)
class Model:
    """What clients ask for by name. `strategy` is weighted, priority, least_busy, latency, cost or affinity.

    The three lists of fallbacks are names of other models; `hedge` None: no second call.
    """

    id: str = ""
    name: str = ""
    aliases: list[str] = field(default_factory=list)
    strategy: str = ""
    affinity: str = ""
    targets: list[Target] = field(default_factory=list)
    fallbacks: list[str] = field(default_factory=list)
    context_fallbacks: list[str] = field(default_factory=list)
    filter_fallbacks: list[str] = field(default_factory=list)
    retries: Retries | None = None
    breaker: Breaker | None = None
    hedge: Hedge | None = None
    price: Price | None = None
    price_overridden: bool = False
    capabilities: Capabilities | None = None
    created_at: datetime | None = None
    updated_at: datetime | None = None
    etag: str = ""


@dataclass(frozen=True, kw_only=True)
class Change:
    """One step of a plan: `action` is create, update, archive or conflict."""

    action: str = ""
    kind: str = ""
    name: str = ""
    details: list[str] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class GeneratedKey:
    """A key that an apply generated; its secret is shown this once."""

    project: str = ""
    name: str = ""
    secret: str = field(default="", repr=False)


@dataclass(frozen=True, kw_only=True)
class ApplyResult:
    """What an apply did, or would do."""

    changes: list[Change] = field(default_factory=list)
    generated_keys: list[GeneratedKey] = field(default_factory=list)
    applied: bool = False
    checks: list[CredentialCheck] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class LedgerAttempt:
    """One upstream call of a request."""

    id: str = ""
    number: int = 0
    provider: str = ""
    target_model: str = ""
    outcome: str = ""
    status: int = 0
    error_code: str = ""
    input_tokens: int = 0
    cached_input_tokens: int = 0
    output_tokens: int = 0
    reasoning_tokens: int = 0
    cost: str = ""
    price_version: str = ""
    estimated: bool = False
    started_at: datetime | None = None
    ended_at: datetime | None = None
    provider_request_id: str = ""
    cache_write_5m_tokens: int = 0
    cache_write_1h_tokens: int = 0
    audio_input_tokens: int = 0
    image_input_tokens: int = 0
    audio_output_tokens: int = 0
    image_output_tokens: int = 0
    prediction_accepted_tokens: int = 0
    prediction_rejected_tokens: int = 0
    images: int = 0
    audio_ms: int = 0
    characters: int = 0
    searches: int = 0


@dataclass(frozen=True, kw_only=True)
class LedgerRequest:
    """One client request in the ledger."""

    id: str = ""
    project: str = ""
    key_public_id: str = ""
    endpoint: str = ""
    model: str = ""
    stream: bool = False
    outcome: str = ""
    status: int = 0
    error_code: str = ""
    cost: str = ""
    estimated: bool = False
    client_request_id: str = ""
    tags: dict[str, str] = field(default_factory=dict)
    started_at: datetime | None = None
    ended_at: datetime | None = None
    attempts: list[LedgerAttempt] = field(default_factory=list)
    cache: str = ""


@dataclass(frozen=True, kw_only=True)
class AuditEvent:
    """Who changed what. `before` and `after` are JSON texts without secrets; `hash` covers the entry before it too."""

    id: str = ""
    at: datetime | None = None
    actor: str = ""
    action: str = ""
    resource: str = ""
    reason: str = ""
    source: str = ""
    before: str = ""
    after: str = ""
    request_id: str = ""
    seq: int = 0
    organisation: str = ""
    actor_kind: str = ""
    actor_id: str = ""
    method: str = ""
    agent: str = ""
    transport: str = ""
    hash: str = ""
    unproven: bool = False


@dataclass(frozen=True, kw_only=True)
class Subscriber:
    """A data plane that follows the configuration; `behind` counts versions that it has not confirmed yet."""

    replica: str = ""
    behind: int = 0
    connected_at: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class Status:
    """The state of the platform."""

    version: str = ""
    epoch: str = ""
    config_version: int = 0
    schema_version: int = 0
    subscribers: list[Subscriber] = field(default_factory=list)
    quarantined_rows: int = 0
