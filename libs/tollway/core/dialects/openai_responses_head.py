"""The few fields of an OpenAI Responses request that a gateway must know, without reading the rest.

Owns the partial reading, what is refused for every provider alike, and the look for URLs that a client could point at
our network. It never reads the text of the input.
"""

from __future__ import annotations

import re
from typing import Any, NamedTuple, TypeVar

import msgspec
from msgspec import Raw

from tollway.core.dialects.conversation import PLAIN, check_tools
from tollway.core.dialects.head import (
    Head,
    check_urls_in,
    decoded,
    flag_field,
    integer_field,
    invalid,
    kind_of,
    not_json,
    present,
    read_fields,
    text_field,
)
from tollway.core.errors import Code, TollwayError

T = TypeVar("T")

_REFUSED = {
    "background": "Background responses are not available. Leave 'background' out, and wait or stream.",
    "conversation": "Conversations kept by a provider are not available. Use 'previous_response_id' instead.",
    "prompt": "Prompt templates kept by a provider are not available. Send 'instructions' and 'input' instead.",
}
_WITHOUT_URLS = frozenset({None, "message", "function_call", "function_call_output", "reasoning", "item_reference"})
_OWN_TOOLS = ("function", "custom")
_WRITTEN = (
    "code_interpreter_call",
    "computer_call",
    "custom_tool_call",
    "file_search_call",
    "function_call",
    "image_generation_call",
    "local_shell_call",
    "mcp_approval_request",
    "mcp_call",
    "mcp_list_tools",
    "reasoning",
    "web_search_call",
)
_NULL = Raw(b"null")
_WHERE = re.compile(r"(.*) - at `(?:key in )?\$\.?(.*)`$", re.DOTALL)


class _Item(msgspec.Struct):
    """Just enough of an input item to find the ones that may hold URLs, and references."""

    type: Any = None
    role: Any = None
    id: Any = None
    content: Raw = _NULL
    output: Raw = _NULL

    def is_plain(self) -> bool:
        """Whether no part of it can be an address that somebody fetches."""
        if self.role == "assistant" or self.type in _WRITTEN:
            return True  # what a model or a provider's tool wrote comes back, and may name any address
        plain = memoryview(self.content)[0] in PLAIN and memoryview(self.output)[0] in PLAIN
        return plain and (self.type is None or (isinstance(self.type, str) and self.type in _WITHOUT_URLS))

    def refers_to(self) -> str | None:
        """The id of the item that this one only names."""
        untyped = self.type is None and bytes(self.content) == b"null"
        return self.id if (self.type == "item_reference" or untyped) and isinstance(self.id, str) else None


_ITEMS = msgspec.json.Decoder(list[_Item])
_RAW_ITEMS = msgspec.json.Decoder(list[Raw])
_TEXT = msgspec.json.Decoder(str)


class Storage(NamedTuple):
    """What the client wants kept: this response, unless `store` is false; and the one that it goes on from."""

    store: bool
    previous_response_id: str | None


def read_head(body: bytes) -> Head:
    """The head of a request; `parts` are the input items that may hold URLs, whole, with their index.

    Raises TollwayError(invalid_json | invalid_request | unsupported_parameter) naming the field.
    """
    fields = read_fields(body)
    model = text_field(fields, "model")
    for name, message in _REFUSED.items():
        if present(fields, name) not in (None, b"false"):
            raise TollwayError(Code.UNSUPPORTED_PARAMETER, message, param=name)
    return Head(
        model=model,
        stream=flag_field(fields, "stream"),
        include_usage=True,
        max_tokens=integer_field(fields, "max_output_tokens", 1),
        parts=_parts(fields),
        fields=fields,
    )


def _parts(fields: dict[str, Raw]) -> tuple[tuple[int, Raw], ...]:
    raw = fields.get("input")
    if raw is None:
        raise invalid("Missing required parameter: 'input'.", "input")
    start = memoryview(raw)[0]
    if start == ord('"'):
        return ()
    if start != ord("["):
        kind = kind_of(bytes(raw))
        raise invalid(f"Invalid type for 'input': expected a string or an array, but got {kind} instead.", "input")
    items = _read_items(raw)
    if not items:
        raise invalid("Invalid 'input': empty array. Expected an array with at least one item.", "input")
    suspects = [index for index, item in enumerate(items) if not item.is_plain()]
    if not suspects:
        return ()
    whole = _RAW_ITEMS.decode(raw)
    return tuple((index, whole[index]) for index in suspects)


def _read_items(raw: Raw) -> list[_Item]:
    try:
        return _ITEMS.decode(raw)
    except msgspec.ValidationError as error:
        found = re.search(r"\$(\[\d+\])", str(error))
        param = f"input{found[1]}" if found else "input"
        raise invalid(f"Invalid type for '{param}': expected an object.", param) from None
    except (msgspec.DecodeError, RecursionError) as error:
        raise not_json(str(error)) from None


def read_storage(head: Head) -> Storage:
    """What to store and what to go on from. `store` is true unless the client says otherwise, as at OpenAI.

    Raises TollwayError(invalid_request).
    """
    store = present(head.fields, "store") is None or flag_field(head.fields, "store")
    raw = present(head.fields, "previous_response_id")
    if raw is None:
        return Storage(store, None)
    previous = decode_at(_TEXT, raw, "previous_response_id")
    if not previous:
        raise invalid("Invalid 'previous_response_id': empty string.", "previous_response_id")
    return Storage(store, previous)


def references(head: Head) -> tuple[tuple[int, str], ...]:
    """The input items that only name an item of an earlier response: (index, item id)."""
    raw = head.fields["input"]
    if memoryview(raw)[0] != ord("["):
        return ()
    found = ((index, item.refers_to()) for index, item in enumerate(_read_items(raw)))
    return tuple((index, item_id) for index, item_id in found if item_id is not None)


def check_urls(head: Head) -> None:
    """Refuse URLs in input items and tools that must not be fetched for a tenant (a model server would fetch them).

    Data URLs are fine. Raises TollwayError(invalid_request) naming the field.
    """
    for index, item in head.parts:
        check_urls_in(decoded(item), f"input[{index}]")
    check_tools(head.fields, _OWN_TOOLS)


def decode_at(decoder: msgspec.json.Decoder[T], raw: Raw | bytes, path: str) -> T:
    """The value of the field `path` ("" for the body). Raises TollwayError(invalid_json | invalid_request)."""
    try:
        return decoder.decode(raw)
    except msgspec.ValidationError as error:
        raise _wrong_type(str(error), path) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise not_json(str(error)) from None
    except RecursionError:
        raise not_json("it is nested too deeply") from None


def _wrong_type(text: str, path: str) -> TollwayError:
    """msgspec's "Expected `str`, got `int` - at `$.content[0].text`", below `path`, in words that name the field."""
    found = _WHERE.match(text)
    what, below = (found[1], found[2]) if found else (text, "")
    place = f"{path}.{below}" if path and below and below[0] != "[" else path + below
    missing = re.match(r"Object missing required field `(.*)`", what)
    if missing:
        param = f"{place}.{missing[1]}" if place else missing[1]
        return invalid(f"Missing required parameter: '{param}'.", param)
    return invalid(f"Invalid value for '{place}': {what[:1].lower()}{what[1:]}.", place or None)
