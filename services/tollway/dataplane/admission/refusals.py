"""The words of a refusal: whose rule it is, the limit, what is used, and when there is room again."""

from __future__ import annotations

import math
from datetime import UTC, datetime

from tollway.core.errors import Code, TollwayError
from tollway.core.money import format_dollars
from tollway.core.rules import Budget, Limit, Measure
from tollway.dataplane.admission.holding import Holding

PLACES_RETRY_SECONDS = 1.0
AWAY_RETRY_SECONDS = 1.0
_WINDOWS = {60: "minute", 3600: "hour", 86_400: "day"}


def refusal(holding: Holding, amount: int, now_ms: int | None) -> TollwayError:
    """The refusal by one rule. `now_ms` None: by this process's share alone, while the counters are away."""
    rule = holding.rule
    return _budget(holding, rule, amount) if isinstance(rule, Budget) else _limit(holding, rule, amount, now_ms)


def whose(rule: Budget | Limit) -> str:
    """The subject in words: project 'demo'."""
    return f"{rule.scope.replace('_', ' ')} '{rule.subject}'" if rule.subject else rule.scope.replace("_", " ")


def _budget(holding: Holding, budget: Budget, amount: int) -> TollwayError:
    told = holding.pool.told if holding.pool is not None else None
    limit = told.limit if told is not None else budget.limit_nano
    used = told.spent if told is not None else 0
    held = told.held if told is not None else 0
    reset = _moment(holding.window.end_ms)
    text = (
        f"The budget of {whose(budget)} does not cover this request, which may cost {format_dollars(amount)}: "
        f"{format_dollars(used)} of {format_dollars(limit)} US dollars are used and {format_dollars(held)} reserved by "
        "requests under way."
    )
    text += f" It begins anew at {reset}." if reset else " Ask for a higher limit."
    error = TollwayError(Code.BUDGET_EXCEEDED, text)
    error.details = {
        "scope": budget.scope,
        "subject": budget.subject,
        "limit": format_dollars(limit),
        "used": format_dollars(used),
        "reserved": format_dollars(held),
        "reset_at": reset,
    }
    return error


def _limit(holding: Holding, limit: Limit, amount: int, now_ms: int | None) -> TollwayError:
    places = limit.measure is Measure.CONCURRENT
    per = "at once" if places else f"per {_WINDOWS.get(limit.window_seconds, f'{limit.window_seconds} s')}"
    what = "requests" if limit.measure is not Measure.TOKENS else "tokens"
    models = f" for the models '{limit.model}'" if limit.model != "*" else ""
    told = holding.pool.told if holding.pool is not None else None
    used = told.spent + told.held if told is not None else holding.account.spent + holding.account.reserved
    end = holding.window.end_ms
    text = f"Rate limit of {whose(limit)}{models}: {limit.amount} {what} {per}. Used: {min(used, limit.amount)}; "
    if amount > limit.amount:
        remedy = "Make it smaller." if limit.amount else "Ask for a higher limit."
        error = TollwayError(Code.RATE_LIMIT_EXCEEDED, f"{text}this request alone needs {amount}. {remedy}")
        error.retryable = False
    else:
        wait = PLACES_RETRY_SECONDS if end is None else AWAY_RETRY_SECONDS
        if end is not None and now_ms is not None:
            wait = max(0.001, (end - now_ms) / 1000)
        text += f"this request needs {amount}. Try again in {math.ceil(wait)} s."
        error = TollwayError(Code.RATE_LIMIT_EXCEEDED, text, retry_after_seconds=wait)
    error.kind = "tokens" if limit.measure is Measure.TOKENS else None
    error.details = {
        "scope": limit.scope,
        "subject": limit.subject,
        "limit": limit.amount,
        "used": used,
        "reset_at": _moment(end),
    }
    return error


def counters_away(holding: Holding) -> TollwayError:
    """It cannot be known whether there is room: try again in a moment."""
    what = "budget" if isinstance(holding.rule, Budget) else "rate limit"
    return TollwayError(
        Code.OVERLOADED,
        f"The {what} of {whose(holding.rule)} cannot be checked at the moment. Please retry.",
        retry_after_seconds=AWAY_RETRY_SECONDS,
        operator_note="the counters in Redis do not answer, or the ledger does not say what was used before",
    )


def _moment(at_ms: int | None) -> str | None:
    """RFC 3339, or None: never."""
    return None if at_ms is None else datetime.fromtimestamp(at_ms / 1000, UTC).isoformat().replace("+00:00", "Z")
