"""Opens connections to providers: the guarded address, happy eyeballs, verified TLS, the operator's proxy.

Every failure comes out as the fault of a provider that could not be reached; nothing stays open behind it.
"""

from __future__ import annotations

import asyncio
import re
import socket
import ssl

import aiohappyeyeballs

from tollway.core.proxies import Proxy, parse
from tollway.dataplane.upstream.connection import Connection
from tollway.dataplane.upstream.pool import Origin
from tollway.dataplane.upstream.port import unreachable
from tollway.dataplane.upstream.resolve import Resolver

NEXT_ADDRESS_SECONDS = 0.25
"""After so long the next address is tried as well (RFC 8305)."""
MAX_PROXY_HEAD = 1 << 14
_OPENED = re.compile(rb"HTTP/1\.[01] 2[0-9][0-9]( |$)")


def verified() -> ssl.SSLContext:
    """What providers' certificates are held to: the system's authorities or those of SSL_CERT_FILE, the host's name,
    TLS 1.2 or newer.
    """
    context = ssl.create_default_context()
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    return context


class Connector:
    """Opens the connections of one process. `tls` is there for tests, which have authorities of their own."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self._loop = asyncio.get_running_loop()
        self._resolver = Resolver()
        self._tls = tls

    async def connect(self, origin: Origin) -> Connection:
        """A new connection. Raises ProviderFault."""
        try:
            return await self._connect(origin)
        except OSError as error:  # also what TLS and the resolver raise
            raise unreachable(str(error.strerror or error)) from error
        except UnicodeError as error:
            raise unreachable(f"{origin.host[:100]} is no name of a host") from error

    async def _connect(self, origin: Origin) -> Connection:
        proxy = parse(origin.proxy) if origin.proxy else None
        host, port = (proxy.host, proxy.port) if proxy is not None else (origin.host, origin.port)
        found = await self._resolver.resolve(host, port)
        sock = await aiohappyeyeballs.start_connection(
            found, happy_eyeballs_delay=NEXT_ADDRESS_SECONDS, interleave=1, loop=self._loop
        )
        try:
            if proxy is not None and origin.tls:
                await self._tunnel(sock, proxy, origin)
            context = await self._context() if origin.tls else None
        except BaseException:
            sock.close()
            raise
        # From here on the event loop owns the socket, and closes it when this is cancelled or fails.
        _, connection = await self._loop.create_connection(
            lambda: Connection(self._loop),
            sock=sock,
            ssl=context,
            server_hostname=origin.host if origin.tls else None,
        )
        return connection

    async def _context(self) -> ssl.SSLContext:
        """Made when it is first needed, and beside the event loop: it reads all the authorities of the system."""
        if self._tls is None:
            self._tls = await self._loop.run_in_executor(None, verified)
        return self._tls

    async def _tunnel(self, sock: socket.socket, proxy: Proxy, origin: Origin) -> None:
        """Has the proxy connect to the provider (RFC 9110, section 9.3.6). Raises OSError."""
        place = f"[{origin.host}]:{origin.port}" if ":" in origin.host else f"{origin.host}:{origin.port}"
        lines = [f"CONNECT {place} HTTP/1.1", f"Host: {place}"]
        if proxy.authorization:
            lines.append(f"Proxy-Authorization: {proxy.authorization}")
        await self._loop.sock_sendall(sock, "\r\n".join([*lines, "", ""]).encode())
        answer = b""
        while b"\r\n\r\n" not in answer:
            part = await self._loop.sock_recv(sock, MAX_PROXY_HEAD)
            answer += part
            if not part or len(answer) > MAX_PROXY_HEAD:
                raise OSError(None, "the proxy did not answer as it should")
        told = answer.split(b"\r\n", 1)[0]
        if _OPENED.match(told) is None or not answer.endswith(b"\r\n\r\n"):
            raise OSError(None, f"the proxy refused: {told[:100].decode('latin-1')}")
