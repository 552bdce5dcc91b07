"""Rate limits as clients see them: OpenAI's headers, or Anthropic's. Of several limits the tightest is shown.

What remains is what this process holds and what the pool had free a second ago at most: it never says too much for
longer than that.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from tollway.core.rules import Limit, Measure
from tollway.dataplane.admission.holding import Holding
from tollway.dataplane.endpoints.port import Dialect

FRESH_SECONDS = 1.0
_SHOWN = (Measure.REQUESTS, Measure.TOKENS)


def rate_headers(holdings: Iterable[Holding], dialect: str, now_ms: int, loop_time: float) -> dict[str, str]:
    """The headers for the limits of a request; none for concurrency, which has no window. `loop_time` is the loop's."""
    tightest: dict[Measure, tuple[float, Holding, Limit, int]] = {}
    for holding in holdings:
        rule = holding.rule
        if not isinstance(rule, Limit) or rule.measure not in _SHOWN:
            continue
        left = remaining(holding, rule, loop_time)
        share = left / rule.amount if rule.amount else 0.0
        if rule.measure not in tightest or share < tightest[rule.measure][0]:
            tightest[rule.measure] = (share, holding, rule, left)
    headers: dict[str, str] = {}
    for measure, (_, holding, rule, left) in tightest.items():
        end = holding.window.end_ms or now_ms
        if dialect == Dialect.ANTHROPIC:
            name = f"anthropic-ratelimit-{measure.value}"
            headers[f"{name}-limit"] = str(rule.amount)
            headers[f"{name}-remaining"] = str(left)
            headers[f"{name}-reset"] = datetime.fromtimestamp(end / 1000, UTC).isoformat().replace("+00:00", "Z")
        else:
            headers[f"x-ratelimit-limit-{measure.value}"] = str(rule.amount)
            headers[f"x-ratelimit-remaining-{measure.value}"] = str(left)
            headers[f"x-ratelimit-reset-{measure.value}"] = duration(max(0, end - now_ms))
    return headers


def remaining(holding: Holding, limit: Limit, loop_time: float) -> int:
    """What is left of a limit in its window, as far as it is known."""
    free = max(0, holding.account.free)
    if holding.pool is not None and loop_time - holding.told_at <= FRESH_SECONDS:
        free += max(0, holding.pool.told.free)
    return min(free, limit.amount)


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
