import datetime

from tollway.wire.gen.buf.validate import validate_pb2 as _validate_pb2
from google.api import annotations_pb2 as _annotations_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from tollway.wire.gen.tollway.control.v1 import catalog_pb2 as _catalog_pb2
from tollway.wire.gen.tollway.control.v1 import options_pb2 as _options_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class PriceVersion(_message.Message):
    __slots__ = ("version", "source", "model", "provider", "target_model", "price", "valid_from", "valid_until", "note", "created_by", "created_at")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    TARGET_MODEL_FIELD_NUMBER: _ClassVar[int]
    PRICE_FIELD_NUMBER: _ClassVar[int]
    VALID_FROM_FIELD_NUMBER: _ClassVar[int]
    VALID_UNTIL_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    CREATED_BY_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    version: str
    source: str
    model: str
    provider: str
    target_model: str
    price: _catalog_pb2.Price
    valid_from: _timestamp_pb2.Timestamp
    valid_until: _timestamp_pb2.Timestamp
    note: str
    created_by: str
    created_at: _timestamp_pb2.Timestamp
    def __init__(self, version: _Optional[str] = ..., source: _Optional[str] = ..., model: _Optional[str] = ..., provider: _Optional[str] = ..., target_model: _Optional[str] = ..., price: _Optional[_Union[_catalog_pb2.Price, _Mapping]] = ..., valid_from: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., valid_until: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., note: _Optional[str] = ..., created_by: _Optional[str] = ..., created_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class PricePublication(_message.Message):
    __slots__ = ("model", "version", "source", "price", "published_at")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    PRICE_FIELD_NUMBER: _ClassVar[int]
    PUBLISHED_AT_FIELD_NUMBER: _ClassVar[int]
    model: str
    version: str
    source: str
    price: _catalog_pb2.Price
    published_at: _timestamp_pb2.Timestamp
    def __init__(self, model: _Optional[str] = ..., version: _Optional[str] = ..., source: _Optional[str] = ..., price: _Optional[_Union[_catalog_pb2.Price, _Mapping]] = ..., published_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ListPricesRequest(_message.Message):
    __slots__ = ("page_size", "page_token", "source", "model", "provider", "target_model", "at")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    TARGET_MODEL_FIELD_NUMBER: _ClassVar[int]
    AT_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    source: str
    model: str
    provider: str
    target_model: str
    at: _timestamp_pb2.Timestamp
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., source: _Optional[str] = ..., model: _Optional[str] = ..., provider: _Optional[str] = ..., target_model: _Optional[str] = ..., at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ListPricesResponse(_message.Message):
    __slots__ = ("prices", "next_page_token")
    PRICES_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    prices: _containers.RepeatedCompositeFieldContainer[PriceVersion]
    next_page_token: str
    def __init__(self, prices: _Optional[_Iterable[_Union[PriceVersion, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class GetPriceRequest(_message.Message):
    __slots__ = ("version", "model")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    version: str
    model: str
    def __init__(self, version: _Optional[str] = ..., model: _Optional[str] = ...) -> None: ...

class PriceHistory(_message.Message):
    __slots__ = ("version", "versions", "publications")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    VERSIONS_FIELD_NUMBER: _ClassVar[int]
    PUBLICATIONS_FIELD_NUMBER: _ClassVar[int]
    version: str
    versions: _containers.RepeatedCompositeFieldContainer[PriceVersion]
    publications: _containers.RepeatedCompositeFieldContainer[PricePublication]
    def __init__(self, version: _Optional[str] = ..., versions: _Optional[_Iterable[_Union[PriceVersion, _Mapping]]] = ..., publications: _Optional[_Iterable[_Union[PricePublication, _Mapping]]] = ...) -> None: ...

class SetPriceRequest(_message.Message):
    __slots__ = ("model", "provider", "target_model", "price", "valid_from", "valid_until", "note")
    MODEL_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    TARGET_MODEL_FIELD_NUMBER: _ClassVar[int]
    PRICE_FIELD_NUMBER: _ClassVar[int]
    VALID_FROM_FIELD_NUMBER: _ClassVar[int]
    VALID_UNTIL_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    model: str
    provider: str
    target_model: str
    price: _catalog_pb2.Price
    valid_from: _timestamp_pb2.Timestamp
    valid_until: _timestamp_pb2.Timestamp
    note: str
    def __init__(self, model: _Optional[str] = ..., provider: _Optional[str] = ..., target_model: _Optional[str] = ..., price: _Optional[_Union[_catalog_pb2.Price, _Mapping]] = ..., valid_from: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., valid_until: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., note: _Optional[str] = ...) -> None: ...

class EndPriceRequest(_message.Message):
    __slots__ = ("version", "valid_until")
    VERSION_FIELD_NUMBER: _ClassVar[int]
    VALID_UNTIL_FIELD_NUMBER: _ClassVar[int]
    version: str
    valid_until: _timestamp_pb2.Timestamp
    def __init__(self, version: _Optional[str] = ..., valid_until: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ImportPricesRequest(_message.Message):
    __slots__ = ("dry_run",)
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    dry_run: bool
    def __init__(self, dry_run: _Optional[bool] = ...) -> None: ...

class PriceChange(_message.Message):
    __slots__ = ("kind", "provider", "target_model", "before", "after", "in_use")
    KIND_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    TARGET_MODEL_FIELD_NUMBER: _ClassVar[int]
    BEFORE_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    IN_USE_FIELD_NUMBER: _ClassVar[int]
    kind: str
    provider: str
    target_model: str
    before: _catalog_pb2.Price
    after: _catalog_pb2.Price
    in_use: bool
    def __init__(self, kind: _Optional[str] = ..., provider: _Optional[str] = ..., target_model: _Optional[str] = ..., before: _Optional[_Union[_catalog_pb2.Price, _Mapping]] = ..., after: _Optional[_Union[_catalog_pb2.Price, _Mapping]] = ..., in_use: _Optional[bool] = ...) -> None: ...

class PriceImport(_message.Message):
    __slots__ = ("id", "package", "new", "changed", "gone", "unchanged", "changes", "applied", "created_by", "created_at")
    ID_FIELD_NUMBER: _ClassVar[int]
    PACKAGE_FIELD_NUMBER: _ClassVar[int]
    NEW_FIELD_NUMBER: _ClassVar[int]
    CHANGED_FIELD_NUMBER: _ClassVar[int]
    GONE_FIELD_NUMBER: _ClassVar[int]
    UNCHANGED_FIELD_NUMBER: _ClassVar[int]
    CHANGES_FIELD_NUMBER: _ClassVar[int]
    APPLIED_FIELD_NUMBER: _ClassVar[int]
    CREATED_BY_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    id: str
    package: str
    new: int
    changed: int
    gone: int
    unchanged: int
    changes: _containers.RepeatedCompositeFieldContainer[PriceChange]
    applied: bool
    created_by: str
    created_at: _timestamp_pb2.Timestamp
    def __init__(self, id: _Optional[str] = ..., package: _Optional[str] = ..., new: _Optional[int] = ..., changed: _Optional[int] = ..., gone: _Optional[int] = ..., unchanged: _Optional[int] = ..., changes: _Optional[_Iterable[_Union[PriceChange, _Mapping]]] = ..., applied: _Optional[bool] = ..., created_by: _Optional[str] = ..., created_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class ListPriceImportsRequest(_message.Message):
    __slots__ = ("page_size",)
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    def __init__(self, page_size: _Optional[int] = ...) -> None: ...

class ListPriceImportsResponse(_message.Message):
    __slots__ = ("imports",)
    IMPORTS_FIELD_NUMBER: _ClassVar[int]
    imports: _containers.RepeatedCompositeFieldContainer[PriceImport]
    def __init__(self, imports: _Optional[_Iterable[_Union[PriceImport, _Mapping]]] = ...) -> None: ...

class RerateRequest(_message.Message):
    __slots__ = ("to", "project", "model", "provider", "version", "dry_run", "cursor")
    FROM_FIELD_NUMBER: _ClassVar[int]
    TO_FIELD_NUMBER: _ClassVar[int]
    PROJECT_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    DRY_RUN_FIELD_NUMBER: _ClassVar[int]
    CURSOR_FIELD_NUMBER: _ClassVar[int]
    to: _timestamp_pb2.Timestamp
    project: str
    model: str
    provider: str
    version: str
    dry_run: bool
    cursor: str
    def __init__(self, to: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., project: _Optional[str] = ..., model: _Optional[str] = ..., provider: _Optional[str] = ..., version: _Optional[str] = ..., dry_run: _Optional[bool] = ..., cursor: _Optional[str] = ..., **kwargs) -> None: ...

class RerateSum(_message.Message):
    __slots__ = ("project", "model", "attempts", "changed", "before", "after", "difference")
    PROJECT_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    CHANGED_FIELD_NUMBER: _ClassVar[int]
    BEFORE_FIELD_NUMBER: _ClassVar[int]
    AFTER_FIELD_NUMBER: _ClassVar[int]
    DIFFERENCE_FIELD_NUMBER: _ClassVar[int]
    project: str
    model: str
    attempts: int
    changed: int
    before: str
    after: str
    difference: str
    def __init__(self, project: _Optional[str] = ..., model: _Optional[str] = ..., attempts: _Optional[int] = ..., changed: _Optional[int] = ..., before: _Optional[str] = ..., after: _Optional[str] = ..., difference: _Optional[str] = ...) -> None: ...

class RerateResponse(_message.Message):
    __slots__ = ("attempts", "adjusted", "unpriced", "sums", "next_cursor", "reached")
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    ADJUSTED_FIELD_NUMBER: _ClassVar[int]
    UNPRICED_FIELD_NUMBER: _ClassVar[int]
    SUMS_FIELD_NUMBER: _ClassVar[int]
    NEXT_CURSOR_FIELD_NUMBER: _ClassVar[int]
    REACHED_FIELD_NUMBER: _ClassVar[int]
    attempts: int
    adjusted: int
    unpriced: int
    sums: _containers.RepeatedCompositeFieldContainer[RerateSum]
    next_cursor: str
    reached: _timestamp_pb2.Timestamp
    def __init__(self, attempts: _Optional[int] = ..., adjusted: _Optional[int] = ..., unpriced: _Optional[int] = ..., sums: _Optional[_Iterable[_Union[RerateSum, _Mapping]]] = ..., next_cursor: _Optional[str] = ..., reached: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class UploadBillRequest(_message.Message):
    __slots__ = ("provider", "format", "content", "tolerance", "note")
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    CONTENT_FIELD_NUMBER: _ClassVar[int]
    TOLERANCE_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    provider: str
    format: str
    content: str
    tolerance: str
    note: str
    def __init__(self, provider: _Optional[str] = ..., format: _Optional[str] = ..., content: _Optional[str] = ..., tolerance: _Optional[str] = ..., note: _Optional[str] = ...) -> None: ...

class LedgerPart(_message.Message):
    __slots__ = ("part", "attempts", "input_tokens", "output_tokens", "cost")
    PART_FIELD_NUMBER: _ClassVar[int]
    ATTEMPTS_FIELD_NUMBER: _ClassVar[int]
    INPUT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    COST_FIELD_NUMBER: _ClassVar[int]
    part: str
    attempts: int
    input_tokens: int
    output_tokens: int
    cost: str
    def __init__(self, part: _Optional[str] = ..., attempts: _Optional[int] = ..., input_tokens: _Optional[int] = ..., output_tokens: _Optional[int] = ..., cost: _Optional[str] = ...) -> None: ...

class ReconciliationLine(_message.Message):
    __slots__ = ("day", "model", "billed", "ledger", "difference", "ratio", "status", "parts", "requests", "input_tokens", "output_tokens")
    DAY_FIELD_NUMBER: _ClassVar[int]
    MODEL_FIELD_NUMBER: _ClassVar[int]
    BILLED_FIELD_NUMBER: _ClassVar[int]
    LEDGER_FIELD_NUMBER: _ClassVar[int]
    DIFFERENCE_FIELD_NUMBER: _ClassVar[int]
    RATIO_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    PARTS_FIELD_NUMBER: _ClassVar[int]
    REQUESTS_FIELD_NUMBER: _ClassVar[int]
    INPUT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_TOKENS_FIELD_NUMBER: _ClassVar[int]
    day: str
    model: str
    billed: str
    ledger: str
    difference: str
    ratio: str
    status: str
    parts: _containers.RepeatedCompositeFieldContainer[LedgerPart]
    requests: int
    input_tokens: int
    output_tokens: int
    def __init__(self, day: _Optional[str] = ..., model: _Optional[str] = ..., billed: _Optional[str] = ..., ledger: _Optional[str] = ..., difference: _Optional[str] = ..., ratio: _Optional[str] = ..., status: _Optional[str] = ..., parts: _Optional[_Iterable[_Union[LedgerPart, _Mapping]]] = ..., requests: _Optional[int] = ..., input_tokens: _Optional[int] = ..., output_tokens: _Optional[int] = ...) -> None: ...

class Reconciliation(_message.Message):
    __slots__ = ("id", "provider", "format", "first_day", "last_day", "lines", "tolerance", "note", "created_by", "created_at", "billed", "ledger", "difference", "status", "parts", "details", "remarks")
    ID_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    FORMAT_FIELD_NUMBER: _ClassVar[int]
    FIRST_DAY_FIELD_NUMBER: _ClassVar[int]
    LAST_DAY_FIELD_NUMBER: _ClassVar[int]
    LINES_FIELD_NUMBER: _ClassVar[int]
    TOLERANCE_FIELD_NUMBER: _ClassVar[int]
    NOTE_FIELD_NUMBER: _ClassVar[int]
    CREATED_BY_FIELD_NUMBER: _ClassVar[int]
    CREATED_AT_FIELD_NUMBER: _ClassVar[int]
    BILLED_FIELD_NUMBER: _ClassVar[int]
    LEDGER_FIELD_NUMBER: _ClassVar[int]
    DIFFERENCE_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    PARTS_FIELD_NUMBER: _ClassVar[int]
    DETAILS_FIELD_NUMBER: _ClassVar[int]
    REMARKS_FIELD_NUMBER: _ClassVar[int]
    id: str
    provider: str
    format: str
    first_day: str
    last_day: str
    lines: int
    tolerance: str
    note: str
    created_by: str
    created_at: _timestamp_pb2.Timestamp
    billed: str
    ledger: str
    difference: str
    status: str
    parts: _containers.RepeatedCompositeFieldContainer[LedgerPart]
    details: _containers.RepeatedCompositeFieldContainer[ReconciliationLine]
    remarks: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, id: _Optional[str] = ..., provider: _Optional[str] = ..., format: _Optional[str] = ..., first_day: _Optional[str] = ..., last_day: _Optional[str] = ..., lines: _Optional[int] = ..., tolerance: _Optional[str] = ..., note: _Optional[str] = ..., created_by: _Optional[str] = ..., created_at: _Optional[_Union[datetime.datetime, _timestamp_pb2.Timestamp, _Mapping]] = ..., billed: _Optional[str] = ..., ledger: _Optional[str] = ..., difference: _Optional[str] = ..., status: _Optional[str] = ..., parts: _Optional[_Iterable[_Union[LedgerPart, _Mapping]]] = ..., details: _Optional[_Iterable[_Union[ReconciliationLine, _Mapping]]] = ..., remarks: _Optional[_Iterable[str]] = ...) -> None: ...

class GetReconciliationRequest(_message.Message):
    __slots__ = ("reconciliation",)
    RECONCILIATION_FIELD_NUMBER: _ClassVar[int]
    reconciliation: str
    def __init__(self, reconciliation: _Optional[str] = ...) -> None: ...

class ListReconciliationsRequest(_message.Message):
    __slots__ = ("page_size", "page_token", "provider")
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    PROVIDER_FIELD_NUMBER: _ClassVar[int]
    page_size: int
    page_token: str
    provider: str
    def __init__(self, page_size: _Optional[int] = ..., page_token: _Optional[str] = ..., provider: _Optional[str] = ...) -> None: ...

class ListReconciliationsResponse(_message.Message):
    __slots__ = ("reconciliations", "next_page_token")
    RECONCILIATIONS_FIELD_NUMBER: _ClassVar[int]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    reconciliations: _containers.RepeatedCompositeFieldContainer[Reconciliation]
    next_page_token: str
    def __init__(self, reconciliations: _Optional[_Iterable[_Union[Reconciliation, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...
