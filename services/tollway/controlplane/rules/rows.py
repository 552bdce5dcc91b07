"""The rows of budgets and limits, and what they become: for people, for the data planes, for the audit log. Pure."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec

from tollway.controlplane.resources import etag
from tollway.controlplane.rules.model import WINDOWS, Budget, Increase, Limit, Limits, Scope, reference
from tollway.core import rules as core
from tollway.core.money import format_dollars

_WINDOW_NAMES = {seconds: name for name, seconds in WINDOWS.items()}


class Terms(msgspec.Struct, frozen=True, kw_only=True):
    """What can be changed of a budget."""

    limit_nano: int
    period: core.Period = core.Period.MONTH
    timezone: str = "UTC"
    fiscal_start: str = "01-01"
    mode: core.Mode = core.Mode.HARD
    carry_over: bool = False
    alerts: list[float] = []


class IncreaseRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `budget_increases`."""

    id: UUID
    budget_id: UUID
    amount_nano: int
    starts_at: datetime
    ends_at: datetime
    reason: str
    created_by: str
    created_at: datetime

    def view(self) -> Increase:
        """The increase as it is shown."""
        return Increase(
            id=str(self.id),
            amount=format_dollars(self.amount_nano),
            starts_at=self.starts_at,
            ends_at=self.ends_at,
            reason=self.reason,
            created_by=self.created_by,
            created_at=self.created_at,
        )


class BudgetRow(Terms, frozen=True, kw_only=True):
    """A row of `budgets` with the name of its subject."""

    id: UUID
    rule_id: str
    scope: Scope
    subject: str
    name: str
    revision: int
    created_at: datetime
    updated_at: datetime
    managed_by: str | None = None
    applied_digest: bytes | None = None

    @property
    def reference(self) -> str:
        """The subject in the form of the API."""
        return reference(self.scope, self.name)

    @property
    def listed(self) -> str:
        """What listings are sorted by."""
        return f"{self.scope.value}:{self.name}"

    def terms(self) -> Terms:
        """What can be changed of it."""
        return Terms(**{name: getattr(self, name) for name in Terms.__struct_fields__})

    def rule(self, increases: list[IncreaseRow]) -> core.Budget:
        """The budget as the data planes know it."""
        return core.Budget(
            id=self.rule_id,
            scope=self.scope.value,
            subject=self.name,
            limit_nano=self.limit_nano,
            period=self.period,
            timezone=self.timezone,
            fiscal_start=self.fiscal_start,
            mode=self.mode,
            carry_over=self.carry_over,
            increases=tuple(
                core.Increase(amount_nano=row.amount_nano, from_ms=_ms(row.starts_at), until_ms=_ms(row.ends_at))
                for row in increases
            ),
            alerts=tuple(self.alerts),
            since_ms=_ms(self.created_at),
        )

    def view(self, increases: list[IncreaseRow], state: BudgetState) -> Budget:
        """The budget as it is shown."""
        return Budget(
            id=self.rule_id,
            subject=self.reference,
            limit=format_dollars(self.limit_nano),
            period=self.period.value,
            timezone=self.timezone,
            fiscal_start=self.fiscal_start,
            mode=self.mode.value,
            carry_over=self.carry_over,
            alerts=self.alerts,
            increases=[row.view() for row in increases],
            window_start=state.window_start,
            window_end=state.window_end,
            limit_now=format_dollars(state.limit_nano),
            carried=format_dollars(state.carried_nano),
            used=format_dollars(state.used_nano),
            remaining=format_dollars(max(0, state.limit_nano - state.used_nano)),
            created_at=self.created_at,
            updated_at=self.updated_at,
            etag=etag(self.id, self.revision),
        )


class BudgetState(msgspec.Struct, frozen=True, kw_only=True):
    """What a budget is at a moment. `limit_nano` includes increases and `carried_nano`."""

    window_start: datetime | None
    window_end: datetime | None
    limit_nano: int
    carried_nano: int
    used_nano: int


class LimitRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `limits`."""

    rule_id: str
    set_id: UUID
    measure: core.Measure
    window_seconds: int
    model: str
    amount: int
    on_outage: core.Outage

    def view(self) -> Limit:
        """The limit as it is shown."""
        return Limit(
            id=self.rule_id,
            measure=self.measure.value,
            window=_WINDOW_NAMES[self.window_seconds],
            amount=self.amount,
            model=self.model,
            on_outage=self.on_outage.value,
        )


class LimitSetRow(msgspec.Struct, frozen=True, kw_only=True):
    """A row of `limit_sets` with the name of its subject."""

    id: UUID
    scope: Scope
    subject: str
    name: str
    revision: int
    updated_at: datetime
    managed_by: str | None = None
    applied_digest: bytes | None = None

    @property
    def reference(self) -> str:
        """The subject in the form of the API."""
        return reference(self.scope, self.name)

    @property
    def listed(self) -> str:
        """What listings are sorted by."""
        return f"{self.scope.value}:{self.name}"

    def rule(self, row: LimitRow) -> core.Limit:
        """One of its limits as the data planes know it."""
        return core.Limit(
            id=row.rule_id,
            scope=self.scope.value,
            subject=self.name,
            measure=row.measure,
            amount=row.amount,
            window_seconds=row.window_seconds,
            model=row.model,
            on_outage=row.on_outage,
        )

    def view(self, rows: list[LimitRow]) -> Limits:
        """The set as it is shown."""
        return Limits(
            subject=self.reference,
            limits=[row.view() for row in rows],
            updated_at=self.updated_at,
            etag=etag(self.id, self.revision),
        )


def terms_form(terms: Terms) -> dict[str, Any]:
    """Terms JSON-ready: what configuration compares."""
    return {
        "limit": format_dollars(terms.limit_nano),
        "period": terms.period.value,
        "timezone": terms.timezone,
        "fiscal_start": terms.fiscal_start,
        "mode": terms.mode.value,
        "carry_over": terms.carry_over,
        "alerts": terms.alerts,
    }


def audit_form(row: BudgetRow, increases: list[IncreaseRow]) -> dict[str, Any]:
    """What the audit log keeps of a budget: what changes by intention, without the state of the window."""
    shown: list[Any] = msgspec.to_builtins([increase.view() for increase in increases])
    return {"id": row.rule_id, **terms_form(row), "increases": shown}


def _ms(at: datetime) -> int:
    return int(at.timestamp() * 1000)
