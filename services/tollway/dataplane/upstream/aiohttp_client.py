"""HTTP to providers on aiohttp's connector: the reference that the client of our own is held to.

Pooled connections, the address guard; it follows no redirects, uses no proxies and resends nothing.
"""

from __future__ import annotations

import asyncio
import functools
import socket
import ssl
from collections.abc import Callable, Mapping
from typing import Any

import aiohttp
from aiohttp.abc import AbstractResolver, AbstractStreamWriter, ResolveResult
from aiohttp.client_reqrep import ClientRequest, ClientResponse
from aiohttp.connector import Connection
from multidict import CIMultiDict
from yarl import URL

from tollway.core.errors import TollwayError
from tollway.core.netguard import Guard, address_refusal
from tollway.dataplane.providers.port import Outgoing
from tollway.dataplane.upstream.port import UnsentError, cut, invalid, unreachable

KEEPALIVE_SECONDS = 60.0
READ_CHUNK = 1 << 16
_JSON: CIMultiDict[str] = CIMultiDict({"Content-Type": "application/json"})
_NO_TIMEOUT = aiohttp.ClientTimeout(total=None)
"""The watchdog keeps the time."""


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

    before_send: Callable[[bool], None]

    async def write_bytes(
        self, writer: AbstractStreamWriter, conn: Connection, content_length: int | None = None
    ) -> None:
        """Runs `before_send`, then writes head and body at once. What it raises is the outcome of the request."""
        protocol: Any = conn.protocol
        reused = getattr(protocol, "_tollway_used", False)
        protocol._tollway_used = True
        try:
            self.before_send(reused)
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


@functools.lru_cache(maxsize=1024)
def _url(text: str) -> URL:
    """A provider's address, parsed once."""
    return URL(text)


class AiohttpResponse:
    """An answer of aiohttp's client."""

    __slots__ = ("_content", "_response", "headers", "status")

    def __init__(self, response: ClientResponse) -> None:
        self._response = response
        self._content = response.content
        self.status = response.status
        self.headers: Mapping[str, str] = response.headers

    @property
    def ended(self) -> bool:
        """Whether all of the body has come and been read."""
        return self._content.at_eof()

    async def read_some(self) -> bytes:
        """What has come since the last read; b"" at the end. Raises ProviderFault when the answer broke."""
        try:
            return await self._content.readany()
        except (aiohttp.ClientError, OSError) as error:
            raise cut(error) from error

    def close(self) -> None:
        """Gives the answer up."""
        self._response.close()


class AiohttpClient:
    """The connections to all providers of one process. `tls`: for tests, which have authorities of their own."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        self._connector = aiohttp.TCPConnector(
            limit=0,
            keepalive_timeout=KEEPALIVE_SECONDS,
            resolver=GuardedResolver(),
            ttl_dns_cache=30,
            ssl=tls if tls is not None else True,
        )
        self._session = aiohttp.ClientSession(connector=self._connector, cookie_jar=aiohttp.DummyCookieJar())

    async def send(self, outgoing: Outgoing, before_send: Callable[[bool], None]) -> AiohttpResponse:
        """The provider's response with its headers; the body is still to be read.

        `before_send(reused)` runs when a connection is there, right before the request leaves. Raises ProviderFault, or
        UnsentError when the connection was closed before any answer.
        """
        try:
            return AiohttpResponse(await self._exchange(outgoing, before_send))
        except aiohttp.ClientConnectorError as error:
            raise unreachable(str(error.os_error.strerror or error.os_error)) from error
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError) as error:
            raise UnsentError from error
        except (aiohttp.ClientResponseError, aiohttp.InvalidURL, ValueError) as error:
            raise invalid(type(error).__name__) from error
        except (aiohttp.ClientError, OSError) as error:
            raise cut(error) from error

    async def _exchange(self, outgoing: Outgoing, before_send: Callable[[bool], None]) -> ClientResponse:
        """One request and the head of its response, straight on the connector.

        The session's own request method does far more than a gateway wants (redirects, cookies, proxies, resends of its
        own, timers); what is left of it here is its core, and a third cheaper.
        """
        request = _Request(
            "POST",
            _url(outgoing.url),
            headers=outgoing.headers,
            data=_Body(outgoing.body),
            loop=self._loop,
            response_class=ClientResponse,
            session=self._session,
        )
        request.before_send = before_send
        connection = await self._connector.connect(request, traces=[], timeout=_NO_TIMEOUT)
        assert connection.protocol is not None
        try:
            connection.protocol.set_response_params(read_until_eof=True, auto_decompress=True, read_bufsize=READ_CHUNK)
            response = await request.send(connection)
            try:
                await response.start(connection)
            except BaseException:
                response.close()
                raise
        except BaseException:
            connection.close()
            raise
        return response

    async def close(self) -> None:
        """Closes every connection."""
        await self._session.close()
