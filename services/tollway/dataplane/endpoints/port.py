"""What the pipeline asks of an endpoint: the request read, and a codec between the client and one target.

Owns the contracts alone. Nothing here does IO.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Protocol

from tollway.core.bounds import Bound
from tollway.core.catalog import Provider
from tollway.core.dialects.head import Head
from tollway.core.dialects.openai_habits import GENERIC, ChatHabits
from tollway.core.operations import Operation
from tollway.core.pricing import Price
from tollway.core.usage import Usage
from tollway.dataplane.endpoints.memory import Memory
from tollway.dataplane.providers.port import ProviderFault


class Dialect:
    """Whose clients an endpoint serves: decides the shape of errors."""

    OPENAI = "openai"
    ANTHROPIC = "anthropic"


JSON = "application/json"
EVENTS = "text/event-stream"


class Asked(NamedTuple):
    """What a client asks for, whoever answers. `headers` are the client's; `created` is Unix seconds.

    `model` is the name that the client knows it by; `id` is the request's and makes the ids of answers that have none.
    `memory` is what a response goes on from and leaves; None: this call has none. `output_cap`: the most tokens of
    output for each choice that the provider may be asked for, whatever the client wants; a smaller limit of the
    client's stays. None: the client's limit alone.
    """

    head: Head
    body: bytes
    content_type: str
    headers: Mapping[str, str]
    model: str
    id: str
    created: int
    memory: Memory | None = None
    output_cap: int | None = None


class Known(NamedTuple):
    """What the catalog says of the model that is asked: its price, and the tokens that its context can hold.

    `context_tokens` None: not known.
    """

    price: Price
    context_tokens: int | None = None


class Target(NamedTuple):
    """Who is to answer, by which call, at which address. `habits` are how it wants to be asked for a chat.

    `max_output_tokens`: the model's most, where known.
    """

    provider: Provider
    model: str
    native: Operation
    url: str
    habits: ChatHabits = GENERIC
    max_output_tokens: int | None = None


class Payload(NamedTuple):
    """What is sent to the provider, less address and credential. `dropped` names fields that it is not told."""

    body: bytes
    content_type: str = JSON
    accept: str = JSON
    headers: Mapping[str, str] = {}
    dropped: tuple[str, ...] = ()


class Finished(NamedTuple):
    """A whole answer for the client. `usage` None: the provider did not say; then `output_chars` helps to estimate."""

    body: bytes
    usage: Usage | None
    output_chars: int
    content_type: str = JSON


class StreamRelay(Protocol):
    """One answer stream: the provider's bytes in any pieces in, whole events in the client's dialect out.

    `started`: the first content-bearing event has been seen, the commit point. `done`: the dialect's terminal event has
    been seen. `usage`: what was last told, exact once `done`. `output_chars`: characters of text and tool arguments so
    far. `fault`: an error that came after content in the same bytes; the next `feed` or `end` raises it.
    """

    @property
    def started(self) -> bool:
        """Whether the commit point has been passed."""

    @property
    def done(self) -> bool:
        """Whether the stream has ended as its dialect promises."""

    @property
    def usage(self) -> Usage | None:
        """Token counts as last told."""

    @property
    def output_chars(self) -> int:
        """Characters delivered."""

    @property
    def output_events(self) -> int:
        """How many events brought some of them: each is a token at least."""

    @property
    def fault(self) -> ProviderFault | None:
        """The error to come."""

    def feed(self, data: bytes) -> bytes:
        """The bytes to send now, maybe none. Raises ProviderFault on an error event of the provider and on garbage."""

    def end(self) -> bytes:
        """The provider closed the stream: the last bytes. Raises ProviderFault when it was not `done`."""

    def fail(self, message: str, error_type: str, code: str, param: str | None = None) -> bytes:
        """The error event of the client's dialect; nothing follows it."""


class Codec(Protocol):
    """Between one client's request and one target: request out, answer in, stream in."""

    def payload(self) -> Payload:
        """The request for the provider. Raises TollwayError (the client's fault) for what it cannot be told."""

    def finish(self, headers: Mapping[str, str], body: bytes) -> Finished:
        """A whole 2xx answer. Raises ProviderFault when the body is not what the dialect promises."""

    def relay(self, headers: Mapping[str, str]) -> StreamRelay:
        """A relay for the 2xx answer with these headers."""

    def content_type(self, headers: Mapping[str, str]) -> str:
        """The media type of a streamed answer, given the provider's headers."""


class Endpoint(Protocol):
    """One API call of a client dialect."""

    @property
    def path(self) -> str:
        """Where clients send it, and what the ledger calls it."""

    @property
    def operation(self) -> Operation:
        """What is asked for."""

    @property
    def dialect(self) -> str:
        """Whose errors its clients understand (`Dialect`)."""

    @property
    def accepts(self) -> tuple[str, ...]:
        """The media types of its requests."""

    def read(self, body: bytes, content_type: str) -> Head:
        """The few fields that the gateway must know. Raises TollwayError for what is no such request."""

    def streams(self, head: Head) -> bool:
        """Whether the answer goes to the client piece by piece."""

    def input_tokens(self, head: Head, body: bytes) -> int:
        """How many tokens the request may be, where its provider does not tell."""

    def bound(self, asked: Asked, target: Target, known: Known) -> Bound:
        """The most that the request can use at this target: proven, for hard budgets.

        Raises TollwayError(unsupported_parameter) naming the field that cannot be bounded. Where the bound's `output`
        is None, the request must leave with an `Asked.output_cap`; a cap below the bound's `least` must not be sent.
        """

    def codec(self, asked: Asked, target: Target) -> Codec:
        """Between this request and a target that serves the call in the form `target.native`."""
