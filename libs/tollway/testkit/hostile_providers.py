"""Providers that do harm, each in its own way, behind a port of its own: `python -m tollway.testkit.hostile_providers`.

All speak OpenAI's chat completions badly. Prints `listening {kind: port}`; a GET on the port `counts` tells how many
whole requests each of them was sent. What must become of the clients' requests is said by the tests.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import sys
import tempfile
from collections import Counter
from collections.abc import Awaitable, Callable
from pathlib import Path

from tollway.testkit.certificates import Authority
from tollway.testkit.raw_server import Peer, RawServer
from tollway.testkit.upstream import completion, event, words

HUGE_BYTES = 100 << 20
PIECE = b"x" * (1 << 16)
POISON = "an answer that nobody asked for"
"""Whoever is given this was given the answer of an idle connection."""
UP_SECONDS = 1.0
MOMENT_SECONDS = 0.02
CROSSING_SECONDS = 0.2
BODY = json.dumps(completion("All is well.")).encode()
EVENTS = words()
STREAM_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"
CHUNKED = STREAM_HEAD + b"transfer-encoding: chunked\r\n\r\n"
BUSY_HEAD = b"HTTP/1.1 503 X\r\ncontent-type: application/json\r\n"
WHOLE_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
Answer = Callable[[Peer, bool], Awaitable[None]]
"""Answers one request, which asked for a stream or not. The connection is closed when it raises ConnectionError."""


def chunk(data: bytes) -> bytes:
    """One chunk of a chunked body."""
    return b"%x\r\n%s\r\n" % (len(data), data)


def sized(head: bytes, body: bytes, length: int | None = None) -> bytes:
    """An answer with its Content-Length, or with another."""
    return head + b"content-length: %d\r\n\r\n" % (len(body) if length is None else length) + body


async def well(peer: Peer, streamed: bool) -> None:
    """As it should be."""
    if not streamed:
        await peer.send(sized(WHOLE_HEAD, BODY))
        return
    await peer.send(CHUNKED, *(chunk(each) for each in EVENTS), b"0\r\n\r\n")


async def slow(peer: Peer, _streamed: bool) -> None:
    """Not a byte."""
    await peer.left()
    raise ConnectionError


async def cut_early(peer: Peer, streamed: bool) -> None:
    """Ends before the first content."""
    early = CHUNKED + chunk(EVENTS[0]) if streamed else sized(WHOLE_HEAD, BODY[:10], len(BODY))
    await peer.send(early)
    raise ConnectionError


async def cut_late(peer: Peer, streamed: bool) -> None:
    """Ends after some of the content."""
    late = (
        CHUNKED + b"".join(chunk(each) for each in EVENTS[:3]) if streamed else sized(WHOLE_HEAD, BODY[:-5], len(BODY))
    )
    await peer.send(late)
    raise ConnectionError


async def long_length(peer: Peer, streamed: bool) -> None:
    """Tells of more than it sends, and stays."""
    body = b"".join(EVENTS) if streamed else BODY
    await peer.send(sized(STREAM_HEAD if streamed else WHOLE_HEAD, body, len(body) + 1000))
    await peer.left()
    raise ConnectionError


async def short_length(peer: Peer, streamed: bool) -> None:
    """Tells of less than it sends."""
    body = b"".join(EVENTS) if streamed else BODY
    await peer.send(sized(STREAM_HEAD if streamed else WHOLE_HEAD, body, len(body) - 40))


async def huge(peer: Peer, streamed: bool) -> None:
    """A hundred megabytes: one event of a stream, or one string of a whole answer whose length was told or not."""
    if streamed:
        await peer.send(CHUNKED + chunk(b'data: {"choices": [{"index": 0, "delta": {"content": "'))
    elif peer.number % 2:
        await peer.send(WHOLE_HEAD + b"transfer-encoding: chunked\r\n\r\n" + chunk(b'{"choices": "'))
    else:
        await peer.send(WHOLE_HEAD + b"content-length: %d\r\n\r\n" % HUGE_BYTES)
    counted = streamed or peer.number % 2
    for _ in range(HUGE_BYTES // len(PIECE)):
        await peer.send(chunk(PIECE) if counted else PIECE)
    raise ConnectionError


async def drip(peer: Peer, streamed: bool) -> None:
    """A byte a second, from the first byte of the head on."""
    await _drop(peer, (STREAM_HEAD if streamed else WHOLE_HEAD) + b"\r\n")


async def trickle(peer: Peer, streamed: bool) -> None:
    """The head at once, then the body, a byte a second."""
    body = b"".join(EVENTS) if streamed else BODY
    await peer.send(sized(STREAM_HEAD if streamed else WHOLE_HEAD, b"", len(body)))
    await _drop(peer, body)


async def _drop(peer: Peer, data: bytes) -> None:
    for number in range(len(data)):
        await peer.send(data[number : number + 1])
        await asyncio.sleep(1.0)
    raise ConnectionError


async def headers(peer: Peer, _streamed: bool) -> None:
    """Headers without an end."""
    await peer.send(b"HTTP/1.1 200 OK\r\n")
    for number in range(1_000_000):
        await peer.send(b"x-%d: %s\r\n" % (number, b"y" * 200))
    raise ConnectionError


async def junk(peer: Peer, _streamed: bool) -> None:
    """What is no HTTP at all."""
    await peer.send(b"\x16\x03\x01\x00\xa5 220 mail.example ESMTP\r\n")
    raise ConnectionError


async def resets(peer: Peer, streamed: bool) -> None:
    """A reset: at once, or after the head of an answer."""
    if peer.number % 2:
        await peer.send(CHUNKED if streamed else WHOLE_HEAD + b"content-length: 100\r\n\r\n")
        await asyncio.sleep(MOMENT_SECONDS)
    peer.reset()
    raise ConnectionError


class CrossedError(ConnectionError):
    """The next request was under way already when an answer that nobody had asked for was sent."""


async def talker(peer: Peer, streamed: bool) -> None:
    """As it should be, and a moment later, on the idle connection, an answer that nobody asked for.

    A request that leaves before it has come is answered by it, and no client could tell: those are told apart.
    """
    await well(peer, streamed)
    if await _comes(peer, MOMENT_SECONDS):
        raise ConnectionError
    surplus = json.dumps(completion(POISON)).encode()
    stream = b"".join([event({"content": POISON}), event(finish="stop"), b"data: [DONE]\n\n"])
    await peer.send(sized(STREAM_HEAD, stream) if streamed else sized(WHOLE_HEAD, surplus))
    if await _comes(peer, CROSSING_SECONDS):
        raise CrossedError


async def _comes(peer: Peer, seconds: float) -> bool:
    """Whether a request begins within this time; its first byte is lost then. Raises ConnectionError at the end."""
    try:
        async with asyncio.timeout(seconds):
            if not await peer.reader.read(1):
                raise ConnectionError
    except TimeoutError:
        return False
    return True


async def brownout(peer: Peer, streamed: bool) -> None:
    """Well for a second, overloaded for a second."""
    if int(asyncio.get_running_loop().time() / UP_SECONDS) % 2:
        await peer.send(
            sized(b"HTTP/1.1 503 X\r\ncontent-type: application/json\r\n", b'{"error": {"message": "busy"}}')
        )
    else:
        await well(peer, streamed)


KINDS: dict[str, Answer] = {
    "slow": slow,
    "cut-early": cut_early,
    "cut-late": cut_late,
    "long-length": long_length,
    "short-length": short_length,
    "huge": huge,
    "drip": drip,
    "trickle": trickle,
    "headers": headers,
    "junk": junk,
    "resets": resets,
    "talker": talker,
    "brownout": brownout,
}
"""Those that are told apart by their answers alone."""
FLAPPING = ("flapping-1", "flapping-2")
TLS, TLS_JUNK, COUNTS = "changing-tls", "tls-junk", "counts"
BREAKS_LATE = frozenset({"cut-late", "long-length", "short-length", *FLAPPING})
"""Those whose streams break after their first content."""


class Providers:
    """All of them in one event loop. `requests` counts whole requests, `strange` those over a bad certificate, and
    `crossed` those that may have been given an answer that was none of theirs.
    """

    def __init__(self, folder: Path) -> None:
        self.requests: Counter[str] = Counter()
        self.strange = self.crossed = 0
        self._authority = Authority(folder)
        (folder / "stranger").mkdir()
        stranger = Authority(folder / "stranger")
        self._good = [self._authority.server("localhost"), self._authority.server("localhost")]
        self._bad = [self._authority.server("elsewhere.test"), stranger.server("localhost")]
        self._handshakes = 0

    async def serve(self) -> dict[str, int]:
        """Starts them; their ports."""
        ports = {}
        for kind, answer in KINDS.items():
            ports[kind] = await self._listen(self._script(kind, answer))
        ports[TLS] = await self._listen(self._script(TLS, well), self._changing())
        ports[TLS_JUNK] = await self._listen(_tls_junk)
        ports[COUNTS] = await self._listen(self._tell)
        for number, kind in enumerate(FLAPPING):
            ports[kind] = await Flapping(self._script(kind, _hesitant), number * UP_SECONDS).start()
        return ports

    async def _listen(self, script: Callable[[Peer], Awaitable[None]], tls: ssl.SSLContext | None = None) -> int:
        server = RawServer(script, tls=tls)
        await server.__aenter__()  # they end with their process
        return int(server.port)

    def _script(self, kind: str, answer: Answer) -> Callable[[Peer], Awaitable[None]]:
        async def script(peer: Peer) -> None:
            while True:
                _head, body = await peer.request()
                self.requests[kind] += 1
                shown = peer.writer.get_extra_info("ssl_object")
                self.strange += shown is not None and shown.context in self._bad
                try:
                    await answer(peer, bool(json.loads(body).get("stream")))
                except CrossedError:
                    self.requests[kind] += 1
                    self.crossed += 1
                    raise

        return script

    def _changing(self) -> ssl.SSLContext:
        """Every connection has the next certificate; two of four are in order."""
        first, contexts = self._authority.server("localhost"), [*self._good, *self._bad]

        def choose(tls: ssl.SSLObject, _name: str | None, _context: ssl.SSLContext) -> None:
            tls.context = contexts[self._handshakes % len(contexts)]
            self._handshakes += 1

        first.sni_callback = choose
        return first

    async def _tell(self, peer: Peer) -> None:
        await peer.head()
        more = {"strange": self.strange, "crossed": self.crossed, "handshakes": self._handshakes}
        shown = json.dumps({"requests": self.requests, **more}).encode()
        await peer.send(sized(WHOLE_HEAD + b"connection: close\r\n", shown))


async def _tls_junk(peer: Peer) -> None:
    """Answers a client's hello with what is no TLS."""
    await peer.reader.read(100)
    await peer.send(b"\x16\x03\x03\x00\x05\xff\xff\xff\xff\xff HTTP/1.1 200 OK\r\n\r\n")


