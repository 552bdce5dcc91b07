"""The writer and the shipper of bodies: nothing blocks, nothing is lost in silence."""

from __future__ import annotations

import asyncio
import dataclasses
import errno
import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import pytest

from tollway.core.catalog import DirectoryEntry, Project
from tollway.dataplane.requestlog import writer as writer_module
from tollway.dataplane.requestlog.capture import Captured, LoggedStream, Memory
from tollway.dataplane.requestlog.counts import Counts
from tollway.dataplane.requestlog.shipper import BodyShipper
from tollway.dataplane.requestlog.spool import Packed, Spool
from tollway.dataplane.requestlog.writer import Writer
from tollway.runtime.clock import SystemClock
from tollway.wire.bodies_codec import unpack

PROJECT = Project(id="p", name="p", organisation="o", business_unit="u")
ENTRY = DirectoryEntry(lookup="l", public_id="l", key_id="k", name="n", project="p", version=1, secrets=())


def captured(number: int, answer: bytes = b"{}", held: int = 10) -> Captured:
    """A request that is over."""
    return Captured(
        request_id=str(number), started_ms=number, ended_ms=number + 5, project=PROJECT, entry=ENTRY, endpoint="/v1/x",
        model="m", provider="p", stream=False, status=200, outcome="ok", error_code="", client_request_id="", tags={},
        client_address="", headers={}, body=b"{}", body_cut=False, answer_headers=(), answer=(answer,),
        answer_cut=False, secrets=(), held=held,
    )  # fmt: skip


@dataclasses.dataclass
class Log:
    """A writer with what it uses."""

    spool: Spool
    memory: Memory
    counts: Counts
    writer: Writer

    def wait(self, seconds: float = 5) -> None:
        """Until everything offered is dealt with."""
        deadline = time.monotonic() + seconds
        while not self.writer.idle:
            assert time.monotonic() < deadline
            time.sleep(0.01)


@pytest.fixture
def log(tmp_path: Path) -> Any:
    spool = Spool(tmp_path, "a", segment_bytes=10_000, capacity=40_000)
    memory, counts = Memory(1 << 20), Counts()
    found = Log(spool, memory, counts, Writer(spool, memory, counts, lambda: None))
    yield found
    assert found.writer.stop(5)
    spool.close()


def written(log: Log) -> list[str]:
    """Which bodies are in the spool."""
    return [body.request_id for record in log.spool.batch(1 << 20, 200).records for body in unpack(record.data)]


class Receiver:
    """A control plane that does as it is told; `fail` is what it says instead of storing."""

    def __init__(self) -> None:
        self.fail = ""
        self.poison = ""
        self.refusal = "INVALID_ARGUMENT"
        self.stored: list[str] = []
        self.calls: list[tuple[int, int]] = []

    async def store(self, replica: str, batches: Sequence[bytes], dropped: int) -> int:
        """Stores, or raises."""
        bodies = [body for batch in batches for body in unpack(batch)]
        if self.fail:
            raise ConnectionError(self.fail)
        if self.poison in [body.request_id for body in bodies]:
            raise ConnectionError(f"{self.refusal}: bodies[0].tags: too long")
        self.calls.append((len(bodies), dropped))
        self.stored += [body.request_id for body in bodies]
        return len(bodies)


def test_what_is_offered_is_written_and_the_memory_is_given_back(log: Log) -> None:
    for number in range(100):
        assert log.memory.take(10)
        assert log.writer.offer(captured(number))
    assert log.memory.held == 1000
    log.writer.start()
    log.wait()
    assert written(log) == [str(n) for n in range(100)]
    assert log.memory.held == 0
    assert log.counts.dropped == 0


def test_the_end_does_not_wait_for_the_round(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer_module, "ROUND_SECONDS", 60.0)
    assert log.writer.offer(captured(1))
    log.writer.start()
    time.sleep(0.05)
    assert log.writer.stop(5), "it was between two rounds"
    assert written(log) == ["1"]


