from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Notice(_message.Message):
    __slots__ = ("kind", "at_ms", "scope", "subject", "provider", "credential", "code", "detail", "count", "amount_nano")
    KIND_FIELD_NUMBER: _ClassVar[int]
    AT_MS_FIELD_NUMBER: _ClassVar[int]
    SCOPE_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    CREDENTIAL_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    DETAIL_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_NANO_FIELD_NUMBER: _ClassVar[int]
    kind: str
    at_ms: int
    scope: str
    subject: str
    provider: str
    credential: str
    code: str
    detail: str
    count: int
    amount_nano: int
    def __init__(self, kind: _Optional[str] = ..., at_ms: _Optional[int] = ..., scope: _Optional[str] = ..., subject: _Optional[str] = ..., provider: _Optional[str] = ..., credential: _Optional[str] = ..., code: _Optional[str] = ..., detail: _Optional[str] = ..., count: _Optional[int] = ..., amount_nano: _Optional[int] = ...) -> None: ...

class ReportRequest(_message.Message):
    __slots__ = ("replica", "notices", "lost")
    REPLICA_FIELD_NUMBER: _ClassVar[int]
    NOTICES_FIELD_NUMBER: _ClassVar[int]
    LOST_FIELD_NUMBER: _ClassVar[int]
    replica: str
    notices: _containers.RepeatedCompositeFieldContainer[Notice]
    lost: int
    def __init__(self, replica: _Optional[str] = ..., notices: _Optional[_Iterable[_Union[Notice, _Mapping]]] = ..., lost: _Optional[int] = ...) -> None: ...

class ReportResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...
