"""Budgets and limits as the contract has them: its messages, and what rules can be for. Pure."""

from __future__ import annotations

from datetime import datetime
from enum import StrEnum

import msgspec


class Scope(StrEnum):
    """What rules can be for."""

    ORGANISATION = "organisation"
    BUSINESS_UNIT = "business_unit"
    PROJECT = "project"
    KEY = "key"
    USER = "user"
    MODEL = "model"


WINDOWS = {"": 0, "minute": 60, "hour": 3600, "day": 86400}
"""Seconds of the windows of limits, by name."""


class Subject(msgspec.Struct, frozen=True):
    """What a rule is for. `id` is what the tables keep, `name` what people say ("<project>/<key>" of a key)."""

    scope: Scope
    id: str
    name: str

    @property
    def reference(self) -> str:
        """The form of the API: "project:demo"."""
        return reference(self.scope, self.name)


def reference(scope: Scope, name: str) -> str:
    """A subject in the form of the API. There is one organisation, so that its name is left out."""
    return scope.value if scope is Scope.ORGANISATION else f"{scope.value}:{name}"


class Increase(msgspec.Struct, frozen=True, kw_only=True):
    """A temporary increase as it is shown."""

    id: str
    amount: str
    starts_at: datetime
    ends_at: datetime
    reason: str
    created_by: str
    created_at: datetime


class Budget(msgspec.Struct, frozen=True, kw_only=True):
    """A budget as it is shown; amounts are decimal dollars."""

    id: str
    subject: str
    limit: str
    period: str
    timezone: str
    fiscal_start: str
    mode: str
    carry_over: bool
    alerts: list[float]
    increases: list[Increase]
    window_start: datetime | None
    window_end: datetime | None
    limit_now: str
    carried: str
    used: str
    remaining: str
    created_at: datetime
    updated_at: datetime
    etag: str


class SetBudgetRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Message of the contract; the mask is in the call."""

    subject: str
    limit: str = ""
    period: str = ""
    timezone: str = ""
    fiscal_start: str = ""
    mode: str = ""
    carry_over: bool = False
    alerts: list[float] = []
    etag: str = ""


class GetBudgetRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Message of the contract."""

    subject: str


class ListBudgetsRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Message of the contract."""

    page_size: int = 0
    page_token: str = ""
    scope: str = ""


class ListBudgetsResponse(msgspec.Struct, frozen=True, kw_only=True):
    """Message of the contract."""

    budgets: list[Budget]
    next_page_token: str = ""


class RemoveBudgetRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Message of the contract."""

    subject: str
    etag: str = ""


class RemoveBudgetResponse(msgspec.Struct, frozen=True, kw_only=True):
    """Message of the contract."""


class IncreaseBudgetRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Message of the contract."""

    subject: str
    amount: str
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    reason: str = ""
    etag: str = ""


class RevokeIncreaseRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Message of the contract."""

    subject: str
    increase: str
    etag: str = ""


class Limit(msgspec.Struct, frozen=True, kw_only=True):
    """Message of the contract: one limit, given or shown."""

    id: str = ""
    measure: str = ""
    window: str = ""
    amount: int | None = None
    model: str = ""
    on_outage: str = ""


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """The limits of a subject as they are shown."""

    subject: str
    limits: list[Limit]
    updated_at: datetime | None = None
    etag: str = ""


class SetLimitsRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Message of the contract."""

    subject: str
    limits: list[Limit] = []
    etag: str = ""


class GetLimitsRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Message of the contract."""

    subject: str


class ListLimitsRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Message of the contract."""

    page_size: int = 0
    page_token: str = ""
    scope: str = ""


class ListLimitsResponse(msgspec.Struct, frozen=True, kw_only=True):
    """Message of the contract."""

    limits: list[Limits]
    next_page_token: str = ""
