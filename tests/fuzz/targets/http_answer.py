"""The bytes of a provider's connection: framing and packing. The input is all that comes in reply to one request."""

from __future__ import annotations

import gzip
import zlib
from typing import NamedTuple

from tollway.dataplane.upstream.decoding import NAMES, STEP_BYTES, BadEncodingError, Decoder
from tollway.dataplane.upstream.framing import BadAnswerError, Framing
from tollway.dataplane.upstream.headers import Headers
from tollway.testkit.fuzzing import HEADER

OK = b"HTTP/1.1 200 OK\r\n"
CHUNKED = OK + b"transfer-encoding: chunked\r\n"
MAX_STEPS = 64


class Read(NamedTuple):
    """What was understood: `broken` is true when it was refused, `left` when bytes were left after the answer."""

    status: int
    headers: dict[bytes, bytes]
    body: bytes
    complete: bool
    broken: bool
    reusable: bool


def one(data: bytes) -> None:
    """Nothing but a refusal is raised; the pieces change nothing; no byte of the body is made up; steps are bounded."""
    if len(data) <= HEADER:
        return
    came = data[HEADER:]
    whole = read([came], ends=bool(data[0] & 1))
    step = 1 + data[1] % 64
    pieces = [came[at : at + step] for at in range(0, len(came), step)]
    assert read(pieces, ends=bool(data[0] & 1)) == whole
    assert len(whole.body) <= len(came)
    headers = Headers(whole.headers)
    assert len(dict(headers.items())) == len(whole.headers)
    unpack(whole.headers.get(b"content-encoding", b"").strip().lower(), whole.body, step)


def read(pieces: list[bytes], *, ends: bool) -> Read:
    """As a connection reads: nothing more after the answer, whose connection then is not used again."""
    framing = Framing()
    framing.begin()
    broken = left = False
    for number, piece in enumerate(pieces):
        try:
            complete = framing.feed(piece)
        except BadAnswerError:
            broken = True
            break
        if complete:
            left = any(rest.strip(b"\r\n") for rest in pieces[number + 1 :])
            break
    if ends and not broken:
        framing.end()
    body = b"".join(framing.parts) if framing.head_done else b""
    status, headers = (framing.status, framing.headers) if framing.head_done else (0, {})
    reusable = framing.reusable and not left and not broken
    return Read(status, headers, body, framing.complete, broken, reusable)


def unpack(name: bytes, packed: bytes, step: int) -> None:
    """The body step by step."""
    if name not in NAMES:
        return
    decoder = Decoder(name)
    try:
        for at in range(0, len(packed), step):
            made = decoder.step(packed[at : at + step])
            assert len(made) <= STEP_BYTES
        for _ in range(MAX_STEPS):
            if not decoder.pending:
                break
            assert len(decoder.step(b"")) <= STEP_BYTES
        decoder.finish()
    except BadEncodingError:
        return


def seeds() -> list[bytes]:
    """An answer of each kind."""
    packed = gzip.compress(b"hello" * 20, mtime=0)
    answers = [
        OK + b"content-length: 5\r\nx-request-id: r\r\n\r\nhello",
        CHUNKED + b"\r\n5;a=b\r\nhello\r\n0\r\nx-sum: 1\r\n\r\n",
        OK + b"\r\nuntil the end",
        b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n" + OK + b"content-length: 2\r\n\r\nhi",
        b"HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 2\r\n\r\nhi",
        b"HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 101 Switching\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
        OK + b"content-encoding: gzip\r\ncontent-length: %d\r\n\r\n%s" % (len(packed), packed),
        OK + b"content-encoding: deflate\r\n\r\n" + zlib.compress(b"hello"),
        OK + b"content-encoding: deflate\r\n\r\n" + zlib.compress(b"hello", wbits=-15),
        OK + b"content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        OK + b"connection: close\r\ncontent-length: 2\r\n\r\nhi and more",
    ]
    return [bytes((number % 2, number * 3)) + answer for number, answer in enumerate(answers)]
