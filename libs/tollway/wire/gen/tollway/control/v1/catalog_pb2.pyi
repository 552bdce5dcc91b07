import datetime

from tollway.wire.gen.buf.validate import validate_pb2 as _validate_pb2
from google.api import annotations_pb2 as _annotations_pb2
from google.protobuf import field_mask_pb2 as _field_mask_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from tollway.wire.gen.tollway.control.v1 import options_pb2 as _options_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Timeouts(_message.Message):
    __slots__ = ("connect_seconds", "first_byte_seconds", "between_chunks_seconds", "total_seconds")
    CONNECT_SECONDS_FIELD_NUMBER: _ClassVar[int]
    FIRST_BYTE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    BETWEEN_CHUNKS_SECONDS_FIELD_NUMBER: _ClassVar[int]
    TOTAL_SECONDS_FIELD_NUMBER: _ClassVar[int]
    connect_seconds: float
    first_byte_seconds: float
    between_chunks_seconds: float
    total_seconds: float
    def __init__(self, connect_seconds: _Optional[float] = ..., first_byte_seconds: _Optional[float] = ..., between_chunks_seconds: _Optional[float] = ..., total_seconds: _Optional[float] = ...) -> None: ...

class Quota(_message.Message):
    __slots__ = ("requests_per_minute", "tokens_per_minute", "concurrent")
    REQUESTS_PER_MINUTE_FIELD_NUMBER: _ClassVar[int]
    TOKENS_PER_MINUTE_FIELD_NUMBER: _ClassVar[int]
    CONCURRENT_FIELD_NUMBER: _ClassVar[int]
    requests_per_minute: int
    tokens_per_minute: int
    concurrent: int
    def __init__(self, requests_per_minute: _Optional[int] = ..., tokens_per_minute: _Optional[int] = ..., concurrent: _Optional[int] = ...) -> None: ...

