"""The few fields of an OpenAI chat request that a gateway must know, and the request with few fields changed.

Owns the partial reading (everything else stays bytes) and the rewriting for a provider of the same dialect. It never
looks into messages, except for URLs that a client could point at our network.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec
from msgspec import Raw

from tollway.core.errors import Code, TollwayError
from tollway.core.netguard import Guard, url_refusal

MAX_CHOICES = 128

_TRUE = Raw(b"true")
_ONLY_USAGE = Raw(b'{"include_usage":true}')
_FIELDS_DECODER = msgspec.json.Decoder(dict[str, Raw])
_TEXT_DECODER = msgspec.json.Decoder(str)
_ENCODER = msgspec.json.Encoder()
_KINDS = {
    ord('"'): "a string",
    ord("{"): "an object",
    ord("["): "an array",
    ord("t"): "a boolean",
    ord("f"): "a boolean",
    ord("n"): "null",
}
_ESCAPED_LETTER = re.compile(rb"\\u00[4-7]", re.IGNORECASE)


class _Message(msgspec.Struct):
    """Just enough of a message to find the ones that have parts."""

    content: Raw = Raw(b"null")


class _Tool(msgspec.Struct):
    type: Any = None


_MESSAGES_DECODER = msgspec.json.Decoder(list[_Message])
_TOOLS_DECODER = msgspec.json.Decoder(list[_Tool])
_PLAIN = frozenset(b'"n')


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """A partially read chat request. `fields` are the top-level fields as raw JSON; a repeated key's last value counts.

    `max_tokens` is `max_completion_tokens`, else `max_tokens`; None: no limit was asked for. `parts` are the contents
    that are no plain strings, with the index of their message. `has_images`: there may be images among them.
    """

    model: str
    stream: bool = False
    include_usage: bool = False
    max_tokens: int | None = None
    n: int = 1
    has_images: bool = False
    message_count: int = 0
    parts: tuple[tuple[int, Raw], ...] = ()
    fields: dict[str, Raw] = {}


def invalid(message: str, param: str | None = None) -> TollwayError:
    """The client's request is wrong in the field `param`."""
    return TollwayError(Code.INVALID_REQUEST, message, param=param)


def kind_of(raw: bytes) -> str:
    """The JSON type of a raw value, in words ("a string")."""
    kind = _KINDS.get(raw[0])
    if kind:
        return kind
    return "a decimal number" if any(c in b".eE" for c in raw) else "an integer"


def read_head(body: bytes) -> Head:
    """The head of a request. Raises TollwayError(invalid_json | invalid_request) naming the field."""
    fields = read_fields(body)
    model = _text(fields, "model")
    messages = _read_messages(fields)
    parts = tuple(
        (index, message.content)
        for index, message in enumerate(messages)
        if memoryview(message.content)[0] not in _PLAIN
    )
    max_tokens = _integer(fields, "max_completion_tokens", 1)
    legacy_max_tokens = _integer(fields, "max_tokens", 1)
    n = _integer(fields, "n", 1, MAX_CHOICES)
    return Head(
        model=model,
        stream=_flag(fields, "stream"),
        include_usage=_include_usage(fields),
        max_tokens=legacy_max_tokens if max_tokens is None else max_tokens,
        n=1 if n is None else n,
        has_images=any(_may_have_images(bytes(content)) for _, content in parts),
        message_count=len(messages),
        parts=parts,
        fields=fields,
    )


def _read_messages(fields: dict[str, Raw]) -> list[_Message]:
    """The messages, hardly read: they may be megabytes."""
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
    return messages


def _may_have_images(content: bytes) -> bool:
    return b'"image' in content or _ESCAPED_LETTER.search(content) is not None


def read_fields(body: bytes) -> dict[str, Raw]:
    """The top-level fields of a JSON object. Raises TollwayError(invalid_json | invalid_request)."""
    try:
        if not body.isascii():
            body.decode("utf-8")
        return _FIELDS_DECODER.decode(body)
    except msgspec.ValidationError:
        raise invalid("The request body must be a JSON object.") from None
    except msgspec.DecodeError as error:
        raise _not_json(str(error)) from None
    except UnicodeDecodeError as error:
        raise _not_json(f"byte {error.start} is not UTF-8") from None
    except RecursionError:
        raise _not_json("it is nested too deeply") from None


def _not_json(why: str) -> TollwayError:
    return TollwayError(
        Code.INVALID_JSON,
        f"We could not parse the JSON body of your request: {why}. Send a JSON object in UTF-8.",
    )


def _present(fields: dict[str, Raw], name: str) -> bytes | None:
    """The raw value of a field; None when it is absent or null."""
    raw = fields.get(name)
    if raw is None:
        return None
    value = bytes(raw)
    return None if value == b"null" else value


def _text(fields: dict[str, Raw], name: str) -> str:
    raw = _present(fields, name)
    if raw is None:
        raise invalid(f"Missing required parameter: '{name}'.", name)
    try:
        text = _TEXT_DECODER.decode(raw)
    except msgspec.ValidationError:
        raise invalid(f"Invalid type for '{name}': expected a string, but got {kind_of(raw)} instead.", name) from None
    except msgspec.DecodeError as error:
        raise _not_json(str(error)) from None
    if not text:
        raise invalid(f"Invalid '{name}': empty string. Name a model that GET /v1/models lists.", name)
    return text


