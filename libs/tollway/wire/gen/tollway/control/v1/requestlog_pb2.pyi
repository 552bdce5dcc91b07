import datetime

from tollway.wire.gen.buf.validate import validate_pb2 as _validate_pb2
from google.api import annotations_pb2 as _annotations_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from tollway.wire.gen.tollway.control.v1 import options_pb2 as _options_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class LoggedRequest(_message.Message):
    __slots__ = ("request_id", "started_at", "duration_ms", "project", "business_unit", "key_public_id", "user", "endpoint", "model", "provider", "stream", "status", "outcome", "error_code", "client_request_id", "tags", "client_address", "user_agent", "retention_days", "kept_until", "masked", "truncated", "plain_bytes", "stored_bytes")
    class TagsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    STARTED_AT_FIELD_NUMBER: _ClassVar[int]
    DURATION_MS_FIELD_NUMBER: _ClassVar[int]
    PROJECT_FIELD_NUMBER: _ClassVar[int]
    BUSINESS_UNIT_FIELD_NUMBER: _ClassVar[int]
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
    KEPT_UNTIL_FIELD_NUMBER: _ClassVar[int]
    MASKED_FIELD_NUMBER: _ClassVar[int]
    TRUNCATED_FIELD_NUMBER: _ClassVar[int]
    PLAIN_BYTES_FIELD_NUMBER: _ClassVar[int]
    STORED_BYTES_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    started_at: _timestamp_pb2.Timestamp
    duration_ms: int
    project: str
    business_unit: str
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
    kept_until: _timestamp_pb2.Timestamp
    masked: bool
    truncated: bool
    plain_bytes: int
    stored_bytes: int
    def __init__(self, request_id: _Optional[str] = ..., started_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., duration_ms: _Optional[int] = ..., project: _Optional[str] = ..., business_unit: _Optional[str] = ..., key_public_id: _Optional[str] = ..., user: _Optional[str] = ..., endpoint: _Optional[str] = ..., model: _Optional[str] = ..., provider: _Optional[str] = ..., stream: _Optional[bool] = ..., status: _Optional[int] = ..., outcome: _Optional[str] = ..., error_code: _Optional[str] = ..., client_request_id: _Optional[str] = ..., tags: _Optional[_Mapping[str, str]] = ..., client_address: _Optional[str] = ..., user_agent: _Optional[str] = ..., retention_days: _Optional[int] = ..., kept_until: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., masked: _Optional[bool] = ..., truncated: _Optional[bool] = ..., plain_bytes: _Optional[int] = ..., stored_bytes: _Optional[int] = ...) -> None: ...

class LoggedMessage(_message.Message):
    __slots__ = ("headers", "body", "body_base64", "status", "streamed")
    class HeadersEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    HEADERS_FIELD_NUMBER: _ClassVar[int]
    BODY_FIELD_NUMBER: _ClassVar[int]
    BODY_BASE64_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    STREAMED_FIELD_NUMBER: _ClassVar[int]
    headers: _containers.ScalarMap[str, str]
    body: str
    body_base64: str
    status: int
    streamed: bool
    def __init__(self, headers: _Optional[_Mapping[str, str]] = ..., body: _Optional[str] = ..., body_base64: _Optional[str] = ..., status: _Optional[int] = ..., streamed: _Optional[bool] = ...) -> None: ...

class LoggedBodies(_message.Message):
    __slots__ = ("metadata", "request", "response")
    METADATA_FIELD_NUMBER: _ClassVar[int]
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    RESPONSE_FIELD_NUMBER: _ClassVar[int]
    metadata: LoggedRequest
    request: LoggedMessage
    response: LoggedMessage
    def __init__(self, metadata: _Optional[_Union[LoggedRequest, _Mapping]] = ..., request: _Optional[_Union[LoggedMessage, _Mapping]] = ..., response: _Optional[_Union[LoggedMessage, _Mapping]] = ...) -> None: ...

class SearchRequestLogRequest(_message.Message):
    __slots__ = ("page_size", "page_token", "to", "project", "key", "model", "status", "outcome", "error_code", "request_id", "tags", "user", "endpoint")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    FROM_FIELD_NUMBER: _ClassVar[int]
    TO_FIELD_NUMBER: _ClassVar[int]
    PROJECT_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    OUTCOME_FIELD_NUMBER: _ClassVar[int]
    ERROR_CODE_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    TAGS_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    ENDPOINT_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    to: _timestamp_pb2.Timestamp
    project: str
    key: str
    model: str
    status: int
    outcome: str
    error_code: str
    request_id: str
    tags: _containers.RepeatedScalarFieldContainer[str]
    user: str
    endpoint: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., to: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., project: _Optional[str] = ..., key: _Optional[str] = ..., model: _Optional[str] = ..., status: _Optional[int] = ..., outcome: _Optional[str] = ..., error_code: _Optional[str] = ..., request_id: _Optional[str] = ..., tags: _Optional[_Iterable[str]] = ..., user: _Optional[str] = ..., endpoint: _Optional[str] = ..., **kwargs) -> None: ...

class SearchRequestLogResponse(_message.Message):
    __slots__ = ("requests", "next_page_token")
    REQUESTS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    requests: _containers.RepeatedCompositeFieldContainer[LoggedRequest]
    next_page_token: str
    def __init__(self, requests: _Optional[_Iterable[_Union[LoggedRequest, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class GetLoggedRequestRequest(_message.Message):
    __slots__ = ("request_id",)
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    def __init__(self, request_id: _Optional[str] = ...) -> None: ...

class DeleteLoggedRequestsRequest(_message.Message):
    __slots__ = ("request_id", "project", "to")
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    PROJECT_FIELD_NUMBER: _ClassVar[int]
    FROM_FIELD_NUMBER: _ClassVar[int]
    TO_FIELD_NUMBER: _ClassVar[int]
    request_id: str
    project: str
    to: _timestamp_pb2.Timestamp
    def __init__(self, request_id: _Optional[str] = ..., project: _Optional[str] = ..., to: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., **kwargs) -> None: ...

class DeleteLoggedRequestsResponse(_message.Message):
    __slots__ = ("deleted", "more")
    DELETED_FIELD_NUMBER: _ClassVar[int]
    MORE_FIELD_NUMBER: _ClassVar[int]
    deleted: int
    more: bool
    def __init__(self, deleted: _Optional[int] = ..., more: _Optional[bool] = ...) -> None: ...
