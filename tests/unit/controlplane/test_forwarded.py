"""Whom a call came from: only what trusted proxies wrote is believed."""

from __future__ import annotations

from ipaddress import ip_network

import pytest

from tollway.controlplane.signin.forwarded import source_of

TRUSTED = (ip_network("10.0.0.0/8"), ip_network("fd00::/8"))


@pytest.mark.parametrize(
    ("remote", "lines", "source"),
    [
        ("10.1.1.1", ["203.0.113.7"], "203.0.113.7"),
        ("10.1.1.1", ["6.6.6.6, 203.0.113.7"], "203.0.113.7"),
        ("10.1.1.1", ["6.6.6.6", "203.0.113.7, 10.2.2.2"], "203.0.113.7"),
        ("fd00::1", ["[2001:db8::5]:4711"], "2001:db8::5"),
        ("::ffff:10.1.1.1", ["203.0.113.7:80"], "203.0.113.7"),
        ("198.51.100.1", ["203.0.113.7"], "198.51.100.1"),
        ("10.1.1.1", ["203.0.113.7, nonsense"], "10.1.1.1"),
        ("10.1.1.1", [], "10.1.1.1"),
        ("10.1.1.1", ["10.3.3.3"], "10.3.3.3"),
        ("", ["203.0.113.7"], ""),
    ],
)
def test_the_first_address_that_is_no_trusted_proxy(remote: str, lines: list[str], source: str) -> None:
    assert source_of(remote, lines, TRUSTED) == source
    assert source_of(remote, lines, ()) == remote
