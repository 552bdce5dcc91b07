"""Neutral events as the stream events of OpenAI's Responses API.

Owns the order of the events and their numbers: every item and part that is added is done before the response ends. An
item's text is kept until then, because the dialect repeats it at the end of each part, item and response. Source:
`ResponseStreamEvent` of OpenAI's API description.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Raw

from tollway.core import chat
from tollway.core.dialects import openai_responses_answer as shapes
from tollway.core.dialects.openai_responses_sealed import seal_redacted, seal_signature
from tollway.core.usage import Usage

_encode = msgspec.json.Encoder().encode

_PARTS = {
    "output_text": ("text", shapes.text_part),
    "refusal": ("refusal", shapes.refusal_part),
    "reasoning_text": ("text", shapes.reasoning_part),
    "reasoning_summary_text": ("text", shapes.summary_part),
}


def write_event(name: str, sequence: int, fields: dict[str, Any]) -> bytes:
    """One event; its name is said twice, as OpenAI does."""
    body = _encode({"type": name, "sequence_number": sequence} | fields)
    return b"event: %b\ndata: %b\n\n" % (name.encode(), body)


def write_error(message: str, error_type: str, code: str, param: str | None, sequence: int) -> bytes:
    """The event that tells of an error after the stream began; nothing follows it.

    The fields are at the top, as the API description says, and in `error`, where the service itself puts them: official
    clients raise their error for that alone.
    """
    # The provider's words may have half of a surrogate pair in them.
    message, param = shapes.whole(message), None if param is None else shapes.whole(param)
    error = {"message": message, "type": error_type, "code": code, "param": param}
    flat = {"code": code, "message": message, "param": param}
    return write_event("error", sequence, flat | {"error": error})


def _holder(part: str) -> tuple[str, str]:
    """What a part of this kind is a part of: in the names of its events, and of its index."""
    return ("reasoning_summary", "summary") if part == "reasoning_summary_text" else ("content", "content")


class _Deltas:
    """Pieces of one text, and the fixed part of the events that bring them."""

    def __init__(self, kind: str, place: dict[str, Any]) -> None:
        self.place = place
        self.pieces: list[str] = []
        logprobs: dict[str, Any] = {"logprobs": []} if kind == "output_text" else {}
        fixed = _encode({"type": f"response.{kind}.delta"} | place | logprobs)
        self._prefix = b"event: response.%b.delta\ndata: %b" % (kind.encode(), fixed[:-1] + b',"sequence_number":')

    def more(self, text: str, sequence: int) -> bytes:
        """The event for more text."""
        try:
            told = _encode(text)
        except UnicodeEncodeError:
            text = shapes.whole(text)
            told = _encode(text)
        self.pieces.append(text)
        return b'%b%d,"delta":%b}\n\n' % (self._prefix, sequence, told)


class _Item:
    """A message or reasoning item that is being written."""

    def __init__(self, kind: str, name: str, index: int) -> None:
        self.kind = kind
        self.name = name
        self.index = index
        self.parts: list[shapes.Item] = []
        self.part = ""
        self.deltas: _Deltas | None = None


class _Call:
    """A call whose arguments may still be coming."""

    def __init__(self, name: str, index: int, call: chat.ToolCall) -> None:
        self.name = name
        self.index = index
        self.call = call
        self.deltas = _Deltas("function_call_arguments", {"item_id": name, "output_index": index})


class StreamWriter:
    """Neutral events to events of a response. Arguments of several calls may come by turns; calls end at the end."""

    def __init__(self, *, response_id: str, created: int, model: str, fields: Mapping[str, Raw]) -> None:
        """`model` is shown unless the provider names its own; `fields` as for `write_answer`."""
        self._frame = shapes.frame(fields, response_id=response_id, created=created, model=model)
        self._id = response_id
        self._summarised = shapes.wants_summary(fields)
        self._reasoning = "reasoning_summary_text" if self._summarised else "reasoning_text"
        self._sequence = 0
        self._opened = False
        self._over = False
        self._count = 0
        self._item: _Item | None = None
        self._calls: dict[int, _Call] = {}
        self._open_calls: list[_Call] = []
        self._done: dict[int, shapes.Item] = {}
        self.response: bytes | None = None
        """The whole response object, once the stream has ended well; else None."""

    @property
    def output(self) -> tuple[Raw, ...]:
        """The output items that are complete, as JSON: all of them once `response` is there."""
        return tuple(Raw(_encode(self._done[index])) for index in sorted(self._done))

    def write(self, event: chat.Event) -> bytes:
        """The bytes for the client; `Closed` writes the end. Nothing is written after an end."""
        if self._over:
            return b""
        if isinstance(event, chat.TextDelta) and event.text:
            item = self._item
            if item is not None and item.part == "output_text" and item.deltas is not None:
                self._sequence += 1
                return item.deltas.more(event.text, self._sequence - 1)
        return self._open(event) + self._write(event)

    def fail(self, message: str, error_type: str, code: str, param: str | None = None) -> bytes:
        """The error event. The items that were being written stay unfinished."""
        self._over = True
        self._sequence += 1
        return write_error(message, error_type, code, param, self._sequence - 1)

    def _write(self, event: chat.Event) -> bytes:
        match event:
            case chat.TextDelta(text):
                return self._say("message", "output_text", text)
            case chat.RefusalDelta(text):
                return self._say("message", "refusal", text)
            case chat.ReasoningDelta(text):
                return self._say("reasoning", self._reasoning, text)
            case chat.ThinkingSigned(signature):
                return self._begin("reasoning") + self._end_item(signature=signature) if signature else b""
            case chat.ThinkingRedacted(data):
                return self._end_item() + self._begin("reasoning") + self._end_item(seal_redacted(data))
            case chat.ToolStarted(index, call_id, name):
                return self._start_call(index, call_id, name)
            case chat.ToolDelta(index, arguments):
                call = self._calls.get(index)
                return self._more(call.deltas, arguments) if call is not None else b""
            case chat.Closed(finish, usage):
                return self._close(finish, usage)
        return b""  # Opened

    def _event(self, name: str, fields: dict[str, Any]) -> bytes:
        self._sequence += 1
        return write_event(name, self._sequence - 1, fields)

    def _more(self, deltas: _Deltas, text: str) -> bytes:
        if not text:
            return b""
        self._sequence += 1
        return deltas.more(text, self._sequence - 1)

    def _open(self, event: chat.Event) -> bytes:
        if self._opened:
            return b""
        self._opened = True
        if isinstance(event, chat.Opened) and event.model:
            self._frame["model"] = shapes.whole(event.model)
        return self._event("response.created", {"response": self._frame}) + self._event(
            "response.in_progress", {"response": self._frame}
        )

    def _say(self, kind: str, part: str, text: str) -> bytes:
        """More text of a part of the item that is open, or of a new part, or of a new item."""
        if not text:
            return b""
        opening = self._begin(kind)
        item = self._item
        if item is None:
            return opening
        if item.part != part or item.deltas is None:
            opening += self._end_part(item)
            place = {"item_id": item.name, "output_index": item.index, f"{_holder(part)[1]}_index": len(item.parts)}
            item.part, item.deltas = part, _Deltas(part, place)
            added = f"response.{_holder(part)[0]}_part.added"
            opening += self._event(added, place | {"part": _PARTS[part][1]("")})
        return opening + self._more(item.deltas, text)

    def _begin(self, kind: str) -> bytes:
        """Make sure that an item of this kind is open."""
        if self._item is not None and self._item.kind == kind:
            return b""
        ending = self._end_item()
        index = self._count
        self._count += 1
        name = shapes.item_id("msg" if kind == "message" else "rs", self._id, index)
        self._item = _Item(kind, name, index)
        shown = shapes.message_item(name, [], "in_progress") if kind == "message" else None
        shown = shown or shapes.reasoning_item(name, "", None, summarised=self._summarised)
        return ending + self._event("response.output_item.added", {"output_index": index, "item": shown})

    def _end_part(self, item: _Item) -> bytes:
        if item.deltas is None:
            return b""
        key, shape = _PARTS[item.part]
        text, place = "".join(item.deltas.pieces), item.deltas.place
        told = {key: text, "logprobs": []} if item.part == "output_text" else {key: text}
        part = shape(text)
        item.parts.append(part)
        item.deltas = None
        return self._event(f"response.{item.part}.done", place | told) + self._event(
            f"response.{_holder(item.part)[0]}_part.done", place | {"part": part}
        )

    def _end_item(self, encrypted: str | None = None, status: str = "completed", signature: str = "") -> bytes:
        item = self._item
        if item is None:
            return b""
        self._item = None
        ending = self._end_part(item)
        if item.kind == "message":
            return ending + self._finish(item.index, shapes.message_item(item.name, item.parts, status))
        text = "".join(part["text"] for part in item.parts)
        if signature:
            encrypted = seal_signature(signature, text)
        told = shapes.reasoning_item(item.name, text, encrypted, summarised=self._summarised)
        return ending + self._finish(item.index, told)

    def _finish(self, index: int, item: shapes.Item) -> bytes:
        self._done[index] = item
        return self._event("response.output_item.done", {"output_index": index, "item": item})

    def _start_call(self, key: int, given: str, name: str) -> bytes:
        ending = self._end_item()
        index = self._count
        self._count += 1
        call = chat.ToolCall(shapes.call_id(given, self._id, index), shapes.whole(name), "")
        started = _Call(shapes.item_id("fc", self._id, index), index, call)
        self._calls[key] = started
        self._open_calls.append(started)
        shown = shapes.call_item(started.name, call, "in_progress")
        return ending + self._event("response.output_item.added", {"output_index": index, "item": shown})

    def _end_call(self, call: _Call, status: str) -> bytes:
        """A call without arguments is one of an empty object, in every event."""
        more = b"" if call.deltas.pieces else self._more(call.deltas, "{}")
        arguments = "".join(call.deltas.pieces)
        told = call.deltas.place | {"name": call.call.name, "arguments": arguments}
        whole = chat.ToolCall(call.call.id, call.call.name, arguments)
        ending = more + self._event("response.function_call_arguments.done", told)
        return ending + self._finish(call.index, shapes.call_item(call.name, whole, status))

    def _close(self, finish: chat.Finish, usage: Usage | None) -> bytes:
        last = self._count - 1
        status = shapes.last_status(finish)
        ending = [self._end_call(call, status if call.index == last else "completed") for call in self._open_calls]
        ending.append(self._end_item(status=status))
        self._over = True
        output = [self._done[index] for index in sorted(self._done)]
        body = shapes.finished(self._frame, finish, output, usage)
        self.response = _encode(body)
        ending.append(self._event(f"response.{body['status']}", {"response": Raw(self.response)}))
        return b"".join(ending)
