"""Which alerts a budget's use gives. Pure: amounts in nano-dollars, the moment is an argument."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from tollway.controlplane.alerts.model import AlertKind, Concern, Firing, Severity
from tollway.core.money import format_dollars
from tollway.core.rules import Budget, Mode, Window, budget_window, carried_over, limit_at

KEEP_MS = 400 * 86_400_000
"""How long an alert stays in the log after its window."""


class Watched(msgspec.Struct, frozen=True, kw_only=True):
    """A budget with the names of whom it concerns."""

    budget: Budget
    concern: Concern


def in_force(budget: Budget, at_ms: int, used_before: int | None) -> int:
    """The limit with increases, and with what the window before left (`used_before`, None: there is none)."""
    carried = carried_over(budget, used_before) if budget.carry_over and used_before is not None else 0
    return limit_at(budget, at_ms) + carried


def crossed(watched: Watched, at_ms: int, used: int, used_before: int | None = None) -> Iterator[Firing]:
    """The thresholds that `used`, what the ledger has of the window of `at_ms`, has reached, and exhaustion."""
    budget = watched.budget
    window = budget_window(budget, at_ms)
    limit = in_force(budget, at_ms, used_before)
    if limit <= 0:
        return
    for fraction in sorted(set(budget.alerts)):
        # Fractions are kept to a millionth, so that the comparison is one of integers.
        if used * 1_000_000 >= limit * round(fraction * 1_000_000):
            yield _threshold(watched, window, fraction, used, limit)
    if used >= limit:
        yield exhausted(watched, at_ms, used=used, limit=limit)


def _threshold(watched: Watched, window: Window, fraction: float, used: int, limit: int) -> Firing:
    budget = watched.budget
    percent = f"{fraction * 100:g} %"
    return Firing(
        kind=AlertKind.BUDGET_THRESHOLD,
        severity=Severity.WARNING,
        crossing=f"{AlertKind.BUDGET_THRESHOLD}|{budget.id}|{window.start_ms}|{fraction:g}",
        summary=f"{_shown(budget)} has used {percent} of its budget: "
        f"{format_dollars(used)} of {format_dollars(limit)} US dollars",
        scope=budget.scope,
        subject=budget.subject,
        concern=watched.concern,
        details=_details(budget, window, used, limit) | {"threshold": f"{fraction:g}"},
        forget_ms=_forget(window),
    )


def exhausted(watched: Watched, at_ms: int, *, used: int | None = None, limit: int | None = None) -> Firing:
    """The alert that nothing more fits into a budget in the window of `at_ms`."""
    budget = watched.budget
    window = budget_window(budget, at_ms)
    hard = budget.mode is Mode.HARD
    what = "requests are refused" if hard else "requests go on, as the budget is soft"
    amount = "" if used is None or limit is None else f" ({format_dollars(used)} of {format_dollars(limit)} US dollars)"
    return Firing(
        kind=AlertKind.BUDGET_EXHAUSTED,
        severity=Severity.CRITICAL if hard else Severity.WARNING,
        crossing=f"{AlertKind.BUDGET_EXHAUSTED}|{budget.id}|{window.start_ms}",
        summary=f"the budget of {_shown(budget)} is used up{amount}: {what}",
        scope=budget.scope,
        subject=budget.subject,
        concern=watched.concern,
        details=_details(budget, window, used, limit),
        forget_ms=_forget(window),
    )


def _shown(budget: Budget) -> str:
    return f"{budget.scope.replace('_', ' ')} {budget.subject}"


def _forget(window: Window) -> int | None:
    return None if window.end_ms is None else window.end_ms + KEEP_MS


def _details(budget: Budget, window: Window, used: int | None, limit: int | None) -> dict[str, str]:
    found = {"budget": budget.id, "mode": budget.mode.value, "period": budget.period.value}
    if window.end_ms is not None:
        found |= {"window_start_ms": str(window.start_ms), "window_end_ms": str(window.end_ms)}
    if used is not None:
        found["used"] = format_dollars(used)
    if limit is not None:
        found["limit"] = format_dollars(limit)
    return found
