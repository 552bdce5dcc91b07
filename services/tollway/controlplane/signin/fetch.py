"""HTTP to identity providers: bounded in size and time, without redirects, proxies and cookies, and guarded.

Addresses that an administrator sets may be private, never link-local: the one that a connection is made to is checked
when it is made. Errors name the kind of failure, never a secret or an answer.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Collection, Mapping
from ipaddress import ip_address
from typing import Any, overload
from urllib.parse import urlsplit

import aiohttp
import msgspec

from tollway.core.netguard import Guard, address_refusal, url_refusal

SECONDS = 5.0
"""For one call, everything included."""
MAX_ANSWER_BYTES = 512 << 10
Form = Mapping[str, str]


class ProviderUnavailable(Exception):
    """The identity provider does not answer, or not in the protocol's form. The message is for people."""


class _Refused(OSError):
    """The address must not be connected to."""


def endpoint_problem(url: str) -> str | None:
    """Why a URL of a provider must not be used: plain HTTP is for this machine alone."""
    refusal = url_refusal(url, Guard.OPERATOR)
    if refusal is not None:
        return refusal
    parts = urlsplit(url)
    if parts.scheme == "https" or _loopback(parts.hostname or ""):
        return None
    return "must begin with https://"


def _loopback(host: str) -> bool:
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class Fetcher:
    """Calls providers. One for a process; `open` and `close` it inside the event loop."""

    def __init__(self, *, tls: ssl.SSLContext | None = None, seconds: float = SECONDS) -> None:
        self._tls = tls
        self._seconds = seconds
        self._session: aiohttp.ClientSession | None = None

    async def open(self) -> None:
        """Makes the session."""
        connector = aiohttp.TCPConnector(
            limit=32,
            limit_per_host=8,
            use_dns_cache=False,
            socket_factory=_socket,
            ssl=self._tls if self._tls is not None else True,
            resolver=aiohttp.ThreadedResolver(),
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            trust_env=False,
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=self._seconds),
            headers={"Accept": "application/json", "Accept-Encoding": "identity", "User-Agent": "tollway"},
        )

    async def close(self) -> None:
        """Closes the session."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    @overload
    async def get(self, url: str) -> dict[str, Any]: ...

    @overload
    async def get(
        self, url: str, headers: Mapping[str, str], *, refusals: Collection[int]
    ) -> dict[str, Any] | None: ...

    async def get(
        self, url: str, headers: Mapping[str, str] | None = None, *, refusals: Collection[int] = ()
    ) -> dict[str, Any] | None:
        """The JSON object at a URL; None for a status of `refusals`.

        Raises ProviderUnavailable for anything else than 200 with one.
        """
        status, found = await self._call("GET", url, None, headers)
        if status in refusals:
            return None
        if status != 200 or found is None:
            raise ProviderUnavailable(f"the identity provider answered {status} without what was asked for")
        return found

    async def post(self, url: str, body: str, headers: Mapping[str, str]) -> tuple[int, dict[str, Any]]:
        """Status and JSON object (empty when there is none) of an answer to a form. Raises ProviderUnavailable."""
        status, found = await self._call("POST", url, body.encode(), headers)
        if status >= 500:
            raise ProviderUnavailable(f"the identity provider answered {status}")
        return status, found or {}

    async def _call(
        self, verb: str, url: str, body: bytes | None, headers: Mapping[str, str] | None
    ) -> tuple[int, dict[str, Any] | None]:
        assert self._session is not None, "open it first"
        if (problem := endpoint_problem(url)) is not None:
            raise ProviderUnavailable(f"an address of the identity provider {problem}")
        try:
            async with self._session.request(
                verb, url, data=body, headers=dict(headers or {}), allow_redirects=False
            ) as response:
                content = await _bounded(response)
                return response.status, _object(content)
        except TimeoutError:
            raise ProviderUnavailable(f"the identity provider did not answer in {self._seconds:g} s") from None
        except aiohttp.ClientConnectorError as error:
            raise ProviderUnavailable(_connection(error.os_error)) from None
        except (aiohttp.ClientError, ValueError, OSError) as error:
            raise ProviderUnavailable(f"the call of the identity provider failed: {type(error).__name__}") from None


async def _bounded(response: aiohttp.ClientResponse) -> bytes:
    parts, size = [], 0
    async for part in response.content.iter_chunked(64 << 10):
        size += len(part)
        if size > MAX_ANSWER_BYTES:
            response.close()
            raise ProviderUnavailable("the identity provider's answer is too large")
        parts.append(part)
    return b"".join(parts)


def _object(content: bytes) -> dict[str, Any] | None:
    try:
        return msgspec.json.decode(content, type=dict[str, Any])
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError):
        return None


def _socket(address: tuple[Any, ...]) -> socket.socket:
    """A socket for an address that is about to be connected to. Raises _Refused."""
    family, kind, protocol, _, where = address
    if (problem := address_refusal(str(where[0]), Guard.OPERATOR)) is not None:
        raise _Refused(None, f"the identity provider's address {problem}")
    made = socket.socket(family, kind, protocol)
    made.setblocking(False)
    return made


def _connection(error: OSError) -> str:
    if isinstance(error, _Refused):
        return str(error.strerror)
    if isinstance(error, socket.gaierror):
        return "the identity provider's name has no address"
    if isinstance(error, ssl.SSLError):
        return "the identity provider's certificate is not valid"
    if "link-local" in str(error):
        return "the identity provider's address is a link-local or metadata address"
    return "cannot connect to the identity provider"
