"""Which proxy a provider is reached through: the operator's, as the environment names it, or none.

Pure; the rules of whoever calls a provider: requests on the data plane, checks of keys on the control plane. Loopback
is never reached through a proxy. Source: https://curl.se/docs/manpage.html#ENVIRONMENT (HTTPS_PROXY, NO_PROXY).
"""

from __future__ import annotations

import base64
from ipaddress import ip_address, ip_network
from typing import NamedTuple
from urllib.parse import unquote, urlsplit


class Proxy(NamedTuple):
    """An HTTP proxy. `authorization` is the value of Proxy-Authorization, or empty."""

    host: str
    port: int
    authorization: str


class Proxies(NamedTuple):
    """URLs of proxies for http and for https providers (empty: none), and the names that need none."""

    http: str = ""
    https: str = ""
    exempt: str = ""

    def url_for(self, host: str, *, tls: bool) -> str:
        """The URL of the proxy for a provider's host, or an empty text."""
        url = self.https if tls else self.http
        return "" if not url or _is_exempt(host.lower().rstrip("."), self.exempt) else url


def proxy_url(text: str) -> str:
    """The text of a setting that names a proxy. Raises ValueError unless it is http://[user:password@]host[:port]."""
    parts = urlsplit(text if "://" in text else f"http://{text}")
    if parts.scheme != "http" or not parts.hostname or not 0 <= (parts.port or 80) <= 65535:
        raise ValueError("must be http://[user:password@]host[:port]")
    return text


def parse(url: str) -> Proxy:
    """The proxy that a URL of the settings names; without a scheme it is http."""
    parts = urlsplit(url if "://" in url else f"http://{url}")
    assert parts.hostname is not None
    authorization = ""
    if parts.username is not None:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        authorization = f"Basic {base64.b64encode(pair.encode()).decode('ascii')}"
    return Proxy(parts.hostname, parts.port or 80, authorization)


def _is_exempt(host: str, exempt: str) -> bool:
    """Whether a host needs no proxy: `*`, a name with all below it, an address or a network; and loopback always."""
    try:
        address = ip_address(host.partition("%")[0])
    except ValueError:
        address = None
    if host == "localhost" or (address is not None and address.is_loopback):
        return True
    for entry in (part.strip().lower().rstrip(".") for part in exempt.split(",")):
        name = entry.removeprefix("*").removeprefix(".")
        if entry == "*" or (name and (host == name or host.endswith(f".{name}"))):
            return True
        if address is not None and "/" in entry and _in_network(address, entry):
            return True
    return False


def _in_network(address: object, entry: str) -> bool:
    try:
        return address in ip_network(entry, strict=False)
    except ValueError:
        return False
