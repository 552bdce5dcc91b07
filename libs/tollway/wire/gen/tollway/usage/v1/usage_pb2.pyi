from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Usage(_message.Message):
    __slots__ = ("input", "cached_input", "cache_write_5m", "cache_write_1h", "audio_input", "output", "reasoning", "audio_output", "image_input", "image_output", "prediction_accepted", "prediction_rejected", "images", "audio_ms", "characters", "searches")
    INPUT_FIELD_NUMBER: _ClassVar[int]
    CACHED_INPUT_FIELD_NUMBER: _ClassVar[int]
    CACHE_WRITE_5M_FIELD_NUMBER: _ClassVar[int]
    CACHE_WRITE_1H_FIELD_NUMBER: _ClassVar[int]
    AUDIO_INPUT_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_FIELD_NUMBER: _ClassVar[int]
    REASONING_FIELD_NUMBER: _ClassVar[int]
    AUDIO_OUTPUT_FIELD_NUMBER: _ClassVar[int]
    IMAGE_INPUT_FIELD_NUMBER: _ClassVar[int]
    IMAGE_OUTPUT_FIELD_NUMBER: _ClassVar[int]
    PREDICTION_ACCEPTED_FIELD_NUMBER: _ClassVar[int]
    PREDICTION_REJECTED_FIELD_NUMBER: _ClassVar[int]
    IMAGES_FIELD_NUMBER: _ClassVar[int]
    AUDIO_MS_FIELD_NUMBER: _ClassVar[int]
    CHARACTERS_FIELD_NUMBER: _ClassVar[int]
    SEARCHES_FIELD_NUMBER: _ClassVar[int]
    input: int
    cached_input: int
    cache_write_5m: int
    cache_write_1h: int
    audio_input: int
    output: int
    reasoning: int
    audio_output: int
    image_input: int
    image_output: int
    prediction_accepted: int
    prediction_rejected: int
    images: int
    audio_ms: int
    characters: int
    searches: int
    def __init__(self, input: _Optional[int] = ..., cached_input: _Optional[int] = ..., cache_write_5m: _Optional[int] = ..., cache_write_1h: _Optional[int] = ..., audio_input: _Optional[int] = ..., output: _Optional[int] = ..., reasoning: _Optional[int] = ..., audio_output: _Optional[int] = ..., image_input: _Optional[int] = ..., image_output: _Optional[int] = ..., prediction_accepted: _Optional[int] = ..., prediction_rejected: _Optional[int] = ..., images: _Optional[int] = ..., audio_ms: _Optional[int] = ..., characters: _Optional[int] = ..., searches: _Optional[int] = ...) -> None: ...

class Attempt(_message.Message):
    __slots__ = ("id", "number", "provider", "provider_kind", "target_model", "credential", "started_ms", "ended_ms", "first_byte_ms", "status", "outcome", "error_code", "usage", "cost_nano", "price_version", "estimated", "provider_request_id")
    ID_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_KIND_FIELD_NUMBER: _ClassVar[int]
    TARGET_MODEL_FIELD_NUMBER: _ClassVar[int]
    CREDENTIAL_FIELD_NUMBER: _ClassVar[int]
    STARTED_MS_FIELD_NUMBER: _ClassVar[int]
    ENDED_MS_FIELD_NUMBER: _ClassVar[int]
    FIRST_BYTE_MS_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    ERROR_CODE_FIELD_NUMBER: _ClassVar[int]
    USAGE_FIELD_NUMBER: _ClassVar[int]
    COST_NANO_FIELD_NUMBER: _ClassVar[int]
    PRICE_VERSION_FIELD_NUMBER: _ClassVar[int]
    ESTIMATED_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    id: str
    number: int
    provider: str
    provider_kind: str
    target_model: str
    credential: str
    started_ms: int
    ended_ms: int
    first_byte_ms: int
    status: int
    outcome: str
    error_code: str
    usage: Usage
    cost_nano: int
    price_version: str
    estimated: bool
    provider_request_id: str
    def __init__(self, id: _Optional[str] = ..., number: _Optional[int] = ..., provider: _Optional[str] = ..., provider_kind: _Optional[str] = ..., target_model: _Optional[str] = ..., credential: _Optional[str] = ..., started_ms: _Optional[int] = ..., ended_ms: _Optional[int] = ..., first_byte_ms: _Optional[int] = ..., status: _Optional[int] = ..., outcome: _Optional[str] = ..., error_code: _Optional[str] = ..., usage: _Optional[_Union[Usage, _Mapping]] = ..., cost_nano: _Optional[int] = ..., price_version: _Optional[str] = ..., estimated: _Optional[bool] = ..., provider_request_id: _Optional[str] = ...) -> None: ...

