"""Keys of providers are checked through the proxy that requests go through, by the same rules, and no other way."""

from __future__ import annotations

import asyncio
import base64
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tollway.controlplane.app import ControlPlane
from tollway.controlplane.credentials.checking import Checked, Outcome, check
from tollway.core.catalog import ProviderKind
from tollway.core.netguard import Guard
from tollway.core.proxies import Proxies
from tollway.runtime.settings import redacted
from tollway.testkit.certificates import Authority
from tollway.testkit.raw_server import Peer, RawServer

GOOD = "sk-good-provider-key-4711"
SECRET = "proxy-password-canary"
BASIC = f"Basic {base64.b64encode(f'me:{SECRET}'.encode()).decode()}"
MODELS = b'{"object": "list", "data": [{"id": "m"}], "has_more": false}'


async def provider(peer: Peer) -> None:
    """Lists models to who has the key."""
    head = (await peer.head()).decode().lower()
    taken = GOOD in head
    body = MODELS if taken else b'{"error": {"message": "no such key"}}'
    status = "200 OK" if taken else "401 Unauthorized"
    start = f"HTTP/1.1 {status}\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    await peer.send(start.encode() + body)


@dataclass
class ForwardProxy:
    """A proxy as companies have them, which resolves every name to this machine; `mode` makes it refuse."""

    mode: str = ""
    heads: list[str] = field(default_factory=list)

    async def script(self, peer: Peer) -> None:
        """One connection."""
        head = (await peer.head()).decode()
        self.heads.append(head)
        method, target, _ = head.split("\r\n", 1)[0].split(" ")
        if self.mode:
            await peer.send(f"HTTP/1.1 {self.mode}\r\ncontent-length: {len(SECRET)}\r\n\r\n{SECRET}".encode())
            return
        place = target if method == "CONNECT" else target.removeprefix("http://").partition("/")[0]
        reader, writer = await asyncio.open_connection("127.0.0.1", int(place.rpartition(":")[2]))
        if method == "CONNECT":
            await peer.send(b"HTTP/1.1 200 Connection established\r\n\r\n")
        else:
            writer.write(head.replace(f"http://{place}", "").encode())
        try:
            await asyncio.gather(passed(peer.reader, writer), passed(reader, peer.writer))
        finally:
            writer.close()


