from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class BalanceQuery(_message.Message):
    __slots__ = ("measure", "scope", "subject", "model", "start_ms", "end_ms")
    MEASURE_FIELD_NUMBER: _ClassVar[int]
    SCOPE_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    START_MS_FIELD_NUMBER: _ClassVar[int]
    END_MS_FIELD_NUMBER: _ClassVar[int]
    measure: str
    scope: str
    subject: str
    model: str
    start_ms: int
    end_ms: int
    def __init__(self, measure: _Optional[str] = ..., scope: _Optional[str] = ..., subject: _Optional[str] = ..., model: _Optional[str] = ..., start_ms: _Optional[int] = ..., end_ms: _Optional[int] = ...) -> None: ...

class BalancesRequest(_message.Message):
    __slots__ = ("replica", "organisation", "epoch", "queries", "cut_us")
    REPLICA_FIELD_NUMBER: _ClassVar[int]
    ORGANISATION_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    QUERIES_FIELD_NUMBER: _ClassVar[int]
    CUT_US_FIELD_NUMBER: _ClassVar[int]
    replica: str
    organisation: str
    epoch: str
    queries: _containers.RepeatedCompositeFieldContainer[BalanceQuery]
    cut_us: int
    def __init__(self, replica: _Optional[str] = ..., organisation: _Optional[str] = ..., epoch: _Optional[str] = ..., queries: _Optional[_Iterable[_Union[BalanceQuery, _Mapping]]] = ..., cut_us: _Optional[int] = ...) -> None: ...

class BalancesResponse(_message.Message):
    __slots__ = ("used", "replicas", "cut_us")
    USED_FIELD_NUMBER: _ClassVar[int]
    REPLICAS_FIELD_NUMBER: _ClassVar[int]
    CUT_US_FIELD_NUMBER: _ClassVar[int]
    used: _containers.RepeatedScalarFieldContainer[int]
    replicas: _containers.RepeatedScalarFieldContainer[str]
    cut_us: int
    def __init__(self, used: _Optional[_Iterable[int]] = ..., replicas: _Optional[_Iterable[str]] = ..., cut_us: _Optional[int] = ...) -> None: ...
