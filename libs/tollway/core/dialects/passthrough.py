"""What the API calls beside chat have in common: the request in part, the same bytes onward, the answer in part.

Owns the contract `Passthrough` with its pieces, and no endpoint. Requests and answers are never translated here; only
`model` is replaced. Nothing here does IO.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Sequence
from enum import StrEnum
from typing import Any, NamedTuple, Protocol, TypeVar

import msgspec
from msgspec import Raw

from tollway.core.dialects import lenient_json, sse
from tollway.core.dialects.head import (
    Head,
    check_urls_in,
    decoded,
    invalid,
    kind_of,
    not_json,
    path_of,
    present,
    refused_url,
    splice,
    values_in,
)
from tollway.core.dialects.ports import ErrorEvent, garbage
from tollway.core.errors import TollwayError
from tollway.core.netguard import Guard, url_refusal
from tollway.core.usage import Usage

JSON = "application/json"
EVENTS = "text/event-stream"
ANYTHING = "*/*"

_MEDIA = frozenset({"audio", "file", "image", "images", "markup", "mask", "video"})
_SCHEME = re.compile(r"[\x00-\x20]*[A-Za-z][A-Za-z0-9+.\-]*:[/\\]")
_SKIPPED = dict.fromkeys(map(ord, "\t\r\n"))
_TEXT_DECODER = msgspec.json.Decoder(str)
_LIST_DECODER = msgspec.json.Decoder(list[Raw])


class AnswerKind(StrEnum):
    """How a 2xx answer has to be treated. EVENTS: a `View` watches. BINARY: bytes without structure, from the first."""

    JSON = "json"
    TEXT = "text"
    EVENTS = "events"
    BINARY = "binary"


class Sent(NamedTuple):
    """What goes to the provider."""

    body: bytes
    content_type: str


class Told(NamedTuple):
    """What a whole answer says. `usage` None: the provider did not say; `output_chars` are characters of text."""

    usage: Usage | None
    output_chars: int


class View(Protocol):
    """Watches one event stream that passes through. It never raises: see `failure`."""

    started: bool
    """Content has been seen: the commit point."""
    done: bool
    """The dialect's terminal event has been seen."""
    usage: Usage | None
    """What was last told; exact once `done`."""
    output_chars: int
    output_events: int
    failure: TollwayError | None
    """ErrorEvent for an error event of the provider, TollwayError(provider_error) for garbage."""

    def see(self, block: bytes) -> bool:
        """Whether the client is shown this whole raw event; not after the end, nor what made it fail."""


class Passthrough(Protocol):
    """One API call, served by providers that speak its dialect."""

    def read_head(self, body: bytes, content_type: str) -> Head:
        """The few fields that matter. Raises TollwayError(invalid_json | invalid_request | ...) naming the field."""

    def check_urls(self, head: Head) -> None:
        """Refuse URLs that must not be fetched for a tenant. Raises TollwayError(invalid_request) naming the field."""

    def outgoing(self, head: Head, body: bytes, content_type: str, model: str, without: Sequence[str] = ()) -> Sent:
        """The request with another `model` and less the fields `without`; all other values byte for byte."""

    def accept(self, head: Head) -> str:
        """The accept header for the provider."""

    def kind(self, head: Head, content_type: str) -> AnswerKind:
        """How to treat the 2xx answer of this content type."""

    def finished(self, head: Head, content_type: str, body: bytes) -> Told:
        """A whole 2xx answer. Raises ErrorEvent for an error object, TollwayError(provider_error) for garbage."""

    def view(self, head: Head) -> View | None:
        """A watcher for one event stream; None: this call has none."""


