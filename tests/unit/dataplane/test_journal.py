"""The journal: whatever was begun is booked exactly once, whatever moment the process dies at."""

from __future__ import annotations

import os
import resource
import signal
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tollway.core.ledger import AttemptRow, Outcome, RequestRow
from tollway.core.pricing import Price
from tollway.core.usage import Usage
from tollway.dataplane.outbox.journal import Journal, JournalFull
from tollway.dataplane.outbox.orphans import Estate, Orphan, adopt, read_estate
from tollway.dataplane.outbox.records import Final, Intent, Progress, estimate, frame, frames
from tollway.wire.usage_codec import decode_row

PRICE = Price(version="v1", input=1_000_000_000, output=2_000_000_000)


def request(name: str, *, attempts: int = 1, outcome: str = Outcome.LOST) -> RequestRow:
    rows = tuple(
        AttemptRow(
            id=f"{name}-a{n}",
            number=n,
            provider="p",
            provider_kind="openai",
            target_model="m",
            started_ms=10,
            outcome=outcome,
        )
        for n in range(1, attempts + 1)
    )
    return RequestRow(
        id=name, organisation="o", business_unit="b", project="p", key_id="k", key_public_id="kk",
        endpoint="/v1/chat/completions", model="m", started_ms=10, outcome=outcome, attempts=rows,
    )  # fmt: skip


def journal(root: Path, **sizes: int) -> Journal:
    return Journal(
        root, "one", segment_bytes=sizes.get("segment_bytes", 1 << 16), capacity=sizes.get("capacity", 1 << 20)
    )


def abandon(opened: Journal) -> None:
    """What SIGKILL leaves: the files as they are, the lock free."""
    os.close(opened._lock)


def rows_of(orphan: Orphan) -> list[RequestRow]:
    return [row for part in orphan.parts() for row in part]


def test_finished_rows_are_shipped_once_and_forgotten_when_acknowledged(tmp_path: Path) -> None:
    opened = journal(tmp_path)
    for name in ("r1", "r2"):
        opened.intend(Intent(request(name), PRICE, 5))
        opened.finish(request(name, outcome=Outcome.OK))
    rows, acknowledge = opened.unshipped(10)
    assert [decode_row(row).id for row in rows] == ["r1", "r2"]
    again, _ = opened.unshipped(10)
    assert again == rows
    acknowledge()
    assert opened.unshipped(10)[0] == []
    opened.close()
    assert not opened.folder.exists()


def test_a_dead_process_leaves_its_unfinished_calls_as_estimates(tmp_path: Path) -> None:
    opened = journal(tmp_path)
    opened.intend(Intent(request("done"), PRICE, 5))
    opened.finish(request("done", outcome=Outcome.OK))
    opened.intend(Intent(request("lost"), PRICE, 7))
    opened.progress(Progress("lost", 99, 41, None))
    abandon(opened)
    (orphan,) = adopt(tmp_path, now_ms=1234)
    rows = {row.id: row for row in rows_of(orphan)}
    assert rows["done"].outcome == Outcome.OK
    (attempt,) = rows["lost"].attempts
    assert attempt.estimated
    assert attempt.outcome == Outcome.LOST
    assert attempt.usage == Usage(input=7, output=11)  # 41 characters delivered
    assert attempt.cost_nano == 7 * 1000 + 11 * 2000
    assert attempt.ended_ms == 99
    orphan.forget()
    assert list(adopt(tmp_path, 0)) == []


def test_a_retry_keeps_the_first_attempt(tmp_path: Path) -> None:
    opened = journal(tmp_path)
    opened.intend(Intent(request("r"), PRICE, 1))
    opened.intend(Intent(request("r", attempts=2), PRICE, 1))
    abandon(opened)
    (orphan,) = adopt(tmp_path, 0)
    (row,) = rows_of(orphan)
    assert [a.estimated for a in row.attempts] == [False, True]
    orphan.release()


def test_a_living_journal_is_not_adopted(tmp_path: Path) -> None:
    opened = journal(tmp_path)
    opened.intend(Intent(request("r"), PRICE, 1))
    assert list(adopt(tmp_path, 0)) == []
    opened.finish(request("r"))
    opened.close()


