"""`POST /v1/embeddings` of OpenAI and of the many servers that speak it.

Owns partial reading of both directions, and the one repair of answers: base64 for clients that asked for it. Shapes:
`CreateEmbeddingRequest` and `CreateEmbeddingResponse` of OpenAI's API description.
"""

from __future__ import annotations

import base64
import re
import sys
from array import array

import msgspec
from msgspec import Raw

from tollway.core.dialects.head import Head, integer_field, invalid, present, read_fields, text_field
from tollway.core.dialects.passthrough import (
    Answer,
    Item,
    JSONCall,
    Told,
    check_media,
    count,
    items_of,
    read_answer,
    required,
    string_field,
    wrong_type,
)
from tollway.core.dialects.ports import garbage
from tollway.core.usage import Usage

MAX_INPUTS = 4096

_STRING, _ARRAY, _OBJECT = ord('"'), ord("["), ord("{")
_TOKENS = re.compile(rb"\[\s*[-0-9]")
_TOKENS_DECODER = msgspec.json.Decoder(list[int])
_FLOATS_DECODER = msgspec.json.Decoder(list[float])
_BODY_DECODER = msgspec.json.Decoder(dict[str, Raw])
_DATA_DECODER = msgspec.json.Decoder(list[dict[str, Raw]])
_ENCODER = msgspec.json.Encoder()


class _Embeddings(Answer):
    data: list[Item] | None = None


_DECODER = msgspec.json.Decoder(_Embeddings)


class Embeddings(JSONCall):
    """A `Passthrough`."""

    def read_head(self, body: bytes, content_type: str) -> Head:  # noqa: ARG002 - the port's signature
        """As `Passthrough.read_head`. Servers of multimodal models take `messages` in place of `input`."""
        fields = read_fields(body)
        model = text_field(fields, "model")
        if present(fields, "input") is not None or present(fields, "messages") is None:
            _check_input(fields)
        integer_field(fields, "dimensions", 1)
        encoding = present(fields, "encoding_format")
        if encoding is not None and string_field(fields, "encoding_format") not in ("float", "base64"):
            raise invalid("Invalid 'encoding_format': expected 'float' or 'base64'.", "encoding_format")
        return Head(model=model, fields=fields)

    def check_urls(self, head: Head) -> None:
        """As `Passthrough.check_urls`: inputs and messages of multimodal models have some."""
        for name in ("input", "messages"):
            raw = head.fields.get(name)
            # Plain text and tokens, the rule, have no object in them, and braces in text only cost a look.
            if raw is not None and b"{" in bytes(raw):
                check_media(raw, name)

    def finished(self, head: Head, content_type: str, body: bytes) -> Told:  # noqa: ARG002 - the port's signature
        """As `Passthrough.finished`."""
        answer = read_answer(_DECODER, _Embeddings, body)
        if answer.data is None:
            raise garbage("it has no list of embeddings")
        tokens = count(answer.usage, "prompt_tokens", "input_tokens", "total_tokens")
        return Told(None if tokens is None else Usage(input=tokens), 0)


EMBEDDINGS = Embeddings()


def wants_base64(head: Head) -> bool:
    """Whether the client asked for base64, as official clients do unless told otherwise."""
    return present(head.fields, "encoding_format") == b'"base64"'


def as_base64(body: bytes) -> bytes:
    """An answer in which embeddings are arrays of numbers, with them as base64 of little-endian 32-bit floats.

    For a client that asked for base64 of a server that ignores that (LM Studio, llama.cpp and others): OpenAI's Python
    client takes either, but those for Node and .NET decode whatever comes, into wrong vectors or an exception
    (openai-node issue 1542). All else is kept. What is no such answer is returned as it is.
    """
    try:
        fields = _BODY_DECODER.decode(body)
        data = _DATA_DECODER.decode(fields["data"])
        changed = False
        for item in data:
            raw = item.get("embedding")
            if raw is not None and memoryview(raw)[0] == _ARRAY:
                item["embedding"] = Raw(encode_floats(_FLOATS_DECODER.decode(raw)))
                changed = True
    except (KeyError, msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return body
    return _ENCODER.encode(fields | {"data": Raw(_ENCODER.encode(data))}) if changed else body


def encode_floats(floats: list[float]) -> bytes:
    """The JSON string of the floats as base64 of little-endian 32-bit floats, as OpenAI sends them."""
    packed = array("f", floats)
    if sys.byteorder == "big":
        packed.byteswap()
    return b'"' + base64.b64encode(packed.tobytes()) + b'"'


def _check_input(fields: dict[str, Raw]) -> None:
    raw = required(fields, "input")
    if raw[0] == _STRING:
        string_field(fields, "input")
        return
    if raw[0] != _ARRAY:
        raise wrong_type("input", "a string or an array", raw)
    # One input as tokens is an array of numbers, and may be longer than a list of inputs.
    if _TOKENS.match(raw):
        try:
            _TOKENS_DECODER.decode(raw)
        except msgspec.DecodeError:
            raise invalid("Invalid 'input': expected an array of integers, all of them tokens.", "input") from None
        return
    wanted = "a string, an array of tokens or an object"
    items_of(raw, "input", MAX_INPUTS, bytes((_STRING, _ARRAY, _OBJECT)), wanted)
