"""Chaos for the native upstream client: a provider that misbehaves in a known way for each call, millions of times.

`python -m tollway.testkit.upstream_chaos --requests 10000000`. Each call carries a number, and asks for a behaviour; an
answer with another number, an outcome that the behaviour does not allow, or a connection left behind ends the run.
"""

from __future__ import annotations

import argparse
import asyncio
import gzip
import random
import sys
import time
from collections import Counter
from typing import cast

import uvloop

from tollway.dataplane.providers.port import Outgoing, ProviderFault
from tollway.dataplane.upstream.native import NativeClient
from tollway.dataplane.upstream.port import UnsentError, read_whole

OK = b"HTTP/1.1 200 OK\r\n"
WHOLE = ("length", "chunks", "pieces", "gzip", "interim", "close", "until", "large", "then-close", "surplus")
BROKEN = ("cut", "short", "junk", "bad-chunk", "nothing", "half-head", "two-lengths")
KINDS = (*["length"] * 12, *WHOLE, *BROKEN, "silent", "leave")
WORKERS = 200


def written(kind: str, token: bytes) -> tuple[list[bytes], bool]:
    """What the provider sends, in pieces, and whether it closes then."""
    body = token * 40
    whole = OK + b"content-length: %d\r\n\r\n%s" % (len(body), body)
    half = len(body) // 2
    chunked = OK + b"transfer-encoding: chunked\r\n\r\n%x\r\n%s\r\n" % (half, body[:half])
    rest = b"%x\r\n%s\r\n0\r\n\r\n" % (len(body) - half, body[half:])
    packed = gzip.compress(body, 1) if kind == "gzip" else b""
    large = b"" if kind != "large" else token * 40_000
    return {
        "chunks": ([chunked + rest], False),
        "pieces": ([chunked[:9], chunked[9:], rest[:4], rest[4:]], False),
        "gzip": ([OK + b"content-encoding: gzip\r\ncontent-length: %d\r\n\r\n%s" % (len(packed), packed)], False),
        "interim": ([b"HTTP/1.1 103 Early Hints\r\n\r\n" + whole], False),
        "close": ([OK + b"connection: close\r\n" + whole[len(OK) :]], True),
        "until": ([OK + b"\r\n" + body], True),
        "large": ([OK + b"content-length: %d\r\n\r\n" % len(large), large], False),
        "then-close": ([whole], True),
        "surplus": ([whole + b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nwrong"], False),
        "cut": ([whole[:-1]], True),
        "short": ([chunked], True),
        "junk": ([b"\x16\x03\x01 not HTTP at all\r\n\r\n"], False),
        "bad-chunk": ([chunked, b"zz\r\n"], False),
        "nothing": ([], True),
        "half-head": ([OK + b"content-le"], True),
        "two-lengths": ([OK + b"content-length: 1\r\ncontent-length: 2\r\n\r\nhi"], False),
        "silent": ([], False),
        "leave": ([chunked], False),
    }.get(kind, ([whole], False))


class Provider(asyncio.Protocol):
    """One connection of the misbehaving provider."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """asyncio: a client is there."""
        self._transport = cast(asyncio.Transport, transport)
        self._came = b""

    def data_received(self, data: bytes) -> None:
        """asyncio: a request, whose body is `kind token`."""
        self._came += data
        _head, found, body = self._came.partition(b"\r\n\r\n")
        if found and body.endswith(b"\n"):
            self._came = b""
            kind, token = body.split()
            pieces, close = written(kind.decode(), token)
            self._write(pieces, close)

    def _write(self, pieces: list[bytes], close: bool) -> None:
        if pieces and not self._transport.is_closing():
            self._transport.write(pieces[0])
            if len(pieces) > 1:
                asyncio.get_running_loop().call_later(0.0005, self._write, pieces[1:], close)
                return
        if close:
            self._transport.close()


async def one(client: NativeClient, url: str, kind: str, token: bytes) -> str:
    """The outcome of one call. Raises AssertionError when it is none that its kind allows."""
    request = Outgoing(url, {"content-type": "text/plain"}, b"%s %s\n" % (kind.encode(), token))
    reused: list[bool] = []
    try:
        async with asyncio.timeout(0.05 if kind in ("silent", "leave") else 30):
            response = await client.send(request, reused.append)
            body = await read_whole(response, 1 << 24, lambda: None)
    except UnsentError:
        assert kind == "nothing" or reused == [True], kind
        return "unsent"
    except ProviderFault as fault:
        if kind not in BROKEN:
            raise AssertionError(f"{kind}: {fault.message} {fault.operator_note}") from fault
        return "fault"
    except TimeoutError:
        assert kind in ("silent", "leave"), kind
        return "cancelled"
    assert kind in WHOLE, kind
    assert body == token * (40_000 if kind == "large" else 40), f"{kind}: the answer of another call"
    return "answer"


async def run(requests: int, seed: int) -> Counter[str]:
    """All calls; how often each outcome came."""
    loop = asyncio.get_running_loop()
    server = await loop.create_server(Provider, "127.0.0.1", 0, backlog=4096)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
    client, outcomes, left = NativeClient(), Counter[str](), iter(range(requests))

    async def work(number: int) -> None:
        dice = random.Random(seed * WORKERS + number)
        for call in left:
            kind = dice.choice(KINDS)
            if kind == "large" and dice.random() < 0.95:
                kind = "chunks"
            outcomes[await one(client, url, kind, b"<%d>" % call)] += 1

    await asyncio.gather(*(work(number) for number in range(WORKERS)))
    await asyncio.sleep(0.1)
    assert client.pool.open == client.pool.idle <= WORKERS, (client.pool.open, client.pool.idle)
    await client.close()
    await asyncio.sleep(0.1)
    assert client.pool.open == 0
    server.close()
    return outcomes


def main() -> int:
    """Reads the arguments."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    started = time.monotonic()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        outcomes = runner.run(run(arguments.requests, arguments.seed))
    sys.stdout.write(f"{arguments.requests} calls in {time.monotonic() - started:.0f} s: {dict(outcomes)}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
