"""Reasoning that Anthropic cannot have written, taken out of a request that passes through to it.

A conversation that began at another provider brings thinking blocks back without a signature, which Anthropic answers
with 400. Owns finding and leaving them out; everything else stays byte for byte.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Raw

from tollway.core.dialects.head import Head


class _Block(msgspec.Struct):
    type: Any = None
    signature: Any = None

    def is_unsigned(self) -> bool:
        """Whether it is thinking that nobody signed."""
        return self.type == "thinking" and not self.signature


_MESSAGES = msgspec.json.Decoder(list[dict[str, Raw]])
_BLOCKS = msgspec.json.Decoder(list[_Block])
_RAW_BLOCKS = msgspec.json.Decoder(list[Raw])
_encode = msgspec.json.Encoder().encode


def signed_messages(head: Head) -> Raw | None:
    """The messages less unsigned thinking, and less those that had nothing else; None when there is none of it.

    Costs a scan of the contents that are no plain strings. `head` must be what `read_head` made.
    """
    suspects = {index for index, content in head.parts if b"thinking" in bytes(content)}
    if not suspects:
        return None
    messages = _MESSAGES.decode(head.fields["messages"])
    kept: list[dict[str, Raw]] = []
    for index, message in enumerate(messages):
        if index not in suspects:
            kept.append(message)
            continue
        blocks = _signed(message["content"])
        if blocks is None:
            kept.append(message)
        elif blocks:
            kept.append(message | {"content": Raw(_encode(blocks))})
    if len(kept) == len(messages) and all(a is b for a, b in zip(kept, messages, strict=True)):
        return None
    return Raw(_encode(kept))


def _signed(content: Raw) -> list[Raw] | None:
    """The blocks that are not unsigned thinking; None when all are kept, or what it is cannot be told."""
    try:
        kinds = _BLOCKS.decode(content)
    except msgspec.ValidationError:
        return None  # the provider says what is wrong with it
    if not any(block.is_unsigned() for block in kinds):
        return None
    return [raw for raw, block in zip(_RAW_BLOCKS.decode(content), kinds, strict=True) if not block.is_unsigned()]
