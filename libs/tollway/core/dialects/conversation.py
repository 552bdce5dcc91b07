"""What partial readers of requests for a turn of a conversation share: messages hardly read, and tools with addresses.

Owns no dialect's own rules; those are arguments.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping
from typing import Any

import msgspec
from msgspec import Raw

from tollway.core.dialects.head import check_urls_in, decoded, invalid, kind_of

PLAIN = frozenset(b'"n')
"""What a value begins with that has no parts: a string, or null."""


class _Message(msgspec.Struct):
    """Just enough of a message to find the ones that have parts."""

    content: Raw = Raw(b"null")


class _Tool(msgspec.Struct):
    type: Any = None


_MESSAGES_DECODER = msgspec.json.Decoder(list[_Message])
_TOOLS_DECODER = msgspec.json.Decoder(list[_Tool])


def parts_of_messages(fields: Mapping[str, Raw]) -> tuple[tuple[int, Raw], ...]:
    """The contents of `messages` that are no plain strings, with the index of their message.

    The messages are hardly read: they may be megabytes. Raises TollwayError(invalid_request) when there are none.
    """
    raw = fields.get("messages")
    if raw is None:
        raise invalid("Missing required parameter: 'messages'.", "messages")
    try:
        messages = _MESSAGES_DECODER.decode(raw)
    except msgspec.ValidationError as error:
        found = re.search(r"\$(\[\d+\])", str(error))
        if found:
            param = f"messages{found[1]}"
            raise invalid(f"Invalid type for '{param}': expected an object.", param) from None
        kind = kind_of(bytes(raw))
        message = f"Invalid type for 'messages': expected an array of objects, but got {kind} instead."
        raise invalid(message, "messages") from None
    if not messages:
        raise invalid("Invalid 'messages': empty array. Expected an array with at least one message.", "messages")
    return tuple(
        (index, message.content)
        for index, message in enumerate(messages)
        if memoryview(message.content)[0] not in PLAIN
    )


def check_tools(fields: Mapping[str, Raw], own: Collection[str | None]) -> None:
    """Refuse URLs in tools that a provider runs, which must not be fetched for a tenant.

    Tools of the kinds `own` are run by the client, and may name any URL. Raises TollwayError(invalid_request) naming
    the field.
    """
    tools = fields.get("tools")
    if tools is None:
        return
    try:
        kinds = _TOOLS_DECODER.decode(tools)
    except msgspec.ValidationError:
        check_urls_in(decoded(tools), "tools")  # no list of tools: the provider says so, unless it fetches first
        return
    hosted = [
        index for index, tool in enumerate(kinds) if not isinstance(tool.type, str | None) or tool.type not in own
    ]
    if hosted:
        values = decoded(tools)
        for index in hosted:
            check_urls_in(values[index], f"tools[{index}]")


def _is_own(kind: Any, own: Collection[str | None]) -> bool:
    return (kind is None or isinstance(kind, str)) and kind in own
