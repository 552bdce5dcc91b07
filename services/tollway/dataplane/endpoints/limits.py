"""Hard budgets at the endpoints: what is asked of whom, for its bound, and the limit of output that is written.

Owns how the values of this port become those of `tollway.core.bounding`, and the smaller of two limits.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec
from msgspec import Raw

from tollway.core.bounding.conversations import Asking
from tollway.core.dialects import openai_responses
from tollway.core.dialects.head import decoded
from tollway.core.dialects.openai_habits import Changes
from tollway.core.errors import Code, TollwayError
from tollway.core.operations import Operation
from tollway.dataplane.endpoints.port import Asked, Known, Target

_LONG_CONTEXT = "context-1m"
_CHAT_LIMITS = ("max_completion_tokens", "max_tokens")
_MIN_THINKING = 1024


def asking_of(operation: Operation, asked: Asked, target: Target, known: Known) -> Asking:
    """Who is asked for `operation`, as the bounds want to know it."""
    kind = target.provider.kind.value
    return Asking(
        kind,
        target.model,
        operation,
        target.native,
        known.price,
        known.context_tokens,
        target.max_output_tokens,
        kind == "anthropic" and _wants_long_context(asked.headers),
    )


def _wants_long_context(headers: Mapping[str, str]) -> bool:
    return any(name.lower() == "anthropic-beta" and _LONG_CONTEXT in value for name, value in headers.items())


def stored_items(asked: Asked) -> Sequence[Raw]:
    """The stored items that go with a response: earlier turns, and items that are only named, as often as they are."""
    memory = asked.memory
    if memory is None:
        return ()
    named = openai_responses.references(asked.head)
    return (*memory.earlier, *(memory.known[name] for _, name in named if name in memory.known))


def smaller(limit: int | None, cap: int | None) -> int | None:
    """The limit of output to write: the client's or the cap, whichever is less; None: neither is there."""
    if limit is None or cap is None:
        return cap if limit is None else limit
    return min(limit, cap)


def _lowered(limit: int | None, cap: int | None) -> int | None:
    """The cap where it is less than the client's limit, so that it must be written; None: it is not."""
    return cap if cap is not None and (limit is None or cap < limit) else None


def capped_openai(change: Changes, asked: Asked, target: Target) -> Changes:
    """`change` with the cap in the one field that the target reads, so that no other limit can be taken for it."""
    if asked.output_cap is None:
        return change
    fields = asked.head.fields
    present = [name for name in _CHAT_LIMITS if name in fields]
    limit = smaller(asked.head.max_tokens, asked.output_cap)
    if limit == asked.head.max_tokens and len(present) == 1:
        return change
    field = target.habits.max_tokens_field if target.native is Operation.CHAT else "max_tokens"
    others = tuple(name for name in present if name != field and name not in change.without)
    changes = {**(change.changes or {}), field: _raw(limit)}
    kept = tuple(name for name in change.without if name != field)
    return Changes(changes, (*kept, *others), change.dropped)


def capped_messages(asked: Asked) -> dict[str, Raw]:
    """What changes in a Messages request under the cap: `max_tokens`, and a budget of thinking that it has no room for.

    Raises TollwayError(unsupported_parameter) when the cap leaves no room for the least budget.
    """
    cap = _lowered(asked.head.max_tokens, asked.output_cap)
    if cap is None:
        return {}
    changes = {"max_tokens": _raw(cap)}
    raw = asked.head.fields.get("thinking")
    thinking = decoded(raw) if raw is not None else None
    budget = thinking.get("budget_tokens") if isinstance(thinking, dict) else None
    if isinstance(thinking, dict) and isinstance(budget, int) and budget >= cap:
        if cap <= _MIN_THINKING:
            raise TollwayError(
                Code.UNSUPPORTED_PARAMETER,
                f"What is left of a budget pays for {cap} tokens of output, which has no room for "
                f"'thinking.budget_tokens' ({_MIN_THINKING} at least). Send the request without thinking.",
                param="thinking.budget_tokens",
            )
        changes["thinking"] = Raw(msgspec.json.encode(thinking | {"budget_tokens": cap - 1}))
    return changes


def capped_response(asked: Asked) -> dict[str, Raw]:
    """What changes in a Responses request under the cap."""
    cap = _lowered(asked.head.max_tokens, asked.output_cap)
    return {} if cap is None else {"max_output_tokens": _raw(cap)}


def _raw(limit: int | None) -> Raw:
    return Raw(msgspec.json.encode(limit))
