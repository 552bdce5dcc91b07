"""The usage object of OpenAI's Responses API to the neutral form and back.

Owns its names; a count that is missing is unknown, an explicit zero is zero.
"""

from __future__ import annotations

from typing import Any

from tollway.core.usage import Usage


def _count(holder: Any, name: str) -> int | None:
    """A token count of `holder`, or None when it has none."""
    value = holder.get(name) if isinstance(holder, dict) else None
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 2**53:
        return int(value)
    return None


def read_usage(value: Any) -> Usage | None:
    """The usage of a decoded usage object; None when it does not say how many tokens the input had.

    Cache writes have no duration here that is priced apart, and are counted as the short one.
    """
    total_in = _count(value, "input_tokens")
    if total_in is None:
        return None
    total_out = _count(value, "output_tokens")
    if total_out is None:
        total_out = max(0, (_count(value, "total_tokens") or 0) - total_in)
    details_in, details_out = value.get("input_tokens_details"), value.get("output_tokens_details")
    return Usage(
        input=total_in,
        cached_input=min(_count(details_in, "cached_tokens") or 0, total_in),
        cache_write_5m=min(_count(details_in, "cache_write_tokens") or 0, total_in),
        output=total_out,
        reasoning=min(_count(details_out, "reasoning_tokens") or 0, total_out),
    )


def write_usage(usage: Usage) -> dict[str, Any]:
    """The usage object that OpenAI's clients read; cached tokens and cache writes are parts of the input."""
    return {
        "input_tokens": usage.input,
        "input_tokens_details": {
            "cached_tokens": usage.cached_input,
            "cache_write_tokens": usage.cache_write_5m + usage.cache_write_1h,
        },
        "output_tokens": usage.output,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning},
        "total_tokens": usage.input + usage.output,
    }
