"""The event-stream framing: any split of the bytes, every line end, bounded events."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollway.core.dialects import sse
from tollway.core.errors import Code, TollwayError


def parse(data: bytes, cuts: list[int] | None = None) -> list[sse.Event]:
    parser = sse.Parser()
    events: list[sse.Event] = []
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts or []), len(data)]
    for start, end in pairwise(edges):
        events += parser.feed(data[start:end])
    rest = parser.rest()
    return [event for event in [*events, *([rest] if rest else [])] if event.data is not None]


@pytest.mark.parametrize("end", [b"\n", b"\r\n", b"\r"])
def test_every_line_end(end: bytes) -> None:
    lines = [
        b": hello",
        b"event: first",
        b'data: {"a":1}  ',
        b"",
        b"data:x",
        b"data: y",
        b"id: 7",
        b"",
        b"data: last",
        b"",
        b"",
    ]
    events = parse(end.join(lines))
    assert [(event.name, event.data) for event in events] == [
        ("first", b'{"a":1}  '),
        ("", b"x\ny"),
        ("", b"last"),
    ]
    assert not any(event.junk for event in events)


def test_byte_order_mark_and_missing_last_blank_line() -> None:
    assert parse(b"\xef\xbb\xbfdata: a\n\ndata: b") == [sse.Event("", b"a"), sse.Event("", b"b")]


def test_what_is_no_event_stream_is_called_junk() -> None:
    assert sse.read_event(b"<html>\n<body>\n\n").junk
    assert sse.read_event(b'{"error": 1}\n\n').junk


@given(
    st.lists(
        st.sampled_from([b"data: a", b"data:b ", b"event: e", b": c", b"", b"retry: 1", "data: é€".encode()]),
        max_size=12,
    ),
    st.lists(st.sampled_from([b"\n", b"\r\n", b"\r"]), min_size=12, max_size=12),
    st.lists(st.integers(0, 200), max_size=8),
)
def test_splits_change_nothing(lines: list[bytes], ends: list[bytes], cuts: list[int]) -> None:
    data = b"".join(line + end for line, end in zip(lines, ends, strict=False)) + b"data: z\n\n"
    whole = parse(data)
    assert parse(data, cuts) == whole
    assert parse(data, list(range(len(data)))) == whole


@given(st.binary(max_size=200), st.lists(st.integers(0, 200), max_size=6))
def test_framer_loses_no_byte(data: bytes, cuts: list[int]) -> None:
    framer = sse.Framer()
    out = []
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    for start, end in pairwise(edges):
        out += framer.feed(data[start:end])
    assert b"".join(out) + framer.rest() == data
    assert framer.idle


def test_an_event_over_the_limit_is_refused() -> None:
    framer = sse.Framer(limit=100)
    framer.feed(b"data: " + b"x" * 90)
    with pytest.raises(TollwayError) as caught:
        framer.feed(b"x" * 20)
    assert caught.value.code is Code.PROVIDER_ERROR


def test_a_long_event_in_small_pieces_is_not_quadratic() -> None:
    framer = sse.Framer()
    for _ in range(20_000):
        assert framer.feed(b"data: " + b"x" * 50) == []
    assert len(framer.feed(b"\n\n")) == 1
