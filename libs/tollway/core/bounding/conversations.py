"""The most that a turn of a conversation can use, read from the request of any dialect.

Owns the sum of text, media and tools for chat, legacy completions, responses and messages. Plain text, which is most
requests, costs a look at the names of the fields and nothing else: the body is not read again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import msgspec
from msgspec import Raw

from tollway.core.bounding.fields import check_fields, refused
from tollway.core.bounding.parts import WINDOW_REMEDY, Tally
from tollway.core.bounding.text import text_tokens, unseen
from tollway.core.bounds import Bound
from tollway.core.dialects.head import Head, integer_field, present
from tollway.core.dialects.openai_completions import DEFAULT_MAX_TOKENS
from tollway.core.operations import Operation
from tollway.core.pricing import Price

MIN_RESPONSES_OUTPUT = 16
"""The least `max_output_tokens` that OpenAI takes: https://platform.openai.com/docs/api-reference/responses/create."""
MIN_THINKING = 1024
"""The least `budget_tokens`; the limit of output must be greater:
https://docs.anthropic.com/en/docs/build-with-claude/extended-thinking."""
SEARCH_TURNS = 11
"""A request with Anthropic's web search is at most 10 turns of its own beside the first before it is handed back:
https://docs.anthropic.com/en/docs/build-with-claude/handling-stop-reasons. Each reads the whole conversation."""
USUAL_OUTPUT = 16_384
"""Tokens that a model can write of which only the window is known; more is refused by those that cannot."""
LONG_CONTEXT = 1_000_000
"""Tokens, which the beta header `context-1m` allows whatever the model's window is."""

_NO_MEDIA = frozenset({"audio_input", "image_input"})
_NO_AUDIO = frozenset({"audio_input"})
_NO_IMAGE = frozenset({"image_input"})
_NO_WRITES = frozenset({"cache_write_5m", "cache_write_1h"})
_NOT_ASKED = frozenset({"audio_output", "prediction_accepted", "prediction_rejected"})
_NOTHING_ELSE = _NO_MEDIA | _NOT_ASKED
_NO_TOOLS = (b"[]", b"null")
_TOOL_FIELDS = frozenset({"tools", "functions"})
_SCHEMA_FIELDS = frozenset({"response_format", "text", "output_config", "output_format"})
_CLIENT_TOOLS = frozenset({None, "function", "custom"})
_ANTHROPIC_TOOLS = ("bash_", "text_editor_", "computer_", "memory_")
_OWN_TOOLS = frozenset({"apply_patch", "computer_use_preview", "computer", "local_shell"})
"""Tools of OpenAI's design that the client runs."""
_SEARCH = "web_search_20250305"
_BILLED = "the provider runs it, and bills what it does without a limit"


class Asking(NamedTuple):
    """Who is to be asked: the kind of provider, its name for the model, and what is known of both.

    `operation` is the client's call, `native` the one that the provider serves for it. `long_context`: the client asks
    for a context beyond the model's usual one.
    """

    kind: str
    model: str
    operation: Operation
    native: Operation
    price: Price
    context_tokens: int | None = None
    max_output_tokens: int | None = None
    long_context: bool = False


class _Tool(msgspec.Struct):
    type: Any = None
    max_uses: Any = None


class _Item(msgspec.Struct):
    """An input item of a response, or a message."""

    type: Any = None
    content: Raw = Raw(b"null")
    output: Raw = Raw(b"null")
    result: Any = None
    audio: Raw = Raw(b"null")


_TOOLS = msgspec.json.Decoder(list[_Tool])
_ITEMS = msgspec.json.Decoder(list[_Item])
_ITEM = msgspec.json.Decoder(_Item)
_OPEN_ARRAY = ord("[")
_OPEN_BRACE = ord("{")
_TEXT_ITEMS = frozenset(
    [
        "apply_patch_call",
        "apply_patch_call_output",
        "computer_call",
        "custom_tool_call",
        "function_call",
        "item_reference",
        "local_shell_call",
        "local_shell_call_output",
        "mcp_approval_request",
        "mcp_approval_response",
        "mcp_call",
        "mcp_list_tools",
        "reasoning",
        "shell_call",
        "shell_call_output",
    ]
)
_WITH_CONTENT = (None, "message", "function_call_output", "custom_tool_call_output", "computer_call_output")


class _Tools(NamedTuple):
    """What tools come to: tokens unseen, and searches that may be made."""

    tokens: int
    searches: int


