"""What the methods of prices take and give: the messages of `PriceService`, by field name."""

from __future__ import annotations

from datetime import datetime

import msgspec

from tollway.controlplane.catalog.model import Price


class PriceVersion(msgspec.Struct, frozen=True, kw_only=True):
    """A row of the price book as it is shown; `provider` is a name."""

    version: str
    source: str
    model: str
    provider: str
    target_model: str
    price: Price
    valid_from: datetime | None
    valid_until: datetime | None
    note: str
    created_by: str
    created_at: datetime


class PricePublication(msgspec.Struct, frozen=True, kw_only=True):
    """The price of a model from a moment on; `price` None: not known."""

    model: str
    version: str
    source: str
    price: Price | None
    published_at: datetime


class ListPricesRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Message of the contract."""

    page_size: int = 0
    page_token: str = ""
    source: str = ""
    model: str = ""
    provider: str = ""
    target_model: str = ""
    at: datetime | None = None


class ListPricesResponse(msgspec.Struct, frozen=True, kw_only=True):
    """Message of the contract."""

    prices: list[PriceVersion]
    next_page_token: str = ""


class GetPriceRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Message of the contract."""

    version: str
    model: str = ""


class PriceHistory(msgspec.Struct, frozen=True, kw_only=True):
    """Message of the contract."""

    version: str
    versions: list[PriceVersion]
    publications: list[PricePublication]


class SetPriceRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Message of the contract."""

    model: str = ""
    provider: str = ""
    target_model: str = ""
    price: Price | None = None
    valid_from: datetime | None = None
    valid_until: datetime | None = None
    note: str = ""


class EndPriceRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Message of the contract."""

    version: str
    valid_until: datetime | None = None


class ImportPricesRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Message of the contract."""

    dry_run: bool = False


class PriceChange(msgspec.Struct, frozen=True, kw_only=True):
    """What an import says of one model of the book: `kind` is new, changed or gone."""

    kind: str
    provider: str
    target_model: str
    before: Price | None
    after: Price | None
    in_use: bool


class PriceImport(msgspec.Struct, frozen=True, kw_only=True):
    """The report of an import; `changes` are the first of them."""

    id: str
    package: str
    new: int
    changed: int
    gone: int
    unchanged: int
    changes: list[PriceChange]
    applied: bool
    created_by: str
    created_at: datetime


class ListPriceImportsRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Message of the contract."""

    page_size: int = 0


class ListPriceImportsResponse(msgspec.Struct, frozen=True, kw_only=True):
    """Message of the contract."""

    imports: list[PriceImport]


class RerateRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Message of the contract."""

    from_: datetime | None = msgspec.field(default=None, name="from")
    to: datetime | None = None
    project: str = ""
    model: str = ""
    provider: str = ""
    version: str = ""
    dry_run: bool = False
    cursor: str = ""


class RerateSum(msgspec.Struct, frozen=True, kw_only=True):
    """What a part of a re-rating comes to for one model of a project; amounts are decimal dollars."""

    project: str
    model: str
    attempts: int
    changed: int
    before: str
    after: str
    difference: str


class RerateResponse(msgspec.Struct, frozen=True, kw_only=True):
    """Message of the contract."""

    attempts: int
    adjusted: int
    unpriced: int
    sums: list[RerateSum]
    next_cursor: str
    reached: datetime
