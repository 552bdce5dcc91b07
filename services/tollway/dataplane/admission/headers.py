"""Rate limits as clients see them: OpenAI's headers, or Anthropic's. Of several limits the tightest is shown.

What remains is what this process holds and what the pool had free a second ago at most: it never says too much for
longer than that.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from tollway.dataplane.admission.holding import Holding, Kind
from tollway.dataplane.endpoints.port import Dialect

FRESH_SECONDS = 1.0
_OPENAI = tuple(
    (f"x-ratelimit-limit-{what}", f"x-ratelimit-remaining-{what}", f"x-ratelimit-reset-{what}")
    for what in ("requests", "tokens")
)
_ANTHROPIC = tuple(
    (f"anthropic-ratelimit-{what}-limit", f"anthropic-ratelimit-{what}-remaining", f"anthropic-ratelimit-{what}-reset")
    for what in ("requests", "tokens")
)


Shown = tuple[tuple[Holding, ...], tuple[Holding, ...]]
"""Limits of requests, and of tokens."""


def shown(limits: Iterable[Holding]) -> Shown:
    """Those that clients are told of: concurrency has no window."""
    found = list(limits)
    requests, tokens = ([each for each in found if each.kind is kind] for kind in (Kind.REQUESTS, Kind.TOKENS))
    return tuple(requests), tuple(tokens)


def rate_headers(told: Shown, dialect: str, now_ms: int, loop_time: float) -> dict[str, str]:
    """The headers for limits, where there are any. `loop_time` is the loop's."""
    headers: dict[str, str] = {}
    anthropic = dialect == Dialect.ANTHROPIC
    end, reset = -1, ""
    for holdings, names in zip(told, _ANTHROPIC if anthropic else _OPENAI, strict=True):
        if not holdings:
            continue
        holding = holdings[0] if len(holdings) == 1 else _tightest(holdings, loop_time)
        limit_name, remaining_name, reset_name = names
        headers[limit_name] = str(holding.limit(now_ms))
        headers[remaining_name] = str(remaining(holding, loop_time))
        until = holding.window.end_ms or now_ms
        if until != end:
            end, reset = until, _date(until) if anthropic else duration(max(0, until - now_ms))
        headers[reset_name] = reset
    return headers


def _tightest(holdings: Sequence[Holding], loop_time: float) -> Holding:
    """Of which the smallest share is left."""
    return min(holdings, key=lambda holding: remaining(holding, loop_time) / (holding.limit(0) or 1))


def _date(milliseconds: int) -> str:
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat().replace("+00:00", "Z")


def remaining(holding: Holding, loop_time: float) -> int:
    """What is left of a limit in its window, as far as it is known."""
    free = max(0, holding.account.free)
    if holding.pool is not None and loop_time - holding.told_at <= FRESH_SECONDS:
        free += max(0, holding.pool.told.free)
    return min(free, holding.limit(0))


def duration(milliseconds: int) -> str:
    """As OpenAI writes it: "120ms", "1.5s", "6m0s", "1h2m3s"."""
    if milliseconds < 1000:
        return f"{milliseconds}ms"
    seconds, rest = divmod(milliseconds, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    shown = f"{seconds + rest / 1000:g}s"
    if hours:
        return f"{hours}h{minutes}m{shown}"
    return f"{minutes}m{shown}" if minutes else shown
