"""Both upstream clients read the same from every valid answer, however it is framed, packed and cut into pieces."""

from __future__ import annotations

import asyncio
import gzip
import itertools
import zlib
from collections.abc import Callable
from typing import NamedTuple

import uvloop
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tollway.dataplane.upstream.aiohttp_client import AiohttpClient
from tollway.dataplane.upstream.native import NativeClient
from tollway.dataplane.upstream.port import UpstreamClient, read_whole
from tollway.testkit.raw_server import Peer, RawServer
from tollway.testkit.upstream_calls import post, unused

TOKENS = st.text("abcdefghijklmnopqrstuvwxyzABCXYZ0123456789!#$&'*+.^_`|~-", min_size=1, max_size=12)
VALUES = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), max_size=30)
PACKINGS: dict[str, Callable[[bytes], bytes]] = {"": bytes, "gzip": gzip.compress, "deflate": zlib.compress}


class Answer(NamedTuple):
    """What is sent, in pieces, and what must be read."""

    pieces: list[bytes]
    status: int
    headers: dict[str, str]
    body: bytes


@st.composite
def chunks(draw: st.DrawFn, body: bytes) -> bytes:
    """The body in chunks of any size, with extensions and trailers."""
    written = b""
    while body:
        size = draw(st.integers(1, len(body)))
        extension = draw(st.sampled_from(["", ";a", ";a=b", ';a="b c"']))
        written += f"{size:{draw(st.sampled_from('xX'))}}{extension}\r\n".encode() + body[:size] + b"\r\n"
        body = body[size:]
    return written + b"0\r\n" + draw(st.sampled_from([b"", b"x-sum: 1\r\n"])) + b"\r\n"


@st.composite
def answers(draw: st.DrawFn) -> Answer:
    """A valid answer."""
    status = draw(st.sampled_from([200, 201, 302, 400, 404, 429, 500, 529]))
    body = draw(st.binary(max_size=300))
    packing = draw(st.sampled_from(sorted(PACKINGS)))
    sent = PACKINGS[packing](body)
    headers = {f"x-{name}".lower(): value for name, value in draw(st.dictionaries(TOKENS, VALUES, max_size=4)).items()}
    framing = draw(st.sampled_from(["length", "chunked", "end"]))
    lines = [f"{name}:{draw(st.sampled_from(['', ' ', '  ']))}{value}" for name, value in headers.items()]
    lines += [f"content-encoding: {packing}"] if packing else []
    if framing == "length":
        lines.append(f"Content-Length: {len(sent)}")
    elif framing == "chunked":
        lines.append("Transfer-Encoding: Chunked")
        sent = draw(chunks(sent))
    head = f"HTTP/1.1 {status} {draw(TOKENS)}\r\n" + "".join(f"{line}\r\n" for line in draw(st.permutations(lines)))
    interim = b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n" * draw(st.integers(0, 2))
    data = interim + head.encode() + b"\r\n" + sent
    at = sorted({0, len(data), *draw(st.lists(st.integers(0, len(data)), max_size=5))})
    return Answer([data[i:j] for i, j in itertools.pairwise(at)], status, headers, body)


async def read(client: UpstreamClient, url: str) -> tuple[int, dict[str, str], bytes]:
    response = await client.send(post(url), unused)
    found = {name.lower(): response.headers[name] for name in response.headers if name.lower().startswith("x-")}
    return response.status, found, await read_whole(response, 1 << 20, lambda: None)


def test_both_read_the_same() -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:

        @settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
        @given(answers())
        def check(answer: Answer) -> None:
            async def script(peer: Peer) -> None:
                await peer.request()
                await peer.send(*answer.pieces)

            async def both() -> None:
                async with RawServer(script) as server:
                    for client in (NativeClient(), AiohttpClient()):
                        found = await read(client, server.url)
                        await client.close()
                        assert found == (answer.status, answer.headers, answer.body), type(client).__name__

            runner.run(both())

        check()
