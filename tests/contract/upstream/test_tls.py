"""One suite for both upstream clients: whom they trust over TLS; for our own also the way through a proxy."""

from __future__ import annotations

import asyncio
import base64
import socket
import ssl
from collections.abc import AsyncIterator, Callable

import pytest

from tollway.core.proxies import Proxies
from tollway.dataplane.upstream import connection
from tollway.dataplane.upstream.connect import verified
from tollway.dataplane.upstream.native import NativeClient
from tollway.dataplane.upstream.port import UpstreamClient
from tollway.testkit.certificates import Authority
from tollway.testkit.raw_server import Peer, RawServer, Script, sends, serves
from tollway.testkit.upstream_calls import CLIENTS, CUT, UNREACHABLE, outcome, post, trusting, unused

OK = b"HTTP/1.1 200 OK\r\n"
HELLO = OK + b"content-length: 5\r\n\r\nhello"
WELL = (200, b"hello")
BIG = bytes(range(256)) * (1 << 13)
BASIC = base64.b64encode(b"me:p@ss")


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(params=CLIENTS)
async def trusted(request: pytest.FixtureRequest, authority: Authority) -> AsyncIterator[UpstreamClient]:
    """Each client, trusting the authority."""
    made = trusting(request.param, authority.client())
    yield made
    await made.close()


async def test_a_connection_that_is_verified_serves_again_and_again(
    trusted: UpstreamClient, authority: Authority
) -> None:
    async with RawServer(serves(HELLO), tls=authority.server("localhost"), name="localhost") as server:
        assert [await outcome(trusted, post(server.url, BIG)) for _ in range(3)] == [WELL] * 3
        assert server.connections == 1


async def test_another_name_is_not_trusted(trusted: UpstreamClient, authority: Authority) -> None:
    async with RawServer(serves(HELLO), tls=authority.server("other.example"), name="localhost") as server:
        assert await outcome(trusted, post(server.url)) == UNREACHABLE
        await server.closed()


async def test_an_unknown_authority_is_not_trusted(client: UpstreamClient, authority: Authority) -> None:
    async with RawServer(serves(HELLO), tls=authority.server("localhost"), name="localhost") as server:
        assert await outcome(client, post(server.url)) == UNREACHABLE
        await server.closed()


