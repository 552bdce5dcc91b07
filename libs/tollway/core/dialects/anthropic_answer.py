"""Answers of Anthropic's Messages API, whole and streamed, read into the neutral model.

Owns the reading: blocks that are not for the client (tools that the provider runs, compaction) and events it does not
know are passed over. It never invents an end: a stream is closed by `message_stop` alone.
"""

from __future__ import annotations

from typing import Any

import msgspec

from tollway.core import chat
from tollway.core.dialects import lenient_json, sse
from tollway.core.dialects.anthropic_usage import merge_usage, read_usage
from tollway.core.dialects.anthropic_writer import json_of
from tollway.core.dialects.ports import ErrorEvent, garbage
from tollway.core.errors import TollwayError
from tollway.core.usage import Usage

_FINISH = {
    "end_turn": chat.Finish.STOP,
    "stop_sequence": chat.Finish.STOP,
    "pause_turn": chat.Finish.STOP,
    "max_tokens": chat.Finish.LENGTH,
    "model_context_window_exceeded": chat.Finish.LENGTH,
    "tool_use": chat.Finish.TOOL_CALLS,
    "refusal": chat.Finish.CONTENT_FILTER,
}

_MAX_NAME = 256
"""Characters of an id or a model's name that are kept: clients are told them again with every event."""


class _Block(msgspec.Struct):
    """Untyped but for `type`: blocks of kinds that are not known here may use the same names for other things."""

    type: str = ""
    text: Any = None
    thinking: Any = None
    signature: Any = None
    data: Any = None
    id: Any = None
    name: Any = None
    input: Any = None


class _Message(msgspec.Struct):
    """An answer, or the `message` of `message_start`. Only an answer must have `content`."""

    type: str = ""
    id: str = ""
    model: str = ""
    content: list[_Block] | None = None
    stop_reason: str | None = None
    stop_sequence: Any = None
    usage: Any = None
    error: Any = None


class _Delta(msgspec.Struct):
    type: str = ""
    text: Any = None
    thinking: Any = None
    signature: Any = None
    partial_json: Any = None
    stop_reason: str | None = None
    stop_sequence: Any = None


class _Event(msgspec.Struct):
    type: str
    index: int = 0
    message: _Message | None = None
    content_block: _Block | None = None
    delta: _Delta | None = None
    usage: Any = None
    error: Any = None


class _Kind(msgspec.Struct):
    type: str


_KNOWN_EVENTS = frozenset(
    {
        "content_block_delta",
        "content_block_start",
        "content_block_stop",
        "error",
        "message_delta",
        "message_start",
        "message_stop",
    }
)
_MESSAGE_DECODER = msgspec.json.Decoder(_Message)
_EVENT_DECODER = msgspec.json.Decoder(_Event)
_KIND_DECODER = msgspec.json.Decoder(_Kind)


def _str(value: Any) -> str:
    """A text field; anything else counts as empty."""
    return value if isinstance(value, str) else ""


def _finish(reason: str | None) -> chat.Finish:
    return _FINISH.get(reason or "", chat.Finish.STOP)


def read_answer(body: bytes, created: int = 0) -> chat.Answer:
    """A whole answer; text blocks are joined without a separator. `created` is Unix seconds, which Anthropic omits.

    Raises TollwayError(provider_error) when the body is no message.
    """
    try:
        message = lenient_json.decode(_MESSAGE_DECODER, _Message, body)
    except ValueError:
        raise garbage("the body is not a message") from None
    if message.error is not None:
        raise ErrorEvent(message.error)
    if message.type != "message" or message.content is None:
        raise garbage("the body is not a message")
    return chat.Answer(
        id=message.id[:_MAX_NAME],
        model=message.model[:_MAX_NAME],
        created=created,
        finish=_finish(message.stop_reason),
        blocks=tuple(found for block in message.content if (found := _block(block)) is not None),
        stop_sequence=_str(message.stop_sequence) or None if message.stop_reason == "stop_sequence" else None,
        usage=read_usage(message.usage),
    )


def _block(block: _Block) -> chat.Block | None:
    """The neutral form of a block; None for those that are not for the client."""
    match block.type:
        case "text":
            return chat.Text(_str(block.text))
        case "thinking":
            return chat.Thinking(_str(block.thinking), _str(block.signature) or None)
        case "redacted_thinking":
            return chat.RedactedThinking(_str(block.data))
        case "tool_use":
            return chat.ToolCall(_str(block.id), _str(block.name), _arguments(block.input))
    return None


def _is_unknown(data: bytes) -> bool:
    """Whether the data is an event of a kind that is not known here, which may have any shape."""
    try:
        return lenient_json.decode(_KIND_DECODER, _Kind, data).type not in _KNOWN_EVENTS
    except ValueError:
        return False


def _arguments(value: Any) -> str:
    """The JSON text of a tool's input; no input is an empty object.

    Raises TollwayError(provider_error) when it is nested too deeply.
    """
    try:
        return json_of(value).decode() if value else "{}"
    except RecursionError:
        raise garbage("the input of a tool is nested too deeply") from None


class _OpenCall:
    """A tool call whose arguments are still coming."""

    def __init__(self, index: int, given: Any) -> None:
        self.index = index
        self.given = given
        self.fragments = False


