"""A request read in part: the few fields that a gateway must know; everything else stays bytes.

Owns what all JSON requests have in common: reading top-level fields with errors that name them, looking for URLs that a
client could point at our network, and the request with few fields changed for a provider of the same dialect.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Raw

from tollway.core.errors import Code, TollwayError
from tollway.core.netguard import Guard, url_refusal

_FIELDS_DECODER = msgspec.json.Decoder(dict[str, Raw])
_TEXT_DECODER = msgspec.json.Decoder(str)
_ENCODER = msgspec.json.Encoder()
_KEPT = frozenset({"container", "container_id", "file_id", "file_ids", "vector_store_ids"})
_KINDS = {
    ord('"'): "a string",
    ord("{"): "an object",
    ord("["): "an array",
    ord("t"): "a boolean",
    ord("f"): "a boolean",
    ord("n"): "null",
}


class Head(msgspec.Struct, frozen=True, kw_only=True):
    """A partially read request. `fields` are the top-level fields as raw JSON; a repeated key's last value counts.

    `max_tokens` is the most output that the client wants, None: it set no limit. `include_usage`: the client of a
    stream asked to be shown its usage. `n` is how many answers it wants. `parts` are the contents of messages that are
    no plain strings, with the index of their message.
    """

    model: str
    stream: bool = False
    include_usage: bool = False
    max_tokens: int | None = None
    n: int = 1
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


def read_fields(body: bytes) -> dict[str, Raw]:
    """The top-level fields of a JSON object. Raises TollwayError(invalid_json | invalid_request)."""
    try:
        if not body.isascii():
            body.decode("utf-8")
        return _FIELDS_DECODER.decode(body)
    except msgspec.ValidationError:
        raise invalid("The request body must be a JSON object.") from None
    except msgspec.DecodeError as error:
        raise not_json(str(error)) from None
    except UnicodeDecodeError as error:
        raise not_json(f"byte {error.start} is not UTF-8") from None
    except RecursionError:
        raise not_json("it is nested too deeply") from None


def not_json(why: str) -> TollwayError:
    """The body is no JSON, for this reason."""
    return TollwayError(
        Code.INVALID_JSON,
        f"We could not parse the JSON body of your request: {why}. Send a JSON object in UTF-8.",
    )


def present(fields: Mapping[str, Raw], name: str) -> bytes | None:
    """The raw value of a field; None when it is absent or null."""
    raw = fields.get(name)
    if raw is None:
        return None
    value = bytes(raw)
    return None if value == b"null" else value


def text_field(fields: dict[str, Raw], name: str) -> str:
    """A required string. Raises TollwayError(invalid_request)."""
    raw = present(fields, name)
    if raw is None:
        raise invalid(f"Missing required parameter: '{name}'.", name)
    try:
        text = _TEXT_DECODER.decode(raw)
    except msgspec.ValidationError:
        raise invalid(f"Invalid type for '{name}': expected a string, but got {kind_of(raw)} instead.", name) from None
    except msgspec.DecodeError as error:
        raise not_json(str(error)) from None
    if not text.isprintable():
        raise invalid(f"Invalid '{name}': it holds control characters.", name)
    if not text:
        raise invalid(f"Invalid '{name}': empty string. Name a model that GET /v1/models lists.", name)
    return text


def flag_field(fields: dict[str, Raw], name: str) -> bool:
    """A boolean; absent and null are false. Raises TollwayError(invalid_request)."""
    raw = present(fields, name)
    if raw is None or raw == b"false":
        return False
    if raw == b"true":
        return True
    raise invalid(f"Invalid type for '{name}': expected a boolean, but got {kind_of(raw)} instead.", name)


def integer_field(fields: dict[str, Raw], name: str, least: int, most: int = 2**53) -> int | None:
    """An integer between `least` and `most`; None when absent or null. Raises TollwayError(invalid_request)."""
    raw = present(fields, name)
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


def with_model(body: bytes, model: str) -> bytes:
    """The JSON request `body` with this `model`, which its path names. Raises TollwayError(invalid_json)."""
    return _ENCODER.encode(read_fields(body) | {"model": Raw(_ENCODER.encode(model))})


def estimate_input_tokens(body_length: int) -> int:
    """Tokens that a request body of `body_length` bytes may cost as input, without a tokenizer.

    One token for four bytes, rounded up: English prose has about 4.5 bytes a token and the JSON around it is counted
    too, so the figure is rather too high; dense scripts, code and inline images can be off either way.
    """
    return (body_length + 3) // 4


def splice(head: Head, model: str, *, changes: Mapping[str, Raw] | None = None, without: tuple[str, ...] = ()) -> bytes:
    """The request for a provider of the same dialect: another `model`, and `changes`; everything else is kept.

    Values are copied byte for byte. The top level is written anew, so that a key that the client repeated appears once:
    otherwise a provider that reads the first of two `model` keys would serve another model than the one that was
    authorised. `without` are fields to leave out.
    """
    fields = dict(head.fields)
    fields["model"] = Raw(_ENCODER.encode(model))
    for name in without:
        fields.pop(name, None)
    if changes:
        fields.update(changes)
    return _ENCODER.encode(fields)


def decoded(raw: Raw) -> Any:
    """The value of raw JSON. Raises TollwayError(invalid_json)."""
    try:
        return msgspec.json.decode(raw)
    except msgspec.DecodeError as error:
        raise not_json(str(error)) from None
    except RecursionError:
        raise not_json("it is nested too deeply") from None


def values_in(value: Any) -> Iterator[tuple[Sequence[str | int], Any]]:
    """Every value below `value` with the keys and indexes that lead to it, outermost first; what holds comes first.

    The steps are those of the walk, which go on to change: a path is made of them for an error alone. Made for each
    value, paths would be as long as the client's keys, times the number of values below them.
    """
    steps: list[str | int] = []
    below = [_items(value)]
    while below:
        for step, item in below[-1]:
            steps.append(step)
            yield steps, item
            if isinstance(item, dict | list):
                below.append(_items(item))
                break
            steps.pop()
        else:
            below.pop()
            if steps:
                steps.pop()


def _items(value: Any) -> Iterator[tuple[str | int, Any]]:
    if isinstance(value, dict):
        return iter(value.items())
    return enumerate(value) if isinstance(value, list) else iter(())


def path_of(root: str, steps: Iterable[str | int]) -> str:
    """The place in the client's request, in the words of errors: `messages[0].content`."""
    return root + "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps)


