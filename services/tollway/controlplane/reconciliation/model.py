"""What the methods of reconciliation take and give: the messages of `ReconciliationService`, by field name."""

from __future__ import annotations

from datetime import datetime

import msgspec


class UploadBillRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Message of the contract."""

    provider: str
    content: str
    format: str = ""
    tolerance: str = ""
    note: str = ""

    def __repr__(self) -> str:
        return f"UploadBillRequest(provider={self.provider!r}, format={self.format!r}, {len(self.content)} characters)"


class LedgerPart(msgspec.Struct, frozen=True, kw_only=True):
    """Attempts of one sort: `first`, `retry` or `estimated`; `cost` is decimal dollars."""

    part: str
    attempts: int
    input_tokens: int
    output_tokens: int
    cost: str


class ReconciliationLine(msgspec.Struct, frozen=True, kw_only=True):
    """One day and model; amounts are decimal dollars."""

    day: str
    model: str
    billed: str
    ledger: str
    difference: str
    ratio: str
    status: str
    parts: list[LedgerPart]
    requests: int | None
    input_tokens: int | None
    output_tokens: int | None


class Reconciliation(msgspec.Struct, frozen=True, kw_only=True):
    """A stored bill and its comparison; in lists without `parts`, `details` and `remarks`."""

    id: str
    provider: str
    format: str
    first_day: str
    last_day: str
    lines: int
    tolerance: str
    note: str
    created_by: str
    created_at: datetime
    billed: str
    ledger: str
    difference: str
    status: str
    parts: list[LedgerPart] = []
    details: list[ReconciliationLine] = []
    remarks: list[str] = []


class GetReconciliationRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Message of the contract."""

    reconciliation: str


class ListReconciliationsRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Message of the contract."""

    page_size: int = 0
    page_token: str = ""
    provider: str = ""


class ListReconciliationsResponse(msgspec.Struct, frozen=True, kw_only=True):
    """Message of the contract."""

    reconciliations: list[Reconciliation]
    next_page_token: str = ""
