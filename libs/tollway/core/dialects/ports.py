"""Where a client's dialect and a provider's dialect meet: a reader on the provider's side, a writer on the client's.

Owns the contracts alone. Both are incremental and do no IO; between them travel the neutral events of `chat`.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

from tollway.core import chat
from tollway.core.errors import Code, TollwayError
from tollway.core.usage import Usage


class Written(NamedTuple):
    """A request body, and the fields of the client's request that it leaves out, in the client's words."""

    body: bytes
    dropped: tuple[str, ...]


class ErrorEvent(TollwayError):
    """The provider's answer is an error object, whole or as an event of its stream. `error` is that object, as sent."""

    def __init__(self, error: object) -> None:
        """`error` is material of the provider, not yet fit for a client."""
        super().__init__(Code.PROVIDER_ERROR, "The provider ended the stream with an error.")
        self.error = error


def garbage(what: str) -> TollwayError:
    """The provider's answer breaks its own dialect."""
    return TollwayError(Code.PROVIDER_ERROR, f"The provider's answer is not what its API promises: {what}.")


class StreamReader(Protocol):
    """Bytes of a provider's stream, in any pieces, to neutral events. A reader serves one stream.

    The first event is `Opened`, and `Closed` is the last and the only sign of a clean end. Neither method ever raises,
    so that what came before an error in the same bytes is not lost: see `failure` after.
    """

    done: bool
    """The dialect's terminal event has been seen."""
    failure: TollwayError | None
    """ErrorEvent for an error event of the provider, TollwayError(provider_error) for garbage."""

    @property
    def usage(self) -> Usage | None:
        """Token counts as last told; exact once `done`."""

    def feed(self, data: bytes) -> list[chat.Event]:
        """The events that `data` completed; none after the end or a failure."""

    def end(self) -> list[chat.Event]:
        """The provider closed the stream: events of an unterminated last block."""


class StreamWriter(Protocol):
    """Neutral events to whole events of the client's dialect. A writer serves one stream."""

    def write(self, event: chat.Event) -> bytes:
        """The bytes for the client, maybe none; `Closed` writes the dialect's end."""

    def fail(self, message: str, error_type: str, code: str, param: str | None = None) -> bytes:
        """The dialect's error event; nothing follows it. `error_type` is the dialect's own kind of error."""
