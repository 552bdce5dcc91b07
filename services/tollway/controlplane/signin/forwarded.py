"""The address that a call came from, where proxies that are trusted say it in `X-Forwarded-For`.

Each proxy adds whom it heard to the end of the header. So it is read from its end, as far as trusted proxies wrote it:
what stands before the first address that is none of theirs, the caller may have written.
"""

from __future__ import annotations

from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address

from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

Networks = tuple[IPv4Network | IPv6Network, ...]
HEADER = "X-Forwarded-For"
MAX_HOPS = 20


def _address(text: str) -> IPv4Address | IPv6Address | None:
    """An address, which may have a port; None for anything else."""
    text = text.strip()
    if text.startswith("["):
        text = text[1:].partition("]")[0]
    elif text.count(":") == 1:
        text = text.partition(":")[0]
    try:
        found = ip_address(text)
    except ValueError:
        return None
    return found.ipv4_mapped or found if isinstance(found, IPv6Address) else found


def source_of(remote: str, forwarded: Sequence[str], trusted: Networks) -> str:
    """Who called, by the address of the connection and the lines of the header, in their order."""
    known = remote
    hops = ",".join(forwarded).rsplit(",", MAX_HOPS)[-MAX_HOPS:]
    for said in reversed(hops):
        here = _address(known)
        if here is None or not any(here in network for network in trusted):
            break
        before = _address(said)
        if before is None:
            break
        known = str(before)
    return known


def middleware(trusted: Networks) -> Middleware:
    """Lets every handler see the caller's address as `request.remote`."""

    @web.middleware
    async def told(request: web.Request, handler: Handler) -> web.StreamResponse:
        remote = request.remote or ""
        found = source_of(remote, request.headers.getall(HEADER, []), trusted)
        return await handler(request if found == remote else request.clone(remote=found))

    return told
