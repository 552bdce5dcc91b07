"""What the suite of the upstream clients calls with: both clients, one request, and its outcome as a value."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Mapping

from tollway.core.errors import Code
from tollway.dataplane.providers.port import Outgoing, ProviderFault
from tollway.dataplane.upstream.aiohttp_client import AiohttpClient
from tollway.dataplane.upstream.native import NativeClient
from tollway.dataplane.upstream.port import UnsentError, UpstreamClient, read_whole

CLIENTS: Mapping[str, Callable[[], UpstreamClient]] = {"native": NativeClient, "aiohttp": AiohttpClient}
INVALID, UNREACHABLE, CUT, UNSENT = "not valid HTTP", "could not be reached", "cut", "unsent"
LIMIT = 8 << 20
HEADERS = {"content-type": "application/json", "authorization": "Bearer k"}
SECONDS = 5.0


def post(url: str, body: bytes = b"{}", **headers: str) -> Outgoing:
    """A request."""
    return Outgoing(url, {**HEADERS, **headers}, body)


def unused(_reused: bool) -> None:
    """A `before_send` that has nothing to do."""


async def outcome(client: UpstreamClient, outgoing: Outgoing, limit: int = LIMIT) -> tuple[int, bytes] | str:
    """Status and body, or how the call failed: the words that tell the faults apart."""
    try:
        async with asyncio.timeout(SECONDS):
            response = await client.send(outgoing, unused)
            return response.status, await read_whole(response, limit, lambda: None)
    except UnsentError:
        return UNSENT
    except ProviderFault as fault:
        return word_of(fault)


def word_of(fault: ProviderFault) -> str:
    """The kind of a fault."""
    if "not valid HTTP" in fault.message:
        assert fault.code is Code.PROVIDER_ERROR
        return INVALID
    if "could not be reached" in fault.message:
        assert fault.code is Code.PROVIDER_UNAVAILABLE
        return UNREACHABLE
    if "broke before" in fault.message:
        assert fault.code is Code.PROVIDER_UNAVAILABLE
        return CUT
    return fault.message


def trusting(client: str, authority: ssl.SSLContext) -> UpstreamClient:
    """A client that trusts a test's own authority."""
    return NativeClient(tls=authority) if client == "native" else AiohttpClient(tls=authority)
