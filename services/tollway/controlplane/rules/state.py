"""What budgets are at a moment: their window, the limit in force, and what the ledger says was used."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from tollway.controlplane.db.statements import Database
from tollway.controlplane.ledger.balances import balances, key_families
from tollway.controlplane.resources import from_ms
from tollway.controlplane.rules.model import Scope
from tollway.controlplane.rules.rows import BudgetRow, BudgetState, IncreaseRow
from tollway.core.rules import Window, budget_window, carried_over, limit_at, window_before


class _Question(msgspec.Struct, frozen=True):
    """One sum of the ledger: what a subject, as the ledger names it, cost in a window."""

    scope: str
    subject: str
    start_ms: int
    end_ms: int | None
    measure: str = "cost"
    model: str = "*"


async def states(
    db: Database, rows: Sequence[BudgetRow], increases: Mapping[UUID, list[IncreaseRow]], now_ms: int
) -> dict[UUID, BudgetState]:
    """The state of each budget at `now_ms`, by the budget's id."""
    questions: list[tuple[UUID, bool, _Question]] = []
    windows: dict[UUID, Window] = {}
    for row in rows:
        budget = row.rule([])
        windows[row.id] = budget_window(budget, now_ms)
        before = window_before(budget, windows[row.id]) if row.carry_over else None
        questions.append((row.id, False, _Question(row.scope.value, _subject(row), *windows[row.id])))
        if before is not None:
            questions.append((row.id, True, _Question(row.scope.value, _subject(row), *before)))
    families = await key_families(db, (row.subject for row in rows if row.scope is Scope.KEY))
    counted = await balances(db, [asked for *_, asked in questions], families=families)
    used = {(budget_id, earlier): nano for (budget_id, earlier, _), nano in zip(questions, counted, strict=True)}
    found = {}
    for row in rows:
        rule = row.rule(increases[row.id])
        carried = carried_over(rule, used[row.id, True]) if (row.id, True) in used else 0
        window = windows[row.id]
        found[row.id] = BudgetState(
            window_start=None if window.end_ms is None else from_ms(window.start_ms),
            window_end=_time(window.end_ms),
            limit_nano=limit_at(rule, now_ms) + carried,
            carried_nano=carried,
            used_nano=used[row.id, False],
        )
    return found


def _subject(row: BudgetRow) -> str:
    """A subject as the ledger has it: ids of projects and keys, names of all else."""
    return row.subject if row.scope in (Scope.PROJECT, Scope.KEY) else row.name


def _time(at_ms: int | None) -> datetime | None:
    return None if at_ms is None else from_ms(at_ms)
