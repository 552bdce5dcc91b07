from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Position(_message.Message):
    __slots__ = ("epoch", "version")
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    epoch: str
    version: int
    def __init__(self, epoch: _Optional[str] = ..., version: _Optional[int] = ...) -> None: ...

class SubscribeRequest(_message.Message):
    __slots__ = ("replica", "catalog", "directory", "want_directory_snapshot")
    REPLICA_FIELD_NUMBER: _ClassVar[int]
    CATALOG_FIELD_NUMBER: _ClassVar[int]
    DIRECTORY_FIELD_NUMBER: _ClassVar[int]
    WANT_DIRECTORY_SNAPSHOT_FIELD_NUMBER: _ClassVar[int]
    replica: str
    catalog: Position
    directory: Position
    want_directory_snapshot: bool
    def __init__(self, replica: _Optional[str] = ..., catalog: _Optional[_Union[Position, _Mapping]] = ..., directory: _Optional[_Union[Position, _Mapping]] = ..., want_directory_snapshot: _Optional[bool] = ...) -> None: ...

class CatalogSnapshot(_message.Message):
    __slots__ = ("position", "sealed")
    POSITION_FIELD_NUMBER: _ClassVar[int]
    SEALED_FIELD_NUMBER: _ClassVar[int]
    position: Position
    sealed: bytes
    def __init__(self, position: _Optional[_Union[Position, _Mapping]] = ..., sealed: _Optional[bytes] = ...) -> None: ...

class KeyChange(_message.Message):
    __slots__ = ("lookup", "version", "sealed")
    LOOKUP_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    SEALED_FIELD_NUMBER: _ClassVar[int]
    lookup: str
    version: int
    sealed: bytes
    def __init__(self, lookup: _Optional[str] = ..., version: _Optional[int] = ..., sealed: _Optional[bytes] = ...) -> None: ...

class KeyChanges(_message.Message):
    __slots__ = ("position", "changes", "snapshot", "complete")
    POSITION_FIELD_NUMBER: _ClassVar[int]
    CHANGES_FIELD_NUMBER: _ClassVar[int]
    SNAPSHOT_FIELD_NUMBER: _ClassVar[int]
    COMPLETE_FIELD_NUMBER: _ClassVar[int]
    position: Position
    changes: _containers.RepeatedCompositeFieldContainer[KeyChange]
    snapshot: bool
    complete: bool
    def __init__(self, position: _Optional[_Union[Position, _Mapping]] = ..., changes: _Optional[_Iterable[_Union[KeyChange, _Mapping]]] = ..., snapshot: _Optional[bool] = ..., complete: _Optional[bool] = ...) -> None: ...

class Heartbeat(_message.Message):
    __slots__ = ("position",)
    POSITION_FIELD_NUMBER: _ClassVar[int]
    position: Position
    def __init__(self, position: _Optional[_Union[Position, _Mapping]] = ...) -> None: ...

class ConfigEvent(_message.Message):
    __slots__ = ("catalog", "keys", "heartbeat")
    CATALOG_FIELD_NUMBER: _ClassVar[int]
    KEYS_FIELD_NUMBER: _ClassVar[int]
    HEARTBEAT_FIELD_NUMBER: _ClassVar[int]
    catalog: CatalogSnapshot
    keys: KeyChanges
    heartbeat: Heartbeat
    def __init__(self, catalog: _Optional[_Union[CatalogSnapshot, _Mapping]] = ..., keys: _Optional[_Union[KeyChanges, _Mapping]] = ..., heartbeat: _Optional[_Union[Heartbeat, _Mapping]] = ...) -> None: ...
