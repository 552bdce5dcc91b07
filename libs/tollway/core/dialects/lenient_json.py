"""JSON as real services write it: strict first, then with the slips that are harmless.

Owns the fallback from the fast strict decoder to a tolerant one (lone surrogates, NaN, control characters in strings).
Every failure is a ValueError.
"""

from __future__ import annotations

import json
from typing import Any, TypeVar

import msgspec

T = TypeVar("T")


def loads(data: bytes) -> Any:
    """Any JSON value. Raises ValueError when it is not JSON by any reading."""
    try:
        return msgspec.json.decode(data)
    except (msgspec.DecodeError, RecursionError):
        return _tolerant(data)


def decode(decoder: msgspec.json.Decoder[T], kind: type[T], data: bytes) -> T:
    """A value of `kind`. Raises ValueError when it is not JSON or has another shape."""
    try:
        return decoder.decode(data)
    except msgspec.ValidationError as error:
        raise ValueError(str(error)) from None
    except (msgspec.DecodeError, RecursionError):
        value = _tolerant(data)
    try:
        return msgspec.convert(value, kind)
    except (msgspec.ValidationError, RecursionError) as error:
        raise ValueError(str(error)) from None


def _tolerant(data: bytes) -> Any:
    try:
        return json.loads(data.decode("utf-8"), strict=False)
    except RecursionError:
        raise ValueError("JSON is nested too deeply") from None