class CredentialCheck(_message.Message):
    __slots__ = ("credential", "outcome", "status", "detail", "checked_at")
    CREDENTIAL_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    CHECKED_AT_FIELD_NUMBER: _ClassVar[int]
    credential: str
    outcome: str
    status: int
    detail: str
    checked_at: _timestamp_pb2.Timestamp
    def __init__(self, credential: _Optional[str] = ..., outcome: _Optional[str] = ..., status: _Optional[int] = ..., detail: _Optional[str] = ..., checked_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class Credential(_message.Message):
    __slots__ = ("id", "name", "weight", "created_at", "rotated_at", "quota", "check")
    ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    ROTATED_AT_FIELD_NUMBER: _ClassVar[int]
    QUOTA_FIELD_NUMBER: _ClassVar[int]
    CHECK_FIELD_NUMBER: _ClassVar[int]
    id: str
    name: str
    weight: int
    created_at: _timestamp_pb2.Timestamp
    rotated_at: _timestamp_pb2.Timestamp
    quota: Quota
    check: CredentialCheck
    def __init__(self, id: _Optional[str] = ..., name: _Optional[str] = ..., weight: _Optional[int] = ..., created_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., rotated_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., quota: _Optional[_Union[Quota, _Mapping]] = ..., check: _Optional[_Union[CredentialCheck, _Mapping]] = ...) -> None: ...

class Provider(_message.Message):
    __slots__ = ("id", "name", "kind", "base_url", "api_version", "timeouts", "credentials", "created_at", "updated_at", "etag", "hangup", "probe_seconds")
    ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    BASE_URL_FIELD_NUMBER: _ClassVar[int]
    API_VERSION_FIELD_NUMBER: _ClassVar[int]
    TIMEOUTS_FIELD_NUMBER: _ClassVar[int]
    CREDENTIALS_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    UPDATED_AT_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    HANGUP_FIELD_NUMBER: _ClassVar[int]
    PROBE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    id: str
    name: str
    kind: str
    base_url: str
    api_version: str
    timeouts: Timeouts
    credentials: _containers.RepeatedCompositeFieldContainer[Credential]
    created_at: _timestamp_pb2.Timestamp
    updated_at: _timestamp_pb2.Timestamp
    etag: str
    hangup: str
    probe_seconds: float
    def __init__(self, id: _Optional[str] = ..., name: _Optional[str] = ..., kind: _Optional[str] = ..., base_url: _Optional[str] = ..., api_version: _Optional[str] = ..., timeouts: _Optional[_Union[Timeouts, _Mapping]] = ..., credentials: _Optional[_Iterable[_Union[Credential, _Mapping]]] = ..., created_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., updated_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., etag: _Optional[str] = ..., hangup: _Optional[str] = ..., probe_seconds: _Optional[float] = ...) -> None: ...

class NewCredential(_message.Message):
    __slots__ = ("name", "api_key", "weight", "quota")
    NAME_FIELD_NUMBER: _ClassVar[int]
    API_KEY_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_FIELD_NUMBER: _ClassVar[int]
    QUOTA_FIELD_NUMBER: _ClassVar[int]
    name: str
    api_key: str
    weight: int
    quota: Quota
    def __init__(self, name: _Optional[str] = ..., api_key: _Optional[str] = ..., weight: _Optional[int] = ..., quota: _Optional[_Union[Quota, _Mapping]] = ...) -> None: ...

class CreateProviderRequest(_message.Message):
    __slots__ = ("name", "kind", "base_url", "api_version", "timeouts", "credentials", "hangup", "probe_seconds", "verify")
    NAME_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    BASE_URL_FIELD_NUMBER: _ClassVar[int]
    API_VERSION_FIELD_NUMBER: _ClassVar[int]
    TIMEOUTS_FIELD_NUMBER: _ClassVar[int]
    CREDENTIALS_FIELD_NUMBER: _ClassVar[int]
    HANGUP_FIELD_NUMBER: _ClassVar[int]
    PROBE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    VERIFY_FIELD_NUMBER: _ClassVar[int]
    name: str
    kind: str
    base_url: str
    api_version: str
    timeouts: Timeouts
    credentials: _containers.RepeatedCompositeFieldContainer[NewCredential]
    hangup: str
    probe_seconds: float
    verify: bool
    def __init__(self, name: _Optional[str] = ..., kind: _Optional[str] = ..., base_url: _Optional[str] = ..., api_version: _Optional[str] = ..., timeouts: _Optional[_Union[Timeouts, _Mapping]] = ..., credentials: _Optional[_Iterable[_Union[NewCredential, _Mapping]]] = ..., hangup: _Optional[str] = ..., probe_seconds: _Optional[float] = ..., verify: _Optional[bool] = ...) -> None: ...

class CheckProviderRequest(_message.Message):
    __slots__ = ("provider", "credential")
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    CREDENTIAL_FIELD_NUMBER: _ClassVar[int]
    provider: str
    credential: str
    def __init__(self, provider: _Optional[str] = ..., credential: _Optional[str] = ...) -> None: ...

class CheckProviderResponse(_message.Message):
    __slots__ = ("checks",)
    CHECKS_FIELD_NUMBER: _ClassVar[int]
    checks: _containers.RepeatedCompositeFieldContainer[CredentialCheck]
    def __init__(self, checks: _Optional[_Iterable[_Union[CredentialCheck, _Mapping]]] = ...) -> None: ...

class GetProviderRequest(_message.Message):
    __slots__ = ("provider",)
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    provider: str
    def __init__(self, provider: _Optional[str] = ...) -> None: ...

class ListProvidersRequest(_message.Message):
    __slots__ = ("page_size", "page_token")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListProvidersResponse(_message.Message):
    __slots__ = ("providers", "next_page_token")
    PROVIDERS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    providers: _containers.RepeatedCompositeFieldContainer[Provider]
    next_page_token: str
    def __init__(self, providers: _Optional[_Iterable[_Union[Provider, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class UpdateProviderRequest(_message.Message):
    __slots__ = ("provider", "base_url", "api_version", "timeouts", "hangup", "update_mask", "etag", "probe_seconds")
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    BASE_URL_FIELD_NUMBER: _ClassVar[int]
    API_VERSION_FIELD_NUMBER: _ClassVar[int]
    TIMEOUTS_FIELD_NUMBER: _ClassVar[int]
    HANGUP_FIELD_NUMBER: _ClassVar[int]
    UPDATE_MASK_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    PROBE_SECONDS_FIELD_NUMBER: _ClassVar[int]
    provider: str
    base_url: str
    api_version: str
    timeouts: Timeouts
    hangup: str
    update_mask: _field_mask_pb2.FieldMask
    etag: str
    probe_seconds: float
    def __init__(self, provider: _Optional[str] = ..., base_url: _Optional[str] = ..., api_version: _Optional[str] = ..., timeouts: _Optional[_Union[Timeouts, _Mapping]] = ..., hangup: _Optional[str] = ..., update_mask: _Optional[_Union[_field_mask_pb2.FieldMask, _Mapping]] = ..., etag: _Optional[str] = ..., probe_seconds: _Optional[float] = ...) -> None: ...

class ArchiveProviderRequest(_message.Message):
    __slots__ = ("provider", "etag")
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    provider: str
    etag: str
    def __init__(self, provider: _Optional[str] = ..., etag: _Optional[str] = ...) -> None: ...

class AddCredentialRequest(_message.Message):
    __slots__ = ("provider", "name", "api_key", "weight", "quota", "verify")
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    API_KEY_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_FIELD_NUMBER: _ClassVar[int]
    QUOTA_FIELD_NUMBER: _ClassVar[int]
    VERIFY_FIELD_NUMBER: _ClassVar[int]
    provider: str
    name: str
    api_key: str
    weight: int
    quota: Quota
    verify: bool
    def __init__(self, provider: _Optional[str] = ..., name: _Optional[str] = ..., api_key: _Optional[str] = ..., weight: _Optional[int] = ..., quota: _Optional[_Union[Quota, _Mapping]] = ..., verify: _Optional[bool] = ...) -> None: ...

class UpdateCredentialRequest(_message.Message):
    __slots__ = ("provider", "credential", "weight", "quota", "update_mask")
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    CREDENTIAL_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_FIELD_NUMBER: _ClassVar[int]
    QUOTA_FIELD_NUMBER: _ClassVar[int]
    UPDATE_MASK_FIELD_NUMBER: _ClassVar[int]
    provider: str
    credential: str
    weight: int
    quota: Quota
    update_mask: _field_mask_pb2.FieldMask
    def __init__(self, provider: _Optional[str] = ..., credential: _Optional[str] = ..., weight: _Optional[int] = ..., quota: _Optional[_Union[Quota, _Mapping]] = ..., update_mask: _Optional[_Union[_field_mask_pb2.FieldMask, _Mapping]] = ...) -> None: ...

class RotateCredentialRequest(_message.Message):
    __slots__ = ("provider", "credential", "api_key", "verify")
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    CREDENTIAL_FIELD_NUMBER: _ClassVar[int]
    API_KEY_FIELD_NUMBER: _ClassVar[int]
    VERIFY_FIELD_NUMBER: _ClassVar[int]
    provider: str
    credential: str
    api_key: str
    verify: bool
    def __init__(self, provider: _Optional[str] = ..., credential: _Optional[str] = ..., api_key: _Optional[str] = ..., verify: _Optional[bool] = ...) -> None: ...

class RemoveCredentialRequest(_message.Message):
    __slots__ = ("provider", "credential")
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    CREDENTIAL_FIELD_NUMBER: _ClassVar[int]
    provider: str
    credential: str
    def __init__(self, provider: _Optional[str] = ..., credential: _Optional[str] = ...) -> None: ...

class Target(_message.Message):
    __slots__ = ("provider", "model", "weight", "priority")
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    WEIGHT_FIELD_NUMBER: _ClassVar[int]
    PRIORITY_FIELD_NUMBER: _ClassVar[int]
    provider: str
    model: str
    weight: int
    priority: int
    def __init__(self, provider: _Optional[str] = ..., model: _Optional[str] = ..., weight: _Optional[int] = ..., priority: _Optional[int] = ...) -> None: ...

class Price(_message.Message):
    __slots__ = ("free", "input", "output", "cached_input", "cache_write_5m", "cache_write_1h", "audio_input", "audio_output", "version", "image_input", "image_output", "reasoning", "prediction_accepted", "prediction_rejected", "image", "audio_minute", "audio_hour", "characters", "search", "request", "tiers")
    FREE_FIELD_NUMBER: _ClassVar[int]
    INPUT_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_FIELD_NUMBER: _ClassVar[int]
    CACHED_INPUT_FIELD_NUMBER: _ClassVar[int]
    CACHE_WRITE_5M_FIELD_NUMBER: _ClassVar[int]
    CACHE_WRITE_1H_FIELD_NUMBER: _ClassVar[int]
    AUDIO_INPUT_FIELD_NUMBER: _ClassVar[int]
    AUDIO_OUTPUT_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    IMAGE_INPUT_FIELD_NUMBER: _ClassVar[int]
    IMAGE_OUTPUT_FIELD_NUMBER: _ClassVar[int]
    REASONING_FIELD_NUMBER: _ClassVar[int]
    PREDICTION_ACCEPTED_FIELD_NUMBER: _ClassVar[int]
    PREDICTION_REJECTED_FIELD_NUMBER: _ClassVar[int]
    IMAGE_FIELD_NUMBER: _ClassVar[int]
    AUDIO_MINUTE_FIELD_NUMBER: _ClassVar[int]
    AUDIO_HOUR_FIELD_NUMBER: _ClassVar[int]
    CHARACTERS_FIELD_NUMBER: _ClassVar[int]
    SEARCH_FIELD_NUMBER: _ClassVar[int]
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    TIERS_FIELD_NUMBER: _ClassVar[int]
    free: bool
    input: str
    output: str
    cached_input: str
    cache_write_5m: str
    cache_write_1h: str
    audio_input: str
    audio_output: str
    version: str
    image_input: str
    image_output: str
    reasoning: str
    prediction_accepted: str
    prediction_rejected: str
    image: str
    audio_minute: str
    audio_hour: str
    characters: str
    search: str
    request: str
    tiers: _containers.RepeatedCompositeFieldContainer[PriceTier]
    def __init__(self, free: _Optional[bool] = ..., input: _Optional[str] = ..., output: _Optional[str] = ..., cached_input: _Optional[str] = ..., cache_write_5m: _Optional[str] = ..., cache_write_1h: _Optional[str] = ..., audio_input: _Optional[str] = ..., audio_output: _Optional[str] = ..., version: _Optional[str] = ..., image_input: _Optional[str] = ..., image_output: _Optional[str] = ..., reasoning: _Optional[str] = ..., prediction_accepted: _Optional[str] = ..., prediction_rejected: _Optional[str] = ..., image: _Optional[str] = ..., audio_minute: _Optional[str] = ..., audio_hour: _Optional[str] = ..., characters: _Optional[str] = ..., search: _Optional[str] = ..., request: _Optional[str] = ..., tiers: _Optional[_Iterable[_Union[PriceTier, _Mapping]]] = ...) -> None: ...

class PriceTier(_message.Message):
    __slots__ = ("above", "input", "output", "cached_input", "cache_write_5m", "cache_write_1h", "audio_input", "audio_output", "image_input", "image_output", "reasoning", "prediction_accepted", "prediction_rejected")
    ABOVE_FIELD_NUMBER: _ClassVar[int]
    INPUT_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_FIELD_NUMBER: _ClassVar[int]
    CACHED_INPUT_FIELD_NUMBER: _ClassVar[int]
    CACHE_WRITE_5M_FIELD_NUMBER: _ClassVar[int]
    CACHE_WRITE_1H_FIELD_NUMBER: _ClassVar[int]
    AUDIO_INPUT_FIELD_NUMBER: _ClassVar[int]
    AUDIO_OUTPUT_FIELD_NUMBER: _ClassVar[int]
    IMAGE_INPUT_FIELD_NUMBER: _ClassVar[int]
    IMAGE_OUTPUT_FIELD_NUMBER: _ClassVar[int]
    REASONING_FIELD_NUMBER: _ClassVar[int]
    PREDICTION_ACCEPTED_FIELD_NUMBER: _ClassVar[int]
    PREDICTION_REJECTED_FIELD_NUMBER: _ClassVar[int]
    above: int
    input: str
    output: str
    cached_input: str
    cache_write_5m: str
    cache_write_1h: str
    audio_input: str
    audio_output: str
    image_input: str
    image_output: str
    reasoning: str
    prediction_accepted: str
    prediction_rejected: str
    def __init__(self, above: _Optional[int] = ..., input: _Optional[str] = ..., output: _Optional[str] = ..., cached_input: _Optional[str] = ..., cache_write_5m: _Optional[str] = ..., cache_write_1h: _Optional[str] = ..., audio_input: _Optional[str] = ..., audio_output: _Optional[str] = ..., image_input: _Optional[str] = ..., image_output: _Optional[str] = ..., reasoning: _Optional[str] = ..., prediction_accepted: _Optional[str] = ..., prediction_rejected: _Optional[str] = ...) -> None: ...

class Capabilities(_message.Message):
    __slots__ = ("input_modalities", "output_modalities", "context_tokens", "max_output_tokens", "tools", "streaming")
    INPUT_MODALITIES_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_MODALITIES_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    MAX_OUTPUT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    TOOLS_FIELD_NUMBER: _ClassVar[int]
    STREAMING_FIELD_NUMBER: _ClassVar[int]
    input_modalities: _containers.RepeatedScalarFieldContainer[str]
    output_modalities: _containers.RepeatedScalarFieldContainer[str]
    context_tokens: int
    max_output_tokens: int
    tools: bool
    streaming: bool
    def __init__(self, input_modalities: _Optional[_Iterable[str]] = ..., output_modalities: _Optional[_Iterable[str]] = ..., context_tokens: _Optional[int] = ..., max_output_tokens: _Optional[int] = ..., tools: _Optional[bool] = ..., streaming: _Optional[bool] = ...) -> None: ...

class Retries(_message.Message):
    __slots__ = ("attempts", "budget")
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    BUDGET_FIELD_NUMBER: _ClassVar[int]
    attempts: int
    budget: float
    def __init__(self, attempts: _Optional[int] = ..., budget: _Optional[float] = ...) -> None: ...

class Breaker(_message.Message):
    __slots__ = ("enabled",)
    ENABLED_FIELD_NUMBER: _ClassVar[int]
    enabled: bool
    def __init__(self, enabled: _Optional[bool] = ...) -> None: ...

class Hedge(_message.Message):
    __slots__ = ("percentile", "least_seconds")
    PERCENTILE_FIELD_NUMBER: _ClassVar[int]
    LEAST_SECONDS_FIELD_NUMBER: _ClassVar[int]
    percentile: float
    least_seconds: float
    def __init__(self, percentile: _Optional[float] = ..., least_seconds: _Optional[float] = ...) -> None: ...

class Model(_message.Message):
    __slots__ = ("id", "name", "aliases", "strategy", "targets", "price", "price_overridden", "capabilities", "created_at", "updated_at", "etag", "affinity", "fallbacks", "context_fallbacks", "filter_fallbacks", "retries", "breaker", "hedge")
    ID_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    ALIASES_FIELD_NUMBER: _ClassVar[int]
    STRATEGY_FIELD_NUMBER: _ClassVar[int]
    TARGETS_FIELD_NUMBER: _ClassVar[int]
    PRICE_FIELD_NUMBER: _ClassVar[int]
    PRICE_OVERRIDDEN_FIELD_NUMBER: _ClassVar[int]
    CAPABILITIES_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    UPDATED_AT_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    AFFINITY_FIELD_NUMBER: _ClassVar[int]
    FALLBACKS_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FALLBACKS_FIELD_NUMBER: _ClassVar[int]
    FILTER_FALLBACKS_FIELD_NUMBER: _ClassVar[int]
    RETRIES_FIELD_NUMBER: _ClassVar[int]
    BREAKER_FIELD_NUMBER: _ClassVar[int]
    HEDGE_FIELD_NUMBER: _ClassVar[int]
    id: str
    name: str
    aliases: _containers.RepeatedScalarFieldContainer[str]
    strategy: str
    targets: _containers.RepeatedCompositeFieldContainer[Target]
    price: Price
    price_overridden: bool
    capabilities: Capabilities
    created_at: _timestamp_pb2.Timestamp
    updated_at: _timestamp_pb2.Timestamp
    etag: str
    affinity: str
    fallbacks: _containers.RepeatedScalarFieldContainer[str]
    context_fallbacks: _containers.RepeatedScalarFieldContainer[str]
    filter_fallbacks: _containers.RepeatedScalarFieldContainer[str]
    retries: Retries
    breaker: Breaker
    hedge: Hedge
    def __init__(self, id: _Optional[str] = ..., name: _Optional[str] = ..., aliases: _Optional[_Iterable[str]] = ..., strategy: _Optional[str] = ..., targets: _Optional[_Iterable[_Union[Target, _Mapping]]] = ..., price: _Optional[_Union[Price, _Mapping]] = ..., price_overridden: _Optional[bool] = ..., capabilities: _Optional[_Union[Capabilities, _Mapping]] = ..., created_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., updated_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., etag: _Optional[str] = ..., affinity: _Optional[str] = ..., fallbacks: _Optional[_Iterable[str]] = ..., context_fallbacks: _Optional[_Iterable[str]] = ..., filter_fallbacks: _Optional[_Iterable[str]] = ..., retries: _Optional[_Union[Retries, _Mapping]] = ..., breaker: _Optional[_Union[Breaker, _Mapping]] = ..., hedge: _Optional[_Union[Hedge, _Mapping]] = ...) -> None: ...

class CreateModelRequest(_message.Message):
    __slots__ = ("name", "aliases", "strategy", "targets", "price", "capabilities", "affinity", "fallbacks", "context_fallbacks", "filter_fallbacks", "retries", "breaker", "hedge")
    NAME_FIELD_NUMBER: _ClassVar[int]
    ALIASES_FIELD_NUMBER: _ClassVar[int]
    STRATEGY_FIELD_NUMBER: _ClassVar[int]
    TARGETS_FIELD_NUMBER: _ClassVar[int]
    PRICE_FIELD_NUMBER: _ClassVar[int]
    CAPABILITIES_FIELD_NUMBER: _ClassVar[int]
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
    targets: _containers.RepeatedCompositeFieldContainer[Target]
    price: Price
    capabilities: Capabilities
    affinity: str
    fallbacks: _containers.RepeatedScalarFieldContainer[str]
    context_fallbacks: _containers.RepeatedScalarFieldContainer[str]
    filter_fallbacks: _containers.RepeatedScalarFieldContainer[str]
    retries: Retries
    breaker: Breaker
    hedge: Hedge
    def __init__(self, name: _Optional[str] = ..., aliases: _Optional[_Iterable[str]] = ..., strategy: _Optional[str] = ..., targets: _Optional[_Iterable[_Union[Target, _Mapping]]] = ..., price: _Optional[_Union[Price, _Mapping]] = ..., capabilities: _Optional[_Union[Capabilities, _Mapping]] = ..., affinity: _Optional[str] = ..., fallbacks: _Optional[_Iterable[str]] = ..., context_fallbacks: _Optional[_Iterable[str]] = ..., filter_fallbacks: _Optional[_Iterable[str]] = ..., retries: _Optional[_Union[Retries, _Mapping]] = ..., breaker: _Optional[_Union[Breaker, _Mapping]] = ..., hedge: _Optional[_Union[Hedge, _Mapping]] = ...) -> None: ...

class GetModelRequest(_message.Message):
    __slots__ = ("model",)
    MODEL_FIELD_NUMBER: _ClassVar[int]
    model: str
    def __init__(self, model: _Optional[str] = ...) -> None: ...

class ListModelsRequest(_message.Message):
    __slots__ = ("page_size", "page_token")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class ListModelsResponse(_message.Message):
    __slots__ = ("models", "next_page_token")
    MODELS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    models: _containers.RepeatedCompositeFieldContainer[Model]
    next_page_token: str
    def __init__(self, models: _Optional[_Iterable[_Union[Model, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class UpdateModelRequest(_message.Message):
    __slots__ = ("model", "aliases", "strategy", "targets", "price", "capabilities", "update_mask", "etag", "affinity", "fallbacks", "context_fallbacks", "filter_fallbacks", "retries", "breaker", "hedge")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    ALIASES_FIELD_NUMBER: _ClassVar[int]
    STRATEGY_FIELD_NUMBER: _ClassVar[int]
    TARGETS_FIELD_NUMBER: _ClassVar[int]
    PRICE_FIELD_NUMBER: _ClassVar[int]
    CAPABILITIES_FIELD_NUMBER: _ClassVar[int]
    UPDATE_MASK_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    AFFINITY_FIELD_NUMBER: _ClassVar[int]
    FALLBACKS_FIELD_NUMBER: _ClassVar[int]
    CONTEXT_FALLBACKS_FIELD_NUMBER: _ClassVar[int]
    FILTER_FALLBACKS_FIELD_NUMBER: _ClassVar[int]
    RETRIES_FIELD_NUMBER: _ClassVar[int]
    BREAKER_FIELD_NUMBER: _ClassVar[int]
    HEDGE_FIELD_NUMBER: _ClassVar[int]
    model: str
    aliases: _containers.RepeatedScalarFieldContainer[str]
    strategy: str
    targets: _containers.RepeatedCompositeFieldContainer[Target]
    price: Price
    capabilities: Capabilities
    update_mask: _field_mask_pb2.FieldMask
    etag: str
    affinity: str
    fallbacks: _containers.RepeatedScalarFieldContainer[str]
    context_fallbacks: _containers.RepeatedScalarFieldContainer[str]
    filter_fallbacks: _containers.RepeatedScalarFieldContainer[str]
    retries: Retries
    breaker: Breaker
    hedge: Hedge
    def __init__(self, model: _Optional[str] = ..., aliases: _Optional[_Iterable[str]] = ..., strategy: _Optional[str] = ..., targets: _Optional[_Iterable[_Union[Target, _Mapping]]] = ..., price: _Optional[_Union[Price, _Mapping]] = ..., capabilities: _Optional[_Union[Capabilities, _Mapping]] = ..., update_mask: _Optional[_Union[_field_mask_pb2.FieldMask, _Mapping]] = ..., etag: _Optional[str] = ..., affinity: _Optional[str] = ..., fallbacks: _Optional[_Iterable[str]] = ..., context_fallbacks: _Optional[_Iterable[str]] = ..., filter_fallbacks: _Optional[_Iterable[str]] = ..., retries: _Optional[_Union[Retries, _Mapping]] = ..., breaker: _Optional[_Union[Breaker, _Mapping]] = ..., hedge: _Optional[_Union[Hedge, _Mapping]] = ...) -> None: ...

class ArchiveModelRequest(_message.Message):
    __slots__ = ("model", "etag")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    ETAG_FIELD_NUMBER: _ClassVar[int]
    model: str
    etag: str
    def __init__(self, model: _Optional[str] = ..., etag: _Optional[str] = ...) -> None: ...