class Request(_message.Message):
    __slots__ = ("id", "organisation", "business_unit", "project", "key_id", "key_public_id", "endpoint", "model", "stream", "started_ms", "ended_ms", "status", "outcome", "error_code", "client_request_id", "tags", "attempts", "user")
    class TagsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    ID_FIELD_NUMBER: _ClassVar[int]
    ORGANISATION_FIELD_NUMBER: _ClassVar[int]
    BUSINESS_UNIT_FIELD_NUMBER: _ClassVar[int]
    PROJECT_FIELD_NUMBER: _ClassVar[int]
    KEY_ID_FIELD_NUMBER: _ClassVar[int]
    KEY_PUBLIC_ID_FIELD_NUMBER: _ClassVar[int]
    ENDPOINT_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    STREAM_FIELD_NUMBER: _ClassVar[int]
    STARTED_MS_FIELD_NUMBER: _ClassVar[int]
    ENDED_MS_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    ERROR_CODE_FIELD_NUMBER: _ClassVar[int]
    CLIENT_REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    TAGS_FIELD_NUMBER: _ClassVar[int]
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    id: str
    organisation: str
    business_unit: str
    project: str
    key_id: str
    key_public_id: str
    endpoint: str
    model: str
    stream: bool
    started_ms: int
    ended_ms: int
    status: int
    outcome: str
    error_code: str
    client_request_id: str
    tags: _containers.ScalarMap[str, str]
    attempts: _containers.RepeatedCompositeFieldContainer[Attempt]
    user: str
    def __init__(self, id: _Optional[str] = ..., organisation: _Optional[str] = ..., business_unit: _Optional[str] = ..., project: _Optional[str] = ..., key_id: _Optional[str] = ..., key_public_id: _Optional[str] = ..., endpoint: _Optional[str] = ..., model: _Optional[str] = ..., stream: _Optional[bool] = ..., started_ms: _Optional[int] = ..., ended_ms: _Optional[int] = ..., status: _Optional[int] = ..., outcome: _Optional[str] = ..., error_code: _Optional[str] = ..., client_request_id: _Optional[str] = ..., tags: _Optional[_Mapping[str, str]] = ..., attempts: _Optional[_Iterable[_Union[Attempt, _Mapping]]] = ..., user: _Optional[str] = ...) -> None: ...

class IngestRequest(_message.Message):
    __slots__ = ("replica", "requests")
    REPLICA_FIELD_NUMBER: _ClassVar[int]
    REQUESTS_FIELD_NUMBER: _ClassVar[int]
    replica: str
    requests: _containers.RepeatedCompositeFieldContainer[Request]
    def __init__(self, replica: _Optional[str] = ..., requests: _Optional[_Iterable[_Union[Request, _Mapping]]] = ...) -> None: ...

class IngestResponse(_message.Message):
    __slots__ = ("inserted", "quarantined")
    INSERTED_FIELD_NUMBER: _ClassVar[int]
    QUARANTINED_FIELD_NUMBER: _ClassVar[int]
    inserted: int
    quarantined: int
    def __init__(self, inserted: _Optional[int] = ..., quarantined: _Optional[int] = ...) -> None: ...