def test_a_queue_that_is_full_refuses(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(writer_module, "MAX_WAITING", 3)
    assert [log.writer.offer(captured(n)) for n in range(5)] == [True, True, True, False, False]


def test_a_full_spool_drops_the_newest_and_counts_them(log: Log) -> None:
    for number in range(40):
        log.writer.offer(captured(number, os.urandom(2000).hex().encode()))
    log.writer.start()
    log.wait()
    stored = len(written(log))
    assert 5 < stored < 40
    assert log.counts.by_reason()["spool_full"] == 40 - stored


def test_a_body_that_cannot_be_packed_and_a_broken_disk_are_counted(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    log.writer.offer(msgspec.structs.replace(captured(1), answer=(None,)))
    log.writer.offer(captured(2))
    log.writer.start()
    log.wait()
    assert log.counts.by_reason()["not_packed"] == 1

    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "pwrite", full)
    log.writer.offer(captured(3))
    log.wait()
    monkeypatch.undo()
    assert log.counts.by_reason()["spool_failed"] == 1
    assert "space" in log.writer.problem
    log.writer.offer(captured(4))
    log.wait()
    assert written(log) == ["2", "4"]


async def test_bodies_wait_while_the_control_plane_is_away_and_losses_are_told_once(log: Log) -> None:
    receiver = Receiver()
    shipper = BodyShipper("r", log.spool, receiver, log.counts, SystemClock())
    for number in range(5):
        log.writer.offer(captured(number))
    log.writer.start()
    await asyncio.to_thread(log.wait)
    receiver.fail = "UNAVAILABLE: away"
    assert not await shipper.flush(1)
    assert shipper.oldest_ms == 0
    log.counts.dropped_here["memory"] += 3
    receiver.fail = ""
    assert await shipper.flush(1)
    assert await shipper.flush(1)
    assert receiver.stored == ["0", "1", "2", "3", "4"]
    assert receiver.calls == [(5, 3)]
    assert (log.counts.shipped, log.spool.backlog_bytes) == (5, 0)


@pytest.mark.parametrize("refusal", ["INVALID_ARGUMENT", "RESOURCE_EXHAUSTED"])
async def test_a_body_that_is_never_taken_does_not_hold_up_the_others(log: Log, refusal: str) -> None:
    receiver = Receiver()
    receiver.poison, receiver.refusal = "2", refusal
    shipper = BodyShipper("r", log.spool, receiver, log.counts, SystemClock())
    for number in range(5):
        log.writer.offer(captured(number))
    log.writer.start()
    await asyncio.to_thread(log.wait)
    assert await shipper.flush(2)
    assert await shipper.flush(2)
    assert receiver.stored == ["0", "1", "3", "4"]
    assert log.counts.by_reason()["refused"] == 1
    assert sum(dropped for _count, dropped in receiver.calls) == 1


def test_memory_is_bounded_over_all_streams() -> None:
    memory = Memory(10_000)
    streams = [LoggedStream({}, memory, 3000) for _ in range(5)]
    for _ in range(100):
        for stream in streams:
            if not stream.lost:
                stream._keep(b"x" * 100)
            assert memory.held <= 10_000
    lost = [stream for stream in streams if stream.lost]
    assert 0 < len(lost) < 5
    assert all(not stream.chunks and not stream.held for stream in lost)
    for stream in streams:
        stream.let_go()
    assert memory.held == 0


def test_what_nobody_thought_of_does_not_end_the_thread(log: Log, monkeypatch: pytest.MonkeyPatch) -> None:
    original = log.spool.append

    def broken(_packed: Packed) -> bool:
        monkeypatch.setattr(log.spool, "append", original)
        raise UnicodeEncodeError("utf-8", "\udcff", 0, 1, "surrogates not allowed")

    monkeypatch.setattr(log.spool, "append", broken)
    log.writer.start()
    assert log.writer.offer(captured(1))
    log.wait()
    assert log.counts.by_reason()["not_packed"] == 1
    assert log.writer.offer(captured(2))
    log.wait()
    assert written(log) == ["2"]
