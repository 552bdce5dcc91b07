"""OpenAI's embeddings, and Hugging Face's feature extraction.

Sources: https://platform.openai.com/docs/api-reference/embeddings and
https://huggingface.co/docs/inference-providers/tasks/feature-extraction. A vector is a hash of its text: the same for
the same text and dimensions, of length 1, and without any meaning.
"""

# ruff: noqa: ARG002 - signatures are those of the port

from __future__ import annotations

import base64
import math
import struct
from collections.abc import Mapping
from hashlib import shake_256
from typing import Any, Literal

import msgspec
import orjson

from tollway.simulator.answer import Answer, Asked
from tollway.simulator.dialects.completions import texts
from tollway.simulator.dialects.endpoint import Endpoint
from tollway.simulator.dialects.openai import model_of
from tollway.simulator.dialects.port import BadRequest, decode, within

DIMENSIONS = 16
MAX_DIMENSIONS = 4096
MAX_INPUTS = 2048
MAX_NUMBERS = 1 << 20
"""So many numbers may be in one answer."""


class Request(msgspec.Struct):
    """The fields of a request that change the answer."""

    input: str | list[str | int | list[int]]
    model: str = ""
    dimensions: int | None = None
    encoding_format: Literal["float", "base64"] | None = None


class _Features(msgspec.Struct):
    inputs: str | list[str]
    dimensions: int | None = None


class _Wanted(msgspec.Struct, frozen=True):
    """What `detail` is here."""

    texts: tuple[str, ...]
    dimensions: int
    base64: bool


def vector(text: str, dimensions: int) -> list[float]:
    """A unit vector for a text, of numbers that a 32-bit float has exactly."""
    digest = shake_256(text.encode("utf-8", "surrogatepass")).digest(2 * dimensions)
    # An odd offset: no number is 0, so the vector has a length.
    numbers = [value + 0.5 for value in struct.unpack(f"<{dimensions}h", digest)]
    length = math.sqrt(sum(number * number for number in numbers))
    return list(struct.unpack(f"<{dimensions}f", struct.pack(f"<{dimensions}f", *(n / length for n in numbers))))


class Embeddings(Endpoint):
    """`/embeddings`."""

    def read(self, body: bytes, path_model: str, query: Mapping[str, str], headers: Mapping[str, str]) -> Asked:
        """As `Dialect.read`."""
        self.admit(path_model, query, headers)
        request: Request = decode(body, Request)
        model = model_of(path_model, request.model)
        found = texts("input", request.input)
        if any(not tokens for _text, tokens in found):
            raise BadRequest("'input' cannot be an empty string.", param="input")
        return _asked(model, found, request.dimensions, in_base64=request.encoding_format == "base64")

    def whole(self, asked: Asked, answer: Answer, request_id: str, created: int, *, usage: bool) -> bytes:
        """As `Dialect.whole`."""
        wanted: _Wanted = asked.detail
        data = []
        for index, text in enumerate(wanted.texts):
            numbers = vector(text, wanted.dimensions)
            shown = base64.b64encode(struct.pack(f"<{len(numbers)}f", *numbers)).decode() if wanted.base64 else numbers
            data.append({"object": "embedding", "index": index, "embedding": shown})
        found: dict[str, Any] = {"object": "list", "data": data, "model": asked.model}
        if usage:
            found["usage"] = {"prompt_tokens": answer.prompt_tokens, "total_tokens": answer.prompt_tokens}
        return orjson.dumps(found)


class FeatureExtraction(Endpoint):
    """`/models/{model}/pipeline/feature-extraction`: one vector a text, in an array, without usage."""

    def read(self, body: bytes, path_model: str, query: Mapping[str, str], headers: Mapping[str, str]) -> Asked:
        """As `Dialect.read`."""
        self.admit(path_model, query, headers)
        request: _Features = decode(body, _Features)
        asked = _asked(path_model, texts("inputs", request.inputs), request.dimensions, in_base64=False)
        return msgspec.structs.replace(asked, unmetered=True)

    def whole(self, asked: Asked, answer: Answer, request_id: str, created: int, *, usage: bool) -> bytes:
        """As `Dialect.whole`."""
        wanted: _Wanted = asked.detail
        return orjson.dumps([vector(text, wanted.dimensions) for text in wanted.texts])


def _asked(model: str, found: list[tuple[str, int]], dimensions: int | None, *, in_base64: bool) -> Asked:
    size = DIMENSIONS if dimensions is None else dimensions
    within("dimensions", size, 1, MAX_DIMENSIONS)
    within("input", len(found), 1, MAX_INPUTS)
    if size * len(found) > MAX_NUMBERS:
        raise BadRequest(f"The answer would have more than {MAX_NUMBERS} numbers.", param="input")
    return Asked(
        model=model,
        stream=False,
        prompt_tokens=sum(tokens for _text, tokens in found),
        last_user="",
        may_call=False,
        natural=0,
        detail=_Wanted(tuple(text for text, _tokens in found), size, in_base64),
    )
