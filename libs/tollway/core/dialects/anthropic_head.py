"""The few fields of a Messages request that a gateway must know, and the URLs in it that a client could aim at us.

Owns the partial reading; everything else stays bytes (`head.splice` writes them for a provider of the same dialect). It
never looks into messages, except for blocks that name something to fetch.
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Raw

from tollway.core.dialects.conversation import PLAIN, check_tools, parts_of_messages
from tollway.core.dialects.head import (
    Head,
    check_urls_in,
    decoded,
    flag_field,
    integer_field,
    invalid,
    present,
    read_fields,
    text_field,
)
from tollway.core.errors import Code, TollwayError

_NULL = Raw(b"null")


class _Block(msgspec.Struct):
    """Just enough of a content block to find what a provider would fetch."""

    type: Any = None
    source: Raw = _NULL
    content: Raw = _NULL


_BLOCKS_DECODER = msgspec.json.Decoder(list[_Block])
_OWN_TOOLS = (None, "custom")
_OPEN_ARRAY = ord("[")
_OPEN_OBJECT = ord("{")
_FETCHED = frozenset({"document", "image", "tool_result"})
_RESULTS = 2
"""How deep results of tools may be in one another and still be read block by block; the API allows none."""
_NEVER_FETCHED = frozenset(
    {"mcp_tool_use", "redacted_thinking", "search_result", "server_tool_use", "text", "thinking", "tool_use"}
)


def _refuse_kept(fields: dict[str, Raw]) -> None:
    """What a provider holds has an id of the provider's, by which another project could go on with it.

    Official clients go on without a thread when they are told so in the provider's own words.
    """
    if present(fields, "container") is not None:
        message = "Containers kept by a provider are not available. Leave 'container' out."
        raise TollwayError(Code.UNSUPPORTED_PARAMETER, message, param="container")
    if present(fields, "thread") is not None:
        message = "Conversations held by a provider are not available. Leave 'thread' out and send all messages."
        error = TollwayError(Code.UNSUPPORTED_PARAMETER, message, param="thread")
        error.details = {"error_code": "thread_unsupported_request", "unsupported": ["thread"]}
        raise error


def read_head(body: bytes, *, needs_max_tokens: bool = True) -> Head:
    """The head of a request; `needs_max_tokens` is false for `count_tokens`, whose requests have no such field.

    The usage is part of every stream of this dialect, so `include_usage` is always true.
    Raises TollwayError(invalid_json | invalid_request) naming the field.
    """
    fields = read_fields(body)
    model = text_field(fields, "model")
    _refuse_kept(fields)
    parts = parts_of_messages(fields)
    max_tokens = integer_field(fields, "max_tokens", 1)
    if max_tokens is None and needs_max_tokens:
        raise invalid("Missing required parameter: 'max_tokens'.", "max_tokens")
    return Head(
        model=model,
        stream=flag_field(fields, "stream"),
        include_usage=True,
        max_tokens=max_tokens,
        parts=parts,
        fields=fields,
    )


def check_urls(head: Head) -> None:
    """Refuse URLs that must not be fetched for a tenant: in sources of blocks, in hosted tools and in MCP servers.

    What a model or a tool wrote (the input of a tool call, text, search results) is nothing that anybody fetches, and
    may name any URL. Data URLs are fine. Raises TollwayError(invalid_request) naming the field.
    """
    for index, content in head.parts:
        _check_blocks(content, f"messages[{index}].content")
    system = head.fields.get("system")
    if system is not None and memoryview(system)[0] not in PLAIN:
        _check_blocks(system, "system")
    servers = head.fields.get("mcp_servers")
    if servers is not None:
        check_urls_in(decoded(servers), "mcp_servers")
    check_tools(head.fields, _OWN_TOOLS)


def _check_blocks(raw: Raw, path: str) -> None:
    """Check the blocks of one content, and those in tool results, without decoding anything else."""
    pending = [(raw, path, 0)]
    while pending:
        raw, path, depth = pending.pop()
        if depth > _RESULTS:  # each would be read once for every one around it
            check_urls_in(decoded(raw), path)
            continue
        try:
            blocks = _BLOCKS_DECODER.decode(raw)
        except msgspec.ValidationError:
            check_urls_in(decoded(raw), path)  # no list of blocks: nothing is known of its shape, so all of it counts
            continue
        whole: Any = None
        for index, block in enumerate(blocks):
            place = f"{path}[{index}]"
            kind = block.type if isinstance(block.type, str) else ""
            if kind in _FETCHED:
                if memoryview(block.source)[0] in (_OPEN_OBJECT, _OPEN_ARRAY):
                    check_urls_in(decoded(block.source), f"{place}.source")
                if memoryview(block.content)[0] == _OPEN_ARRAY:
                    pending.append((block.content, f"{place}.content", depth + 1))
            elif kind not in _NEVER_FETCHED and not kind.endswith("_tool_result"):
                whole = decoded(raw) if whole is None else whole
                check_urls_in(whole[index], place)
