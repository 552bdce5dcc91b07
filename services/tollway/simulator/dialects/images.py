"""OpenAI's image generation and edits. Source: https://platform.openai.com/docs/api-reference/images

Every picture is a PNG of a few pixels, whose colours depend on prompt and number, whatever format was asked for. Models
with `gpt-image` in their name answer as base64 with usage and can stream; all others answer URLs or base64 without.
"""

# ruff: noqa: ARG002 - signatures are those of the port

from __future__ import annotations

import base64
import struct
import zlib
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
import orjson

from tollway.simulator.answer import IMAGE_TOKENS, Answer, Asked, count
from tollway.simulator.behaviour import split_name
from tollway.simulator.dialects.endpoint import Endpoint
from tollway.simulator.dialects.multipart import is_form, parse
from tollway.simulator.dialects.port import BadRequest, Event, Part, Provider, decode, named, within

MODEL = "dall-e-2"
"""The model where the request names none."""
URL_PATH = "/files/images/{seed:[0-9a-f]{8}}.png"
MAX_IMAGES, MAX_PARTIAL, MAX_INPUTS = 10, 3, 16
MAX_PROMPT = 32_000
_SIZES = {"1024x1024": (272, 1056, 4160), "1024x1536": (408, 1584, 6240), "1536x1024": (400, 1568, 6208)}
"""Tokens of a picture in low, medium and high quality. Source: https://platform.openai.com/docs/guides/image-generation"""
_QUALITIES = ("low", "medium", "high")
_PIXELS = 4


class Request(msgspec.Struct):
    """The fields of a request that change the answer."""

    prompt: str
    model: str | None = None
    n: int | None = None
    size: str | None = None
    quality: str | None = None
    background: str | None = None
    response_format: str | None = None
    stream: bool | None = None
    partial_images: int | None = None
    images: list[dict[str, Any]] | None = None
    mask: dict[str, Any] | str | None = None


class _Wanted(msgspec.Struct, frozen=True):
    """What `detail` is here."""

    prompt: str
    host: str
    urls: bool
    counted: bool
    """Whether usage is told, as the newer models do."""
    images: int
    """Pictures in the request."""
    partial: int
    shown: dict[str, str]
    """Size, quality, background and format, as the answer repeats them."""


