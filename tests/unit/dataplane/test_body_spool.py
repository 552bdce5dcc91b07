"""The spool of bodies: bounded, in order, taken over after a death, and never shorter than what was accepted."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from itertools import takewhile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tollway.dataplane.requestlog.spool import Packed, Spool


def body(number: int, size: int = 100) -> Packed:
    """A record that can be told from others."""
    return Packed(1, size, number, os.urandom(size))


def append(spool: Spool, records: Iterable[Packed]) -> int:
    """Writes while there is room; how many."""
    return sum(1 for _ in takewhile(spool.append, records))


def spool_in(root: Path, name: str = "a", *, segment_bytes: int = 1000, capacity: int = 10_000) -> Spool:
    """A small spool."""
    return Spool(root, name, segment_bytes=segment_bytes, capacity=capacity)


def ids(records: list[Packed]) -> list[int]:
    """Which they are."""
    return [found.oldest_ms for found in records]


def drain(spool: Spool, limit_bytes: int = 500) -> list[int]:
    """Everything, batch by batch, acknowledged."""
    found: list[int] = []
    while (batch := spool.batch(limit_bytes, 3)).records:
        found += ids(batch.records)
        batch.acknowledge()
    return found


def test_what_is_written_comes_out_in_order_and_is_deleted_when_acknowledged(tmp_path: Path) -> None:
    spool = spool_in(tmp_path)
    assert append(spool, [body(n) for n in range(20)]) == 20
    first = spool.batch(250, 100)
    again = spool.batch(250, 100)
    assert ids(first.records) == ids(again.records) == [0, 1]
    assert drain(spool) == list(range(20))
    assert spool.backlog_bytes == 0
    assert len(list(spool.folder.glob("*.bodies"))) <= 1
    spool.close()
    assert not spool.folder.exists()


def test_a_batch_has_one_body_whatever_its_size(tmp_path: Path) -> None:
    spool = spool_in(tmp_path)
    assert append(spool, [body(1, 3000), body(2)]) == 2
    assert ids(spool.batch(10, 100).records) == [1]
    assert drain(spool) == [1, 2]
    spool.close()


def test_a_full_spool_refuses_the_newest_and_takes_more_once_it_was_emptied(tmp_path: Path) -> None:
    spool = spool_in(tmp_path, capacity=4000)
    stored = append(spool, [body(n) for n in range(100)])
    assert 5 < stored < 40
    assert append(spool, [body(999)]) == 0
    assert sum(path.stat().st_size for path in spool.folder.glob("*.bodies")) == spool.disk_bytes <= 4000
    assert drain(spool) == list(range(stored))
    assert append(spool, [body(n) for n in range(5)]) == 5
    spool.close()


def test_one_that_fills_the_spool_does_not_block_it_for_good(tmp_path: Path) -> None:
    spool = spool_in(tmp_path, capacity=4000)
    assert append(spool, [body(1, 3500)]) == 1
    assert append(spool, [body(2, 3500)]) == 0
    assert drain(spool) == [1]
    assert append(spool, [body(2, 3500)]) == 1
    assert append(spool, [body(3, 5000)]) == 0
    spool.close()


def test_a_successor_takes_over_what_a_dead_process_left(tmp_path: Path) -> None:
    dead, other = spool_in(tmp_path, "dead"), spool_in(tmp_path, "other")
    append(dead, [body(n) for n in range(12)])
    append(other, [body(50)])
    assert other.adopt() == 0  # it still lives
    dead.close()
    assert other.adopt() == 1
    assert drain(other) == [*range(12), 50]
    assert not dead.folder.exists()
    other.close()


def test_what_is_not_shipped_waits_for_the_next_successor(tmp_path: Path) -> None:
    dead = spool_in(tmp_path, "dead")
    append(dead, [body(n) for n in range(12)])
    dead.close()
    second = spool_in(tmp_path, "second")
    assert second.adopt() == 1
    second.batch(500, 2).acknowledge()
    second.close()
    third = spool_in(tmp_path, "third")
    assert third.adopt() == 1
    assert drain(third)[-10:] == list(range(2, 12))
    third.close()


def test_taken_over_spools_count_against_the_capacity(tmp_path: Path) -> None:
    for number in range(5):
        dead = spool_in(tmp_path, f"dead-{number}")
        append(dead, [body(n, 300) for n in range(12)])
        dead.close()
    spool = spool_in(tmp_path, "z", capacity=10_000)
    adopted = spool.adopt()
    assert adopted == 2
    assert spool.disk_bytes <= 10_000
    found = drain(spool)
    while spool.adopt():
        found += drain(spool)
    assert len(found) == 60
    spool.close()


@pytest.mark.parametrize(
    "harm",
    [lambda data: data[:-7], lambda data: data[:-7] + b"xxxxxxx", lambda data: data + b"\x09\0\0\0", lambda data: b""],
    ids=["torn", "changed", "half a header", "empty"],
)
def test_a_torn_end_loses_no_more_than_itself(tmp_path: Path, harm: Callable[[bytes], bytes]) -> None:
    dead = spool_in(tmp_path, "dead", segment_bytes=100_000)
    append(dead, [body(n) for n in range(5)])
    dead.close()
    (path,) = dead.folder.glob("*.bodies")
    path.write_bytes(harm(path.read_bytes()))
    spool = spool_in(tmp_path, "next")
    spool.adopt()
    append(spool, [body(9)])
    kept = drain(spool)
    assert kept[-1] == 9
    assert kept[:-1] in ([0, 1, 2, 3], [0, 1, 2, 3, 4], [])
    assert spool.backlog_bytes == 0
    spool.close()


@given(st.lists(st.tuples(st.integers(1, 8), st.integers(0, 900), st.booleans()), max_size=20))
@settings(max_examples=60, deadline=None)
def test_nothing_that_was_accepted_is_lost_or_doubled(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[int, int, bool]]
) -> None:
    spool = spool_in(tmp_path_factory.mktemp("spool"), capacity=6000)
    accepted: list[int] = []
    shipped: list[int] = []
    number = 0
    for count, size, ship in steps:
        bodies = [body(number + n, size) for n in range(count)]
        accepted += range(number, number + append(spool, bodies))
        number += count
        if ship:
            batch = spool.batch(700, 4)
            shipped += ids(batch.records)
            batch.acknowledge()
        assert spool.disk_bytes <= 6000
    shipped += drain(spool)
    assert shipped == accepted
    assert spool.backlog_bytes == 0
    spool.close()


def test_a_file_that_somebody_deleted_holds_up_no_other(tmp_path: Path) -> None:
    spool = spool_in(tmp_path)
    assert append(spool, [body(n) for n in range(20)]) == 20
    first, *_rest = sorted(spool.folder.glob("*.bodies"))
    first.unlink()
    batch = spool.batch(1 << 20, 100)
    assert batch.unreadable == 1
    assert ids(batch.records) == list(range(20 - len(batch.records), 20))
    batch.acknowledge()
    assert spool.backlog_bytes == 0
    spool.close()
