"""Reads the body, bounded, and takes from it only what routing and accounting need."""

from __future__ import annotations

import asyncio
import zlib
from collections.abc import Callable

import aiohttp
from aiohttp import web

from tollway.core.dialects.head import with_model
from tollway.core.dialects.multipart import is_form, read_form, replace_field
from tollway.core.errors import Code, TollwayError
from tollway.dataplane.aside import LARGE_BYTES, aside
from tollway.dataplane.endpoints.port import JSON
from tollway.dataplane.pipeline.exchange import Exchange

BODY_SECONDS = 240.0
"""Within this time a body must be there; a request that began longer ago would count in windows that are over."""
MAX_TAGS = 20
MAX_TAG_LENGTH = 255
MAX_PARTS = 256


Take = Callable[[int], None]
"""Takes memory for so many bytes of a body. Raises TollwayError where there is none."""


async def read_body(exchange: Exchange) -> bytes:
    """The unpacked body. One longer than the limit is refused without being read to its end.

    What is not here already takes its part of the memory for all bodies.
    """
    request, limit = exchange.request, exchange.services.settings.max_body_bytes
    length = request.content_length
    if length is not None and length > limit:
        raise _too_large(limit)
    content = request.content
    try:
        if content.is_eof():  # it came with the headers, as small ones do
            return await _whole(content, limit, None) if request.body_exists else b""
        async with asyncio.timeout(BODY_SECONDS):
            return await _whole(content, limit, Room(exchange).take)
    except (aiohttp.ClientPayloadError, web.RequestPayloadError, zlib.error) as error:
        raise TollwayError(Code.INVALID_REQUEST, "The request body could not be read or unpacked.") from error
    except TimeoutError:
        raise TollwayError(
            Code.INVALID_REQUEST, f"The request body did not arrive within {BODY_SECONDS:.0f} seconds."
        ) from None


async def _whole(content: aiohttp.StreamReader, limit: int, take: Take | None) -> bytes:
    first = await content.readany()
    if len(first) > limit:
        raise _too_large(limit)
    if content.at_eof():
        return first
    parts, size = [first], len(first)
    if take is not None:
        take(size)
    while not content.at_eof():
        part = await content.readany()
        if take is not None:
            take(len(part))
        parts.append(part)
        size += len(part)
        if size > limit:
            raise _too_large(limit)
    return b"".join(parts) if size < LARGE_BYTES else await aside(lambda: b"".join(parts))


def _too_large(limit: int) -> TollwayError:
    return TollwayError(Code.REQUEST_TOO_LARGE, f"The request body is larger than the {limit} bytes that are accepted.")


def parse_tags(text: str) -> dict[str, str]:
    """Tags from `x-tollway-tags: k=v,...`. Raises TollwayError when they are malformed or too many."""
    tags = {}
    for pair in text.split(","):
        name, equals, value = pair.strip().partition("=")
        fits = (
            max(len(name), len(value)) <= MAX_TAG_LENGTH and (name + value).isprintable()
        )  # bytes that are no UTF-8 are not
        if not name or not equals or not fits:
            raise TollwayError(
                Code.INVALID_REQUEST,
                "x-tollway-tags must be 'name=value,...' (255 printable characters each).",
                param="x-tollway-tags",
            )
        tags[name] = value
    if len(tags) > MAX_TAGS:
        raise TollwayError(
            Code.INVALID_REQUEST, f"x-tollway-tags takes at most {MAX_TAGS} tags.", param="x-tollway-tags"
        )
    return tags


class Room:
    """What the body of one request takes of the memory for all bodies, until the request is over."""

    __slots__ = ("_exchange", "_taken")

    def __init__(self, exchange: Exchange) -> None:
        self._exchange = exchange
        self._taken = 0

    def take(self, size: int) -> None:
        """Room for so many bytes more. Raises TollwayError(overloaded)."""
        self._exchange.services.overload.take_bytes(size)
        if not self._taken:
            self._exchange.cleanup(self._give_back)
        self._taken += size

    def _give_back(self) -> None:
        self._exchange.services.overload.give_back_bytes(self._taken)


def _named(body: bytes, exchange: Exchange, model: str) -> bytes:
    """The body with the model that its path names: JSON or a form."""
    if is_form(exchange.content_type):
        return replace_field(read_form(body, exchange.content_type, max_parts=MAX_PARTS), "model", model)
    return with_model(body, model)


async def parse(exchange: Exchange) -> None:
    """Body, head and tags; refuses what is no such request, or names an address that it must not."""
    request = exchange.request
    endpoint = exchange.endpoint
    exchange.content_type = request.headers.get("Content-Type", JSON)
    kind = exchange.content_type.partition(";")[0].strip().lower()
    if kind not in endpoint.accepts:
        wanted = " or ".join(f"'Content-Type: {accepted}'" for accepted in endpoint.accepts)
        raise TollwayError(Code.UNSUPPORTED_MEDIA_TYPE, f"Send the request with the header {wanted}.")
    body = await read_body(exchange)
    exchange.received = body
    exchange.body = body if exchange.model is None else _named(body, exchange, exchange.model)
    if len(body) < LARGE_BYTES:
        exchange.head = endpoint.read(exchange.body, exchange.content_type)
    else:
        exchange.head = await aside(lambda: endpoint.read(exchange.body, exchange.content_type))
    tags = request.headers.get("x-tollway-tags")
    if tags is not None:
        exchange.tags = parse_tags(tags)
