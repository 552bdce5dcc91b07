"""What a gateway must see of a provider's Messages answer whose bytes reach a client of the same dialect unchanged.

Owns partial reading: the commit point, usage, how much was delivered, errors, the end. It changes nothing and knows no
kinds of blocks but those that begin empty, so that what Anthropic adds passes through.
"""

from __future__ import annotations

from typing import Any

import msgspec

from tollway.core.dialects import lenient_json, sse
from tollway.core.dialects.anthropic_answer import read_answer
from tollway.core.dialects.anthropic_usage import merge_usage, read_usage
from tollway.core.dialects.ports import ErrorEvent, garbage
from tollway.core.errors import TollwayError
from tollway.core.usage import Usage

_BEGIN_EMPTY = frozenset({"text", "thinking"})
_DATA = b"\ndata: "


class _Delta(msgspec.Struct):
    """Untyped: deltas of kinds that are not known here may use the same names for other things."""

    text: Any = None
    thinking: Any = None
    partial_json: Any = None
    content: Any = None


class _Block(msgspec.Struct):
    type: Any = None
    text: Any = None
    thinking: Any = None


class _Message(msgspec.Struct):
    usage: Any = None


class _Seen(msgspec.Struct):
    type: str
    delta: _Delta | None = None
    content_block: _Block | None = None
    message: _Message | None = None
    usage: Any = None
    error: Any = None


class _Kind(msgspec.Struct):
    type: str


_DECODER = msgspec.json.Decoder(_Seen)
_KIND_DECODER = msgspec.json.Decoder(_Kind)
_KNOWN = frozenset({"content_block_delta", "content_block_start", "error", "message_delta", "message_start"})


def _payload(block: bytes) -> bytes | None:
    """The data of a block in Anthropic's own spelling, an event line and a data line; None: any other spelling."""
    if block.startswith(b"event: ") and block.endswith(b"\n\n") and b"\r" not in block:
        at = block.find(_DATA)
        if at == block.find(b"\n") and block.find(b"\n", at + 1) == len(block) - 2:
            return block[at + 7 : -2]
    return None


class MessagesView:
    """Looks at the events of one stream as they pass through.

    `started`: the first event that bears content has been seen, the commit point. `done`: `message_stop` has been seen.
    `output_chars`: characters of text, reasoning and tool input so far, in `output_events` events. `failure`: an
    ErrorEvent for an error event of the provider, TollwayError(provider_error) for garbage.
    """

    __slots__ = ("_usage", "done", "failure", "output_chars", "output_events", "started")

    def __init__(self) -> None:
        """A view serves one stream."""
        self._usage: dict[str, Any] = {}
        self.started = False
        self.done = False
        self.output_chars = 0
        self.output_events = 0
        self.failure: TollwayError | None = None

    @property
    def usage(self) -> Usage | None:
        """Token counts as last told; exact once `done`."""
        return read_usage(self._usage)

    def see(self, block: bytes) -> bool:
        """Look at one raw event, terminator included; whether it is to be passed on.

        Never raises: an error event and garbage set `failure` and are not passed on, and nothing is after the end.
        """
        if self.done or self.failure is not None:
            return False
        data = _payload(block)
        if data is None:
            event = sse.read_event(block)
            if event.junk:
                self.failure = garbage("the body is not an event stream")
                return False
            data = event.data
            if data is None or not data.strip():
                return True
        try:
            seen = lenient_json.decode(_DECODER, _Seen, data)
        except ValueError:
            return self._unreadable(data)
        self._take(seen)
        return self.failure is None

    def _unreadable(self, data: bytes) -> bool:
        """Events of kinds that are not known here may have any shape; anything else is garbage."""
        try:
            known = lenient_json.decode(_KIND_DECODER, _Kind, data).type in _KNOWN
        except ValueError:
            known = True
        if known:
            self.failure = garbage("an event is not a Messages event")
        return not known

    def _take(self, seen: _Seen) -> None:
        match seen.type:
            case "content_block_delta":
                if seen.delta is not None:
                    delta = seen.delta
                    self._deliver(delta.text or delta.thinking or delta.partial_json or delta.content)
            case "content_block_start":
                block = seen.content_block
                if block is not None:
                    self._deliver(block.text or block.thinking)
                    empty = isinstance(block.type, str) and block.type in _BEGIN_EMPTY
                    self.started = self.started or not empty
            case "message_start":
                if seen.message is not None:
                    self._usage = merge_usage(self._usage, seen.message.usage)
            case "message_delta":
                self._usage = merge_usage(self._usage, seen.usage)
                self.started = True
            case "message_stop":
                self.done = True
            case "error":
                self.failure = ErrorEvent(seen.error)

    def _deliver(self, text: Any) -> None:
        if text and isinstance(text, str):
            self.output_chars += len(text)
            self.output_events += 1
            self.started = True


def read_finished(body: bytes) -> tuple[Usage | None, int]:
    """Usage of a whole answer that passes through, and its characters of text, reasoning and tool input.

    Raises ErrorEvent when the body is an error object, TollwayError(provider_error) when it is no message.
    """
    answer = read_answer(body)
    return answer.usage, answer.chars