def _flag(fields: dict[str, Raw], name: str) -> bool:
    raw = _present(fields, name)
    if raw is None or raw == b"false":
        return False
    if raw == b"true":
        return True
    raise invalid(f"Invalid type for '{name}': expected a boolean, but got {kind_of(raw)} instead.", name)


def _integer(fields: dict[str, Raw], name: str, least: int, most: int = 2**53) -> int | None:
    raw = _present(fields, name)
    if raw is None:
        return None
    kind = kind_of(raw)
    if kind != "an integer":
        raise invalid(f"Invalid type for '{name}': expected an integer, but got {kind} instead.", name)
    # The length is checked first: no count that is meant has twenty digits, and int() refuses thousands of them.
    value = int(raw) if len(raw) < 20 else most + 1
    if value < least:
        raise invalid(f"Invalid '{name}': integer below minimum value. Expected a value >= {least}.", name)
    if value > most:
        raise invalid(f"Invalid '{name}': integer above maximum value. Expected a value <= {most}.", name)
    return value


def _include_usage(fields: dict[str, Raw]) -> bool:
    raw = _present(fields, "stream_options")
    if raw is None:
        return False
    if raw[0] != ord("{"):
        kind = kind_of(raw)
        raise invalid(
            f"Invalid type for 'stream_options': expected an object, but got {kind} instead.", "stream_options"
        )
    options = _FIELDS_DECODER.decode(raw)
    value = _present(options, "include_usage")
    if value not in (None, b"true", b"false"):
        name = "stream_options.include_usage"
        kind = kind_of(value or b"null")
        raise invalid(f"Invalid type for '{name}': expected a boolean, but got {kind} instead.", name)
    return value == b"true"


def estimate_input_tokens(body_length: int) -> int:
    """Tokens that a request body of `body_length` bytes may cost as input, without a tokenizer.

    One token for four bytes, rounded up: English prose has about 4.5 bytes a token and the JSON around it is counted
    too, so the figure is rather too high; dense scripts, code and inline images can be off either way.
    """
    return (body_length + 3) // 4


def splice(head: Head, model: str, *, want_usage: bool, without: tuple[str, ...] = ()) -> bytes:
    """The request for a provider of this dialect: another `model`, usage asked for on streams, everything else kept.

    Values are copied byte for byte. The top level is written anew, so that a key that the client repeated appears once:
    otherwise a provider that reads the first of two `model` keys would serve another model than the one that was
    authorised. `want_usage` sets `stream_options.include_usage` on streams; `without` are fields to leave out.
    """
    fields = dict(head.fields)
    fields["model"] = Raw(_ENCODER.encode(model))
    for name in without:
        fields.pop(name, None)
    if want_usage and head.stream and not head.include_usage:
        options = _present(fields, "stream_options")
        if options is None:
            fields["stream_options"] = _ONLY_USAGE
        else:
            merged = _FIELDS_DECODER.decode(options)
            merged["include_usage"] = _TRUE
            fields["stream_options"] = Raw(_ENCODER.encode(merged))
    return _ENCODER.encode(fields)


def check_urls(body: bytes, head: Head) -> None:  # noqa: ARG001 - read through the head's views of it
    """Refuse URLs in content parts and tools that must not be fetched for a tenant (a model server would fetch them).

    Data URLs are fine. Looks at what `head` found in `body`; messages whose content is a plain string cost nothing.
    Raises TollwayError(invalid_request) naming the field.
    """
    for index, content in head.parts:
        _walk(_decoded(content), f"messages[{index}].content")
    tools = head.fields.get("tools")
    if tools is None:
        return
    try:
        kinds = _TOOLS_DECODER.decode(tools)
    except msgspec.ValidationError:
        return  # not a list of tools: the provider's dialect says what is wrong with it
    hosted = [index for index, tool in enumerate(kinds) if tool.type not in ("function", "custom")]
    if hosted:
        decoded = _decoded(tools)
        for index in hosted:
            _walk(decoded[index], f"tools[{index}]")


def _decoded(raw: Raw) -> Any:
    try:
        return msgspec.json.decode(raw)
    except msgspec.DecodeError as error:
        raise _not_json(str(error)) from None
    except RecursionError:
        raise _not_json("it is nested too deeply") from None


def _walk(value: Any, path: str) -> None:
    """Check every URL under `value`; only keys that end in url or uri, and `file_data`, hold one."""
    pending: list[tuple[Any, str]] = [(value, path)]
    while pending:
        value, path = pending.pop()
        if isinstance(value, list):
            pending.extend((item, f"{path}[{index}]") for index, item in enumerate(value))
        elif isinstance(value, dict):
            for key, item in value.items():
                place = f"{path}.{key}"
                if not isinstance(item, str):
                    pending.append((item, place))
                elif key.lower().endswith(("url", "uri")) or (key == "file_data" and "://" in item[:32]):
                    _check_url(item, place)


def _check_url(url: str, path: str) -> None:
    if url[:5].lower() == "data:":
        return
    refusal = url_refusal(url, Guard.TENANT)
    if refusal:
        raise invalid(f"Invalid '{path}': the URL {refusal}. Use a public http(s) URL or a data: URL.", path)