def check_urls_in(value: Any, path: str) -> None:
    """Check every URL under `value`; only keys that end in url or uri, and `file_data`, hold one.

    Ids of what a provider keeps are refused too: behind the gateway all projects share its account there.
    Raises TollwayError(invalid_request | unsupported_parameter) naming the field.
    """
    for steps, item in values_in(value):
        key = steps[-1]
        if not isinstance(key, str):
            continue
        if key in _KEPT and item and _names_something(item):
            place = path_of(path, steps)
            message = f"'{place}' names what a provider keeps, which is not available. Send the content itself."
            raise TollwayError(Code.UNSUPPORTED_PARAMETER, message, param=place)
        if not isinstance(item, str):
            continue
        if key.lower().endswith(("url", "uri")) or (key == "file_data" and "://" in item[:32]):
            refusal = None if item[:5].lower() == "data:" else url_refusal(item, Guard.TENANT)
            if refusal:
                raise refused_url(refusal, path_of(path, steps))


def _names_something(value: Any) -> bool:
    """Whether it is an id, or a list with one in it; a schema of that name is none."""
    return isinstance(value, str) or (isinstance(value, list) and any(isinstance(each, str) for each in value))


def refused_url(refusal: str, path: str) -> TollwayError:
    """The client's URL at this place must not be fetched for a tenant, for this reason."""
    return invalid(f"Invalid '{path}': the URL {refusal}. Use a public http(s) URL or a data: URL.", path)
