"""Framing and unpacking alone: what is told to the connection, and the bounds."""

from __future__ import annotations

import gzip
import zlib

import pytest

from tollway.dataplane.upstream.decoding import MAX_MEMBERS, STEP_BYTES, BadEncodingError, Decoder
from tollway.dataplane.upstream.framing import BadAnswerError, Framing

OK = b"HTTP/1.1 200 OK\r\n"
HELLO = OK + b"content-length: 5\r\n\r\nhello"


def fed(*pieces: bytes) -> Framing:
    framing = Framing()
    framing.begin()
    for piece in pieces:
        framing.feed(piece)
    return framing


@pytest.mark.parametrize(
    ("data", "reusable"),
    [
        (HELLO, True),
        (OK + b"transfer-encoding: chunked\r\n\r\n0\r\n\r\n", True),
        (b"HTTP/1.1 204 No Content\r\n\r\n", True),
        (b"HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 0\r\n\r\n", True),
        (b"HTTP/1.0 200 OK\r\ncontent-length: 0\r\n\r\n", False),
        (OK + b"connection: close\r\ncontent-length: 0\r\n\r\n", False),
        (HELLO + b"H", False),
        (HELLO + HELLO, False),
        (HELLO + b"garbage", False),
        (HELLO + b"\r\n", False),
        (HELLO + b"\n", False),
        (HELLO + b"\r", False),
        (HELLO[:-2] + b"\r\n", True),
        (HELLO[:-2] + b"\r\n\r\n", False),
        (OK + b"transfer-encoding: chunked\r\n\r\n0\r\nx: y\r\n\r\n", True),
        (OK + b"transfer-encoding: chunked\r\n\r\n2\r\n\r\n\r\n0\r\n\r\n\r\n", False),
    ],
)
def test_which_answer_leaves_a_connection_that_may_be_used_again(data: bytes, reusable: bool) -> None:
    framing = fed(data)
    assert framing.complete
    assert framing.reusable is reusable


def test_the_second_answer_has_nothing_of_the_first() -> None:
    framing = fed(OK + b"x-a: 1\r\ncontent-length: 2\r\n\r\nhi")
    first = framing.headers, framing.parts
    framing.begin()
    framing.feed(b"HTTP/1.1 404 No\r\nx-b: 2\r\ncontent-length: 0\r\n\r\n")
    assert (framing.status, framing.headers, framing.parts) == (404, {b"x-b": b"2", b"content-length": b"0"}, [])
    assert first == ({b"x-a": b"1", b"content-length": b"2"}, [b"hi"])


@pytest.mark.parametrize(
    ("data", "ended"), [(OK + b"\r\nhi", True), (OK + b"content-length: 5\r\n\r\nhi", False), (OK, False)]
)
def test_which_answer_ends_with_its_connection(data: bytes, ended: bool) -> None:
    framing = fed(data)
    assert framing.end() is ended
    assert not framing.reusable


def test_a_long_body_is_no_long_head() -> None:
    framing = fed(OK + b"\r\n", *[b"x" * 60_000] * 10)
    assert framing.size == 600_000


@pytest.mark.parametrize(
    "data",
    [
        [b"HTTP/1.1 200 " + b"O" * 70_000],
        [OK, *[b"x-a: b\r\n"] * 9000],
        [OK + b"transfer-encoding: chunked\r\n\r\n", b"5;", *[b"a" * 1000] * 70],
        [OK + b"transfer-encoding: chunked\r\n\r\n0\r\n", *[b"x-a: b\r\n"] * 9000],
    ],
)
def test_bytes_that_are_no_body_have_a_bound(data: list[bytes]) -> None:
    with pytest.raises(BadAnswerError, match="too large"):
        fed(*data)


@pytest.mark.parametrize("name", [b"transfer-encoding: chunked", b"content-encoding: gzip"])
def test_what_decides_on_the_body_is_said_once(name: bytes) -> None:
    with pytest.raises(BadAnswerError, match="repeated"):
        fed(OK + (name + b"\r\n") * 2 + b"\r\n")


def unpacked(decoder: Decoder, *pieces: bytes) -> bytes:
    made = b""
    for piece in pieces:
        made += decoder.step(piece)
        while decoder.pending:
            part = decoder.step(b"")
            assert len(part) <= STEP_BYTES
            made += part
    decoder.finish()
    return made


@pytest.mark.parametrize(
    ("name", "packed"),
    [
        (b"gzip", gzip.compress(b"ab" * 400_000, mtime=0)),
        (b"x-gzip", gzip.compress(b"ab" * 200_000, mtime=0) + gzip.compress(b"ab" * 200_000, mtime=0)),
        (b"deflate", zlib.compress(b"ab" * 400_000)),
        (b"deflate", zlib.compress(b"ab" * 400_000, wbits=-15)),
    ],
)
@pytest.mark.parametrize("size", [1, 7, 1 << 20])
def test_unpacking_in_any_pieces(name: bytes, packed: bytes, size: int) -> None:
    pieces = [packed[at : at + size] for at in range(0, len(packed), size)]
    assert unpacked(Decoder(name), *pieces) == b"ab" * 400_000


@pytest.mark.parametrize(
    ("name", "packed"),
    [
        (b"gzip", b"plain"),
        (b"gzip", gzip.compress(b"a", mtime=0) + b"plain"),
        (b"gzip", gzip.compress(b"a", mtime=0)[:-1]),
        (b"gzip", gzip.compress(b"", mtime=0) * (MAX_MEMBERS + 1)),
        (b"deflate", zlib.compress(b"a") * 2),
        (b"deflate", zlib.compress(b"a")[:-1]),
    ],
)
def test_what_is_no_packed_body(name: bytes, packed: bytes) -> None:
    with pytest.raises(BadEncodingError):
        unpacked(Decoder(name), packed)


def test_a_packed_body_of_nothing() -> None:
    assert unpacked(Decoder(b"gzip")) == b""


@pytest.mark.parametrize("status", [b"000", b"099"])
def test_a_status_that_no_answer_has_is_refused(status: bytes) -> None:
    with pytest.raises(BadAnswerError):
        fed(b"HTTP/1.1 " + status + b" X\r\ncontent-length: 2\r\n\r\nhi" + HELLO)


@pytest.mark.parametrize("surplus", [b"\n", b"\r", b"\r\n", b"\r\n\r\n", b"\n\r\n"])
@pytest.mark.parametrize(
    "answer",
    [
        HELLO,
        OK + b"transfer-encoding: chunked\r\n\r\n3\r\na\n\n\r\n0\r\n\r\n",
        OK + b"transfer-encoding: chunked\r\n\r\n4\r\na\r\n\n\r\n0\r\nx: y\r\n\r\n",
    ],
)
def test_line_ends_that_come_with_an_answer_are_noticed_wherever_it_is_split(answer: bytes, surplus: bytes) -> None:
    data = answer + surplus
    for first in range(1, len(data)):
        for second in range(first, len(data)):
            framing = fed(data[:first])
            for piece in (data[first:second], data[second:]):
                if piece and not framing.complete:
                    framing.feed(piece)
            assert framing.complete
            assert framing.reusable is (len(answer) in (first, second))
