"""Hugging Face's feature extraction: embeddings asked for in OpenAI's words, answered by a provider of these.

Owns the translation of both. Shapes: `FeatureExtractionInput` and `FeatureExtractionOutput` of `@huggingface/tasks`;
what the server does beside (`normalize`, `truncate`, ...) may be asked for by its own names.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec
from msgspec import Raw

from tollway.core.dialects.head import Head, invalid, present
from tollway.core.dialects.openai_embeddings import encode_floats, wants_base64
from tollway.core.dialects.passthrough import error_in
from tollway.core.dialects.ports import Written, garbage
from tollway.core.errors import Code, TollwayError

_OWN = ("normalize", "prompt_name", "truncate", "truncation_direction")
_TEXTS_DECODER = msgspec.json.Decoder(list[str])
_TEXT_DECODER = msgspec.json.Decoder(str)
_ROWS_DECODER = msgspec.json.Decoder(list[Raw])
_FLOATS_DECODER = msgspec.json.Decoder(list[float])
_NESTED = re.compile(rb"\s*\[\s*\[")
_ENCODER = msgspec.json.Encoder()


def write_request(head: Head, without: Sequence[str] = ()) -> Written:
    """The request for the provider, always of a list; the model is in its URL. `without` are fields to leave out.

    Raises TollwayError(unsupported_parameter) for `dimensions` and for inputs that are not text.
    """
    if present(head.fields, "dimensions") is not None:
        message = "This model's provider cannot change the dimensions of embeddings. Leave 'dimensions' out."
        raise TollwayError(Code.UNSUPPORTED_PARAMETER, message, param="dimensions")
    fields: dict[str, object] = {"inputs": _texts(head)}
    fields |= {name: head.fields[name] for name in _OWN if name in head.fields and name not in without}
    known = {"model", "input", "encoding_format", "dimensions", *fields}
    dropped = tuple(name for name in head.fields if name not in known and present(head.fields, name) is not None)
    return Written(_ENCODER.encode(fields), dropped)


def write_answer(head: Head, body: bytes, model: str, *, input_tokens: int = 0) -> bytes:
    """A `CreateEmbeddingResponse` of the provider's arrays, in the encoding that the client asked for.

    Numbers are kept as they are written. `input_tokens` is shown as the usage that the client's types demand; the
    provider tells none. Raises ErrorEvent for an error object, TollwayError(provider_error) for garbage, and for one
    vector a token in place of one a text: how to make one of them is the model's secret.
    """
    encode = wants_base64(head)
    vectors = _vectors(body)
    if len(vectors) != len(_texts(head)):
        raise garbage(f"it has {len(vectors)} embeddings for {len(_texts(head))} inputs")
    data = []
    for index, raw in enumerate(vectors):
        floats = _floats(raw)
        vector = Raw(encode_floats(floats)) if encode else raw
        data.append({"object": "embedding", "index": index, "embedding": vector})
    usage = {"prompt_tokens": input_tokens, "total_tokens": input_tokens}
    return _ENCODER.encode({"object": "list", "data": data, "model": model, "usage": usage})


def _texts(head: Head) -> list[str]:
    raw = present(head.fields, "input")
    if raw is None:
        raise invalid("Missing required parameter: 'input'.", "input")
    try:
        return [_TEXT_DECODER.decode(raw)] if raw[0] == ord('"') else _TEXTS_DECODER.decode(raw)
    except msgspec.DecodeError:
        message = "This model's provider takes text alone. Send 'input' as a string or an array of strings."
        raise TollwayError(Code.UNSUPPORTED_PARAMETER, message, param="input") from None


def _vectors(body: bytes) -> list[Raw]:
    """One raw array for each text; of a single text the server may have sent that alone."""
    try:
        body.decode("utf-8")
        rows = _ROWS_DECODER.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise error_in(body) or garbage("it is not an array of embeddings") from None
    if rows and memoryview(rows[0])[0] != ord("["):
        return [Raw(body)]
    return rows


def _floats(raw: Raw) -> list[float]:
    try:
        floats = _FLOATS_DECODER.decode(raw)
    except (msgspec.DecodeError, RecursionError):
        if _NESTED.match(raw):
            what = "the model gives a vector for each token, not one for each text; use a sentence embedding model"
            raise garbage(what) from None
        raise garbage("an embedding is not an array of numbers") from None
    if not floats:
        raise garbage("an embedding is empty")
    return floats
