"""What the pipeline asks of a provider kind: request out, answer in, stream in, error in.

Owns the contract alone. An adapter is stateless and does no IO; the HTTP call is made in one place for all kinds.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple, Protocol

from tollway.core.catalog import Credential, Provider
from tollway.core.dialects.head import Head
from tollway.core.errors import Code, TollwayError
from tollway.core.usage import Usage

USER_AGENT = "tollway"


class Outgoing(NamedTuple):
    """A POST to a provider. `dropped` names fields of the client's request that the provider is not told."""

    url: str
    headers: dict[str, str]
    body: bytes
    dropped: tuple[str, ...] = ()


class Finished(NamedTuple):
    """A whole answer for the client. `usage` None: the provider did not say; then `output_chars` helps to estimate."""

    body: bytes
    usage: Usage | None
    output_chars: int


class ProviderFault(TollwayError):
    """An upstream call that failed, in words fit for the client; what only the operator may know is `operator_note`.

    `status` is the provider's HTTP status, None when there was none or it came inside a stream. `retryable`: another
    attempt, here or elsewhere, may succeed with the same request. `provider_code` is the provider's own code.
    """

    def __init__(
        self,
        code: Code,
        message: str,
        *,
        retryable: bool,
        status: int | None = None,
        provider_code: str | None = None,
        param: str | None = None,
        retry_after_seconds: float | None = None,
        operator_note: str | None = None,
    ) -> None:
        """Keyword arguments as described for the class and for TollwayError."""
        super().__init__(
            code, message, param=param, retry_after_seconds=retry_after_seconds, operator_note=operator_note
        )
        self.status = status
        self.retryable: bool | None = retryable
        self.provider_code = provider_code


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


class Adapter(Protocol):
    """What one provider kind is sent, and how what it answers is read."""

    def chat(
        self,
        provider: Provider,
        target_model: str,
        credential: Credential | None,
        head: Head,
        body: bytes,
        *,
        max_output_tokens: int | None = None,
    ) -> Outgoing:
        """A chat request. `max_output_tokens`: the model's most, where known and a limit has to be sent.

        Raises TollwayError (the client's fault) when the provider's dialect cannot say what the request says.
        """

    def answer(self, status: int, headers: Mapping[str, str], body: bytes) -> Finished:
        """A whole 2xx answer. Raises ProviderFault when the body is not what the dialect promises."""

    def stream(self, head: Head, model_name: str, *, created: int = 0) -> StreamRelay:
        """A relay for one stream. `model_name` and `created` (Unix seconds) where the provider tells neither."""

    def error(self, status: int, headers: Mapping[str, str], body: bytes, *, now: float | None = None) -> ProviderFault:
        """What an answer that is not 2xx means. `now` (Unix seconds) is for a Retry-After that is a date."""
