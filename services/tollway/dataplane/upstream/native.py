"""HTTP/1.1 to providers on a client of our own: llhttp's parser straight on asyncio's transports.

One write and one wait for each request; nothing else is made for it. How its parts share the work: `request_head`
writes, `connection` sends and waits, `framing` reads, `answer` hands over, `pool` keeps, `connect` opens.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable
from typing import NamedTuple

from yarl import URL

from tollway.core.errors import Code
from tollway.core.netguard import Guard, url_refusal
from tollway.core.proxies import Proxies, parse
from tollway.dataplane.providers.port import Outgoing, ProviderFault
from tollway.dataplane.upstream.answer import NativeResponse
from tollway.dataplane.upstream.connect import Connector
from tollway.dataplane.upstream.pool import Limits, Origin, Pool, Shelf
from tollway.dataplane.upstream.port import unreachable
from tollway.dataplane.upstream.request_head import rendered

MAX_PLACES = 1024


class Place(NamedTuple):
    """Where the requests of one URL go: the connections, and the request line with Host."""

    shelf: Shelf
    prefix: str


class NativeClient:
    """The connections to all providers of one process."""

    def __init__(
        self, limits: Limits | None = None, proxies: Proxies | None = None, tls: ssl.SSLContext | None = None
    ) -> None:
        self.pool = Pool(limits or Limits(), Connector(tls).connect)
        self._proxies = proxies or Proxies()
        self._places: dict[str, Place] = {}

    async def send(self, outgoing: Outgoing, before_send: Callable[[bool], None]) -> NativeResponse:
        """The provider's response with its headers; the body is still to be read. See the port."""
        place = self._places.get(outgoing.url) or self._place(outgoing.url)
        try:
            head = rendered(place.prefix, outgoing)
        except ValueError as error:
            raise _unsendable(str(error)) from error
        shelf, pool = place.shelf, self.pool
        connection = pool.take(shelf) or await pool.acquire(shelf)
        try:
            before_send(connection.used)
        except BaseException:
            pool.put(shelf, connection)  # nothing has gone out on it
            raise
        return await connection.exchange(head, outgoing.body)

    def _place(self, url: str) -> Place:
        """Reads a provider's address, once. Raises ProviderFault for one that cannot be called."""
        refusal = url_refusal(url, Guard.OPERATOR)
        if refusal is not None:
            raise unreachable(f"the URL {refusal}")
        parts = URL(url)
        name, port, host, target = parts.raw_host, parts.port, parts.host_port_subcomponent, parts.raw_path_qs
        assert name is not None
        assert port is not None
        tls = parts.scheme == "https"
        proxy = self._proxies.url_for(name, tls=tls)
        lines = f"Host: {host}\r\n"
        if proxy and not tls:
            target = f"http://{host}{target}"
            authorization = parse(proxy).authorization
            lines += f"Proxy-Authorization: {authorization}\r\n" if authorization else ""
        prefix = f"POST {target} HTTP/1.1\r\n{lines}"
        if len(self._places) >= MAX_PLACES:
            self._places.clear()
            self.pool.tidy()
        place = self._places[url] = Place(self.pool.shelf(Origin(name, port, tls, proxy)), prefix)
        return place

    async def close(self) -> None:
        """Closes every connection."""
        await self.pool.close()


def _unsendable(reason: str) -> ProviderFault:
    """The fault of a request that HTTP does not allow, such as a credential with a line end in it."""
    return ProviderFault(
        Code.PROVIDER_ERROR,
        "The request to the provider cannot be written as HTTP.",
        retryable=False,
        operator_note=reason,
    )
