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

class LedgerFigure(_message.Message):
    __slots__ = ("name", "kept", "counted")
    NAME_FIELD_NUMBER: _ClassVar[int]
    KEPT_FIELD_NUMBER: _ClassVar[int]
    COUNTED_FIELD_NUMBER: _ClassVar[int]
    name: str
    kept: str
    counted: str
    def __init__(self, name: _Optional[str] = ..., kept: _Optional[str] = ..., counted: _Optional[str] = ...) -> None: ...

class LedgerDifference(_message.Message):
    __slots__ = ("rollup", "begins", "organisation", "business_unit", "project", "key", "user", "model", "provider", "figures")
    ROLLUP_FIELD_NUMBER: _ClassVar[int]
    BEGINS_FIELD_NUMBER: _ClassVar[int]
    ORGANISATION_FIELD_NUMBER: _ClassVar[int]
    BUSINESS_UNIT_FIELD_NUMBER: _ClassVar[int]
    PROJECT_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    FIGURES_FIELD_NUMBER: _ClassVar[int]
    rollup: str
    begins: _timestamp_pb2.Timestamp
    organisation: str
    business_unit: str
    project: str
    key: str
    user: str
    model: str
    provider: str
    figures: _containers.RepeatedCompositeFieldContainer[LedgerFigure]
    def __init__(self, rollup: _Optional[str] = ..., begins: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., organisation: _Optional[str] = ..., business_unit: _Optional[str] = ..., project: _Optional[str] = ..., key: _Optional[str] = ..., user: _Optional[str] = ..., model: _Optional[str] = ..., provider: _Optional[str] = ..., figures: _Optional[_Iterable[_Union[LedgerFigure, _Mapping]]] = ...) -> None: ...

class LedgerFinding(_message.Message):
    __slots__ = ("check", "count", "examples", "problem")
    CHECK_FIELD_NUMBER: _ClassVar[int]
    COUNT_FIELD_NUMBER: _ClassVar[int]
    EXAMPLES_FIELD_NUMBER: _ClassVar[int]
    PROBLEM_FIELD_NUMBER: _ClassVar[int]
    check: str
    count: int
    examples: _containers.RepeatedScalarFieldContainer[str]
    problem: bool
    def __init__(self, check: _Optional[str] = ..., count: _Optional[int] = ..., examples: _Optional[_Iterable[str]] = ..., problem: _Optional[bool] = ...) -> None: ...

class VerifyLedgerRequest(_message.Message):
    __slots__ = ("to",)
    FROM_FIELD_NUMBER: _ClassVar[int]
    TO_FIELD_NUMBER: _ClassVar[int]
    to: _timestamp_pb2.Timestamp
    def __init__(self, to: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., **kwargs) -> None: ...

class VerifyLedgerResponse(_message.Message):
    __slots__ = ("begins", "ends", "compared", "different", "differences", "findings", "clean")
    BEGINS_FIELD_NUMBER: _ClassVar[int]
    ENDS_FIELD_NUMBER: _ClassVar[int]
    COMPARED_FIELD_NUMBER: _ClassVar[int]
    DIFFERENT_FIELD_NUMBER: _ClassVar[int]
    DIFFERENCES_FIELD_NUMBER: _ClassVar[int]
    FINDINGS_FIELD_NUMBER: _ClassVar[int]
    CLEAN_FIELD_NUMBER: _ClassVar[int]
    begins: _timestamp_pb2.Timestamp
    ends: _timestamp_pb2.Timestamp
    compared: int
    different: int
    differences: _containers.RepeatedCompositeFieldContainer[LedgerDifference]
    findings: _containers.RepeatedCompositeFieldContainer[LedgerFinding]
    clean: bool
    def __init__(self, begins: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., ends: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., compared: _Optional[int] = ..., different: _Optional[int] = ..., differences: _Optional[_Iterable[_Union[LedgerDifference, _Mapping]]] = ..., findings: _Optional[_Iterable[_Union[LedgerFinding, _Mapping]]] = ..., clean: _Optional[bool] = ...) -> None: ...

class RetainLedgerRequest(_message.Message):
    __slots__ = ("days", "dry_run")
    DAYS_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    days: int
    dry_run: bool
    def __init__(self, days: _Optional[int] = ..., dry_run: _Optional[bool] = ...) -> None: ...

class RetainLedgerResponse(_message.Message):
    __slots__ = ("partitions", "horizon")
    PARTITIONS_FIELD_NUMBER: _ClassVar[int]
    HORIZON_FIELD_NUMBER: _ClassVar[int]
    partitions: _containers.RepeatedScalarFieldContainer[str]
    horizon: str
    def __init__(self, partitions: _Optional[_Iterable[str]] = ..., horizon: _Optional[str] = ...) -> None: ...
