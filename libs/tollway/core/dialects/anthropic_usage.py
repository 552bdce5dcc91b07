"""Anthropic's usage object to the neutral form and back.

Owns its traps: input counts leave cached tokens out, cache writes have two prices told apart only in a nested object,
compaction and advisor turns are billed by `iterations` beside the top level, and a stream repeats and corrects itself.
"""

from __future__ import annotations

from typing import Any

import msgspec

from tollway.core.usage import Usage

# What `read_usage` reads. Nothing else is kept of a stream: an event would cost what all events before it said.
_READ = frozenset(
    {
        "cache_creation",
        "cache_creation_input_tokens",
        "cache_read_input_tokens",
        "input_tokens",
        "iterations",
        "output_tokens",
        "output_tokens_details",
        "server_tool_use",
    }
)


def _count(holder: Any, name: str) -> int:
    value = holder.get(name) if isinstance(holder, dict) else None
    if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 2**53:
        return int(value)
    return 0


def merge_usage(known: dict[str, Any], seen: Any) -> dict[str, Any]:
    """`known` with what a later event says: its values are cumulative, so the last one that is not null wins."""
    if not isinstance(seen, dict):
        return known
    return known | {name: seen[name] for name in _READ if seen.get(name) is not None}


def _flat(value: dict[str, Any]) -> Usage:
    """One usage object without its iterations."""
    nested = value.get("cache_creation")
    short, long = _count(nested, "ephemeral_5m_input_tokens"), _count(nested, "ephemeral_1h_input_tokens")
    # Without the split (older answers), or with a part of it, the rest was written for the default five minutes.
    short += max(0, _count(value, "cache_creation_input_tokens") - short - long)
    read = _count(value, "cache_read_input_tokens")
    output = _count(value, "output_tokens")
    return Usage(
        input=_count(value, "input_tokens") + read + short + long,
        cached_input=read,
        cache_write_5m=short,
        cache_write_1h=long,
        output=output,
        reasoning=min(_count(value.get("output_tokens_details"), "thinking_tokens"), output),
        searches=_count(value.get("server_tool_use"), "web_search_requests"),
    )


def read_usage(value: Any) -> Usage | None:
    """The usage of a decoded usage object; None when it names neither input nor output.

    With `iterations`, every one was billed; the top level holds some of them, so the greater figure of each counts.
    """
    if not isinstance(value, dict) or not {"input_tokens", "output_tokens"} & value.keys():
        return None
    top = _flat(value)
    iterations = value.get("iterations")
    if not isinstance(iterations, list):
        return top
    turns = [_flat(turn) for turn in iterations if isinstance(turn, dict)]
    totals = {
        name: max(getattr(top, name), sum(getattr(turn, name) for turn in turns)) for name in Usage.__struct_fields__
    }
    return msgspec.convert(totals, Usage)


def write_usage(usage: Usage | None) -> dict[str, Any]:
    """The usage object that Anthropic's clients read; its input leaves out what was read from and written to a cache.

    None, a provider that told nothing, is zeros: the field is required and there is no word for "unknown".
    """
    if usage is None:
        return {"input_tokens": 0, "output_tokens": 0}
    written = usage.cache_write_5m + usage.cache_write_1h
    body: dict[str, Any] = {
        "input_tokens": max(0, usage.input - usage.cached_input - written),
        "cache_creation_input_tokens": written,
        "cache_read_input_tokens": usage.cached_input,
        "cache_creation": {
            "ephemeral_5m_input_tokens": usage.cache_write_5m,
            "ephemeral_1h_input_tokens": usage.cache_write_1h,
        },
        "output_tokens": usage.output,
    }
    if usage.reasoning:
        body["output_tokens_details"] = {"thinking_tokens": usage.reasoning}
    if usage.searches:
        body["server_tool_use"] = {"web_search_requests": usage.searches, "web_fetch_requests": 0}
    return body
