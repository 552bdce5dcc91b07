from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable
from typing import ClassVar as _ClassVar, Optional as _Optional

DESCRIPTOR: _descriptor.FileDescriptor

class IngestRequest(_message.Message):
    __slots__ = ("replica", "rows")
    REPLICA_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    replica: str
    rows: _containers.RepeatedScalarFieldContainer[bytes]
    def __init__(self, replica: _Optional[str] = ..., rows: _Optional[_Iterable[bytes]] = ...) -> None: ...

class IngestResponse(_message.Message):
    __slots__ = ("inserted", "quarantined")
    INSERTED_FIELD_NUMBER: _ClassVar[int]
    QUARANTINED_FIELD_NUMBER: _ClassVar[int]
    inserted: int
    quarantined: int
    def __init__(self, inserted: _Optional[int] = ..., quarantined: _Optional[int] = ...) -> None: ...
