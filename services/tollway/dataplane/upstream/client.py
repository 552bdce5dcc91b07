"""HTTP to providers: pooled connections, the address guard, no redirects, no proxies, no resends of its own.

Failures come out as `ProviderFault`; what a provider answers, whatever its status, comes out as a response.
"""

from __future__ import annotations

import socket
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver, AbstractStreamWriter, ResolveResult
from aiohttp.client_reqrep import ClientRequest, ClientResponse
from aiohttp.connector import Connection
from multidict import CIMultiDict

from tollway.core.errors import Code, TollwayError
from tollway.core.netguard import Guard, address_refusal
from tollway.dataplane.providers.port import Outgoing, ProviderFault

KEEPALIVE_SECONDS = 60.0
READ_CHUNK = 1 << 16
_JSON: CIMultiDict[str] = CIMultiDict({"Content-Type": "application/json"})
_before_send: ContextVar[Callable[[bool], None]] = ContextVar("before_send")


class GuardedResolver(AbstractResolver):
    """Resolves names and leaves out addresses that must not be connected to."""

    def __init__(self) -> None:
        self._resolver = aiohttp.ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """The addresses of `host` that may be connected to. Raises OSError when there is none."""
        found = await self._resolver.resolve(host, port, family)
        allowed = [result for result in found if address_refusal(result["host"], Guard.OPERATOR) is None]
        if not allowed:
            raise OSError(None, f"{host} has no address that may be connected to")
        return allowed

    async def close(self) -> None:
        """Nothing to give back."""
        await self._resolver.close()


class _Request(ClientRequest):
    """Says when a connection is there and the first byte is about to leave: the moment of the journal's intent."""

    async def write_bytes(
        self, writer: AbstractStreamWriter, conn: Connection, content_length: int | None = None
    ) -> None:
        """Runs `before_send`, then writes head and body at once. What it raises is the outcome of the request."""
        protocol: Any = conn.protocol
        reused = getattr(protocol, "_tollway_used", False)
        protocol._tollway_used = True
        try:
            _before_send.get()(reused)
        except TollwayError as error:
            protocol.set_exception(error)
            conn.close()
            return
        await super().write_bytes(writer, conn, content_length)

    def update_auto_headers(self, skip_auto_headers: object) -> None:
        """Adds nothing: an adapter's headers are complete."""


class _Body(aiohttp.BytesPayload):
    """A request body as it is: the adapter's headers describe it, and a large one is no cause for a warning."""

    def __init__(self, value: bytes) -> None:
        self._value = value
        self._size = len(value)
        self._encoding = self._filename = None
        self._headers = _JSON


class UnsentError(Exception):
    """The connection was closed before any byte of an answer: on a reused one, the request may be sent once more."""


class Upstream:
    """The connections to all providers of one process."""

    def __init__(self) -> None:
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=0, keepalive_timeout=KEEPALIVE_SECONDS, resolver=GuardedResolver(), ttl_dns_cache=30
            ),
            request_class=_Request,
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=None),
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=True,
            read_bufsize=READ_CHUNK,
        )

    async def send(self, outgoing: Outgoing, before_send: Callable[[bool], None]) -> ClientResponse:
        """The provider's response with its headers; the body is still to be read.

        `before_send(reused)` runs when a connection is there, right before the request leaves. Raises ProviderFault, or
        UnsentError when the connection was closed before any answer.
        """
        _before_send.set(before_send)
        try:
            return await self._session.post(
                outgoing.url,
                data=_Body(outgoing.body),
                headers=outgoing.headers,
                allow_redirects=False,
            )
        except aiohttp.ClientConnectorError as error:
            raise ProviderFault(
                Code.PROVIDER_UNAVAILABLE,
                "The provider could not be reached.",
                retryable=True,
                operator_note=f"connect failed: {error.os_error.strerror or error.os_error}",
            ) from error
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError) as error:
            raise UnsentError from error
        except (aiohttp.ClientResponseError, aiohttp.InvalidURL, ValueError) as error:
            raise ProviderFault(
                Code.PROVIDER_ERROR,
                "The provider's answer is not valid HTTP.",
                retryable=True,
                operator_note=type(error).__name__,
            ) from error
        except (aiohttp.ClientError, OSError) as error:
            raise cut(error) from error

    async def close(self) -> None:
        """Closes every connection."""
        await self._session.close()


def cut(error: Exception | None = None) -> ProviderFault:
    """The fault of a connection that broke before the answer was whole."""
    return ProviderFault(
        Code.PROVIDER_UNAVAILABLE,
        "The connection to the provider broke before its answer was complete.",
        retryable=True,
        operator_note=type(error).__name__ if error is not None else None,
    )


async def read_whole(response: ClientResponse, limit: int, beat: Callable[[], None]) -> bytes:
    """The body of an answer, at most `limit` bytes; `beat()` runs after each part.

    Raises ProviderFault when it is longer or is cut.
    """
    content = response.content
    try:
        first = await content.readany()
        if content.at_eof() and len(first) <= limit:
            return first
        parts, size = [first], len(first)
        while not content.at_eof():
            if size > limit:
                raise ProviderFault(
                    Code.PROVIDER_ERROR, f"The provider's answer is larger than {limit} bytes.", retryable=False
                )
            beat()
            part = await content.readany()
            parts.append(part)
            size += len(part)
        return b"".join(parts)
    except (aiohttp.ClientError, OSError) as error:
        raise cut(error) from error
