"""The head of a request, and which proxy it goes through."""

from __future__ import annotations

import pytest

from tollway.core.proxies import Proxies, Proxy, parse, proxy_url
from tollway.dataplane.providers.port import Outgoing
from tollway.dataplane.upstream.request_head import rendered

PREFIX = "POST /v1/a%20b HTTP/1.1\r\nHost: h\r\n"


def test_a_head() -> None:
    for body in (b"", b"abc"):
        head = rendered(PREFIX, Outgoing("", {"x-%s": "50%", "authorization": "é"}, body))
        assert head.decode() == f"{PREFIX}x-%s: 50%\r\nauthorization: é\r\nContent-Length: {len(body)}\r\n\r\n"


@pytest.mark.parametrize("value", ["a\r\nb", "a\nb", "a\rb", "\0", "\r\n"])
def test_a_value_with_a_line_end(value: str) -> None:
    with pytest.raises(ValueError, match="line end"):
        rendered(PREFIX, Outgoing("", {"x-a": value}, b""))


@pytest.mark.parametrize("name", ["", "a b", "a:", "a\r\n", "é", "Host", "content-length", "Transfer-Encoding"])
def test_a_name_that_cannot_be_sent(name: str) -> None:
    with pytest.raises(ValueError, match="cannot be sent"):
        rendered(PREFIX, Outgoing("", {name: "a"}, b""))


@pytest.mark.parametrize(
    ("host", "exempt", "through"),
    [
        ("api.example", "", True),
        ("api.example", "other.example, example.org", True),
        ("api.example", "api.example", False),
        ("API.Example.", ".EXAMPLE.", False),
        ("api.example", "*.example", False),
        ("notexample", "example", True),
        ("api.example", "*", False),
        ("10.1.2.3", "10.0.0.0/8", False),
        ("10.1.2.3", "10.2.0.0/16,nonsense/99", True),
        ("10.1.2.3", "10.1.2.3", False),
        ("fd00::1", "fd00::/8", False),
        ("localhost", "", False),
        ("127.0.0.2", "", False),
        ("::1", "", False),
    ],
)
def test_who_is_called_through_the_proxy(host: str, exempt: str, through: bool) -> None:
    proxies = Proxies("http://p:1", "http://s:2", exempt)
    assert proxies.url_for(host, tls=False) == ("http://p:1" if through else "")
    assert proxies.url_for(host, tls=True) == ("http://s:2" if through else "")
    assert Proxies().url_for(host, tls=True) == ""


def test_a_proxy_with_a_password() -> None:
    assert parse("http://u%40x:p%3A@proxy.example:3128") == Proxy("proxy.example", 3128, "Basic dUB4OnA6")
    assert parse("proxy.example") == Proxy("proxy.example", 80, "")


@pytest.mark.parametrize("url", ["https://proxy.example", "socks5://proxy.example", "http://", "http://p:99999"])
def test_a_proxy_that_cannot_be_used(url: str) -> None:
    with pytest.raises(ValueError):
        proxy_url(url)
