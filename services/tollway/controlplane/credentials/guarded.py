"""An HTTP transport for the providers' own SDKs that goes only where the guard allows, and reads only so much.

The name is resolved here, and the connection is made to an address that was checked, so that a name cannot come to mean
another one in between. No redirect is followed; what arrives compressed or too long is refused.

Behind a proxy it is as on the data plane, whose requests go the same way. The proxy is the operator's, from the
environment; its name is resolved and its address checked here. Of the target, the guard judges what can be known before
the proxy has it: the URL, addresses in every spelling, names of metadata services. A name is the proxy's to resolve (it
may be unknown here, or mean something else), and whom it lets through is the proxy's policy. So only who may name any
host is taken there (`Guard.OPERATOR`): what a tenant names is never sent through a proxy, as its address could not be
checked. The proxy's credentials go to the proxy alone; no error and no log has them, nor its answer.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import AsyncIterable
from ipaddress import ip_address

import httpx2

from tollway.core.netguard import Guard, address_refusal, url_refusal
from tollway.core.proxies import Proxies, parse

MAX_BODY_BYTES = 8 << 20
"""Lists of models are the longest answers: those of the largest routers have 1 MB."""


class AddressBlocked(httpx2.TransportError):
    """The guard does not let us go there; the message says why, without the URL."""


class AnswerRefused(httpx2.TransportError):
    """The answer is compressed, though it was asked for plain, or too long."""


class GuardedTransport(httpx2.AsyncBaseTransport):
    """One for one client. Raises AddressBlocked and AnswerRefused beside what httpx2 raises."""

    def __init__(self, guard: Guard, proxies: Proxies, *, max_body_bytes: int = MAX_BODY_BYTES) -> None:
        self._guard = guard
        self._proxies = proxies
        self._max_body_bytes = max_body_bytes
        self._tls = ssl.create_default_context()
        self._inner = httpx2.AsyncHTTPTransport(verify=self._tls, trust_env=False, retries=0)
        self._opened = contextlib.AsyncExitStack()
        self._opened.push_async_callback(self._inner.aclose)

    async def aclose(self) -> None:
        """Closes the connections."""
        await self._opened.aclose()

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        """Sends the request to an address of its host that the guard allows, or through the proxy."""
        if refusal := url_refusal(str(request.url), self._guard):
            raise AddressBlocked(refusal, request=request)
        host, tls = request.url.host, request.url.scheme == "https"
        proxy = self._proxies.url_for(host, tls=tls) if self._guard is Guard.OPERATOR else ""
        if proxy:
            return await self._read(request, await self._through(proxy, request))
        failure: httpx2.ConnectError | None = None
        for address in await self._addresses(request, host, request.url.port or (443 if tls else 80)):
            extensions = dict(request.extensions)
            if not _literal(host):
                extensions["sni_hostname"] = host  # the certificate is that of the name, not of the address
            sent = httpx2.Request(
                request.method,
                request.url.copy_with(host=address),
                headers=request.headers,  # with the name as Host
                stream=request.stream,
                extensions=extensions,
            )
            try:
                response = await self._inner.handle_async_request(sent)
            except httpx2.ConnectError as error:
                failure = error
                continue
            return await self._read(request, response)
        raise failure or httpx2.ConnectError("the name has no address", request=request)

    async def _through(self, url: str, request: httpx2.Request) -> httpx2.Response:
        """The answer by way of a proxy: in a tunnel to https, and asked of the proxy for http."""
        proxy = parse(url)
        headers = {"proxy-authorization": proxy.authorization} if proxy.authorization else {}
        try:
            addresses = await self._addresses(request, proxy.host, proxy.port)
        except AddressBlocked:  # says nothing of the provider
            raise httpx2.ConnectError("the proxy's address must not be called", request=request) from None
        failure: httpx2.ConnectError | None = None
        for address in addresses:
            place = httpx2.URL(scheme="http", host=address, port=proxy.port)
            transport = httpx2.AsyncHTTPTransport(
                verify=self._tls, trust_env=False, retries=0, proxy=httpx2.Proxy(place, headers=headers)
            )
            self._opened.push_async_callback(transport.aclose)
            try:
                response = await transport.handle_async_request(request)
            except httpx2.ConnectError as error:
                failure = error
                continue
            except httpx2.ProxyError:
                raise _refused(request) from None
            if response.status_code == _PROXY_WANTS_CREDENTIALS:
                raise _refused(request)
            return response
        raise failure or httpx2.ConnectError("the proxy's name has no address", request=request)

    async def _addresses(self, request: httpx2.Request, host: str, port: int) -> list[str]:
        try:
            found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError):
            raise httpx2.ConnectError("the name cannot be resolved", request=request) from None
        addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
        allowed = [address for address in addresses if address_refusal(address, self._guard) is None]
        if addresses and not allowed:
            raise AddressBlocked(address_refusal(addresses[0], self._guard) or "", request=request)
        return allowed

    async def _read(self, request: httpx2.Request, response: httpx2.Response) -> httpx2.Response:
        stream = response.stream
        assert isinstance(stream, AsyncIterable)
        async with contextlib.aclosing(response):
            if response.headers.get("content-encoding", "identity") != "identity":
                raise AnswerRefused("the answer is compressed", request=request)
            body = bytearray()
            async for chunk in stream:
                body += chunk
                if len(body) > self._max_body_bytes:
                    raise AnswerRefused("the answer is too long", request=request)
        headers = [(name, value) for name, value in response.headers.raw if name.lower() not in _FRAMING]
        return httpx2.Response(response.status_code, headers=headers, content=bytes(body), request=request)


_FRAMING = frozenset({b"transfer-encoding", b"content-length"})
_PROXY_WANTS_CREDENTIALS = 407


def _refused(request: httpx2.Request) -> httpx2.ProxyError:
    return httpx2.ProxyError("the proxy refuses the call", request=request)


def _literal(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
