"""Budgets and limits as the data planes get them. Read-only; expired increases are left out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import TypeVar
from uuid import UUID

import msgspec

from tollway.controlplane.db.statements import Database
from tollway.controlplane.rules import postgres
from tollway.controlplane.rules.model import Scope
from tollway.controlplane.rules.rows import BudgetRow, LimitSetRow
from tollway.core.rules import Budget, Limit, Rules

_Row = TypeVar("_Row", BudgetRow, LimitSetRow)
_IN_CATALOG = tuple(scope for scope in Scope if scope is not Scope.KEY)


async def catalog_rules(db: Database, now: datetime) -> dict[str, Rules]:
    """What holds for each subject but for keys, by the subjects that `Catalog.rules` has."""
    budgets = await _budgets(db, await postgres.budgets(db, _IN_CATALOG), now)
    limits = await _limits(db, await postgres.limit_sets(db, _IN_CATALOG))
    rows: list[BudgetRow | LimitSetRow] = [row for row, _ in budgets.values()]
    rows += [row for row, _ in limits.values()]
    found = {}
    for row in rows:
        key = (row.scope, row.subject)
        budget, held = budgets.get(key), limits.get(key)
        found[_place(row)] = Rules(budget=budget[1] if budget else None, limits=held[1] if held else ())
    return found


def _place(row: BudgetRow | LimitSetRow) -> str:
    """Projects stand by id, as requests name them; all else by name."""
    if row.scope is Scope.ORGANISATION:
        return row.scope.value
    return f"{row.scope.value}:{row.subject if row.scope is Scope.PROJECT else row.name}"


async def key_rules(db: Database, keys: Mapping[UUID, str], now: datetime) -> dict[UUID, Rules]:
    """What holds for these keys, given with the names that people know them by; keys without rules are left out."""
    ids = list(keys)
    budgets = await _budgets(db, [_named(row, keys) for row in await postgres.budgets_of_keys(db, ids)], now)
    limits = await _limits(db, [_named(row, keys) for row in await postgres.limit_sets_of_keys(db, ids)])
    found = {}
    for key in ids:
        place = (Scope.KEY, str(key))
        budget, held = budgets.get(place), limits.get(place)
        if budget or held:
            found[key] = Rules(budget=budget[1] if budget else None, limits=held[1] if held else ())
    return found


def _named(row: _Row, keys: Mapping[UUID, str]) -> _Row:
    return msgspec.structs.replace(row, name=keys[UUID(row.subject)])


async def _budgets(
    db: Database, rows: Sequence[BudgetRow], now: datetime
) -> dict[tuple[Scope, str], tuple[BudgetRow, Budget]]:
    increases = await postgres.increases(db, [row.id for row in rows], now)
    return {(row.scope, row.subject): (row, row.rule(increases[row.id])) for row in rows}


async def _limits(
    db: Database, rows: Sequence[LimitSetRow]
) -> dict[tuple[Scope, str], tuple[LimitSetRow, tuple[Limit, ...]]]:
    limits = await postgres.limits(db, [row.id for row in rows])
    found = {(row.scope, row.subject): (row, tuple(row.rule(limit) for limit in limits[row.id])) for row in rows}
    return {place: held for place, held in found.items() if held[1]}