class JSONCall:
    """The parts of `Passthrough` that calls with a JSON request and a JSON answer share."""

    def check_urls(self, head: Head) -> None:
        """As `Passthrough.check_urls`: there is no place for URLs."""

    def outgoing(
        self,
        head: Head,
        body: bytes,  # noqa: ARG002 - the port's signature
        content_type: str,  # noqa: ARG002 - the port's signature
        model: str,
        without: Sequence[str] = (),
    ) -> Sent:
        """As `Passthrough.outgoing`."""
        return Sent(splice(head, model, without=tuple(without)), JSON)

    def accept(self, head: Head) -> str:
        """As `Passthrough.accept`."""
        return EVENTS if head.stream else JSON

    def kind(self, head: Head, content_type: str) -> AnswerKind:  # noqa: ARG002 - the port's signature
        """As `Passthrough.kind`."""
        return AnswerKind.JSON

    def view(self, head: Head) -> View | None:  # noqa: ARG002 - the port's signature
        """As `Passthrough.view`."""
        return None


def media_type(content_type: str) -> str:
    """The type alone, in lower case, of a Content-Type header."""
    return content_type.partition(";")[0].strip().lower()


def string_field(fields: dict[str, Raw], name: str) -> str:
    """A required string that is not empty. Raises TollwayError(invalid_request)."""
    raw = required(fields, name)
    if raw[0] != ord('"'):
        raise wrong_type(name, "a string", raw)
    try:
        text = _TEXT_DECODER.decode(raw)
    except msgspec.DecodeError as error:
        raise not_json(str(error)) from None
    if not text:
        raise invalid(f"Invalid '{name}': empty string.", name)
    return text


def required(fields: dict[str, Raw], name: str) -> bytes:
    """The raw value of a field that must be there. Raises TollwayError(invalid_request)."""
    raw = present(fields, name)
    if raw is None:
        raise invalid(f"Missing required parameter: '{name}'.", name)
    return raw


def wrong_type(name: str, wanted: str, raw: bytes) -> TollwayError:
    """The client's field `name` is not the JSON type that is `wanted` ("a string")."""
    return invalid(f"Invalid type for '{name}': expected {wanted}, but got {kind_of(raw)} instead.", name)


def items_of(raw: bytes, name: str, most: int, allowed: bytes, wanted: str) -> list[Raw]:
    """The items of an array. `allowed` are first bytes that an item may have, `wanted` says them in words.

    Raises TollwayError(invalid_request) for no array, an empty one, more than `most` items, and an item that is not
    allowed, naming it.
    """
    if raw[0] != ord("["):
        raise wrong_type(name, "an array", raw)
    try:
        items = _LIST_DECODER.decode(raw)
    except (msgspec.DecodeError, RecursionError) as error:
        raise not_json(str(error)) from None
    if not items:
        raise invalid(f"Invalid '{name}': empty array. Expected an array with at least one item.", name)
    if len(items) > most:
        raise invalid(f"Invalid '{name}': array too long. Expected at most {most} items, but got {len(items)}.", name)
    for index, item in enumerate(items):
        if memoryview(item)[0] not in allowed:
            raise wrong_type(f"{name}[{index}]", wanted, bytes(item))
    return items


def check_media(raw: Raw, name: str) -> None:
    """Refuse URLs in a field of a JSON request that must not be fetched for a tenant. `name` is the field's.

    Looks at keys that end in url or uri and, because many services take a URL in place of a file, at all strings below
    keys that name media. Raises TollwayError(invalid_request) naming the place.
    """
    first = memoryview(raw)[0]
    if first not in b'"[{' or (first == ord('"') and name not in _MEDIA and not name.endswith(("url", "uri"))):
        return
    value = decoded(raw)
    if isinstance(value, str):
        check_url(value, name)
        return
    check_urls_in(value, name)
    for steps, item in values_in(value):
        refusal = _refusal(item) if isinstance(item, str) else None
        if refusal and (name in _MEDIA or any(isinstance(step, str) and step.lower() in _MEDIA for step in steps)):
            raise refused_url(refusal, path_of(name, steps))


def check_url(text: str, path: str) -> None:
    """Refuse a string that is a URL which must not be fetched for a tenant; a data URL and base64 are none.

    Raises TollwayError(invalid_request) naming `path`.
    """
    refusal = _refusal(text)
    if refusal:
        raise refused_url(refusal, path)


