"""The Anthropic view of an answer stream that another dialect gave: neutral events to Messages events.

Owns the grammar of that stream: one `message_start`, blocks one after the other with rising indexes, one
`message_delta`, one `message_stop`. Blocks of other dialects may overlap (parallel tool calls do); here the block that
is open goes first and the others wait in order, which holds back no more than the provider sent.
"""

from __future__ import annotations

import re
from collections import deque
from typing import Any

from tollway.core import chat
from tollway.core.dialects.anthropic_usage import write_usage
from tollway.core.dialects.anthropic_writer import call_id, json_of, message_id, stop_reason
from tollway.core.usage import Usage

_DELTA_START = b'event: content_block_delta\ndata: {"type":"content_block_delta","index":'
_DELTA_END = b"}}\n\n"
_DELTAS = {
    "text": b',"delta":{"type":"text_delta","text":',
    "refusal": b',"delta":{"type":"text_delta","text":',
    "thinking": b',"delta":{"type":"thinking_delta","thinking":',
    "tool": b',"delta":{"type":"input_json_delta","partial_json":',
}
_TEXT_BLOCK = {"type": "text", "text": ""}
_THINKING_BLOCK = {"type": "thinking", "thinking": "", "signature": ""}
_STARTS: dict[str, dict[str, Any]] = {"text": _TEXT_BLOCK, "refusal": _TEXT_BLOCK, "thinking": _THINKING_BLOCK}
_STRUCTURE = re.compile(r'["\\{}\[\]]')


def _event(name: str, body: dict[str, Any]) -> bytes:
    return b"event: %s\ndata: %s\n\n" % (name.encode(), json_of({"type": name, **body}))


class _Scan:
    """Whether the JSON text of an object is complete, told piece by piece in time linear in its length."""

    __slots__ = ("_depth", "_in_string", "_opened", "_skip", "complete")

    def __init__(self) -> None:
        self._depth = 0
        self._in_string = False
        self._opened = False
        self._skip = -1
        self.complete = False

    def feed(self, piece: str) -> None:
        """The next piece. What follows the end of the object changes nothing."""
        escaped = 0 if self._skip == 0 else -1
        self._skip = -1
        for found in _STRUCTURE.finditer(piece):
            at, mark = found.start(), found[0]
            if at == escaped or self.complete:
                continue
            if self._in_string:
                if mark == "\\":
                    escaped = at + 1
                    if escaped == len(piece):
                        self._skip = 0
                elif mark == '"':
                    self._in_string = False
            elif mark == '"':
                self._in_string = True
            elif mark in "{[":
                self._depth += 1
                self._opened = True
            elif mark in "}]":
                self._depth -= 1
                self.complete = self._opened and self._depth <= 0


class _Block:
    """A block of the answer; `pieces` are what it was given and has not been written, or must still be scanned."""

    __slots__ = ("kind", "over", "pieces", "scan", "signature", "start")

    def __init__(self, kind: str, start: dict[str, Any]) -> None:
        self.kind = kind
        self.start = start
        self.pieces: list[str] = []
        self.signature: str | None = None
        self.over = False
        self.scan = _Scan()

    def ended(self) -> bool:
        """Whether the block can be closed for another one: only arguments of a tool can be incomplete."""
        if self.kind != "tool":
            return True
        for piece in self.pieces:
            self.scan.feed(piece)
        self.pieces.clear()
        return self.scan.complete


def write_error(message: str, error_type: str, code: str, param: str | None = None) -> bytes:  # noqa: ARG001
    """The `error` event; nothing follows it. This dialect has no place for the code and the field."""
    return _event("error", {"error": {"type": error_type, "message": message}})


