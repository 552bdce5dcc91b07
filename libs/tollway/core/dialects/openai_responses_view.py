"""What a provider that speaks the Responses API answers, on its way to the client.

Owns the partial reading (usage, end, errors, how much text, the output items to keep) and the few values that differ
for the client: ids of responses are the gateway's, and so is what it stores. Everything else passes byte for byte.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple

import msgspec
from msgspec import Raw

from tollway.core.dialects import lenient_json, sse
from tollway.core.dialects.openai_responses_stream import write_error
from tollway.core.dialects.openai_responses_usage import read_usage
from tollway.core.dialects.ports import ErrorEvent, garbage
from tollway.core.errors import TollwayError
from tollway.core.usage import Usage

_NULL = Raw(b"null")
_WHOLE = frozenset(
    {
        "response.cancelled",
        "response.completed",
        "response.created",
        "response.failed",
        "response.in_progress",
        "response.incomplete",
        "response.queued",
    }
)
_ENDS = frozenset({"response.cancelled", "response.completed", "response.incomplete"})
# Sound is base64, and what a shell prints is not the model's output.
_NOT_TEXT = frozenset({"response.audio.delta", "response.shell_call_output_content.delta"})
_encode = msgspec.json.Encoder().encode


class _Event(msgspec.Struct):
    """Untyped but for what is needed: kinds of events that are not known here may use the same names otherwise."""

    type: Any = None
    delta: Any = None
    sequence_number: Any = None
    output_index: Any = None
    item: Raw = _NULL
    response: Raw = _NULL
    error: Any = None
    code: Any = None
    message: Any = None
    param: Any = None


class _Part(msgspec.Struct):
    text: Any = None
    refusal: Any = None


class _Output(msgspec.Struct):
    """An output item, as far as it has text."""

    type: Any = None
    content: list[_Part] | None = None
    summary: list[_Part] | None = None
    arguments: Any = None
    input: Any = None

    def chars(self) -> int:
        """Characters of text, reasoning, refusals and arguments."""
        texts = [self.arguments, self.input]
        for part in (*(self.content or ()), *(self.summary or ())):
            texts += (part.text, part.refusal)
        return sum(len(text) for text in texts if isinstance(text, str))


_EVENT = msgspec.json.Decoder(_Event)
_OUTPUT = msgspec.json.Decoder(_Output)
_FIELDS = msgspec.json.Decoder(dict[str, Raw])
_ITEMS = msgspec.json.Decoder(list[Raw])


class Passed(NamedTuple):
    """A whole answer for the client; `output` are its items. `usage` None: then `chars` helps to estimate."""

    body: bytes
    usage: Usage | None
    chars: int
    output: tuple[Raw, ...]


def _read_fields(data: bytes | Raw) -> dict[str, Raw]:
    """The fields of an object. Raises ValueError when it is none."""
    try:
        return _FIELDS.decode(data)
    except msgspec.ValidationError as error:
        raise ValueError(str(error)) from None
    except (msgspec.DecodeError, RecursionError):
        value = lenient_json.loads(bytes(data))
    if not isinstance(value, dict):
        raise ValueError("not an object")
    try:
        return {name: Raw(json.dumps(field).encode()) for name, field in value.items()}
    except RecursionError:
        raise ValueError("JSON is nested too deeply") from None


def _value(raw: Raw | None) -> Any:
    try:
        return None if raw is None else lenient_json.loads(bytes(raw))
    except ValueError:
        return None


def _kept(value: bytes) -> Raw:
    """An item, or all of them, as it is kept: halves of surrogate pairs are replaced, which no request can have.

    The client is told them as they came; kept so, they would make every later request of the conversation unreadable.
    """
    if b"\\ud" not in value.lower():
        return Raw(value)
    try:
        text = json.dumps(_value(Raw(value)), ensure_ascii=False)
    except RecursionError:
        return Raw(value)
    return Raw(text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").encode())


def _items(raw: Raw | None) -> tuple[Raw, ...]:
    try:
        return tuple(Raw(bytes(item)) for item in _ITEMS.decode(_kept(bytes(raw)))) if raw is not None else ()
    except (msgspec.DecodeError, RecursionError):
        return ()


def _with_searches(usage: Usage | None, output: tuple[Raw, ...]) -> Usage | None:
    """The usage with the web searches that the provider made: they are sold apart, and told as items alone."""
    searches = sum(b"web_search_call" in bytes(item) and _is_search(item) for item in output)
    return msgspec.structs.replace(usage, searches=searches) if usage is not None and searches else usage


def _is_search(item: Raw) -> bool:
    value = _value(item)
    if not isinstance(value, dict) or value.get("type") != "web_search_call":
        return False
    action = value.get("action")
    # Opening a page and looking into it cost nothing of their own.
    return not isinstance(action, dict) or action.get("type", "search") == "search"


def _chars(item: Raw) -> int:
    try:
        return lenient_json.decode(_OUTPUT, _Output, bytes(item)).chars()
    except ValueError:
        return 0  # an item of a shape that has no text known here


class _Ours(NamedTuple):
    """What the client is told in place of what the provider says."""

    response_id: str
    previous_response_id: str | None
    store: bool

    def put_into(self, response: dict[str, Raw]) -> None:
        """Write it into the fields of a response object."""
        response["id"] = Raw(_encode(self.response_id))
        response["previous_response_id"] = Raw(_encode(self.previous_response_id))
        response["store"] = Raw(_encode(self.store))


def answer_for_client(body: bytes, *, response_id: str, previous_response_id: str | None, store: bool) -> Passed:
    """A provider's whole answer with the gateway's own id, the client's previous one, and what is really stored.

    Raises ErrorEvent for a response that failed, TollwayError(provider_error) when the body is no response.
    """
    try:
        fields = _read_fields(body)
    except ValueError:
        raise garbage("the body is not a response") from None
    error = _value(fields.get("error"))
    if error is not None or _value(fields.get("status")) == "failed":
        raise ErrorEvent(error)
    if "output" not in fields:
        raise garbage("the body is not a response")
    output = _items(fields["output"])
    usage = _with_searches(read_usage(_value(fields.get("usage"))), output)
    _Ours(response_id, previous_response_id, store).put_into(fields)
    return Passed(_encode(fields), usage, sum(map(_chars, output)), output)


def _payload(block: bytes) -> tuple[bytes | None, bool]:
    """(data, junk) of one raw event; the spelling that every service uses costs little."""
    if block.startswith(b"event: ") and block.endswith(b"\n\n") and b"\r" not in block:
        start = block.find(b"\n") + 1
        if block.startswith(b"data: ", start) and block.find(b"\n", start) == len(block) - 2:
            return block[start + 6 : -2], False
    event = sse.read_event(block)
    return event.data, event.junk


def _read_event(data: bytes) -> _Event:
    """Raises ValueError when the data is no object."""
    try:
        return _EVENT.decode(data)
    except msgspec.ValidationError as error:
        raise ValueError(str(error)) from None
    except (msgspec.DecodeError, RecursionError):
        fields = _read_fields(data)
    names = ("item", "response")
    values = {name: _value(raw) for name, raw in fields.items() if name in _Event.__struct_fields__}
    return _Event(**(values | {name: fields[name] for name in names if name in fields}))


class ResponsesView:
    """One stream of a provider of this dialect, event by event."""

    def __init__(self, *, response_id: str, previous_response_id: str | None, store: bool) -> None:
        """What the client is told in place of what the provider says."""
        self._ours = _Ours(response_id, previous_response_id, store)
        self._items: dict[int, Raw] = {}
        self._sequence = 0
        self.started = False
        """The first event that bears content, or an end, has been seen."""
        self.done = False
        """The response has ended as the dialect promises."""
        self.failure: TollwayError | None = None
        """ErrorEvent for an error of the provider, TollwayError(provider_error) for garbage; nothing is passed on."""
        self.usage: Usage | None = None
        self.output_chars = 0
        self.output_events = 0
        self.response: bytes | None = None
        """The whole response object as the client was told it, once `done`."""
        self.output: tuple[Raw, ...] = ()
        """The output items, once `done`."""

    def feed(self, block: bytes) -> bytes:
        """The bytes to pass on for one raw event, its blank line included; never raises: see `failure` after."""
        if self.done or self.failure is not None:
            return b""
        data, junk = _payload(block)
        if junk:
            self.failure = garbage("it is not an event stream")
            return b""
        if data is None or not data.strip():
            return block
        if data.strip() == b"[DONE]":
            return b""  # some services end every stream with it; in this dialect it means nothing
        try:
            event = _read_event(data)
            return self._see(event, data, block)
        except ValueError:
            self.failure = garbage("an event of the stream is not a JSON object")
            return b""

    def fail(self, message: str, error_type: str, code: str, param: str | None = None) -> bytes:
        """The error event that follows what has been passed on."""
        return write_error(message, error_type, code, param, self._sequence)

    def _see(self, event: _Event, data: bytes, block: bytes) -> bytes:
        kind = event.type if isinstance(event.type, str) else ""
        if kind.endswith(".delta"):
            self.started = True
            if isinstance(event.delta, str) and event.delta and kind not in _NOT_TEXT:
                self.output_chars += len(event.delta)
                self.output_events += 1
        elif kind in _WHOLE:
            block = self._patch(kind, event, data)
        elif kind == "response.output_item.done":
            if isinstance(event.output_index, int):
                self._items[event.output_index] = _kept(bytes(event.item))
        elif kind == "response.output_item.added":
            item = _value(event.item)
            if isinstance(item, dict) and str(item.get("type")).endswith("_call"):
                self.started = True
        elif kind == "error" or (not kind and event.error is not None):
            flat = {"code": event.code, "message": event.message, "param": event.param}
            self.failure = ErrorEvent(flat if event.error is None else event.error)
        if self.failure is not None:
            return b""
        told = event.sequence_number
        self._sequence = told + 1 if isinstance(told, int) and 0 <= told < 2**53 else self._sequence + 1
        return block

    def _patch(self, kind: str, event: _Event, data: bytes) -> bytes:
        """An event that carries the response object; the last one says how it ended."""
        response = _read_fields(event.response)
        told = read_usage(_value(response.get("usage")))
        self.usage = told or self.usage
        if kind == "response.failed":
            self.failure = ErrorEvent(_value(response.get("error")))
            return b""
        self._ours.put_into(response)
        body = _encode(response)
        # First, as it raises: what cannot be passed on has not ended.
        passed = _encode(_read_fields(data) | {"response": Raw(body)})
        if kind in _ENDS:
            self.started = self.done = True
            self.response = body
            self.output = _items(response.get("output")) or tuple(self._items[i] for i in sorted(self._items))
            self.usage = _with_searches(self.usage, self.output)
        return b"event: %b\ndata: %b\n\n" % (kind.encode(), passed)
