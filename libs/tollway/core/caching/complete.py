"""Whether an answer is whole, so that it may be given again: every choice has ended for a reason of its own.

Owns what "ended" means in each dialect. Whatever is not understood is not whole.
"""

from __future__ import annotations

from typing import Any

import msgspec

from tollway.core.dialects import sse
from tollway.core.operations import Operation

_CUT = frozenset({"length", "max_tokens"})
_ENDED = _CUT | {"stop", "tool_calls", "function_call", "end_turn", "stop_sequence", "tool_use", "eos_token"}
_DONE = b"[DONE]"
_GOES_ON, _ERROR = b'"finish_reason":null', b'"error"'

CACHEABLE = frozenset(
    {
        Operation.CHAT,
        Operation.COMPLETIONS,
        Operation.RESPONSES,
        Operation.MESSAGES,
        Operation.EMBEDDINGS,
        Operation.MODERATIONS,
        Operation.RERANK,
    }
)
"""Calls whose answers are text or numbers, and not files."""


class _Choice(msgspec.Struct):
    index: int = 0
    finish_reason: str | None = None


class _Chunk(msgspec.Struct):
    choices: list[_Choice] | None = None
    error: Any = None


class _Delta(msgspec.Struct):
    stop_reason: str | None = None


class _Message(msgspec.Struct):
    type: str = ""
    stop_reason: str | None = None
    delta: _Delta | None = None
    error: Any = None


class _Response(msgspec.Struct):
    status: str = ""
    error: Any = None


class _ResponseEvent(msgspec.Struct):
    type: str = ""
    response: _Response | None = None


class _Listed(msgspec.Struct):
    data: list[msgspec.Raw] | None = None
    results: list[msgspec.Raw] | None = None
    error: Any = None


_CHUNK = msgspec.json.Decoder(_Chunk)
_MESSAGE = msgspec.json.Decoder(_Message)
_RESPONSE = msgspec.json.Decoder(_Response)
_RESPONSE_EVENT = msgspec.json.Decoder(_ResponseEvent)
_LISTED = msgspec.json.Decoder(_Listed)


def is_complete(operation: Operation, body: bytes, *, stream: bool, choices: int = 1, capped: bool = False) -> bool:
    """Whether the answer `body` of a call is whole, with at least as many choices as were asked for.

    `stream`: it is the events that the client got. `capped`: its length was bounded by something that the request does
    not say, so that one which came to that end is not what was asked for.
    """
    ended = _ENDED - _CUT if capped else _ENDED
    try:
        if operation in (Operation.CHAT, Operation.COMPLETIONS):
            return _choices(body, stream, ended, choices)
        if operation is Operation.MESSAGES:
            return _message(body, stream, ended)
        if operation is Operation.RESPONSES:
            return _response(body, stream)
        if stream or operation not in CACHEABLE:
            return False
        listed = _LISTED.decode(body)
        return not listed.error and bool(listed.data if operation is Operation.EMBEDDINGS else listed.results)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        return False


def _events(body: bytes) -> list[bytes]:
    """The data of each event. Raises msgspec.DecodeError for what does not end as events do."""
    *blocks, rest = body.split(b"\n\n") if b"\r" not in body else _framed(body)
    if rest.strip():
        raise msgspec.DecodeError("the last event has no end")
    datas: list[bytes] = []
    for block in blocks:
        if block.startswith(b"data: ") and b"\n" not in block:
            datas.append(block[6:])
            continue
        event = sse.read_event(block)
        if event.junk or event.name == "error":
            raise msgspec.DecodeError("no event stream, or one with an error")
        if event.data is not None:
            datas.append(event.data)
    return datas


def _framed(body: bytes) -> list[bytes]:
    """Events of a stream whose lines may end in CR, and what comes after the last."""
    framer = sse.Framer()
    return [*framer.feed(body), framer.rest()]


def _choices(body: bytes, stream: bool, ended: frozenset[str], wanted: int) -> bool:
    parts = _events(body) if stream else [body]
    if stream and (not parts or parts.pop() != _DONE):
        return False
    ends: dict[int, bool] = {}
    for part in parts:
        if stream and part.find(_GOES_ON) >= 0 and part.find(_ERROR) < 0:
            continue  # as most are; whether its choice ends is said by another
        chunk = _CHUNK.decode(part)
        if chunk.error:
            return False
        for place, choice in enumerate(chunk.choices or ()):
            index = choice.index if stream else place
            if choice.finish_reason is not None:
                ends[index] = choice.finish_reason in ended
            else:
                ends.setdefault(index, False)
    return len(ends) >= wanted and all(ends.values())


def _message(body: bytes, stream: bool, ended: frozenset[str]) -> bool:
    if not stream:
        message = _MESSAGE.decode(body)
        return message.type == "message" and not message.error and message.stop_reason in ended
    last, reason = "", None
    for part in _events(body):
        event = _MESSAGE.decode(part)
        last = event.type
        if last == "error":
            return False
        if event.delta is not None and event.delta.stop_reason is not None:
            reason = event.delta.stop_reason
    return last == "message_stop" and reason in ended


def _response(body: bytes, stream: bool) -> bool:
    if not stream:
        response = _RESPONSE.decode(body)
        return response.status == "completed" and not response.error
    last: _ResponseEvent | None = None
    for part in _events(body):
        if part == _DONE:
            continue
        last = _RESPONSE_EVENT.decode(part)
        if last.type == "error":
            return False
    if last is None or last.type != "response.completed" or last.response is None:
        return False
    return last.response.status == "completed" and not last.response.error