class StreamWriter:
    """Neutral events to Messages events.

    A tool call is complete when its arguments are the JSON text of an object. Until then, other blocks that begin wait;
    a call without arguments is known as such only at the end of the stream. What comes for a call that was complete and
    has been closed means nothing and is left out. Arguments that are no JSON object are written as they are.
    """

    def __init__(self, *, model: str, message_id: str, input_tokens: int = 0) -> None:
        """`model` and `message_id` are shown where the provider names none of its own.

        `input_tokens`: an estimate for `message_start`, since most providers tell the count at the end alone.
        """
        self._model = model
        self._id = message_id
        self._input_tokens = input_tokens
        self._started = False
        self._ended = False
        self._index = -1
        self._open: _Block | None = None
        self._kind = ""
        self._prefix = b""
        self._waiting: deque[_Block] = deque()
        self._calls: dict[int, _Block] = {}
        self._refused = False

    def write(self, event: chat.Event) -> bytes:
        """The bytes for the client, maybe none; `Closed` writes the end, and nothing follows it."""
        if type(event) is chat.TextDelta and self._kind == "text" and not self._ended:
            # By far the most common case: more text for the block that is open, with nothing waiting.
            return self._prefix + json_of(event.text) + _DELTA_END
        if self._ended:
            return b""
        out: list[bytes] = []
        if not self._started:
            self._begin(event, out)
        match event:
            case chat.TextDelta(text):
                self._more("text", text, out)
            case chat.ReasoningDelta(text):
                self._more("thinking", text, out)
            case chat.RefusalDelta(text):
                self._refused = True
                self._more("refusal", text, out)
            case chat.ToolDelta(index, arguments):
                self._arguments(index, arguments, out)
            case chat.ToolStarted(index, given, name):
                start = {"type": "tool_use", "id": call_id(given, self._id, index), "name": name, "input": {}}
                self._calls[index] = self._add(_Block("tool", start), out)
            case chat.ThinkingSigned(signature):
                self._sign(signature, out)
            case chat.ThinkingRedacted(data):
                self._add(_Block("redacted", {"type": "redacted_thinking", "data": data}), out)
            case chat.Closed(finish, usage, stop_sequence):
                self._close(finish, usage, stop_sequence, out)
        return b"".join(out)

    def fail(self, message: str, error_type: str, code: str, param: str | None = None) -> bytes:
        """As `write_error`."""
        self._ended = True
        return write_error(message, error_type, code, param)

    def _begin(self, event: chat.Event, out: list[bytes]) -> None:
        self._started = True
        if isinstance(event, chat.Opened):
            self._model = event.model or self._model
            self._id = event.id or self._id
        self._id = message_id(self._id)
        usage = {
            "input_tokens": self._input_tokens,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
            "output_tokens": 0,
        }
        message: dict[str, Any] = {
            "id": self._id,
            "type": "message",
            "role": "assistant",
            "model": self._model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": usage,
        }
        out.append(_event("message_start", {"message": message}))

    def _add(self, block: _Block, out: list[bytes]) -> _Block:
        """A new block: opened when the one before it is over, else it waits."""
        if self._waiting or (self._open is not None and not self._open.ended()):
            self._waiting.append(block)
            self._kind = ""
        else:
            self._start(block, out)
        return block

    def _start(self, block: _Block, out: list[bytes]) -> None:
        self._stop(out)
        self._index += 1
        self._open = block
        self._kind = block.kind
        out.append(_event("content_block_start", {"index": self._index, "content_block": block.start}))
        if block.kind in _DELTAS:
            self._prefix = _DELTA_START + str(self._index).encode() + _DELTAS[block.kind]
            if block.pieces:
                self._delta("".join(block.pieces), out)
        if block.signature is not None:
            self._signed(block.signature, out)

    def _stop(self, out: list[bytes]) -> None:
        if self._open is not None:
            out.append(_event("content_block_stop", {"index": self._index}))
            self._open.over = True
            self._open, self._kind = None, ""

    def _delta(self, text: str, out: list[bytes]) -> None:
        out.append(self._prefix + json_of(text) + _DELTA_END)

    def _more(self, kind: str, text: str, out: list[bytes]) -> None:
        """More text of a kind: for the last block when that is of the kind, else for a new one."""
        if not text:
            return
        last = self._waiting[-1] if self._waiting else self._open
        if last is None or last.kind != kind or last.signature is not None:
            last = self._add(_Block(kind, _STARTS[kind]), out)
        if last is self._open:
            self._delta(text, out)
        else:
            last.pieces.append(text)

    def _sign(self, signature: str, out: list[bytes]) -> None:
        """The end of a block of reasoning; reasoning that is not shown is a block of its signature alone."""
        last = self._waiting[-1] if self._waiting else self._open
        if last is None or last.kind != "thinking" or last.signature is not None:
            last = self._add(_Block("thinking", _THINKING_BLOCK), out)
        last.signature = signature
        if last is self._open:
            self._signed(signature, out)

    def _signed(self, signature: str, out: list[bytes]) -> None:
        delta = {"type": "signature_delta", "signature": signature}
        out.append(_event("content_block_delta", {"index": self._index, "delta": delta}))

    def _arguments(self, index: int, arguments: str, out: list[bytes]) -> None:
        block = self._calls.get(index)
        if block is None or block.over or not arguments:
            return
        if block is self._open:
            self._delta(arguments, out)
            block.pieces.append(arguments)
            if self._waiting and block.ended():
                self._advance(out)
        else:
            block.pieces.append(arguments)

    def _advance(self, out: list[bytes]) -> None:
        """The open block is over: open those that waited for it, up to the first that is not over itself."""
        while self._waiting and (self._open is None or self._open.ended()):
            self._start(self._waiting.popleft(), out)

    def _close(self, finish: chat.Finish, usage: Usage | None, stop_sequence: str | None, out: list[bytes]) -> None:
        for block in self._waiting:
            self._start(block, out)
        self._waiting.clear()
        self._stop(out)
        reason = stop_reason(finish, stop_sequence, called=bool(self._calls), refused=self._refused)
        delta = {"stop_reason": reason, "stop_sequence": stop_sequence if reason == "stop_sequence" else None}
        out.append(_event("message_delta", {"delta": delta, "usage": write_usage(usage)}))
        out.append(_event("message_stop", {}))
        self._ended = True