async def _hesitant(peer: Peer, streamed: bool) -> None:
    """As it should be, in a fifth of a second: some are under way when it goes down."""
    await asyncio.sleep(0.1)
    if not streamed:
        await well(peer, False)
        return
    await peer.send(CHUNKED + chunk(EVENTS[0]) + chunk(EVENTS[1]))
    await asyncio.sleep(0.1)
    await peer.send(*(chunk(each) for each in EVENTS[2:]), b"0\r\n\r\n")


class Flapping:
    """A target that listens for a second and is gone for a second, with a reset for whoever is connected."""

    def __init__(self, script: Callable[[Peer], Awaitable[None]], begins: float) -> None:
        self._script = script
        self._begins = begins
        self._open: set[Peer] = set()
        self._port = 0

    async def start(self) -> int:
        """Listens for the first time; the port, which stays."""
        up = asyncio.Event()
        self._task = asyncio.ensure_future(self._flap(up))
        await up.wait()
        return self._port

    async def _flap(self, up: asyncio.Event) -> None:
        pause = self._begins
        while True:
            try:
                server = await asyncio.start_server(self._serve, "127.0.0.1", self._port, limit=1 << 20)
            except OSError:  # while it was down, the port was lent to an outgoing connection
                await asyncio.sleep(MOMENT_SECONDS)
                continue
            self._port = server.sockets[0].getsockname()[1]
            up.set()
            await asyncio.sleep(UP_SECONDS + pause)
            pause = 0.0  # the first time alone: the two are never down together
            server.close()
            for peer in list(self._open):
                peer.reset()
            await asyncio.sleep(UP_SECONDS)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        peer = Peer(len(self._open), reader, writer)
        self._open.add(peer)
        try:
            await self._script(peer)
        except (asyncio.IncompleteReadError, ConnectionError):
            return  # the client has left, or was sent away
        finally:
            self._open.discard(peer)
            writer.close()


async def main(folder: Path) -> None:
    """Serves until the process ends."""
    providers = Providers(folder)
    ports = await providers.serve()
    sys.stdout.write(f"listening {json.dumps(ports)}\n")
    sys.stdout.flush()
    await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]) if len(sys.argv) > 1 else Path(tempfile.mkdtemp())))
