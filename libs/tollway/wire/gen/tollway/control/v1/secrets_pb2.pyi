import datetime

from google.api import annotations_pb2 as _annotations_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from tollway.wire.gen.tollway.control.v1 import options_pb2 as _options_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class KekStatus(_message.Message):
    __slots__ = ("name", "kind", "current", "data_keys", "missing_on", "removable")
    NAME_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    CURRENT_FIELD_NUMBER: _ClassVar[int]
    DATA_KEYS_FIELD_NUMBER: _ClassVar[int]
    MISSING_ON_FIELD_NUMBER: _ClassVar[int]
    REMOVABLE_FIELD_NUMBER: _ClassVar[int]
    name: str
    kind: str
    current: bool
    data_keys: int
    missing_on: _containers.RepeatedScalarFieldContainer[str]
    removable: bool
    def __init__(self, name: _Optional[str] = ..., kind: _Optional[str] = ..., current: _Optional[bool] = ..., data_keys: _Optional[int] = ..., missing_on: _Optional[_Iterable[str]] = ..., removable: _Optional[bool] = ...) -> None: ...

class DataKeyStatus(_message.Message):
    __slots__ = ("id", "kek", "current", "values", "created_at", "retired_at")
    ID_FIELD_NUMBER: _ClassVar[int]
    KEK_FIELD_NUMBER: _ClassVar[int]
    CURRENT_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    RETIRED_AT_FIELD_NUMBER: _ClassVar[int]
    id: str
    kek: str
    current: bool
    values: int
    created_at: _timestamp_pb2.Timestamp
    retired_at: _timestamp_pb2.Timestamp
    def __init__(self, id: _Optional[str] = ..., kek: _Optional[str] = ..., current: _Optional[bool] = ..., values: _Optional[int] = ..., created_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., retired_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class SealedTable(_message.Message):
    __slots__ = ("name", "values", "left")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VALUES_FIELD_NUMBER: _ClassVar[int]
    LEFT_FIELD_NUMBER: _ClassVar[int]
    name: str
    values: int
    left: int
    def __init__(self, name: _Optional[str] = ..., values: _Optional[int] = ..., left: _Optional[int] = ...) -> None: ...

class SecretRotation(_message.Message):
    __slots__ = ("id", "kind", "target", "state", "total", "changed", "left", "problem", "requested_by", "requested_at", "finished_at")
    ID_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    TARGET_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    TOTAL_FIELD_NUMBER: _ClassVar[int]
    CHANGED_FIELD_NUMBER: _ClassVar[int]
    LEFT_FIELD_NUMBER: _ClassVar[int]
    PROBLEM_FIELD_NUMBER: _ClassVar[int]
    REQUESTED_BY_FIELD_NUMBER: _ClassVar[int]
    REQUESTED_AT_FIELD_NUMBER: _ClassVar[int]
    FINISHED_AT_FIELD_NUMBER: _ClassVar[int]
    id: str
    kind: str
    target: str
    state: str
    total: int
    changed: int
    left: int
    problem: str
    requested_by: str
    requested_at: _timestamp_pb2.Timestamp
    finished_at: _timestamp_pb2.Timestamp
    def __init__(self, id: _Optional[str] = ..., kind: _Optional[str] = ..., target: _Optional[str] = ..., state: _Optional[str] = ..., total: _Optional[int] = ..., changed: _Optional[int] = ..., left: _Optional[int] = ..., problem: _Optional[str] = ..., requested_by: _Optional[str] = ..., requested_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., finished_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class SecretsStatus(_message.Message):
    __slots__ = ("keks", "data_keys", "tables", "rotations")
    KEKS_FIELD_NUMBER: _ClassVar[int]
    DATA_KEYS_FIELD_NUMBER: _ClassVar[int]
    TABLES_FIELD_NUMBER: _ClassVar[int]
    ROTATIONS_FIELD_NUMBER: _ClassVar[int]
    keks: _containers.RepeatedCompositeFieldContainer[KekStatus]
    data_keys: _containers.RepeatedCompositeFieldContainer[DataKeyStatus]
    tables: _containers.RepeatedCompositeFieldContainer[SealedTable]
    rotations: _containers.RepeatedCompositeFieldContainer[SecretRotation]
    def __init__(self, keks: _Optional[_Iterable[_Union[KekStatus, _Mapping]]] = ..., data_keys: _Optional[_Iterable[_Union[DataKeyStatus, _Mapping]]] = ..., tables: _Optional[_Iterable[_Union[SealedTable, _Mapping]]] = ..., rotations: _Optional[_Iterable[_Union[SecretRotation, _Mapping]]] = ...) -> None: ...

class GetSecretsStatusRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class RotateDataKeyRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class RotateKekRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...
