"""Streams of services that speak OpenAI's chat completions, read into neutral events.

Owns what the many services make of the shape: chunks without an id, tool calls whose index is missing or repeated,
usage in whichever chunk. `[DONE]` alone is a clean end, as in the stream that passes through.
"""

from __future__ import annotations

from typing import Any

from tollway.core import chat
from tollway.core.dialects import lenient_json, sse
from tollway.core.dialects.openai_provider_answer import (
    DECODER,
    Choice,
    Chunk,
    Content,
    arguments_text,
    called_function,
    error_of,
    finish_of,
    made_up_id,
    name,
    parts_of,
    reasoning_of,
    stop_sequence_of,
    string,
    whole,
)
from tollway.core.dialects.openai_usage import read_usage
from tollway.core.dialects.ports import ErrorEvent, garbage
from tollway.core.errors import TollwayError
from tollway.core.usage import Usage

_ERROR_FIELDS = frozenset({"error", "errors", "message", "detail"})


class _Call:
    """A tool call whose arguments are still coming. `index` counts the calls of this answer, whatever the service says.

    `began`: its start has been told, which needs a name; `held` are arguments that came before it. `ends` is the last
    character of the arguments so far, empty: there are none.
    """

    __slots__ = ("began", "ends", "held", "id", "index", "name")

    def __init__(self, index: int, call_id: str) -> None:
        self.index = index
        self.id = call_id
        self.name = ""
        self.held: list[str] = []
        self.began = False
        self.ends = ""