async def test_a_server_that_speaks_no_tls(trusted: UpstreamClient) -> None:
    async def script(peer: Peer) -> None:
        await peer.send(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async with RawServer(script) as server:
        assert await outcome(trusted, post(f"https://localhost:{server.port}/v1")) == UNREACHABLE


async def test_a_handshake_that_is_cancelled_leaves_nothing(trusted: UpstreamClient) -> None:
    async def script(peer: Peer) -> None:
        await peer.left()

    async with RawServer(script) as server:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await trusted.send(post(f"https://localhost:{server.port}/v1"), unused)
        await server.closed()


@pytest.mark.parametrize(
    "answer", [OK + b"content-length: 9\r\n\r\nhello", OK + b"transfer-encoding: chunked\r\n\r\n5"]
)
async def test_an_answer_that_is_cut(trusted: UpstreamClient, authority: Authority, answer: bytes) -> None:
    async with RawServer(sends(answer), tls=authority.server("localhost"), name="localhost") as server:
        assert await outcome(trusted, post(server.url)) == CUT


def test_what_is_verified(authority: Authority, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(authority.path))
    context = verified()
    assert context.minimum_version == ssl.TLSVersion.TLSv1_2
    assert context.check_hostname
    assert context.verify_mode == ssl.CERT_REQUIRED
    assert [known["subject"] for known in context.get_ca_certs()] == [((("commonName", "test authority"),),)]


@pytest.fixture
async def through(authority: Authority) -> AsyncIterator[Callable[..., NativeClient]]:
    made: list[NativeClient] = []

    def make(url: str, exempt: str = "") -> NativeClient:
        made.append(NativeClient(proxies=Proxies(url, url, exempt), tls=authority.client()))
        return made[-1]

    yield make
    for each in made:
        await each.close()


def tunnels(port: int, seen: list[bytes]) -> Script:
    """A proxy that leads every CONNECT to a port of this machine."""

    async def script(peer: Peer) -> None:
        seen.append(await peer.head())
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        await peer.send(b"HTTP/1.1 200 Connection established\r\nvia: test\r\n\r\n")
        try:
            await asyncio.gather(passed(peer.reader, writer), passed(reader, peer.writer))
        finally:
            writer.close()

    return script


async def passed(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()


async def test_https_goes_through_a_tunnel(through: Callable[..., NativeClient], authority: Authority) -> None:
    seen: list[bytes] = []
    tls = authority.server("api.example")
    async with (
        RawServer(serves(HELLO), tls=tls, name="api.example") as server,
        RawServer(tunnels(server.port, seen)) as proxy,
    ):
        client = through(f"http://me:p%40ss@127.0.0.1:{proxy.port}")
        assert [await outcome(client, post(server.url)) for _ in range(2)] == [WELL, WELL]
        await client.close()
        await proxy.closed()
    lines = seen[0].split(b"\r\n")
    assert len(seen) == 1
    assert lines[0] == b"CONNECT api.example:%d HTTP/1.1" % server.port
    assert b"Proxy-Authorization: Basic " + BASIC in lines
    assert b"Bearer" not in seen[0]


async def test_http_is_asked_of_the_proxy(through: Callable[..., NativeClient]) -> None:
    seen: list[bytes] = []

    async def script(peer: Peer) -> None:
        seen.append((await peer.request())[0])
        await peer.send(HELLO)

    async with RawServer(script) as proxy:
        client = through(f"me:p%40ss@127.0.0.1:{proxy.port}")
        assert await outcome(client, post("http://api.example:8000/v1/chat?a=1")) == WELL
    lines = seen[0].split(b"\r\n")
    assert lines[0] == b"POST http://api.example:8000/v1/chat?a=1 HTTP/1.1"
    assert b"Host: api.example:8000" in lines
    assert b"Proxy-Authorization: Basic " + BASIC in lines


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n\r\nsurplus",
        b"HTTP/1.1 2000 OK\r\n\r\n",
        b"220 smtp.example\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nx: " + b"y" * 70_000,
        b"",
    ],
)
async def test_a_proxy_that_refuses(through: Callable[..., NativeClient], answer: bytes) -> None:
    async def script(peer: Peer) -> None:
        await peer.head()
        await peer.send(answer)

    async with RawServer(script) as proxy:
        client = through(f"http://127.0.0.1:{proxy.port}")
        assert await outcome(client, post("https://api.example/v1")) == UNREACHABLE
        await proxy.closed()
        assert client.pool.open == 0


async def test_loopback_and_exempt_hosts_need_no_proxy(through: Callable[..., NativeClient]) -> None:
    client = through("http://127.0.0.1:1", "api.example")
    async with RawServer(serves(HELLO)) as server:
        assert await outcome(client, post(server.url)) == WELL


@pytest.mark.parametrize("told", [True, False], ids=["counted", "not counted"])
async def test_an_answer_before_the_request_has_left(
    authority: Authority, monkeypatch: pytest.MonkeyPatch, told: bool
) -> None:
    """The transport below TLS holds what the provider has not taken, and TLS does not know of it."""
    monkeypatch.setattr(connection, "COUNTS_UNSENT", told)
    context, peers = authority.server("localhost"), []

    def serve() -> None:
        """Reads the beginning of a request, and answers; a second one is not read on the same connection."""
        for answer in (b"HTTP/1.1 413 Too Large\r\ncontent-length: 3\r\n\r\nbig", HELLO):
            peers.append(context.wrap_socket(listening.accept()[0], server_side=True))
            peers[-1].recv(1 << 10)
            peers[-1].sendall(answer)

    with socket.create_server(("127.0.0.1", 0)) as listening:
        listening.settimeout(3)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        serving = asyncio.create_task(asyncio.to_thread(serve))
        native = NativeClient(tls=authority.client())
        url = f"https://localhost:{listening.getsockname()[1]}/v1"
        assert await outcome(native, post(url, bytes(200_000))) == (413, b"big")
        assert await outcome(native, post(url)) == WELL
        await native.close()
        await serving
        for peer in peers:
            peer.close()