def test_a_full_journal_refuses_intents_and_says_so(tmp_path: Path) -> None:
    opened = journal(tmp_path, segment_bytes=4096, capacity=8192)

    def fill() -> None:
        for number in range(1000):
            opened.intend(Intent(request(f"r{number}"), PRICE, 1))

    with pytest.raises(JournalFull):
        fill()
    assert not opened.has_room()


def test_on_a_full_disk_nothing_begins_and_what_is_under_way_is_booked(tmp_path: Path) -> None:
    """The disk is full for the journal's files alone: a file of 64 KiB cannot be allocated."""
    opened = journal(tmp_path, segment_bytes=1 << 16, capacity=1 << 20)
    names = [f"r{number}" for number in range(40)]
    for name in names:
        opened.intend(Intent(request(name), PRICE, 1))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    old = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, ((1 << 16) - 1, before[1]))
    try:
        assert opened.has_room()
        while opened.has_room():
            opened.intend(Intent(request("more"), PRICE, 1))
        for name in names:
            opened.finish(request(name, outcome=Outcome.OK))
        opened.provide()
        assert not opened.has_room()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, old)
    rows, _ = opened.unshipped(100)
    assert [decode_row(row).id for row in rows] == names
    opened.provide()
    assert opened.has_room()
    opened.close()


def test_a_journal_that_ends_is_gone_before_its_lock_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    opened = journal(tmp_path)
    closed, seen = os.close, []

    def close(descriptor: int) -> None:
        if descriptor == opened._lock:
            seen.append(opened.folder.exists())
        closed(descriptor)

    monkeypatch.setattr("tollway.dataplane.outbox.journal.os.close", close)
    opened.close()
    assert seen == [False]


def test_segments_are_deleted_only_when_nothing_in_them_is_open(tmp_path: Path) -> None:
    opened = journal(tmp_path, segment_bytes=4096, capacity=1 << 20)
    opened.intend(Intent(request("long"), PRICE, 1))
    for number in range(40):
        opened.intend(Intent(request(f"r{number}"), PRICE, 1))
        opened.finish(request(f"r{number}"))
    _rows, acknowledge = opened.unshipped(10_000)
    acknowledge()
    assert len(list(opened.folder.glob("*.segment"))) > 1  # "long" began in the first
    opened.finish(request("long"))
    _rows, acknowledge = opened.unshipped(10_000)
    acknowledge()
    assert len(list(opened.folder.glob("*.segment"))) == 1
    opened.close()


@settings(max_examples=60, deadline=None)
@given(cut=st.integers(0, 4000), flip=st.one_of(st.none(), st.integers(0, 3999)))
def test_a_torn_tail_never_hides_what_was_written_before(
    tmp_path_factory: pytest.TempPathFactory, cut: int, flip: int | None
) -> None:
    records = [Intent(request(f"r{n}"), PRICE, 1) if n % 2 else Final(request(f"r{n}")) for n in range(8)]
    pieces = [frame(record) for record in records]
    data = bytearray(b"".join(pieces))
    del data[cut:]
    if flip is not None and flip < len(data):
        data[flip] ^= 0xFF
    sound, position = 0, 0
    for piece in pieces:
        if bytes(data[position : position + len(piece)]) != piece:
            break
        position += len(piece)
        sound += 1
    found = [item.record for item in frames(bytes(data), 0, len(data))]
    assert found[:sound] == records[:sound]
    folder = tmp_path_factory.mktemp("journal")
    (folder / "1.segment").write_bytes(data)
    assert {row.id for part in read_estate(folder, 0, Estate()) for row in part} >= {f"r{n}" for n in range(sound)}


@given(
    known=st.one_of(st.none(), st.builds(Usage, input=st.integers(0, 10**6), output=st.integers(0, 10**6))),
    chars=st.integers(0, 10**6),
    guess=st.integers(0, 10**6),
)
def test_an_estimate_is_never_below_what_is_known_or_was_delivered(known: Usage | None, chars: int, guess: int) -> None:
    used = estimate(known, guess, chars)
    assert used.output * 4 >= chars
    if known is not None:
        assert used.output >= known.output
        assert used.input == (known.input or guess)
    assert msgspec.structs.asdict(used)["cached_input"] == (known.cached_input if known else 0)
