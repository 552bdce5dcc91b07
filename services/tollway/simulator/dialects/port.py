"""What every dialect can do: read a request, write an answer whole or as events, write an error. Pure; no HTTP here."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import Enum
from typing import Any, NamedTuple, Protocol

import msgspec
import orjson

from tollway.simulator.answer import Answer, Asked


class Part(Enum):
    """Where in a stream an event stands."""

    HEAD = "head"
    CONTENT = "content"
    FINISH = "finish"
    """Finish reason, or the usage after it."""
    DONE = "done"
    """The dialect's terminal event."""


class Event(NamedTuple):
    """One event of a stream: its bytes (none for what the provider hides), and the tokens in it."""

    data: bytes
    tokens: int
    part: Part


@dataclass(frozen=True)
class Reply:
    """An answer that is an error; `value` is its JSON."""

    status: int
    headers: Mapping[str, str]
    value: dict[str, Any]


class BadRequest(Exception):
    """The provider would refuse the request; the message is the provider's."""

    def __init__(self, message: str, *, status: int = 400, param: str | None = None, code: str | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.param, self.code = status, message, param, code


class Provider(Protocol):
    """What all of a provider's endpoints have in common: headers and errors."""

    @property
    def name(self) -> str:
        """The provider's name."""

    @property
    def id_in_errors(self) -> str:
        """The field of an error's JSON that repeats the request's id; empty without one."""

    def admit(self, path_model: str, query: Mapping[str, str], headers: Mapping[str, str]) -> None:
        """Raises BadRequest for a request that is refused before its body is looked at."""

    def headers(self, request_id: str, asked: Asked | None) -> dict[str, str]:
        """Headers of every answer, with rate limits where the request was understood."""

    def error(
        self,
        status: int,
        message: str = "",
        *,
        param: str | None = None,
        code: str | None = None,
        retry_after: float = 0,
    ) -> Reply:
        """An error in the provider's shape; without a message, what the provider says with that status."""

    def quota(self) -> Reply:
        """The answer when the account's credit is spent."""

    def error_event(self, number: int) -> bytes:
        """The event that ends a stream on which something went wrong; `number` events came before."""


class Dialect(Provider, Protocol):
    """A wire format: one endpoint of a provider."""

    def read(self, body: bytes, path_model: str, query: Mapping[str, str], headers: Mapping[str, str]) -> Asked:
        """The request. `path_model` is the model that the path names, if any. Raises BadRequest."""

    def whole(self, asked: Asked, answer: Answer, request_id: str, created: int, *, usage: bool) -> bytes:
        """The answer that is not streamed; `created` is Unix seconds. Without `usage` it tells none."""

    def events(
        self, asked: Asked, answer: Answer, request_id: str, created: int, *, usage: bool, chunk: int
    ) -> Iterator[Event]:
        """The answer as a stream, in events of `chunk` tokens."""


def as_str(value: Any) -> str:
    """A text field that may be missing."""
    return value if isinstance(value, str) else ""


def sse(value: Any) -> bytes:
    """A data-only event."""
    return b"data: " + orjson.dumps(value) + b"\n\n"


def named(value: dict[str, Any]) -> bytes:
    """An event with its `type` as its name, as OpenAI's newer streams and Anthropic's have them."""
    return f"event: {value['type']}\ndata: ".encode() + orjson.dumps(value) + b"\n\n"


def within(name: str, value: int | None, low: int, high: int) -> None:
    """Raises BadRequest for a number out of its bounds; None is within all."""
    if value is not None and not low <= value <= high:
        raise BadRequest(f"Invalid '{name}': must be between {low} and {high}.", param=name)


def decode(body: bytes, kind: type[Any]) -> Any:
    """The body as a struct. Raises BadRequest with the place of what is wrong."""
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        raise BadRequest(f"Invalid request: {error}") from None
    except (ValueError, RecursionError):
        raise BadRequest("We could not parse the JSON body of your request.") from None


def waiting(status: int, retry_after: float) -> dict[str, str]:
    """`retry-after` where the status has one, in whole seconds, and at least 1 where it is not 0."""
    if status not in (429, 503, 529):
        return {}
    return {"retry-after": str(max(1, round(retry_after)) if retry_after else 0)}
