"""Reads and writes the tables of budgets and limits. It never decides what is allowed.

The id of a rule is random, so that none comes again, not even in a database that was restored: counters live elsewhere,
and go on under the ids that they know.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from uuid_utils.compat import uuid7

from tollway.controlplane.access.reach import places
from tollway.controlplane.call import Reach
from tollway.controlplane.db.statements import Database, Statements
from tollway.controlplane.rules.model import Scope, Subject
from tollway.controlplane.rules.rows import BudgetRow, IncreaseRow, LimitRow, LimitSetRow, Terms

_SQL = Statements(__package__ or "")
Lock = Literal["", "_for_update"]


def _rule_id(letter: str) -> str:
    """A letter and 64 random bits, 14 lower-case characters together."""
    return letter + base64.b32encode(os.urandom(8)).decode().rstrip("=").lower()


async def budget(db: Database, subject: Subject, lock: Lock = "") -> BudgetRow | None:
    """The budget of a subject."""
    name = f"budget{lock}"
    return await _SQL.one(db, name, BudgetRow, scope=subject.scope.value, subject=subject.id, name=subject.name)


async def budget_by_id(db: Database, budget_id: UUID) -> BudgetRow:
    """The budget with that id, locked, without the name of its subject; it must exist."""
    row = await _SQL.one(db, "budget_by_id", BudgetRow, id=budget_id)
    assert row is not None
    return row


async def budgets(
    db: Database, scopes: Iterable[Scope], after: str = "", limit: int | None = None, reach: Reach | None = None
) -> list[BudgetRow]:
    """Budgets of live subjects by reference ("project:demo"), after one, within a reach."""
    names = [scope.value for scope in scopes]
    return await _SQL.all(db, "budgets", BudgetRow, scopes=names, after=after, limit=limit, **places(reach))


async def budgets_of_keys(db: Database, keys: Sequence[UUID]) -> list[BudgetRow]:
    """The budgets of these keys, without names."""
    return await _SQL.all(db, "budgets_of_keys", BudgetRow, keys=[str(key) for key in keys])


def _terms(terms: Terms) -> dict[str, Any]:
    return {
        "limit_nano": terms.limit_nano,
        "period": terms.period.value,
        "timezone": terms.timezone,
        "fiscal_start": terms.fiscal_start,
        "mode": terms.mode.value,
        "carry_over": terms.carry_over,
        "alerts": terms.alerts,
    }


async def insert_budget(db: Database, subject: Subject, terms: Terms, at: datetime) -> bool:
    """A new budget; False when the subject has one."""
    touched = await _SQL.run(
        db,
        "insert_budget",
        id=uuid7(),
        rule_id=_rule_id("b"),
        scope=subject.scope.value,
        subject=subject.id,
        at=at,
        **_terms(terms),
    )
    return touched == 1


async def update_budget(db: Database, budget_id: UUID, terms: Terms, at: datetime) -> None:
    """Writes what can change of a budget."""
    await _SQL.run(db, "update_budget", id=budget_id, at=at, **_terms(terms))


async def touch_budget(db: Database, budget_id: UUID, at: datetime) -> None:
    """A new revision: its increases changed."""
    await _SQL.run(db, "touch_budget", id=budget_id, at=at)


async def remove_budget(db: Database, budget_id: UUID, at: datetime) -> None:
    """Marks a budget as removed."""
    await _SQL.run(db, "remove_budget", id=budget_id, at=at)


async def increases(db: Database, budget_ids: Sequence[UUID], at: datetime) -> dict[UUID, list[IncreaseRow]]:
    """The increases in force or to come at `at`, by budget; every id has its list."""
    found: dict[UUID, list[IncreaseRow]] = {budget_id: [] for budget_id in budget_ids}
    for row in await _SQL.all(db, "increases", IncreaseRow, budgets=list(budget_ids), at=at):
        found[row.budget_id].append(row)
    return found


async def insert_increase(
    db: Database,
    budget_id: UUID,
    amount_nano: int,
    starts_at: datetime,
    ends_at: datetime,
    reason: str,
    by: str,
    at: datetime,
) -> None:
    """A new increase."""
    await _SQL.run(
        db,
        "insert_increase",
        id=uuid7(),
        budget=budget_id,
        amount=amount_nano,
        starts_at=starts_at,
        ends_at=ends_at,
        reason=reason,
        by=by,
        at=at,
    )


async def revoke_increase(db: Database, increase_id: UUID, at: datetime) -> None:
    """Marks an increase as revoked."""
    await _SQL.run(db, "revoke_increase", id=increase_id, at=at)


async def limit_set(db: Database, subject: Subject, lock: Lock = "") -> LimitSetRow | None:
    """The set of limits of a subject; an empty one may be there or not."""
    name = f"limit_set{lock}"
    return await _SQL.one(db, name, LimitSetRow, scope=subject.scope.value, subject=subject.id, name=subject.name)


async def limit_set_by_id(db: Database, set_id: UUID) -> LimitSetRow:
    """The set with that id, locked, without the name of its subject; it must exist."""
    row = await _SQL.one(db, "limit_set_by_id", LimitSetRow, id=set_id)
    assert row is not None
    return row


async def limit_sets(
    db: Database,
    scopes: Iterable[Scope],
    after: str = "",
    limit: int | None = None,
    *,
    managed: bool = False,
    reach: Reach | None = None,
) -> list[LimitSetRow]:
    """Sets of live subjects that have limits, by reference; with `managed`, also empty ones of declarative sets."""
    names = [scope.value for scope in scopes]
    return await _SQL.all(
        db, "limit_sets", LimitSetRow, scopes=names, after=after, limit=limit, managed=managed, **places(reach)
    )


async def limit_sets_of_keys(db: Database, keys: Sequence[UUID]) -> list[LimitSetRow]:
    """The sets of these keys, without names."""
    return await _SQL.all(db, "limit_sets_of_keys", LimitSetRow, keys=[str(key) for key in keys])


async def insert_limit_set(db: Database, subject: Subject, at: datetime) -> bool:
    """A new set without limits; False when the subject has one."""
    scope = subject.scope.value
    return await _SQL.run(db, "insert_limit_set", id=uuid7(), scope=scope, subject=subject.id, at=at) == 1


async def touch_limit_set(db: Database, set_id: UUID, at: datetime) -> None:
    """A new revision: its limits changed."""
    await _SQL.run(db, "touch_limit_set", id=set_id, at=at)


async def limits(db: Database, set_ids: Sequence[UUID]) -> dict[UUID, list[LimitRow]]:
    """The limits by set, in a fixed order; every id has its list."""
    found: dict[UUID, list[LimitRow]] = {set_id: [] for set_id in set_ids}
    for row in await _SQL.all(db, "limits", LimitRow, sets=list(set_ids)):
        found[row.set_id].append(row)
    return found


async def drop_limits(db: Database, rule_ids: Sequence[str]) -> None:
    """Removes limits."""
    await _SQL.run(db, "drop_limits", rules=list(rule_ids))


async def put_limit(
    db: Database, set_id: UUID, *, measure: str, window_seconds: int, model: str, amount: int, on_outage: str
) -> None:
    """A limit, new or in the place of that of the same measure, window and model, which keeps its id."""
    await _SQL.run(
        db,
        "put_limit",
        rule_id=_rule_id("l"),
        set=set_id,
        measure=measure,
        window_seconds=window_seconds,
        model=model,
        amount=amount,
        on_outage=on_outage,
    )


async def move(db: Database, old_key: UUID, new_key: UUID) -> None:
    """Gives budget and limits of a key to its successor, under the ids that they have."""
    for name in ("move_budget", "move_limit_set"):
        await _SQL.run(db, name, **{"from": str(old_key), "to": str(new_key)})
