"""Packed bodies unpacked: a zstd frame of one JSON object (docs/reference/request-log.md). Pure.

What comes in was made by a data plane: sizes are bounded, and what has another form is told apart, never believed.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from typing import Any

import msgspec
import zstandard

from tollway.controlplane.requestlog.model import LoggedMessage

MAX_PLAIN_BYTES = 40 << 20
"""What can be shown: an answer of the management API must hold it, written as JSON."""


class Unreadable(ValueError):
    """The content cannot be shown; the message says why."""


def unpack(content: bytes) -> tuple[LoggedMessage, LoggedMessage]:
    """Request and answer. Raises Unreadable."""
    try:
        found = msgspec.json.decode(_plain(content))
    except (msgspec.DecodeError, UnicodeDecodeError):
        raise Unreadable("the stored bodies are damaged: they are not JSON") from None
    if not isinstance(found, dict):
        raise Unreadable("the stored bodies are damaged: they are not a JSON object")
    return _message(found.get("request")), _message(found.get("response"))


def _plain(content: bytes) -> bytes:
    try:
        with zstandard.ZstdDecompressor().stream_reader(content) as reader:
            plain = reader.read(MAX_PLAIN_BYTES + 1)
    except zstandard.ZstdError:
        raise Unreadable("the stored bodies are damaged: they cannot be unpacked") from None
    if len(plain) > MAX_PLAIN_BYTES:
        raise Unreadable(f"the bodies are larger than can be shown, {MAX_PLAIN_BYTES} bytes")
    return plain


def _message(part: Any) -> LoggedMessage:
    if not isinstance(part, dict):
        return LoggedMessage()
    headers = part.get("headers")
    status = part.get("status")
    text, encoded = _body(part.get("body"))
    return LoggedMessage(
        headers={str(name): str(value) for name, value in headers.items()} if isinstance(headers, Mapping) else {},
        body=text,
        body_base64=encoded,
        status=status if isinstance(status, int) and 0 <= status < 1000 else 0,
        streamed=part.get("streamed") is True,
    )


def _body(body: Any) -> tuple[str, str]:
    """As text and as base64: one of them, or neither."""
    if body is None:
        return "", ""
    if isinstance(body, str):
        return body, ""
    if isinstance(body, dict) and isinstance(encoded := body.get("base64"), str):
        try:
            return "", base64.b64encode(base64.b64decode(encoded, validate=True)).decode()
        except binascii.Error:
            raise Unreadable("the stored bodies are damaged: a body is not base64") from None
    return msgspec.json.encode(body).decode(), ""
