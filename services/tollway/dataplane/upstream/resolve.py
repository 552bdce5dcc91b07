"""Addresses of providers: looked up once for 30 seconds, and only those that may be connected to.

The address guard looks at every address that a connection is then made to, literal ones as well.
"""

from __future__ import annotations

import asyncio
import socket
from typing import NamedTuple

from aiohappyeyeballs import AddrInfoType

from tollway.core.netguard import Guard, address_refusal

CACHE_SECONDS = 30.0
MAX_CACHED = 1024


class _Known(NamedTuple):
    found: list[AddrInfoType]
    until: float


class Resolver:
    """The looked-up names of one process."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._known: dict[tuple[str, int], _Known] = {}
        self._asked: dict[tuple[str, int], asyncio.Future[None]] = {}

    async def resolve(self, host: str, port: int) -> list[AddrInfoType]:
        """The addresses of `host` that may be connected to, each time beginning with the next. Raises OSError."""
        name = (host, port)
        while True:
            known = self._known.get(name)
            if known is not None and self._loop.time() < known.until:
                known.found.append(known.found.pop(0))
                return list(known.found)
            asked = self._asked.get(name)
            if asked is None:
                break
            await asyncio.wait((asked,))  # another request is asking; should it be cancelled, this one asks
        asked = self._asked[name] = self._loop.create_future()
        try:
            found = await self._ask(host, port)
        finally:
            del self._asked[name]
            asked.set_result(None)
        if len(self._known) >= MAX_CACHED:
            self._known.clear()
        self._known[name] = _Known(found, self._loop.time() + CACHE_SECONDS)
        return list(found)

    async def _ask(self, host: str, port: int) -> list[AddrInfoType]:
        found = await self._loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_ADDRCONFIG)
        allowed: list[AddrInfoType] = [
            (family, kind, protocol, name, address)
            for family, kind, protocol, name, address in found
            if family in (socket.AF_INET, socket.AF_INET6) and address_refusal(str(address[0]), Guard.OPERATOR) is None
        ]
        if not allowed:
            raise OSError(None, f"{host} has no address that may be connected to")
        return allowed
