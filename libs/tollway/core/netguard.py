"""Which addresses the gateway may be sent to (server-side request forgery).

Two rules: `OPERATOR` for URLs that a platform administrator or a configuration file sets (private and loopback are
fine, a model server at home is one; link-local, where clouds keep their metadata service, never is), and `TENANT` for
every URL that a client or a tenant can set (public addresses only). The caller resolves names and checks every address
that it is about to connect to.
"""

from __future__ import annotations

from enum import StrEnum
from ipaddress import IPv4Address, IPv6Address, ip_address
from urllib.parse import urlsplit


class Guard(StrEnum):
    """Who set the URL."""

    OPERATOR = "operator"
    TENANT = "tenant"


_METADATA = frozenset({ip_address("169.254.169.254"), ip_address("fd00:ec2::254"), ip_address("100.100.100.200")})
_MAX_NAME = 253
_MAX_LABEL = 63
_NAT64 = (IPv6Address("64:ff9b::"), 96)


def _unwrap(address: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """The IPv4 address that an IPv6 form (mapped, 6to4, NAT64) stands for, else the address itself."""
    if isinstance(address, IPv4Address):
        return address
    if address.ipv4_mapped:
        return address.ipv4_mapped
    if address.sixtofour:
        return address.sixtofour
    if int(address) >> 32 == int(_NAT64[0]) >> 32:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address


_LOCAL_NAMES = (".localhost", ".local", ".internal", ".lan", ".home.arpa", ".svc", ".cluster.local")


def address_refusal(text: str, guard: Guard) -> str | None:
    """Why the address must not be connected to, or None when it may. `text` is a literal IPv4 or IPv6 address."""
    try:
        address = _unwrap(ip_address(text.split("%", 1)[0]))
    except ValueError:
        return "is not an IP address"
    if address in _METADATA or address.is_link_local:
        return "is a link-local or metadata address"
    if address.is_multicast or (address.is_unspecified and guard is Guard.TENANT):
        return "is not a host address"
    if guard is Guard.TENANT and not address.is_global:
        return "is not a public address"
    return None


def _legacy_ipv4(host: str) -> str | None:
    """The dotted form of an IPv4 address in spellings that resolvers accept (2130706433, 0x7f.1, 0177.0.0.1)."""
    parts = host.rstrip(".").split(".")
    if not 1 <= len(parts) <= 4:
        return None
    numbers = []
    for part in parts:
        base = 16 if part[:2].lower() == "0x" else 8 if len(part) > 1 and part[0] == "0" else 10
        try:
            numbers.append(int(part, base) if part.lower() != "0x" else 0)
        except ValueError:
            return None
    *high, last = numbers
    if any(n > 255 for n in high) or last >= 1 << (8 * (5 - len(parts))) or min(numbers) < 0:
        return None
    value = last
    for index, number in enumerate(high):
        value += number << (24 - 8 * index)
    return str(IPv4Address(value))


def _is_name(host: str) -> bool:
    """Whether the parts of a name have the lengths that names may have (RFC 1035, section 2.3.4)."""
    name = host.removesuffix(".")
    return len(name) <= _MAX_NAME and all(0 < len(part) <= _MAX_LABEL for part in name.split("."))


def url_refusal(url: str, guard: Guard) -> str | None:
    """Why the URL must not be used, or None when nothing speaks against it yet (its name must still be resolved)."""
    try:
        parts = urlsplit(url)
        host, _port = parts.hostname, parts.port
    except ValueError:
        return "is not a valid URL"
    if parts.scheme not in ("http", "https"):
        return "must begin with http:// or https://"
    if not host:
        return "names no host"
    if parts.username is not None or parts.password is not None:
        return "must not carry credentials"
    # Who fetches it may read such a host in other ways than we do: escapes, other dots and digits, a final dot.
    if not host.isascii() or "%" in host:
        return "must name its host in plain letters (punycode for others)"
    if ":" not in host and not _is_name(host):
        return "names a host with an empty or too long part between its dots"
    host = host.rstrip(".")
    if guard is Guard.TENANT and (host == "localhost" or host.endswith(_LOCAL_NAMES)):
        return "names a host of the local network"
    if guard is Guard.TENANT and "." not in host and ":" not in host and _legacy_ipv4(host) is None:
        return "names a host of the local network"
    if host in ("metadata.google.internal", "metadata"):
        return "names a metadata service"
    literal = host if ":" in host else _legacy_ipv4(host)
    if literal is None:
        return None
    return address_refusal(literal, guard)
