"""What a provider tells of its own rate limits beside each answer, heeded before it refuses.

Owns the names and forms of the headers. Both families describe a bucket that fills steadily: `remaining` is what is in
it, `reset` when it is full again, `limit` how much fits in. From these follows when a request of a size may be sent.
OpenAI and Azure: https://platform.openai.com/docs/guides/rate-limits (durations such as `6m0s`, `12ms`);
Anthropic: https://docs.anthropic.com/en/api/rate-limits (RFC 3339 times). Headers that say nothing cost a look-up.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from enum import IntEnum
from typing import NamedTuple

MOST_SECONDS = 3600.0
"""Longer ones are not believed: a wrong clock must not put a credential away for a day."""
ASSUMED_SECONDS = 1.0
"""Where nothing is left and the provider does not say until when."""
NOT_TOLD = 1 << 62


class Family(IntEnum):
    """In which headers a provider tells."""

    OPENAI = 0
    ANTHROPIC = 1


class _Names(NamedTuple):
    remaining: str
    limit: str
    reset: str


def _openai(what: str) -> _Names:
    return _Names(f"x-ratelimit-remaining-{what}", f"x-ratelimit-limit-{what}", f"x-ratelimit-reset-{what}")


def _anthropic(what: str) -> _Names:
    begin = f"anthropic-ratelimit-{what}"
    return _Names(f"{begin}-remaining", f"{begin}-limit", f"{begin}-reset")


_REQUESTS = {Family.OPENAI: _openai("requests"), Family.ANTHROPIC: _anthropic("requests")}
_TOKENS = {
    Family.OPENAI: (_openai("tokens"),),
    Family.ANTHROPIC: (_anthropic("tokens"), _anthropic("input-tokens"), _anthropic("output-tokens")),
}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|us|µs|ns|d|h|m|s)")
_UNITS = {"d": 86400.0, "h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}


def duration_of(text: str) -> float | None:
    """Seconds of a duration such as `1h2m3.5s`, `12ms` or a bare number; None when it is neither."""
    total, position = 0.0, 0
    for match in _PART.finditer(text):
        if match.start() != position:
            return None
        total += float(match[1]) * _UNITS[match[2]]
        position = match.end()
    if position:
        return total if position == len(text) else None
    return float(text) if text.isascii() and text.replace(".", "", 1).isdigit() else None


def moment_of(text: str) -> float | None:
    """Unix seconds of an RFC 3339 time; None when it is none."""
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment.timestamp() if moment.tzinfo is not None else None


def _number(headers: Mapping[str, str], name: str) -> int | None:
    text = headers.get(name)
    return int(text) if text is not None and len(text) < 19 and text.isascii() and text.isdigit() else None


class ToldLimits:
    """What one credential has left at one target, as last told and as used since. `family` is the provider's."""

    __slots__ = ("_at", "_headers", "_names", "_unix", "family", "requests", "tokens")

    def __init__(self, family: Family) -> None:
        self.family = family
        self.requests = NOT_TOLD
        self.tokens = NOT_TOLD
        self._names: _Names | None = None
        self._headers: Mapping[str, str] = {}
        self._at = 0.0
        self._unix = 0.0

    def tell(self, headers: Mapping[str, str], now: float, unix: float) -> None:
        """Reads how much is left. `headers` finds names in lower case; `unix` is now as Unix seconds.

        Until when is read only once it matters.
        """
        requests = _number(headers, _REQUESTS[self.family].remaining)
        tokens, names = None, None
        for each in _TOKENS[self.family]:
            left = _number(headers, each.remaining)
            if left is not None and (tokens is None or left < tokens):
                tokens, names = left, each
        if requests is None and tokens is None:
            return
        self.requests = NOT_TOLD if requests is None else requests
        self.tokens = NOT_TOLD if tokens is None else tokens
        self._names, self._headers, self._at, self._unix = names, headers, now, unix

    def use(self, tokens: int) -> None:
        """A request of so many tokens is sent; until the next answer tells, that much less is left."""
        self.requests -= 1
        self.tokens -= tokens

    def ready_at(self, tokens: int, now: float) -> float:
        """When a request of so many tokens fits, as far as was told: `now` or before, or a later time."""
        if self.requests >= 1 and self.tokens >= tokens:
            return now
        ready = now
        if self.requests < 1:
            ready = max(ready, self._filled(_REQUESTS[self.family], self.requests, 1))
        if self.tokens < tokens and self._names is not None:
            ready = max(ready, self._filled(self._names, self.tokens, tokens))
        if ready <= now:  # the bucket has filled since: what was told says nothing any more
            self.requests = self.tokens = NOT_TOLD
        return ready

    def _filled(self, names: _Names, left: int, wanted: int) -> float:
        """When a bucket that holds `left` holds `wanted`, or all that fits in."""
        text = self._headers.get(names.reset)
        seconds: float | None = None
        if text is not None and self.family is Family.OPENAI:
            seconds = duration_of(text)
        elif text is not None and (moment := moment_of(text)) is not None:
            seconds = moment - self._unix
        if seconds is None:
            seconds = ASSUMED_SECONDS
        seconds = min(max(seconds, 0.0), MOST_SECONDS)
        told = _number(self._headers, names.remaining) or 0
        limit = _number(self._headers, names.limit)
        if limit is None or limit <= told:
            return self._at + seconds
        return self._at + min((min(wanted, limit) - left) / (limit - told), 1.0) * seconds
