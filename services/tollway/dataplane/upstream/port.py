"""What the pipeline asks of HTTP to providers: one POST, the head of its answer, then the body as it comes.

Owns the contract and the faults that both clients raise; it opens no connection. Failures come out as `ProviderFault`;
what a provider answers, whatever its status, comes out as a response. No redirects, no cookies, no resends.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Protocol

from tollway.core.errors import Code
from tollway.dataplane.providers.port import Outgoing, ProviderFault


class UnsentError(Exception):
    """The connection was closed before any byte of an answer: on a reused one, the request may be sent once more."""


class Response(Protocol):
    """A provider's answer: its head is here, its body is still to be read. Whoever stops before the end closes it."""

    @property
    def status(self) -> int:
        """The HTTP status."""

    @property
    def headers(self) -> Mapping[str, str]:
        """The headers; names in any case. Of a repeated header, the first."""

    @property
    def ended(self) -> bool:
        """Whether all of the body has come and been read; may turn true only with the read that finds the end."""

    async def read_some(self) -> bytes:
        """What has come since the last read, waiting for more when that is nothing; b"" at the end.

        Raises ProviderFault when the answer broke before its end. A read that is cancelled has taken nothing.
        """

    def close(self) -> None:
        """Gives the answer up: its connection is closed, unless the answer had come whole."""


class UpstreamClient(Protocol):
    """The connections to all providers of one process."""

    async def send(self, outgoing: Outgoing, before_send: Callable[[bool], None]) -> Response:
        """The provider's response with its headers; the body is still to be read.

        `before_send(reused)` runs when a connection is there, right before the request leaves; what it raises is the
        outcome, and nothing is sent. Raises ProviderFault, or UnsentError when the connection was closed before any
        answer.
        """

    async def close(self) -> None:
        """Closes every connection."""


def unreachable(reason: str) -> ProviderFault:
    """The fault of a connection that could not be made; `reason` is for the operator."""
    return ProviderFault(
        Code.PROVIDER_UNAVAILABLE,
        "The provider could not be reached.",
        retryable=True,
        operator_note=f"connect failed: {reason}",
    )


def invalid(reason: str) -> ProviderFault:
    """The fault of an answer that HTTP does not allow; `reason` is for the operator."""
    return ProviderFault(
        Code.PROVIDER_ERROR, "The provider's answer is not valid HTTP.", retryable=True, operator_note=reason
    )


def cut(error: Exception | None = None) -> ProviderFault:
    """The fault of a connection that broke before the answer was whole."""
    return ProviderFault(
        Code.PROVIDER_UNAVAILABLE,
        "The connection to the provider broke before its answer was complete.",
        retryable=True,
        operator_note=type(error).__name__ if error is not None else None,
    )


async def read_whole(response: Response, limit: int, beat: Callable[[], None]) -> bytes:
    """The body of an answer, at most `limit` bytes; `beat()` runs after each part.

    Raises ProviderFault when it is longer or is cut. Whatever it raises, the answer is closed.
    """
    try:
        first = await response.read_some()
        if response.ended and len(first) <= limit:
            return first
        parts, size = [first], len(first)
        while not response.ended:
            if size > limit:
                break
            beat()
            part = await response.read_some()
            parts.append(part)
            size += len(part)
        if size > limit:
            raise ProviderFault(
                Code.PROVIDER_ERROR, f"The provider's answer is larger than {limit} bytes.", retryable=False
            )
        return b"".join(parts)
    except BaseException:
        response.close()
        raise
