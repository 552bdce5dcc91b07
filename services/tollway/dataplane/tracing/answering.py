"""Which model says that it answered: read from the first bytes of an answer, whole or streamed, of any dialect."""

from __future__ import annotations

import msgspec

MOST_BYTES = 1 << 20
MOST_EVENTS = 4
DATA = b"data:"


class _Named(msgspec.Struct):
    model: str = ""


class _Answer(msgspec.Struct):
    """A chat completion or its chunk, a message or its start, a response or its event."""

    model: str = ""
    message: _Named | None = None
    response: _Named | None = None


_decode = msgspec.json.Decoder(_Answer).decode


def model_of(data: bytes) -> str:
    """The model's name; "" where the answer, or what is here of it, does not say."""
    if len(data) > MOST_BYTES:
        return ""
    start = data.lstrip()
    if start.startswith(b"{"):
        return _read(start)
    events = [line[len(DATA) :] for line in data.splitlines()[: 4 * MOST_EVENTS] if line.startswith(DATA)]
    return next((found for event in events[:MOST_EVENTS] if (found := _read(event))), "")


def _read(text: bytes) -> str:
    try:
        answer = _decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):  # not for us to judge
        return ""
    return answer.model or (answer.message or answer.response or answer).model