def bound_conversation(head: Head, body: bytes, asking: Asking, earlier: Sequence[Raw] = ()) -> Bound:
    """The bound of one request. `earlier` are stored items that go with it.

    Raises TollwayError(unsupported_parameter) naming what cannot be bounded.
    """
    fields = head.fields
    check_fields(asking.operation, fields, asking.price)
    kind = asking.kind
    added = unseen(kind)
    tally = _media_of(head, asking, earlier)
    clipped = tally is None and not asking.long_context and asking.operation is not Operation.COMPLETIONS
    enough = asking.context_tokens if clipped else None
    tokens = text_tokens(body, kind, enough) + added.request
    absent = _NO_MEDIA
    searches = 0
    if tally is not None:
        tokens += tally.tokens - tally.media_bytes
        absent = _absent_input(tally)
    for item in earlier:
        tokens += text_tokens(bytes(item), kind) + 1
    if not _TOOL_FIELDS.isdisjoint(fields) and _has_tools(fields):
        tools = _tools_of(fields, asking)
        tokens += tools.tokens
        searches = tools.searches
    if not _SCHEMA_FIELDS.isdisjoint(fields):
        tokens += added.tools
    if kind == "anthropic" and not _writes_cache(body):
        absent |= _NO_WRITES
    if "modalities" not in fields:
        absent = _NOTHING_ELSE if absent is _NO_MEDIA else absent | _NOT_ASKED
    return _bounded(head, asking, len(body), tokens, tally, searches, absent)


def _has_tools(fields: Mapping[str, Raw]) -> bool:
    return any(bytes(fields[name]) not in _NO_TOOLS for name in _TOOL_FIELDS if name in fields)


def _bounded(
    head: Head, asking: Asking, size: int, tokens: int, tally: Tally | None, searches: int, absent: frozenset[str]
) -> Bound:
    window = asking.context_tokens
    if window is not None and asking.long_context:
        window = max(window, LONG_CONTEXT)
    choices = head.n
    if tally is not None and tally.window is not None:
        if window is None:
            place, why = tally.window
            raise refused(place, why, WINDOW_REMEDY)
        tokens = window
    elif searches:
        if window is None:
            raise refused("tools", "what a search finds has no known size", "Leave the tool out.")
        tokens, choices = window, SEARCH_TURNS
    elif window is not None and asking.operation is not Operation.COMPLETIONS and tokens > window:
        tokens = window
    if searches:
        tokens *= SEARCH_TURNS
    limit = head.max_tokens
    if "max_tokens" in head.fields and "max_completion_tokens" in head.fields:
        # Services differ in which of the two they read.
        limit = max(limit or 0, integer_field(head.fields, "max_tokens", 0) or 0) or None
    if limit is None and asking.operation is Operation.COMPLETIONS and asking.native is not Operation.COMPLETIONS:
        limit = DEFAULT_MAX_TOKENS  # a translated request says so
    if limit is not None and asking.native is not asking.operation and asking.max_output_tokens is not None:
        limit = min(limit, asking.max_output_tokens)  # and no more than the model can give
    return Bound(
        input=tokens,
        output=None if limit is None else max(limit, 1),
        choices=choices,
        ceiling=_ceiling(asking, window, size),
        least=_least_output(head, asking),
        searches=searches,
        absent=absent,
    )


