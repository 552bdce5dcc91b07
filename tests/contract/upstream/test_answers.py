"""One suite for both upstream clients: what comes back for every way in which a provider may answer, byte for byte."""

from __future__ import annotations

import asyncio
import gzip
import zlib

import pytest

from tollway.dataplane.upstream.native import NativeClient
from tollway.dataplane.upstream.port import UpstreamClient, read_whole
from tollway.testkit.raw_server import Peer, RawServer, sends
from tollway.testkit.upstream_calls import CUT, INVALID, UNSENT, outcome, post, unused

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"transfer-encoding: chunked\r\n\r\n"
HELLO = OK + b"content-length: 5\r\n\r\nhello"
GZIPPED = gzip.compress(b"hello" * 100)


def packed(encoding: bytes, body: bytes) -> bytes:
    return OK + b"content-encoding: %s\r\ncontent-length: %d\r\n\r\n%s" % (encoding, len(body), body)


ANSWERS = {
    "length": (HELLO, (200, b"hello")),
    "length of nothing": (OK + b"content-length: 0\r\n\r\n", (200, b"")),
    "an error": (b"HTTP/1.1 429 Slow Down\r\ncontent-length: 2\r\n\r\nno", (429, b"no")),
    "no reason": (b"HTTP/1.1 200\r\ncontent-length: 2\r\n\r\nhi", (200, b"hi")),
    "HTTP/1.0": (b"HTTP/1.0 200 OK\r\ncontent-length: 2\r\n\r\nhi", (200, b"hi")),
    "until the end": (OK + b"\r\nhello", (200, b"hello")),
    "HTTP/1.0 until the end": (b"HTTP/1.0 200 OK\r\n\r\nhello", (200, b"hello")),
    "nothing until the end": (OK + b"\r\n", (200, b"")),
    "connection: close": (OK + b"connection: close\r\ncontent-length: 2\r\n\r\nhi", (200, b"hi")),
    "chunks": (CHUNKED + b"5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n", (200, b"hello world")),
    "chunk extensions": (CHUNKED + b"5;a=b\r\nhello\r\n0;c\r\n\r\n", (200, b"hello")),
    "large hexadecimal": (CHUNKED + b"00A\r\nhellohello\r\n000\r\n\r\n", (200, b"hellohello")),
    "trailers": (CHUNKED + b"5\r\nhello\r\n0\r\nx-sum: 1\r\nx-more: 2\r\n\r\n", (200, b"hello")),
    "no content": (b"HTTP/1.1 204 No Content\r\n\r\n", (204, b"")),
    "not modified": (b"HTTP/1.1 304 Not Modified\r\ncontent-length: 5\r\n\r\n", (304, b"")),
    "interim": (b"HTTP/1.1 100 Continue\r\n\r\n" + HELLO, (200, b"hello")),
    "early hints": (b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n" * 3 + HELLO, (200, b"hello")),
    "redirect": (b"HTTP/1.1 302 Found\r\nlocation: http://169.254.169.254/\r\ncontent-length: 0\r\n\r\n", (302, b"")),
    "gzip": (packed(b"gzip", GZIPPED), (200, b"hello" * 100)),
    "gzip in two members": (packed(b"gzip", GZIPPED + gzip.compress(b"!")), (200, b"hello" * 100 + b"!")),
    "deflate": (packed(b"deflate", zlib.compress(b"hello")), (200, b"hello")),
    "raw deflate": (packed(b"deflate", zlib.compress(b"hello", wbits=-15)), (200, b"hello")),
    "identity": (packed(b"identity", b"hello"), (200, b"hello")),
    "a lie: too short": (OK + b"content-length: 9\r\n\r\nhello", CUT),
    "chunks without an end": (CHUNKED + b"5\r\nhello\r\n", CUT),
    "a cut chunk": (CHUNKED + b"9\r\nhello", CUT),
    "no gzip": (packed(b"gzip", b"hello, this is plain"), CUT),
    "nothing": (b"", UNSENT),
    "no HTTP": (b"SSH-2.0-OpenSSH_9.2\r\n", INVALID),
    "a bad status": (b"HTTP/1.1 abc OK\r\n\r\n", INVALID),
    "two lengths": (OK + b"content-length: 5\r\ncontent-length: 6\r\n\r\nhello!", INVALID),
    "length and chunks": (OK + b"content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", INVALID),
    "a negative length": (OK + b"content-length: -5\r\n\r\nhello", INVALID),
    "a length with a sign": (OK + b"content-length: +5\r\n\r\nhello", INVALID),
    "a length of two numbers": (OK + b"content-length: 5, 5\r\n\r\nhello", INVALID),
    "a space before the colon": (OK + b"x-a : b\r\ncontent-length: 5\r\n\r\nhello", INVALID),
    "a header without a name": (OK + b": b\r\ncontent-length: 5\r\n\r\nhello", INVALID),
    "a control character": (OK + b"x-a: b\0c\r\ncontent-length: 5\r\n\r\nhello", INVALID),
}
# Where our own is stricter than the reference, or tells more exactly what happened.
STRICTER = {
    "a lie: too long": (OK + b"content-length: 2\r\n\r\nhello", (200, b"he")),
    "a bad chunk size": (CHUNKED + b"5\r\nhello\r\nxyz\r\n", CUT),
    "a chunk longer than its size": (CHUNKED + b"2\r\nhello\r\n0\r\n\r\n", CUT),
    "a cut gzip": (packed(b"gzip", GZIPPED[:-9]), CUT),
    "a cut head": (b"HTTP/1.1 200 OK\r\ncontent-le", CUT),
    "a folded header": (OK + b"x-a: b\r\n c\r\ncontent-length: 5\r\n\r\nhello", INVALID),
    "bare line feeds": (b"HTTP/1.1 200 OK\ncontent-length: 5\n\nhello", INVALID),
    "a huge header": (OK + b"x-a: " + b"b" * 40_000 + b"\r\ncontent-length: 0\r\n\r\n", INVALID),
    "headers without end": (OK + b"x-a: bbbbbbbbbbbbbbbbbbbbbbbb\r\n" * 20_000, INVALID),
    "too many headers": (OK + b"".join(b"x-%d: b\r\n" % n for n in range(300)) + b"\r\n", INVALID),
    "trailers without end": (CHUNKED + b"5\r\nhello\r\n0\r\n" + b"x-a: bbbbbbbbbbbbbbb\r\n" * 20_000, CUT),
    "a chunk extension without end": (CHUNKED + b"5;" + b"a" * 400_000, CUT),
    "change of protocol": (b"HTTP/1.1 101 Switching\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n", INVALID),
    "interim without end": (b"HTTP/1.1 103 Early Hints\r\n\r\n" * 20 + HELLO, INVALID),
    "unknown transfer": (OK + b"transfer-encoding: gzip\r\n\r\nhello", INVALID),
    "gzipped chunks": (OK + b"transfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n", INVALID),
    "chunked twice": (OK + b"transfer-encoding: chunked\r\n" * 2 + b"\r\n0\r\n\r\n", INVALID),
    "bytes after gzip": (packed(b"gzip", GZIPPED + b"more"), CUT),
    "unknown encoding": (
        packed(b"br", b"hello"),
        "The provider's answer is packed in a way that was not asked for.",
    ),
}


@pytest.mark.parametrize("name", ANSWERS)
async def test_an_answer(client: UpstreamClient, name: str) -> None:
    answer, expected = ANSWERS[name]
    async with RawServer(sends(answer)) as server:
        assert await outcome(client, post(server.url)) == expected
        await server.closed()


@pytest.mark.parametrize("name", STRICTER)
async def test_an_answer_that_is_refused(native: UpstreamClient, name: str) -> None:
    answer, expected = STRICTER[name]
    async with RawServer(sends(answer)) as server:
        assert await outcome(native, post(server.url)) == expected
        await server.closed()


@pytest.mark.parametrize("name", ["length", "trailers", "early hints", "gzip in two members", "a cut chunk"])
async def test_an_answer_byte_by_byte(client: UpstreamClient, name: str) -> None:
    answer, expected = ANSWERS[name]
    pieces = [answer[at : at + 1] for at in range(len(answer))]
    async with RawServer(sends(*pieces)) as server:
        assert await outcome(client, post(server.url)) == expected


@pytest.mark.parametrize(
    "name", ["interim", "chunk extensions", "until the end", "a lie: too long", "a bad chunk size"]
)
async def test_an_answer_in_two_parts_split_at_every_byte(name: str) -> None:
    answer, expected = {**ANSWERS, **STRICTER}[name]

    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(answer[: peer.number + 1], answer[peer.number + 1 :])

    async with RawServer(script) as server:
        for at in range(1, len(answer)):
            one = NativeClient()
            assert await outcome(one, post(server.url)) == expected, at
            await one.close()


async def test_the_request_as_it_arrives(client: UpstreamClient) -> None:
    seen: list[tuple[bytes, bytes]] = []

    async def script(peer: Peer) -> None:
        seen.append(await peer.request())
        await peer.send(HELLO)

    async with RawServer(script) as server:
        body = "Grüße".encode()
        await outcome(client, post(server.url + "?api-version=1%202", body, **{"x-percent": "50%", "x-name": "é"}))
        port = server.port
    head, came = seen[0]
    lines = head.decode().split("\r\n")
    assert came == body
    assert lines[0] == "POST /v1/chat?api-version=1%202 HTTP/1.1"
    assert sorted(line.lower() for line in lines[1:-2]) == sorted(
        [
            "authorization: bearer k",
            f"content-length: {len(body)}",
            "content-type: application/json",
            f"host: 127.0.0.1:{port}",
            "x-percent: 50%",
            "x-name: é",
        ]
    )


@pytest.mark.parametrize("value", ["a\r\nx-evil: 1", "a\nb", "a\rb", "a\0b"])
async def test_a_header_cannot_be_smuggled(client: UpstreamClient, value: str) -> None:
    seen: list[tuple[bytes, bytes]] = []

    async def script(peer: Peer) -> None:
        seen.append(await peer.request())

    async with RawServer(script) as server:
        assert isinstance(await outcome(client, post(server.url, b"{}", **{"x-api-key": value})), str)
        await client.close()
        await server.closed()
        assert seen == []


async def test_headers_are_read_in_any_case(client: UpstreamClient) -> None:
    answer = OK + b"X-Request-ID: r1\r\nx-request-id: r2\r\nEmpty:\r\nx-utf: \xc3\xa9\r\ncontent-length: 0\r\n\r\n"
    async with RawServer(sends(answer)) as server:
        headers = (await client.send(post(server.url), unused)).headers
    assert headers.get("x-request-id") == headers["X-REQUEST-ID"] == "r1"
    assert headers["empty"] == ""
    assert headers["x-utf"] == "é"
    assert "x-none" not in headers
    assert headers.get("é") is None
    assert {name.lower() for name in headers} == {"x-request-id", "empty", "x-utf", "content-length"}


@pytest.mark.parametrize("chunked", [False, True])
async def test_an_answer_over_the_limit_is_given_up(client: UpstreamClient, chunked: bool) -> None:
    async def script(peer: Peer) -> None:
        await peer.request()
        await peer.send(CHUNKED if chunked else OK + b"content-length: 1000000000\r\n\r\n")
        for _ in range(500):
            await peer.send(b"10000\r\n" + b"x" * 65536 + b"\r\n" if chunked else b"x" * 65536)

    async with RawServer(script) as server:
        assert await outcome(client, post(server.url), 100_000) == "The provider's answer is larger than 100000 bytes."
        await server.closed()


async def test_a_small_answer_that_unpacks_to_a_huge_one(client: UpstreamClient) -> None:
    bomb = packed(b"gzip", gzip.compress(bytes(64 << 20)))
    async with RawServer(sends(bomb)) as server:
        response = await client.send(post(server.url), unused)
        largest = total = 0
        while total < 8 << 20:
            part = await response.read_some()
            largest, total = max(largest, len(part)), total + len(part)
        response.close()
        assert largest <= 1 << 20
        assert await outcome(client, post(server.url), 1 << 20) == "The provider's answer is larger than 1048576 bytes."


async def test_a_reader_that_is_slow_makes_the_provider_wait(client: UpstreamClient) -> None:
    sent = 0

    async def script(peer: Peer) -> None:
        nonlocal sent
        await peer.request()
        await peer.send(OK + b"content-length: %d\r\n\r\n" % (64 << 20))
        for _ in range(1024):
            await peer.send(b"x" * 65536)
            sent += 65536

    async with RawServer(script) as server:
        response = await client.send(post(server.url), unused)
        await asyncio.sleep(0.3)
        held = sent
        assert held < 32 << 20  # what the kernel holds for both sides, and little more
        assert len(await read_whole(response, 1 << 30, lambda: None)) == 64 << 20
        assert sent == 64 << 20
