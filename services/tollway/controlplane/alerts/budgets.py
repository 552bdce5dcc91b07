"""The evaluator's look at budgets: a slice of them in each pass, what the ledger has of each, what they crossed."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

import msgspec

from tollway.controlplane.alerts import postgres
from tollway.controlplane.alerts.crossings import Watched, crossed
from tollway.controlplane.alerts.model import Concern, Firing
from tollway.controlplane.db.statements import Database, Statements
from tollway.controlplane.ledger.balances import balances
from tollway.core.rules import Budget, Increase, Mode, Period, Window, budget_window, window_before

_SQL = Statements(__package__ or "")
SLICE = 200
"""Budgets that are looked at in one pass."""


class BudgetRow(msgspec.Struct, frozen=True, kw_only=True):
    """A budget in use. `place` is where a slice goes on; `booked_as` is how the ledger names the subject."""

    place: UUID
    id: str
    scope: str
    subject: str
    booked_as: list[str]
    limit_nano: int
    period: Period
    timezone: str
    fiscal_start: str
    mode: Mode
    carry_over: bool
    alerts: list[float]
    since_ms: int
    increases: list[Increase]
    organisation: str
    business_unit: str
    project: str

    def watched(self) -> Watched:
        """The budget as a value, with whom it concerns."""
        budget = Budget(
            id=self.id,
            scope=self.scope,
            subject=self.subject,
            limit_nano=self.limit_nano,
            period=self.period,
            timezone=self.timezone,
            fiscal_start=self.fiscal_start,
            mode=self.mode,
            carry_over=self.carry_over,
            increases=tuple(self.increases),
            alerts=tuple(self.alerts),
            since_ms=self.since_ms,
        )
        concern = Concern(organisation=self.organisation, business_unit=self.business_unit, project=self.project)
        return Watched(budget=budget, concern=concern)


async def load(
    db: Database, after: UUID | None = None, *, scope: str = "", subject: str = "", limit: int = SLICE
) -> list[BudgetRow]:
    """Budgets in use after a place, or those of one subject (id or name)."""
    subjects = await postgres.subjects(db, scope, subject) if scope else []
    return await _SQL.all(db, "budgets", BudgetRow, after=after, scope=scope, subjects=subjects, limit=limit)


class BudgetWatch:
    """Goes round all budgets, a slice at a time."""

    def __init__(self) -> None:
        self._after: UUID | None = None

    async def look(self, db: Database, now_ms: int) -> list[Firing]:
        """What the next slice has crossed, whether it fired before or not."""
        rows = await load(db, self._after)
        self._after = rows[-1].place if len(rows) == SLICE else None
        return await crossings(db, rows, now_ms)


async def crossings(db: Database, rows: Sequence[BudgetRow], now_ms: int) -> list[Firing]:
    """What these budgets have crossed by the ledger's sums."""
    asked: list[tuple[BudgetRow, Window]] = []
    places: list[tuple[Watched, int, int | None]] = []
    for row in rows:
        watched = row.watched()
        budget = watched.budget
        window = budget_window(budget, now_ms)
        before = window_before(budget, window) if budget.carry_over else None
        asked.append((row, window))
        if before is not None:
            asked.append((row, before))
        places.append((watched, len(asked) - (2 if before else 1), len(asked) - 1 if before else None))
    used = await spent(db, asked)
    found: list[Firing] = []
    for watched, now_at, before_at in places:
        found += crossed(watched, now_ms, used[now_at], None if before_at is None else used[before_at])
    return found


async def spent(db: Database, asked: Sequence[tuple[BudgetRow, Window]]) -> list[int]:
    """Nano-dollars that the ledger has of each subject and window, in their order."""
    queries: list[_Query] = []
    owners: list[int] = []
    for number, (row, window) in enumerate(asked):
        for subject in row.booked_as:
            queries.append(_Query(scope=row.scope, subject=subject, start_ms=window.start_ms, end_ms=window.end_ms))
            owners.append(number)
    used = [0] * len(asked)
    for number, nano in zip(owners, await balances(db, queries), strict=True):
        used[number] += nano
    return used


class _Query(msgspec.Struct, frozen=True, kw_only=True):
    """A count as `balances` takes it."""

    scope: str
    subject: str
    start_ms: int
    end_ms: int | None
    measure: str = "cost"
    model: str = "*"
