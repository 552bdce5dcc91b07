"""The few fields of an OpenAI chat request that a gateway must know, and the request with few fields changed.

Owns the partial reading (everything else stays bytes) and the rewriting for a provider of the same dialect. It never
looks into messages, except for URLs that a client could point at our network.
"""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from msgspec import Raw

from tollway.core.dialects.conversation import check_tools, parts_of_messages
from tollway.core.dialects.head import (
    Head,
    check_urls_in,
    decoded,
    flag_field,
    integer_field,
    invalid,
    kind_of,
    present,
    read_fields,
    text_field,
)
from tollway.core.dialects.head import splice as spliced

MAX_CHOICES = 128

_TRUE = Raw(b"true")
_ONLY_USAGE = Raw(b'{"include_usage":true}')
_FIELDS_DECODER = msgspec.json.Decoder(dict[str, Raw])
_ENCODER = msgspec.json.Encoder()


OWN_TOOLS = ("function", "custom")
"""Kinds of tools that the client runs itself."""


def read_head(body: bytes) -> Head:
    """The head of a request. Raises TollwayError(invalid_json | invalid_request) naming the field."""
    fields = read_fields(body)
    model = text_field(fields, "model")
    parts = parts_of_messages(fields)
    max_tokens = integer_field(fields, "max_completion_tokens", 1)
    legacy_max_tokens = integer_field(fields, "max_tokens", 1)
    n = integer_field(fields, "n", 1, MAX_CHOICES)
    return Head(
        model=model,
        stream=flag_field(fields, "stream"),
        include_usage=include_usage(fields),
        max_tokens=legacy_max_tokens if max_tokens is None else max_tokens,
        n=1 if n is None else n,
        parts=parts,
        fields=fields,
    )


def include_usage(fields: dict[str, Raw]) -> bool:
    """Whether `stream_options` asks for usage. Raises TollwayError(invalid_request) naming the field."""
    raw = present(fields, "stream_options")
    if raw is None:
        return False
    if raw[0] != ord("{"):
        kind = kind_of(raw)
        raise invalid(
            f"Invalid type for 'stream_options': expected an object, but got {kind} instead.", "stream_options"
        )
    options = _FIELDS_DECODER.decode(raw)
    value = present(options, "include_usage")
    if value not in (None, b"true", b"false"):
        name = "stream_options.include_usage"
        kind = kind_of(value or b"null")
        raise invalid(f"Invalid type for '{name}': expected a boolean, but got {kind} instead.", name)
    return value == b"true"


def splice(
    head: Head,
    model: str,
    *,
    want_usage: bool,
    changes: Mapping[str, Raw] | None = None,
    without: tuple[str, ...] = (),
) -> bytes:
    """As `head.splice`; `want_usage` sets `stream_options.include_usage` on streams."""
    if not want_usage or not head.stream or head.include_usage:
        return spliced(head, model, changes=changes, without=without)
    options = present(head.fields, "stream_options")
    changed = _ONLY_USAGE
    if options is not None:
        changed = Raw(_ENCODER.encode(_FIELDS_DECODER.decode(options) | {"include_usage": _TRUE}))
    return spliced(head, model, changes={**(changes or {}), "stream_options": changed}, without=without)


def check_urls(head: Head) -> None:
    """Refuse URLs in content parts and tools that must not be fetched for a tenant (a model server would fetch them).

    Data URLs are fine. Messages whose content is a plain string cost nothing.
    Raises TollwayError(invalid_request) naming the field.
    """
    for index, content in head.parts:
        check_urls_in(decoded(content), f"messages[{index}].content")
    check_tools(head.fields, OWN_TOOLS)
