from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable
from typing import ClassVar as _ClassVar, Optional as _Optional

DESCRIPTOR: _descriptor.FileDescriptor

class StoreBodiesRequest(_message.Message):
    __slots__ = ("replica", "batches", "dropped")
    REPLICA_FIELD_NUMBER: _ClassVar[int]
    BATCHES_FIELD_NUMBER: _ClassVar[int]
    DROPPED_FIELD_NUMBER: _ClassVar[int]
    replica: str
    batches: _containers.RepeatedScalarFieldContainer[bytes]
    dropped: int
    def __init__(self, replica: _Optional[str] = ..., batches: _Optional[_Iterable[bytes]] = ..., dropped: _Optional[int] = ...) -> None: ...

class StoreBodiesResponse(_message.Message):
    __slots__ = ("stored",)
    STORED_FIELD_NUMBER: _ClassVar[int]
    stored: int
    def __init__(self, stored: _Optional[int] = ...) -> None: ...
