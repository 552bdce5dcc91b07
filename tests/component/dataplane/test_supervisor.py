"""The supervisor's own troubles: a system that starts nothing for a while, an end in a start, a freeze."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import time
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from tollway.dataplane import supervisor
from tollway.dataplane.settings import Settings
from tollway.dataplane.supervisor import Slot
from tollway.runtime.tasks import Tasks

BEAT = "while printf r; do sleep 0.05; done"


class Beating(Slot):
    """A slot whose processes do nothing but beat. `refusals` of the system come first; `let` holds up a start."""

    refusals: list[OSError]
    let: asyncio.Event
    begun: asyncio.Event
    pids: list[int]

    async def _child(self, write_fd: int) -> asyncio.subprocess.Process:
        if self.refusals:
            raise self.refusals.pop()
        self.begun.set()
        await self.let.wait()
        process = await asyncio.create_subprocess_exec("sh", "-c", BEAT, stdout=write_fd)
        self.pids.append(process.pid)
        return process


@pytest.fixture
async def slot(tmp_path: Path) -> AsyncIterator[Beating]:
    settings = cast(Settings, SimpleNamespace(metrics_series=10, drain_seconds=5.0))
    tasks = Tasks()
    with socket.socket() as sock:
        made = Beating(0, sock, settings, str(tmp_path), tasks)
        made.refusals, made.pids = [], []
        made.let, made.begun = asyncio.Event(), asyncio.Event()
        made.let.set()
        yield made
        await made.end(0)
        await tasks.close()


async def until(condition: Any, seconds: float = 10) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


def descriptors() -> set[str]:
    """The pipes of this process."""
    links = [f"/proc/self/fd/{name}" for name in os.listdir("/proc/self/fd")]
    return {os.readlink(link) for link in links if os.path.lexists(link) and "pipe:" in os.readlink(link)}


async def test_a_system_that_starts_no_process_is_tried_again(slot: Beating, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(supervisor, "RESTART_SECONDS", (0.05,))
    slot.refusals = [BlockingIOError(11, "EAGAIN"), OSError(12, "ENOMEM"), OSError(24, "EMFILE")]
    slot.let.clear()
    before, stop = descriptors(), asyncio.Event()
    running = asyncio.create_task(slot.run(stop))
    await slot.begun.wait()
    assert len(descriptors() - before) <= 1  # that of the start under way
    slot.let.set()
    await until(lambda: slot.ready)
    slot.refusals = [OSError(12, "ENOMEM")]
    assert not await slot.renew()
    assert slot.ready
    stop.set()
    await slot.end(0)
    await asyncio.wait_for(running, 5)


async def test_an_end_in_the_middle_of_a_start(slot: Beating) -> None:
    slot.let.clear()
    stop = asyncio.Event()
    running = asyncio.create_task(slot.run(stop))
    await slot.begun.wait()
    stop.set()
    ending = asyncio.create_task(slot.end(0))
    await asyncio.sleep(0.05)
    slot.let.set()
    await asyncio.wait_for(asyncio.gather(ending, running), 5)
    (pid,) = slot.pids
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


async def test_a_pod_that_stood_still_as_a_whole_is_not_taken_for_dead(
    slot: Beating, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(supervisor, "HEARTBEAT_SECONDS", 1.0)
    monkeypatch.setattr(supervisor, "STALL_SECONDS", 0.5)
    running = asyncio.create_task(slot.run(asyncio.Event()))
    await until(lambda: slot.ready)
    (pid,) = slot.pids
    os.kill(pid, signal.SIGSTOP)
    await asyncio.sleep(0.2)  # what it had written is read
    time.sleep(1.2)  # the supervisor stands still as well
    await asyncio.sleep(0.2)  # and is the first to go on
    os.kill(pid, signal.SIGCONT)
    await asyncio.sleep(0.5)
    assert slot.pids == [pid]
    assert slot.ready
    os.kill(pid, signal.SIGSTOP)  # this one alone
    await until(lambda: len(slot.pids) == 2)
    running.cancel()
