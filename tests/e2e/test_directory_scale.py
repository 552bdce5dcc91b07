"""A large key directory and many subscribers: loading, memory, how fast a revocation holds, a restart under all of it.

TOLLWAY_SCALE_KEYS and TOLLWAY_SCALE_SUBSCRIBERS set how many (20,000 and 20 by default; `make soak RUN=scale` has a
million and 200). What is printed is recorded in docs/reference/scale.md.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tollway.testkit.directory_scale import MEBIBYTE, Peak, cpu, fill, revoke_some, rss, seconds_of, valkey_bytes
from tollway.testkit.stack import Service, Stack, until
from tollway.testkit.subscribers import Subscribers

KEYS = int(os.environ.get("TOLLWAY_SCALE_KEYS", "20000"))
SUBSCRIBERS = int(os.environ.get("TOLLWAY_SCALE_SUBSCRIBERS", "20"))
LARGE = KEYS >= 500_000
REVOCATIONS = 20 if LARGE else 4
WHILE_AWAY = 1_000
"""Keys that change while the only control plane is down."""
LOAD_SECONDS = 60.0
MOST_SECONDS = 10 * LOAD_SECONDS
"""After this it is given up; until then, what it took is measured, and told."""
PUSH_SECONDS = 2.0
STORM_SECONDS = 60.0
STEADY_SECONDS = 10.0 if LARGE else 1.0
GROWTH_MIB = 150
"""What a process of either plane may hold more for a directory of any size: it is read, and passed on, in parts."""


class Loaded(NamedTuple):
    """A stack with a large directory, which its data plane has loaded; memory in MiB, CPU in seconds."""

    stack: Stack
    keys: list[tuple[str, str]]
    fill_seconds: float
    load_seconds: float
    again_seconds: float
    control: tuple[float, float, float]
    """Memory before the load and at most, and CPU for it."""
    plane: tuple[float, float, float]
    """The same of the data plane: after the load, at most, CPU from its start."""
    valkey_bytes: int


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loaded]:
    """Filled, the control plane restarted, and a data plane started on an empty Valkey."""
    stack = Stack(tmp_path_factory.mktemp("scale"))
    try:
        stack.start(dataplanes=0)
        keys = [stack.create_key(f"known-{number}") for number in range(REVOCATIONS + 2)]
        fill_seconds = seconds_of(lambda: fill(stack, KEYS))
        stack.control.stop()
        stack.control.start()
        empty, used = valkey_bytes(stack), cpu(stack.control)
        with (
            Peak(lambda: stack.control) as control,
            Peak(lambda: stack.dataplanes[0] if stack.dataplanes else None) as plane,
        ):
            load_seconds = seconds_of(lambda: stack.add_dataplane(ready_seconds=MOST_SECONDS))
        first = stack.dataplanes[0]
        measured = Loaded(
            stack,
            keys,
            fill_seconds,
            load_seconds,
            seconds_of(stack.add_dataplane),
            (control.before, control.most, cpu(stack.control) - used),
            (rss(first), plane.most, cpu(first)),
            valkey_bytes(stack) - empty,
        )
        yield measured
    finally:
        stack.stop()


@pytest.mark.timeout(120 if not LARGE else 900)
def test_a_large_directory_is_loaded(loaded: Loaded, capsys: pytest.CaptureFixture[str]) -> None:
    before, most, used = loaded.control
    after, most_plane, used_plane = loaded.plane
    with capsys.disabled():
        print(f"\n{KEYS:,} keys made in {loaded.fill_seconds:.1f} s; loaded into an empty Valkey in")
        print(f"{loaded.load_seconds:.1f} s from the data plane's start; a second: {loaded.again_seconds:.1f} s")
        print(f"Valkey: {loaded.valkey_bytes / MEBIBYTE:.0f} MiB, {loaded.valkey_bytes / KEYS:.0f} bytes a key")
        print(f"control plane: {before:.0f} MiB before, at most {most:.0f} MiB; {used:.1f} s of CPU")
        print(f"data plane: {after:.0f} MiB after, at most {most_plane:.0f} MiB; {used_plane:.1f} s of CPU")
    assert loaded.load_seconds < LOAD_SECONDS
    assert most - before < GROWTH_MIB
    assert most_plane < 100 + GROWTH_MIB
    stack = loaded.stack
    assert int(stack.valkey.command("DBSIZE")) >= KEYS, "every key is in it"
    status, headers, _answer = stack.chat(key="sk-tw-nobody")
    assert (status, headers["x-tollway-error-code"]) == (401, "invalid_api_key"), "complete: a miss is no key"


@pytest.mark.timeout(120)
def test_a_revocation_holds_in_time_with_a_large_directory(loaded: Loaded, capsys: pytest.CaptureFixture[str]) -> None:
    stack, seconds = loaded.stack, []
    for key_id, secret in loaded.keys[:REVOCATIONS]:
        assert {stack.chat(key=secret, number=number)[0] for number in (0, 1)} == {200}
        stack.api("POST", f"keys/{key_id}:revoke", {})
        began = time.monotonic()
        for number in (0, 1):
            until(lambda n=number, s=secret: stack.chat(key=s, number=n)[0] == 401, 5, "the revocation")  # type: ignore[misc]
        seconds.append(time.monotonic() - began)
    with capsys.disabled():
        shown = ", ".join(f"{each * 1000:.0f}" for each in sorted(seconds))
        print(f"\nrevocations with {KEYS:,} keys, two data planes, ms: {shown}")
    assert max(seconds) < PUSH_SECONDS


@pytest.mark.timeout(180 if not LARGE else 600)
async def test_many_subscribers_are_current_again_after_a_restart(
    loaded: Loaded, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stack = loaded.stack
    control = stack.control
    alone = rss(control)
    async with Subscribers(stack, SUBSCRIBERS, tmp_path) as many:
        version = await asyncio.to_thread(revoke_some, stack, 1)
        await many.current(version, 60)  # all are there
        with_all, used = rss(control), cpu(control)
        await asyncio.sleep(STEADY_SECONDS)
        steady = (cpu(control) - used) / STEADY_SECONDS
        pushed = []
        for _ in range(REVOCATIONS):
            version, began = await asyncio.to_thread(revoke_some, stack, 1), time.monotonic()
            pushed.append(max(await many.current(version, 10)) - began)
            await asyncio.sleep(0.3)
        control.kill()
        version = await asyncio.to_thread(revoke_some, stack, WHILE_AWAY)
        sent = sum(each.changes for each in many.all)
        began = time.monotonic()
        with Peak(lambda: control) as peak:
            await asyncio.to_thread(control.start)
            listens = time.monotonic() - began
            knew = sorted(each - began for each in await many.current(version, 2 * STORM_SECONDS))
            used = cpu(control)
        sent = sum(each.changes for each in many.all) - sent
        assert all(each.connected for each in many.all)
    with capsys.disabled():
        print(f"\n{SUBSCRIBERS} subscribers: control plane {alone:.0f} MiB without, {with_all:.0f} MiB with them;")
        print(f"{steady * 100:.1f} % of a core for their heartbeats; one revocation known to all in")
        print(f"{', '.join(f'{each * 1000:.0f}' for each in sorted(pushed))} ms")
        print(
            f"after a restart, {WHILE_AWAY:,} changes behind: listens after {listens:.1f} s; the first knew all after"
        )
        print(f"{knew[0]:.1f} s, half {knew[len(knew) // 2]:.1f} s, all {knew[-1]:.1f} s; {sent:,} entries sent;")
        print(f"{used:.1f} s of CPU since its start, at most {peak.most:.0f} MiB")
    assert max(pushed) < PUSH_SECONDS
    assert sent >= WHILE_AWAY, "by the stream to some; the others resumed from what those had put into Valkey"
    assert knew[-1] < STORM_SECONDS
    assert peak.most - alone < GROWTH_MIB


def test_a_new_key_is_served_after_all_that(loaded: Loaded) -> None:
    """The directory still takes changes, whatever the tests before have done to its control plane."""
    stack: Stack = loaded.stack
    service: Service = stack.control
    until(lambda: service.process is not None and service.process.poll() is None, 5, "the control plane")
    _id, secret = stack.create_key("late")
    until(lambda: {stack.chat(key=secret, number=number)[0] for number in (0, 1)} == {200}, 5, "the new key")