async def passed(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()


@dataclass
class Way:
    """A proxy that runs, and checks through it."""

    proxy: ForwardProxy
    port: int

    async def ask(
        self, url: str, *, exempt: str = "", guard: Guard = Guard.OPERATOR, host: str = "127.0.0.1", key: str = GOOD
    ) -> Checked:
        """One check of an `openai` provider."""
        through = f"http://me:{SECRET}@{host}:{self.port}"
        return await check(ProviderKind.OPENAI, url, "", key, guard, Proxies(through, through, exempt))


@pytest.fixture
async def way() -> AsyncIterator[Way]:
    proxy = ForwardProxy()
    async with RawServer(proxy.script) as server:
        yield Way(proxy, server.port)


@pytest.fixture
def resolved(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names that this process asks for; those of providers have no address here."""
    asked: list[str] = []
    original = asyncio.base_events.BaseEventLoop.getaddrinfo

    async def resolve(self: Any, host: str, port: int, **more: Any) -> Any:
        asked.append(host)
        if host == "proxy-at-metadata.example":
            return [(2, 1, 6, "", ("169.254.169.254", port))]
        return await original(self, host, port, **more)

    monkeypatch.setattr(asyncio.base_events.BaseEventLoop, "getaddrinfo", resolve)
    return asked


async def test_https_goes_through_a_tunnel(
    way: Way, resolved: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    authority = Authority(tmp_path)
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.path))
    async with RawServer(provider, tls=authority.server("api.example")) as server:
        found = await way.ask(f"https://api.example:{server.port}")
        assert (found.outcome, found.status) == (Outcome.ACCEPTED, 200)
        refused = await way.ask(f"https://api.example:{server.port}", key="sk-wrong")
        assert (refused.outcome, refused.status) == (Outcome.REFUSED, 401)
        impostor = await way.ask(f"https://other.example:{server.port}")
        assert impostor.outcome is Outcome.UNREACHABLE, "the certificate is not that of the name"
    lines = way.proxy.heads[0].split("\r\n")
    assert lines[0] == f"CONNECT api.example:{server.port} HTTP/1.1"
    assert f"proxy-authorization: {BASIC}".lower() in [line.lower() for line in lines]
    assert GOOD not in str(way.proxy.heads), "the proxy sees host and port alone"
    assert set(resolved) == {"127.0.0.1"}, "the name is the proxy's to resolve"


async def test_http_is_asked_of_the_proxy(way: Way, resolved: list[str]) -> None:
    async with RawServer(provider) as server:
        found = await way.ask(f"http://api.example:{server.port}")
    assert (found.outcome, found.status) == (Outcome.ACCEPTED, 200)
    lines = [line.lower() for line in way.proxy.heads[0].split("\r\n")]
    assert lines[0] == f"get http://api.example:{server.port}/v1/models http/1.1"
    assert f"host: api.example:{server.port}" in lines
    assert f"proxy-authorization: {BASIC}".lower() in lines
    assert set(resolved) == {"127.0.0.1"}


async def test_exempt_hosts_and_loopback_need_no_proxy(way: Way, monkeypatch: pytest.MonkeyPatch) -> None:
    heads: list[bytes] = []

    async def script(peer: Peer) -> None:
        heads.append(await peer.head())
        await peer.send(b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 2\r\n\r\n{}")

    async def resolve(host: str, port: int, **_: Any) -> list[Any]:
        return [(2, 1, 6, "", ("127.0.0.1", port))]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolve)
    async with RawServer(script) as server:
        for host in ("127.0.0.1", "localhost", "deep.corp.example"):
            found = await way.ask(f"http://{host}:{server.port}", exempt="10.0.0.0/8, .corp.example")
            assert found.outcome is Outcome.REFUSED
    assert way.proxy.heads == []
    assert b"proxy-authorization" not in b"".join(heads).lower(), "the credentials are the proxy's alone"


@pytest.mark.parametrize(
    "url",
    [
        "http://169.254.169.254",
        "https://169.254.169.254",
        "http://2852039166",
        "http://0xa9.0xfe.0xa9.0xfe",
        "http://[::ffff:169.254.169.254]",
        "https://[fd00:ec2::254]",
        "http://metadata.google.internal",
    ],
)
async def test_the_guard_judges_the_target_before_the_proxy_has_it(way: Way, url: str) -> None:
    assert (await way.ask(url)).outcome is Outcome.BLOCKED
    assert way.proxy.heads == []


async def test_what_a_tenant_names_is_never_sent_through_a_proxy(way: Way, monkeypatch: pytest.MonkeyPatch) -> None:
    async def resolve(host: str, port: int, **_: Any) -> list[Any]:
        return [(2, 1, 6, "", ("10.0.0.7", port))]

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolve)
    assert (await way.ask("http://inside.example", guard=Guard.TENANT)).outcome is Outcome.BLOCKED
    assert way.proxy.heads == []


async def test_the_proxy_is_guarded_too(way: Way, resolved: list[str]) -> None:
    found = await way.ask("http://api.example", host="proxy-at-metadata.example")
    assert (found.outcome, resolved) == (Outcome.UNREACHABLE, ["proxy-at-metadata.example"])


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("mode", ["407 Proxy Authentication Required", "503 Service Unavailable"])
async def test_a_proxy_that_refuses_says_nothing_of_the_key(
    way: Way, scheme: str, mode: str, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    caplog.set_level(logging.DEBUG)
    way.proxy.mode = mode
    found = await way.ask(f"{scheme}://api.example:8443")
    assert found.outcome is Outcome.UNREACHABLE
    assert len(way.proxy.heads) == 1
    for text in (str(found), caplog.text, *capfd.readouterr()):
        assert SECRET not in text
        assert BASIC not in text


async def test_a_proxy_that_is_not_there(way: Way) -> None:
    closed = Way(way.proxy, 1)
    found = await closed.ask("https://api.example")
    assert (found.outcome, found.status) == (Outcome.UNREACHABLE, 0)


async def test_the_control_plane_checks_through_the_proxy_of_its_settings(
    way: Way, make_settings: Any, make_api: Any, database: str, capfd: pytest.CaptureFixture[str]
) -> None:
    plane = ControlPlane(make_settings(database, http_proxy=f"http://me:{SECRET}@127.0.0.1:{way.port}"))
    await plane.start()
    api = make_api(plane, database)
    try:
        async with RawServer(provider) as server:
            body = {"name": "p", "kind": "openai", "base_url": f"http://api.example:{server.port}", "verify": True}
            made = await api.call("POST", "providers", body | {"credentials": [{"name": "main", "api_key": GOOD}]})
            again = await api.call("POST", "providers/p:check", {})
            way.proxy.mode = "407 Proxy Authentication Required"
            stopped = await api.call("POST", "providers/p:check", {})
            audit = await api.call("GET", "audit")
    finally:
        await api.close()
        await plane.stop()
    assert made.body["credentials"][0]["check"]["outcome"] == "accepted"
    assert again.body["checks"][0]["outcome"] == "accepted"
    assert stopped.body["checks"][0]["outcome"] == "unreachable"
    assert len(way.proxy.heads) == 3
    for text in (made.body, stopped.body, audit.body, redacted(plane.settings), capfd.readouterr()):
        assert SECRET not in str(text)