def _ceiling(asking: Asking, window: int | None, size: int) -> int | None:
    """What a limit of output may ask for. Many services refuse one for which the window has no room.

    The input is taken for half a token a byte there, more than most text is, and at most seven eighths of the window.
    """
    if window is None:
        return asking.max_output_tokens
    most = USUAL_OUTPUT if asking.max_output_tokens is None else asking.max_output_tokens
    return max(1, min(most, max(window - size // 2, window // 8)))


def _absent_input(tally: Tally) -> frozenset[str]:
    if tally.audio:
        return frozenset() if tally.image else _NO_IMAGE
    return _NO_AUDIO if tally.image else _NO_MEDIA


def _writes_cache(body: bytes) -> bool:
    """Whether Anthropic may be asked to keep anything: it never does by itself. Escapes could spell the word."""
    return b"cache_control" in body or b"\\u00" in body


def _least_output(head: Head, asking: Asking) -> int:
    if asking.native is Operation.RESPONSES:
        return MIN_RESPONSES_OUTPUT
    if asking.native is Operation.MESSAGES and asking.operation is Operation.MESSAGES:
        thinking = present(head.fields, "thinking")
        if thinking is not None and b"budget_tokens" in thinking:
            return MIN_THINKING + 1
    return 1


def _media_of(head: Head, asking: Asking, earlier: Sequence[Raw]) -> Tally | None:
    """What is no plain text in the request; None: nothing."""
    tally: Tally | None = None
    match asking.operation:
        case Operation.RESPONSES:
            raw = head.fields["input"]
            if memoryview(raw)[0] != _OPEN_ARRAY and not earlier:
                return None
            tally = Tally(asking.kind, asking.model)
            if memoryview(raw)[0] == _OPEN_ARRAY:
                for index, item in enumerate(_ITEMS.decode(raw)):
                    _add_item(tally, item, f"input[{index}]")
            for stored in earlier:
                _add_item(tally, _ITEM.decode(stored), "previous_response_id")
        case Operation.CHAT | Operation.MESSAGES | Operation.COUNT_TOKENS:
            tally = _media_of_messages(head, asking)
        case _:
            pass
    return tally


def _media_of_messages(head: Head, asking: Asking) -> Tally | None:
    tally = None
    if head.parts:
        tally = Tally(asking.kind, asking.model)
        for index, content in head.parts:
            tally.add_raw(content, f"messages[{index}].content")
    system = head.fields.get("system")
    if system is not None and memoryview(system)[0] == _OPEN_ARRAY:
        tally = tally or Tally(asking.kind, asking.model)
        tally.add_raw(system, "system")
    if asking.operation is Operation.CHAT and "audio" in asking.model.lower():
        for index, message in enumerate(_ITEMS.decode(head.fields["messages"])):
            if memoryview(message.audio)[0] == _OPEN_BRACE:
                why = "it names sound that the provider keeps, of no known length"
                raise refused(f"messages[{index}].audio", why, "Send its transcript as the message's content.")
    return tally


def _add_item(tally: Tally, item: _Item, path: str) -> None:
    """One input item of a response."""
    if item.type in _WITH_CONTENT:
        for raw, name in ((item.content, "content"), (item.output, "output")):
            if memoryview(raw)[0] in (_OPEN_ARRAY, _OPEN_BRACE):
                tally.add_raw(raw, f"{path}.{name}")
    elif item.type == "image_generation_call":
        tally.add_image(item.result, f"{path}.result")
    elif not isinstance(item.type, str):
        raise refused(f"{path}.type", "it is no kind of item", "Leave the item out.")
    elif item.type.endswith("_call") or item.type == "compaction":
        if item.type not in _TEXT_ITEMS:
            tally.needs_window(path, "what a provider's own tool gave has no known size")
    elif item.type not in _TEXT_ITEMS:
        raise refused(f"{path}.type", "it is not known what such an item costs", "Leave the item out.")


def _tools_of(fields: Mapping[str, Raw], asking: Asking) -> _Tools:
    """What tools add to the input. Raises TollwayError for those that the provider runs without a limit."""
    added = unseen(asking.kind)
    raw = fields.get("tools")
    size = sum(len(bytes(fields[name])) for name in ("tools", "functions") if name in fields)
    tokens = added.tools + size * (added.tool_bytes - 1)
    searches = 0
    if raw is None or bytes(raw) == b"null":
        return _Tools(tokens, 0)
    try:
        tools = _TOOLS.decode(raw)
    except msgspec.ValidationError:
        raise refused("tools", "it is no list of tools", "Send an array of objects.") from None
    for index, tool in enumerate(tools):
        kind = tool.type
        if kind in _CLIENT_TOOLS if isinstance(kind, str | None) else False:
            continue
        if isinstance(kind, str) and (kind in _OWN_TOOLS or kind.startswith(_ANTHROPIC_TOOLS)):
            tokens += added.own_tool
        elif kind == _SEARCH and asking.native is Operation.MESSAGES:
            searches += _searches(tool.max_uses, f"tools[{index}]", asking)
        else:
            raise refused(f"tools[{index}].type", _BILLED, "Leave the tool out, or run one of your own.")
    return _Tools(tokens, searches)


def _searches(uses: Any, path: str, asking: Asking) -> int:
    if not isinstance(uses, int) or isinstance(uses, bool) or uses < 1:
        raise refused(f"{path}.max_uses", "without it searches have no limit", "Set 'max_uses'.")
    if asking.price.search is None:
        raise refused(f"{path}.type", "searches have no price for this model", "Leave the tool out.")
    return uses
