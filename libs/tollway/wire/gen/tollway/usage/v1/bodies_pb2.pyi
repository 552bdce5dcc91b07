from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class LoggedBody(_message.Message):
    __slots__ = ("request_id", "started_ms", "organisation", "business_unit", "project", "key_id", "key_public_id", "user", "endpoint", "model", "provider", "stream", "status", "outcome", "error_code", "client_request_id", "tags", "client_address", "user_agent", "retention_days", "masked", "truncated", "plain_bytes", "content", "duration_ms")
    class TagsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    STARTED_MS_FIELD_NUMBER: _ClassVar[int]
    ORGANISATION_FIELD_NUMBER: _ClassVar[int]
    BUSINESS_UNIT_FIELD_NUMBER: _ClassVar[int]
    PROJECT_FIELD_NUMBER: _ClassVar[int]
    KEY_ID_FIELD_NUMBER: _ClassVar[int]
    KEY_PUBLIC_ID_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    ENDPOINT_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    STREAM_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    ERROR_CODE_FIELD_NUMBER: _ClassVar[int]
    CLIENT_REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    TAGS_FIELD_NUMBER: _ClassVar[int]
    CLIENT_ADDRESS_FIELD_NUMBER: _ClassVar[int]
    USER_AGENT_FIELD_NUMBER: _ClassVar[int]
    RETENTION_DAYS_FIELD_NUMBER: _ClassVar[int]
    MASKED_FIELD_NUMBER: _ClassVar[int]
    TRUNCATED_FIELD_NUMBER: _ClassVar[int]
    PLAIN_BYTES_FIELD_NUMBER: _ClassVar[int]
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    DURATION_MS_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    started_ms: int
    organisation: str
    business_unit: str
    project: str
    key_id: str
    key_public_id: str
    user: str
    endpoint: str
    model: str
    provider: str
    stream: bool
    status: int
    outcome: str
    error_code: str
    client_request_id: str
    tags: _containers.ScalarMap[str, str]
    client_address: str
    user_agent: str
    retention_days: int
    masked: bool
    truncated: bool
    plain_bytes: int
    content: bytes
    duration_ms: int
    def __init__(self, request_id: _Optional[str] = ..., started_ms: _Optional[int] = ..., organisation: _Optional[str] = ..., business_unit: _Optional[str] = ..., project: _Optional[str] = ..., key_id: _Optional[str] = ..., key_public_id: _Optional[str] = ..., user: _Optional[str] = ..., endpoint: _Optional[str] = ..., model: _Optional[str] = ..., provider: _Optional[str] = ..., stream: _Optional[bool] = ..., status: _Optional[int] = ..., outcome: _Optional[str] = ..., error_code: _Optional[str] = ..., client_request_id: _Optional[str] = ..., tags: _Optional[_Mapping[str, str]] = ..., client_address: _Optional[str] = ..., user_agent: _Optional[str] = ..., retention_days: _Optional[int] = ..., masked: _Optional[bool] = ..., truncated: _Optional[bool] = ..., plain_bytes: _Optional[int] = ..., content: _Optional[bytes] = ..., duration_ms: _Optional[int] = ...) -> None: ...

class StoreBodiesRequest(_message.Message):
    __slots__ = ("replica", "bodies", "dropped")
    REPLICA_FIELD_NUMBER: _ClassVar[int]
    BODIES_FIELD_NUMBER: _ClassVar[int]
    DROPPED_FIELD_NUMBER: _ClassVar[int]
    replica: str
    bodies: _containers.RepeatedCompositeFieldContainer[LoggedBody]
    dropped: int
    def __init__(self, replica: _Optional[str] = ..., bodies: _Optional[_Iterable[_Union[LoggedBody, _Mapping]]] = ..., dropped: _Optional[int] = ...) -> None: ...

class StoreBodiesResponse(_message.Message):
    __slots__ = ("stored",)
    STORED_FIELD_NUMBER: _ClassVar[int]
    stored: int
    def __init__(self, stored: _Optional[int] = ...) -> None: ...