class StreamReader:
    """Bytes of a stream, in any pieces, to neutral events."""

    def __init__(self) -> None:
        """A reader serves one stream."""
        self._framer = sse.Framer()
        self._id = ""
        self._model = ""
        self._opened = False
        self._calls: list[_Call] = []
        self._by_index: dict[int, _Call] = {}
        self._by_id: dict[str, _Call] = {}
        self._finish: Any = None
        self._stop_sequence: str | None = None
        self._usage: Usage | None = None
        self.done = False
        self.failure: TollwayError | None = None

    @property
    def usage(self) -> Usage | None:
        """As last told; a later chunk that has it replaces an earlier one's."""
        return self._usage

    def feed(self, data: bytes) -> list[chat.Event]:
        """As `ports.StreamReader.feed`."""
        events: list[chat.Event] = []
        if self.done or self.failure is not None:
            return events
        try:
            payload = sse.lone_data(data) if self._framer.idle else None
            if payload is not None:  # by far the most common case: one chunk, whole
                self._read_data(payload, events)
                return events
            for block in self._framer.feed(data):
                self._read(block, events)
        except TollwayError as error:
            self.failure = error
        return events

    def end(self) -> list[chat.Event]:
        """The provider closed the stream. A last `[DONE]` without its blank line is accepted, an error is told."""
        events: list[chat.Event] = []
        if self.done or self.failure is not None:
            return events
        rest = self._framer.rest()
        data = sse.read_event(rest).data
        if data is not None and data.strip() == b"[DONE]":
            self._close(events)
        else:
            self.failure = _told(rest if data is None else data)
        return events

    def _read(self, block: bytes, out: list[chat.Event]) -> None:
        if self.done:
            return
        event = sse.read_event(block)
        if event.junk:
            raise _told(block) or garbage("it is not an event stream")
        if event.data is not None:
            self._read_data(event.data, out, event.name)

    def _read_data(self, data: bytes, out: list[chat.Event], name: str = "") -> None:
        try:
            chunk = lenient_json.decode(DECODER, Chunk, data)
        except ValueError:
            if data.strip() == b"[DONE]":
                self._close(out)
                return
            if not data.strip():
                return
            raise garbage("an event of the stream is not a chat completion chunk") from None
        error = error_of(chunk, data)
        if error is None and name == "error":
            error = ErrorEvent(whole(data))
        if error is not None:
            raise error
        self._take(chunk, out)

    def _take(self, chunk: Chunk, out: list[chat.Event]) -> None:
        if chunk.usage:
            self._usage = read_usage(chunk.usage) or self._usage
        if not self._opened:
            self._id = name(chunk.id)
            self._model = name(chunk.model) or self._model
            if self._id or chunk.choices:
                self._open(out)
        for choice in chunk.choices or ():
            if choice.index in (0, None):
                self._choice(choice, out)

    def _open(self, out: list[chat.Event]) -> None:
        if not self._opened:
            self._opened = True
            out.append(chat.Opened(self._id, self._model))

    def _choice(self, choice: Choice, out: list[chat.Event]) -> None:
        delta = choice.delta or choice.message
        if delta is not None:
            self._delta(delta, out)
        if choice.finish_reason:
            self._finish = choice.finish_reason
            self._stop_sequence = stop_sequence_of(choice) or self._stop_sequence

    def _delta(self, delta: Content, out: list[chat.Event]) -> None:
        content = delta.content
        if delta.reasoning_content or delta.reasoning:
            reasoning = reasoning_of(delta)
            if reasoning:
                out.append(chat.ReasoningDelta(reasoning))
        if type(content) is str:
            if content:
                out.append(chat.TextDelta(content))
        elif content is not None:
            _parts(content, out)
        if delta.refusal and isinstance(delta.refusal, str):
            out.append(chat.RefusalDelta(delta.refusal))
        if isinstance(delta.tool_calls, list):
            for call in delta.tool_calls:
                self._call(call, out)
        elif isinstance(delta.function_call, dict):
            self._call({"index": 0, "function": delta.function_call}, out)

    def _call(self, said: Any, out: list[chat.Event]) -> None:
        """One entry of `tool_calls`: the beginning of a call, more of one, or a whole one."""
        called = called_function(said)
        if called is None:
            return
        name, arguments = called[0], arguments_text(called[1])
        index, call_id = said.get("index"), string(said.get("id"))
        if not isinstance(index, int) or isinstance(index, bool):
            index = None
        call = self._found(index, call_id, name, arguments)
        if call is None:
            if not (call_id or name):
                return  # arguments of a call that never began
            number = len(self._calls)
            call = _Call(number, call_id or made_up_id(self._id, number))
            self._calls.append(call)
            self._by_id[call.id] = call
        if index is not None:
            self._by_index[index] = call
        if name and not call.began:
            call.name = name
            self._begin(call, out)
        self._argue(call, arguments, out)

    def _found(self, index: int | None, call_id: str, name: str, arguments: str) -> _Call | None:
        """The call that an entry continues; None: it begins another one."""
        call = self._by_index.get(index) if index is not None else None
        if call_id:
            # Some services give every call the index 0: another id with another name is another call. Without a name,
            # the id is one that a service makes anew for every chunk.
            if call is not None and (call.id == call_id or not name):
                return call
            if call is None and not (name and index is not None):
                return self._by_id.get(call_id)
            return None
        if call is None and (index is None or not name):
            # No index, or one that was never begun: services that count otherwise after the beginning.
            call = self._calls[-1] if self._calls else None
        if call is None or not name or not call.name:
            return call
        # The name again: a service that repeats it, unless the arguments were complete and begin anew.
        anew = name != call.name or (call.ends == "}" and arguments.lstrip().startswith("{"))
        return None if anew else call

    def _begin(self, call: _Call, out: list[chat.Event]) -> None:
        call.began = True
        out.append(chat.ToolStarted(call.index, call.id, call.name))
        held, call.held = call.held, []
        for arguments in held:
            self._argue(call, arguments, out)

    def _argue(self, call: _Call, arguments: str, out: list[chat.Event]) -> None:
        if not arguments:
            return
        if not call.began:
            call.held.append(arguments)
            return
        call.ends = arguments.rstrip()[-1:] or call.ends
        out.append(chat.ToolDelta(call.index, arguments))

    def _close(self, out: list[chat.Event]) -> None:
        self._open(out)
        for call in self._calls:
            if not call.began:
                self._begin(call, out)
            if not call.ends:
                out.append(chat.ToolDelta(call.index, "{}"))
        self.done = True
        finish = finish_of(self._finish, called=bool(self._calls))
        out.append(chat.Closed(finish, self._usage, self._stop_sequence))


def _parts(content: Any, out: list[chat.Event]) -> None:
    """The deltas of a content that is a list of parts."""
    for part in parts_of(content):
        match part:
            case chat.Text(text):
                out.append(chat.TextDelta(text))
            case chat.Thinking(text):
                out.append(chat.ReasoningDelta(text))
            case chat.Refusal(text):
                out.append(chat.RefusalDelta(text))


def _told(data: bytes) -> ErrorEvent | None:
    """The error that a piece of a body tells of: JSON that is no chunk; None: it tells of none."""
    try:
        value = lenient_json.loads(data)
    except ValueError:
        return None
    if not isinstance(value, dict) or "choices" in value or _ERROR_FIELDS.isdisjoint(value):
        return None
    return ErrorEvent(value.get("error") or value)