class StreamReader:
    """Bytes of a stream, in any pieces, to neutral events."""

    def __init__(self) -> None:
        """A reader serves one stream."""
        self._parser = sse.Parser()
        self._calls: dict[int, _OpenCall] = {}
        self._signatures: dict[int, list[str]] = {}
        self._count = 0
        self._usage: dict[str, Any] = {}
        self._stop_reason: str | None = None
        self._stop_sequence: str | None = None
        self._opened = False
        self.done = False
        self.failure: TollwayError | None = None

    @property
    def usage(self) -> Usage | None:
        """The usage so far; final once `done`. Before that the input is exact and the output is what was last told."""
        return read_usage(self._usage)

    def feed(self, data: bytes) -> list[chat.Event]:
        """The events that `data` completed; none after the end or a failure.

        Never raises, so that what came before an error in the same bytes is not lost: see `failure` after, which is an
        ErrorEvent for the provider's error event and TollwayError(provider_error) for garbage.
        """
        events: list[chat.Event] = []
        if self.done or self.failure is not None:
            return events
        try:
            for event in self._parser.feed(data):
                self._read(event, events)
        except TollwayError as error:
            self.failure = error
        return events

    def end(self) -> list[chat.Event]:
        """The provider closed the stream. A last block without its blank line counts when it is the end or an error.

        Any other is a stream that was cut short, of which a piece more is worth nothing. See `done` and `failure`.
        """
        events: list[chat.Event] = []
        last = self._parser.rest()
        if last is not None:
            try:
                self._read(last, events)
            except TollwayError as error:
                self.failure = error
        return events if self.done else []

    def _read(self, raw: sse.Event, out: list[chat.Event]) -> None:
        if self.done or self.failure is not None:
            return
        if raw.junk:
            raise garbage("the body is not an event stream")
        if raw.data is None or not raw.data.strip():
            return
        try:
            event = lenient_json.decode(_EVENT_DECODER, _Event, raw.data)
        except ValueError:
            if _is_unknown(raw.data):
                return
            raise garbage("an event is not a Messages event") from None
        self._apply(event, out)

    def _apply(self, event: _Event, out: list[chat.Event]) -> None:
        match event.type:
            case "error":
                raise ErrorEvent(event.error)
            case "message_start":
                message = event.message or _Message()
                self._usage = merge_usage(self._usage, message.usage)
                self._open(message.id, message.model, out)
            case "content_block_start" if event.content_block is not None:
                self._open("", "", out)
                self._start(event.index, event.content_block, out)
            case "content_block_delta" if event.delta is not None:
                self._open("", "", out)
                self._delta(event.index, event.delta, out)
            case "content_block_stop":
                self._stop(event.index, out)
            case "message_delta":
                self._usage = merge_usage(self._usage, event.usage)
                if event.delta is not None and event.delta.stop_reason is not None:
                    self._stop_reason = event.delta.stop_reason
                    sequence = event.delta.stop_sequence if event.delta.stop_reason == "stop_sequence" else None
                    self._stop_sequence = _str(sequence) or None
            case "message_stop":
                self._open("", "", out)
                for index in sorted(self._calls.keys() | self._signatures.keys()):
                    self._stop(index, out)
                self.done = True
                out.append(chat.Closed(_finish(self._stop_reason), self.usage, self._stop_sequence))

    def _open(self, answer_id: str, model: str, out: list[chat.Event]) -> None:
        if not self._opened:
            self._opened = True
            out.append(chat.Opened(answer_id[:_MAX_NAME], model[:_MAX_NAME]))

    def _start(self, index: int, block: _Block, out: list[chat.Event]) -> None:
        if block.type == "tool_use":
            self._calls[index] = _OpenCall(self._count, block.input)
            out.append(chat.ToolStarted(self._count, _str(block.id), _str(block.name)))
            self._count += 1
        elif block.type == "text" and (text := _str(block.text)):
            out.append(chat.TextDelta(text))
        elif block.type == "thinking":
            if thought := _str(block.thinking):
                out.append(chat.ReasoningDelta(thought))
            if signature := _str(block.signature):
                self._signatures[index] = [signature]
        elif block.type == "redacted_thinking":
            out.append(chat.ThinkingRedacted(_str(block.data)))

    def _delta(self, index: int, delta: _Delta, out: list[chat.Event]) -> None:
        if delta.type == "text_delta" and (text := _str(delta.text)):
            out.append(chat.TextDelta(text))
        elif delta.type == "thinking_delta" and (thought := _str(delta.thinking)):
            out.append(chat.ReasoningDelta(thought))
        elif delta.type == "signature_delta" and (signature := _str(delta.signature)):
            self._signatures.setdefault(index, []).append(signature)
        elif delta.type == "input_json_delta" and (fragment := _str(delta.partial_json)):
            # Fragments for a block that never began, or that is the provider's own tool, belong to no call of ours.
            call = self._calls.get(index)
            if call is not None:
                call.fragments = True
                out.append(chat.ToolDelta(call.index, fragment))

    def _stop(self, index: int, out: list[chat.Event]) -> None:
        call = self._calls.pop(index, None)
        if call is not None and not call.fragments:
            out.append(chat.ToolDelta(call.index, _arguments(call.given)))
        signature = self._signatures.pop(index, None)
        if signature is not None:
            out.append(chat.ThinkingSigned("".join(signature)))