def _refusal(text: str) -> str | None:
    """Why a string that is a URL must not be fetched; None: it may be, or it is none."""
    # What comes before the scheme, and line ends anywhere, are skipped by those who fetch.
    beginning = text[:256].translate(_SKIPPED)
    if beginning[:5].lower() == "data:" or not _SCHEME.match(beginning):
        return None
    return url_refusal(text, Guard.TENANT)


class Answer(msgspec.Struct):
    """What every whole JSON answer may have. Nothing here has a type that all services keep to."""

    error: Any = None
    object: Any = None
    usage: Any = None


class Item(msgspec.Struct):
    """An object of which nothing is read."""


A = TypeVar("A", bound=Answer)


def read_answer(decoder: msgspec.json.Decoder[A], kind: type[A], body: bytes) -> A:
    """A whole JSON answer. Raises ErrorEvent for an error object, TollwayError(provider_error) for garbage."""
    try:
        answer = lenient_json.decode(decoder, kind, body)
    except ValueError:
        raise error_in(body) or garbage("its body has not the shape of an answer") from None
    if answer.error or answer.object == "error":
        raise error_in(body) or garbage("its error cannot be read")
    return answer


def error_in(body: bytes) -> ErrorEvent | None:
    """The error object that is the body of a 2xx answer or the data of an event, if it is one."""
    try:
        value = lenient_json.loads(body)
    except ValueError:
        return None
    if not isinstance(value, dict):
        return None
    if value.get("error"):
        return ErrorEvent(value["error"])
    return ErrorEvent(value) if "error" in (value.get("object"), value.get("type")) else None


def _whole(data: bytes) -> Any:
    """The decoded JSON; None when only the parts that were needed can be read (a key that is not UTF-8, say)."""
    try:
        return lenient_json.loads(data)
    except ValueError:
        return None


def count(holder: Any, *names: str) -> int | None:
    """The first of `names` that `holder` has as a count; None when there is none, or `holder` is no object."""
    if not isinstance(holder, dict):
        return None
    for name in names:
        value = holder.get(name)
        # The comparison refuses NaN as well.
        if isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= 2**53:
            return int(value)
    return None


class StreamEvent(msgspec.Struct):
    """One event of a stream, less the media in it: what is not named here is skipped, however long."""

    type: Any = None
    error: Any = None
    object: Any = None
    usage: Any = None
    delta: Any = None
    text: Any = None
    choices: Any = None


_EVENT_DECODER = msgspec.json.Decoder(StreamEvent)


class EventView(ABC):
    """A `View` less what an endpoint's events mean: a subclass says that in `_take`."""

    __slots__ = ("done", "failure", "output_chars", "output_events", "started", "usage")

    def __init__(self) -> None:
        """Nothing seen yet."""
        self.started = False
        self.done = False
        self.usage: Usage | None = None
        self.output_chars = 0
        self.output_events = 0
        self.failure: TollwayError | None = None

    def see(self, block: bytes) -> bool:
        """As `View.see`."""
        if self.done or self.failure is not None:
            return False
        event = sse.read_event(block)
        if event.junk:
            return self._fail(error_in(block) or garbage("it is not an event stream"))
        data = (event.data or b"").strip()
        if not data:
            return True
        if data == b"[DONE]":
            self.done = True
            return True
        try:
            told = lenient_json.decode(_EVENT_DECODER, StreamEvent, data)
        except ValueError:
            return self._fail(error_in(data) or garbage("an event of the stream is not a JSON object"))
        kind = told.type if isinstance(told.type, str) else event.name
        if told.error or told.object == "error" or kind == "error":
            return self._fail(error_in(data) or ErrorEvent(_whole(data)))
        self._take(kind, told)
        return True

    def _fail(self, failure: TollwayError) -> bool:
        self.failure = failure
        return False

    def _content(self, chars: int = 0) -> None:
        """An event brought content."""
        self.started = True
        self.output_events += 1
        self.output_chars += chars

    @abstractmethod
    def _take(self, kind: str, event: StreamEvent) -> None:
        """What an event of this type means; unknown ones mean nothing."""
