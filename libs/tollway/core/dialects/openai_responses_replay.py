"""A Responses request for a provider that speaks the same dialect, with the history that the gateway kept.

Owns the rewriting: the provider stores nothing, so what it is to know of earlier turns goes into the input. What it
could not read or find there is left out. Everything else is copied byte for byte.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Raw

from tollway.core.dialects.head import Head, present, splice
from tollway.core.dialects.openai_responses_answer import OWN_ID
from tollway.core.dialects.openai_responses_head import decode_at, references
from tollway.core.dialects.openai_responses_sealed import is_ours
from tollway.core.errors import Code, TollwayError

_ENCRYPTED = "reasoning.encrypted_content"
# Those that do not reason refuse to be asked for encrypted reasoning, so a name has to tell; Azure deployments may have
# any name, and are asked when the client speaks of reasoning itself.
_REASONS = re.compile(r"(?:ft:)?(?:o\d|gpt-5|gpt-[6-9]|codex)(?!.*-chat)")
_FALSE = Raw(b"false")


class _Item(msgspec.Struct):
    type: Any = None
    role: Any = None
    id: Any = None
    encrypted_content: Any = None

    def is_lost(self) -> bool:
        """Whether it is reasoning that its provider has not kept and cannot read from the item."""
        if self.type != "reasoning":
            return False
        encrypted = self.encrypted_content
        return not isinstance(encrypted, str) or not encrypted or is_ours(encrypted)


_ITEM = msgspec.json.Decoder(_Item)
_ITEMS = msgspec.json.Decoder(list[Raw])
_FIELDS = msgspec.json.Decoder(dict[str, Raw])
_NAMES = msgspec.json.Decoder(list[str])
_encode = msgspec.json.Encoder().encode


def input_items(head: Head, known: Mapping[str, Raw] | None = None) -> list[Raw]:
    """The request's own input as items, a string as a user's message; what to keep of it for later turns.

    `known` has the items that references may name, by id. Raises TollwayError(unsupported_parameter) for a reference
    to any other.
    """
    raw = head.fields["input"]
    if memoryview(raw)[0] != ord("["):
        return [Raw(_encode({"type": "message", "role": "user", "content": raw}))]
    items = decode_at(_ITEMS, raw, "input")
    for index, item_id in references(head):
        item = (known or {}).get(item_id)
        if item is None:
            raise TollwayError(
                Code.UNSUPPORTED_PARAMETER,
                f"The item '{item_id}' is not stored here. Send the item itself, or use 'previous_response_id'.",
                param=f"input[{index}]",
            )
        items[index] = item
    return items


def _replayable(items: Sequence[Raw]) -> list[Raw]:
    """The items as a provider that stores nothing takes them.

    It looks up reasoning that it cannot decrypt by its id, and wants an item with the id of its own making preceded by
    the reasoning that went with it: with the one the ids of the others go too. Ids that the gateway made always do.
    """
    known = [decode_at(_ITEM, item, "input") for item in items]
    loses = any(item.is_lost() for item in known)
    kept: list[Raw] = []
    for raw, item in zip(items, known, strict=True):
        if item.is_lost():
            continue
        named = isinstance(item.id, str) and item.type in ("message", "function_call", None)
        if named and (loses or OWN_ID.match(item.id)):
            fields = _FIELDS.decode(raw)
            del fields["id"]
            raw = Raw(_encode(fields))
        kept.append(raw)
    return kept


def outgoing(
    head: Head,
    model: str,
    *,
    earlier: Sequence[Raw] = (),
    known: Mapping[str, Raw] | None = None,
    changes: Mapping[str, Raw] | None = None,
    without: tuple[str, ...] = (),
) -> bytes:
    """The body for the provider's `POST /responses`; `model` is the provider's name for it.

    `earlier`: the input and output items of the responses that this one goes on from, oldest first; `known` as for
    `input_items`. `changes` and `without` as for `head.splice`. Raises TollwayError(unsupported_parameter).
    """
    changed: dict[str, Raw] = {"store": _FALSE}
    own = input_items(head, known)
    replayed = _replayable([*earlier, *own])
    untouched = len(replayed) == len(own) and all(map(operator.is_, replayed, own))
    if not untouched or references(head):
        changed["input"] = Raw(_encode(replayed))
    include = _include(head, model)
    if include is not None:
        changed["include"] = include
    return splice(head, model, changes=changed | dict(changes or {}), without=("previous_response_id", *without))


def _include(head: Head, model: str) -> Raw | None:
    """The client's list and the encrypted reasoning, without which a later turn could not replay it."""
    raw = present(head.fields, "include")
    wanted = decode_at(_NAMES, raw, "include") if raw is not None else []
    reasons = _REASONS.match(model) is not None or present(head.fields, "reasoning") is not None
    if _ENCRYPTED in wanted or not reasons:
        return None
    return Raw(_encode([*wanted, _ENCRYPTED]))