def png(seed: int) -> bytes:
    """A valid picture of a few pixels in one of 2^24 colours. Source: https://www.w3.org/TR/png/"""
    row = b"\0" + struct.pack(">I", seed & 0xFFFFFFFF)[1:] * _PIXELS
    header = struct.pack(">IIBBBBB", _PIXELS, _PIXELS, 8, 2, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(row * _PIXELS)), (b"IEND", b""))
    packed = (
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in chunks
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(packed)


class Images(Endpoint):
    """`/images/generations`, or `/images/edits` where `edits`: a form with files, or JSON with references to them."""

    def __init__(self, provider: Provider, *, edits: bool) -> None:
        super().__init__(provider)
        self._edits = edits

    def read(self, body: bytes, path_model: str, query: Mapping[str, str], headers: Mapping[str, str]) -> Asked:
        """As `Dialect.read`."""
        self.admit(path_model, query, headers)
        request, images = self._request(body, headers.get("content-type", ""))
        model = path_model or request.model or MODEL
        newer = "gpt-image" in split_name(model)[0]
        n = 1 if request.n is None else request.n
        within("n", n, 1, MAX_IMAGES)
        within("partial_images", request.partial_images, 0, MAX_PARTIAL)
        within("prompt", len(request.prompt), 1, MAX_PROMPT)
        if newer and request.response_format is not None:
            raise BadRequest("Unknown parameter: 'response_format'.", param="response_format", code="unknown_parameter")
        if request.response_format not in (None, "url", "b64_json"):
            raise BadRequest("'response_format' must be url or b64_json.", param="response_format")
        if request.stream and (not newer or n != 1):
            raise BadRequest("Streaming is for one picture of a model that supports it.", param="stream")
        size = request.size if request.size in _SIZES else "1024x1024"
        quality = request.quality if request.quality in _QUALITIES else "medium"
        background = "transparent" if request.background == "transparent" else "opaque"
        wanted = _Wanted(
            prompt=request.prompt,
            host=headers.get("host", "localhost"),
            urls=not newer and request.response_format != "b64_json",
            counted=newer,
            images=images,
            partial=request.partial_images or 0,
            shown={"size": size, "quality": quality, "background": background, "output_format": "png"},
        )
        return Asked(
            model=model,
            stream=bool(request.stream),
            prompt_tokens=count(request.prompt) + IMAGE_TOKENS * images,
            last_user="",
            may_call=False,
            n=n,
            natural=_SIZES[size][_QUALITIES.index(quality)] if newer else 0,
            include_usage=True,
            unmetered=not newer,
            detail=wanted,
        )

    def _request(self, body: bytes, content_type: str) -> tuple[Request, int]:
        """The request, and how many pictures are in it."""
        if not self._edits:
            generation: Request = decode(body, Request)
            return generation, 0
        if is_form(content_type):
            form = parse(body, content_type)
            edit: Request = form.convert(Request)
            files = form.files.get("image", [])
            if any(not file.content for file in files):
                raise BadRequest("'image' is an empty file.", param="image")
            images = len(files)
        else:
            edit = decode(body, Request)
            images = len(edit.images or ())
        if not 1 <= images <= MAX_INPUTS:
            raise BadRequest(f"between 1 and {MAX_INPUTS} images are required.", param="image")
        return edit, images

    def whole(self, asked: Asked, answer: Answer, request_id: str, created: int, *, usage: bool) -> bytes:
        """As `Dialect.whole`."""
        wanted: _Wanted = asked.detail
        data = []
        for index in range(asked.n):
            seed = _seed(wanted.prompt, index)
            url = f"http://{wanted.host}/files/images/{seed:08x}.png"
            data.append({"url": url} if wanted.urls else {"b64_json": _base64(seed)})
        found: dict[str, Any] = {"created": created, "data": data}
        if wanted.counted:
            found |= wanted.shown
        if wanted.counted and usage:
            found["usage"] = _usage(wanted, answer)
        return orjson.dumps(found)

    def events(
        self, asked: Asked, answer: Answer, request_id: str, created: int, *, usage: bool, chunk: int
    ) -> Iterator[Event]:
        """As `Dialect.events`: the partial pictures, each of as many tokens, then the picture with the rest."""
        wanted: _Wanted = asked.detail
        kind = "image_edit" if self._edits else "image_generation"
        share = answer.completion_tokens // (wanted.partial + 1)
        frame = {"created_at": created, **wanted.shown}
        for index in range(wanted.partial):
            picture = {"b64_json": _base64(_seed(wanted.prompt, -1 - index)), "partial_image_index": index}
            yield Event(named({"type": f"{kind}.partial_image", **picture, **frame}), share, Part.CONTENT)
        ended: dict[str, Any] = {"type": f"{kind}.completed", "b64_json": _base64(_seed(wanted.prompt, 0)), **frame}
        if usage:
            ended["usage"] = _usage(wanted, answer)
        yield Event(named(ended), answer.completion_tokens - share * wanted.partial, Part.DONE)


def _seed(prompt: str, index: int) -> int:
    return zlib.crc32(f"{index} {prompt}".encode("utf-8", "surrogatepass"))


def _base64(seed: int) -> str:
    return base64.b64encode(png(seed)).decode()


def _usage(wanted: _Wanted, answer: Answer) -> dict[str, Any]:
    image_tokens = IMAGE_TOKENS * wanted.images
    return {
        "input_tokens": answer.prompt_tokens,
        "input_tokens_details": {"text_tokens": answer.prompt_tokens - image_tokens, "image_tokens": image_tokens},
        "output_tokens": answer.completion_tokens,
        "output_tokens_details": {"text_tokens": 0, "image_tokens": answer.completion_tokens},
        "total_tokens": answer.prompt_tokens + answer.completion_tokens,
    }
