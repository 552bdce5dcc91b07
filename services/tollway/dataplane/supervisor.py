"""Several processes on one port: opens the sockets, starts the processes, replaces one that dies or hangs.

The supervisor keeps every listening socket open, so connections that wait in a queue survive a crash and are served by
the successor. It carries no traffic and holds no state that a request needs. On SIGHUP it renews all processes, one at
a time: the successor is ready before its predecessor drains.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import shutil
import signal
import socket
import sys
from pathlib import Path

from prometheus_client import CollectorRegistry

from tollway.dataplane.metrics.remains import bury
from tollway.dataplane.serving import READY, REPLACED, announce, bind_socket, metrics_dir, serve_admin
from tollway.dataplane.settings import Settings, inherited
from tollway.dataplane.telemetry import render
from tollway.runtime import log
from tollway.runtime.health import Health
from tollway.runtime.tasks import Tasks

_log = log.get(__name__)
HEARTBEAT_SECONDS = 5.0
START_SECONDS = 30.0
LOOK_SECONDS = 0.1
STALL_SECONDS = 1.0
"""When a look at a heartbeat came so late, this process did not run: nobody knows what the others did meanwhile."""
RESTART_SECONDS = (0.1, 0.5, 1.0, 2.0, 5.0)
STEADY_SECONDS = 60.0
"""A process that lived this long is no longer one that fails at its start."""
KILL_GRACE_SECONDS = 20.0
BALANCED = sys.platform == "linux"
"""Whether the kernel spreads connections over sockets of one port; where not, all processes share one socket."""


class Life:
    """One process from its start to its end. `ready` follows its heartbeat; `beating` is set by it."""

    def __init__(self, slot: int, process: asyncio.subprocess.Process, beating: asyncio.Event) -> None:
        self._slot = slot
        self._process = process
        self._beating = beating
        self._serves = asyncio.Event()
        self._ending = False
        self.ready = False
        self.over: asyncio.Task[None]

    @property
    def pid(self) -> int:
        """Of the process."""
        return self._process.pid

    def begin(self, tasks: Tasks, heartbeat: int) -> None:
        """Watches the heartbeat on a pipe, which it closes; `over` is done when the process has ended."""
        self.over = tasks.spawn(self._live(heartbeat), f"life-{self.pid}")

    async def _live(self, heartbeat: int) -> None:
        watching = asyncio.gather(self._process.wait(), self._watch(heartbeat))
        try:
            await watching
        finally:
            os.close(heartbeat)
            self.ready = False

    async def _watch(self, fd: int) -> None:
        """Reads the heartbeat; a process that misses it is killed, unless it is ending anyway."""
        loop = asyncio.get_running_loop()
        last = loop.time()
        patience = START_SECONDS
        while self._process.returncode is None:
            asleep = loop.time()
            await asyncio.sleep(LOOK_SECONDS)
            if loop.time() - asleep > STALL_SECONDS:
                last = loop.time()  # the whole pod stood still, perhaps: the heartbeat is counted anew
            with contextlib.suppress(BlockingIOError):
                data = os.read(fd, 4096)
                if data:
                    self._beat(data)
                    last, patience = loop.time(), HEARTBEAT_SECONDS
            if loop.time() - last > patience and not self._ending:
                _log.error("a data-plane process does not respond and is killed", slot=self._slot, pid=self.pid)
                self._signal(signal.SIGKILL)
                await self._process.wait()

    def _beat(self, data: bytes) -> None:
        self.ready = data.endswith(READY)
        self._beating.set()
        if self.ready:
            self._serves.set()

    def _signal(self, number: signal.Signals) -> None:
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(number)

    async def serves(self, tasks: Tasks, seconds: float) -> bool:
        """Waits until it is ready; False when it ends before or takes too long."""
        serving = tasks.spawn(self._serves.wait(), "first-ready")
        await asyncio.wait([serving, self.over], timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        serving.cancel()
        return self._serves.is_set() and not self.over.done()

    async def end(self, number: signal.Signals, seconds: float) -> None:
        """Asks the process to drain; kills it when it takes longer than it may."""
        self._ending = True
        self._signal(number)
        if not (await asyncio.wait([self.over], timeout=seconds))[0]:
            _log.error("a data-plane process did not end in time and is killed", slot=self._slot, pid=self.pid)
            self._signal(signal.SIGKILL)
            await asyncio.wait([self.over])


class Slot:
    """One process and its successors, on one socket."""

    def __init__(self, number: int, sock: socket.socket, settings: Settings, metrics: str, tasks: Tasks) -> None:
        self.number = number
        self._sock = sock
        self._metrics = metrics
        self._most_series = settings.metrics_series
        self._tasks = tasks
        self._grace = settings.drain_seconds + KILL_GRACE_SECONDS
        self._life: Life | None = None
        self._lives: list[Life] = []
        self._deciding = asyncio.Lock()
        self._starting = asyncio.Lock()
        self._closed = False
        self.beating = asyncio.Event()

    @property
    def ready(self) -> bool:
        """Whether one of its processes serves."""
        return any(life.ready for life in self._lives)

    async def run(self, stop: asyncio.Event) -> None:
        """Keeps a process running until `stop`."""
        failures = 0
        loop = asyncio.get_running_loop()
        while not stop.is_set():
            started = loop.time()
            async with self._deciding:
                if self._life is None or self._life.over.done():
                    self._life = await self._begin()
            if self._life is not None:
                await self._until_nobody_serves(self._life)
            if stop.is_set():
                return
            failures = 0 if loop.time() - started > STEADY_SECONDS else failures + 1
            pause = RESTART_SECONDS[min(failures, len(RESTART_SECONDS)) - 1] if failures else 0
            reason = "could not be started" if self._life is None else "ended and is replaced"
            _log.error(f"a data-plane process {reason}", slot=self.number, pause_seconds=pause)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await stop.wait()

    async def _until_nobody_serves(self, life: Life) -> None:
        """Until the process has ended, and no successor has taken its place."""
        while True:
            await asyncio.wait([life.over])
            async with self._deciding:
                if self._life is life or self._life is None:
                    return
                life = self._life

    async def _begin(self) -> Life | None:
        """Starts a process on the socket; None: the system does not let it now, or none is to begin any more."""
        async with self._starting:
            if self._closed:
                return None
            try:
                return await self._start()
            except OSError as error:
                _log.error("the system starts no process", slot=self.number, reason=str(error))
                return None

    async def _start(self) -> Life:
        """Starts a process with a pipe for its heartbeat. Raises OSError; nothing is left open then."""
        read_fd, write_fd = os.pipe()
        try:
            process = await self._child(write_fd)
        except BaseException:
            os.close(read_fd)
            raise
        finally:
            os.close(write_fd)
        os.set_blocking(read_fd, False)
        life = Life(self.number, process, self.beating)
        life.begin(self._tasks, read_fd)
        self._lives.append(life)
        life.over.add_done_callback(lambda _: self._ended(life))
        return life

    async def _child(self, write_fd: int) -> asyncio.subprocess.Process:
        environment = {
            "TOLLWAY_CHILD": "1",
            "TOLLWAY_LISTEN_FD": f"{self._sock.fileno()},{write_fd}",
            "PROMETHEUS_MULTIPROC_DIR": self._metrics,
        }
        return await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tollway.dataplane.main",
            "serve",
            pass_fds=(self._sock.fileno(), write_fd),
            env=inherited() | environment,
        )

    def _ended(self, life: Life) -> None:
        self._lives.remove(life)
        bury(Path(self._metrics), life.pid, self._most_series)

    async def renew(self) -> bool:
        """Starts a successor; once it is ready its predecessor drains. False: the successor failed, nothing changed."""
        async with self._deciding:
            before = self._life
            successor = await self._begin()
            if successor is None:
                return False
            if not await successor.serves(self._tasks, START_SECONDS):
                await successor.end(signal.SIGKILL, KILL_GRACE_SECONDS)
                return False
            self._life = successor
        _log.info("a data-plane process is replaced by a new one", slot=self.number, pid=successor.pid)
        if before is not None:
            await before.end(REPLACED, self._grace)
        return True

    async def end(self, delay: float) -> None:
        """Asks its processes to drain, one that is being started too; kills what takes longer than it may."""
        self._closed = True
        async with self._starting:
            pass  # what begins now is among its lives
        await asyncio.gather(*(life.end(signal.SIGTERM, delay + self._grace) for life in list(self._lives)))


async def renew_all(slots: list[Slot], wanted: asyncio.Event) -> None:
    """Renews the processes one after the other each time that it is asked for; for the life of the supervisor."""
    while True:
        await wanted.wait()
        wanted.clear()
        _log.info("all data-plane processes are renewed", processes=len(slots))
        for slot in slots:
            if not await slot.renew():
                _log.error("a new data-plane process does not become ready: the others stay as they are")
                break
        else:
            _log.info("all data-plane processes are new")


def _sockets(settings: Settings) -> list[socket.socket]:
    """A listening socket for each process, all on one port."""
    first = bind_socket(settings.bind, settings.port_proxy, share=True)
    if not BALANCED:
        return [first] * settings.processes
    port = first.getsockname()[1]
    return [first, *(bind_socket(settings.bind, port, share=True) for _ in range(settings.processes - 1))]


async def serve_many(settings: Settings, stop: asyncio.Event) -> None:
    """A pod of several processes."""
    renewing = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, renewing.set)
    sockets = _sockets(settings)
    admin = bind_socket(settings.bind_internal or settings.bind, settings.port_admin, share=False)
    ports = {"proxy": sockets[0].getsockname()[1], "admin": admin.getsockname()[1]}
    folder = metrics_dir(settings)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    child_settings = dataclasses.replace(settings, child=True)
    tasks = Tasks()
    slots = [Slot(number, sock, child_settings, str(folder), tasks) for number, sock in enumerate(sockets)]
    health = Health()
    for slot in slots:
        health.require(f"process {slot.number}", lambda slot=slot: None if slot.ready else "not ready")  # type: ignore[misc]
    runs = [tasks.spawn(slot.run(stop), f"slot-{slot.number}") for slot in slots]
    runner = await serve_admin(health, admin, lambda: render(CollectorRegistry(), str(folder)))
    waiting = [tasks.spawn(slot.beating.wait(), "first-beat") for slot in slots]
    stopping = tasks.spawn(stop.wait(), "stop")
    await asyncio.wait([asyncio.gather(*waiting), stopping], return_when=asyncio.FIRST_COMPLETED)
    if not stop.is_set():
        announce(ports)
    renewals = tasks.keep(lambda: renew_all(slots, renewing), "renewals")
    await stop.wait()
    health.draining = True
    renewals.cancel()
    ending = [tasks.spawn(slot.end(settings.drain_delay_seconds), "end") for slot in slots]
    await asyncio.sleep(settings.drain_delay_seconds)
    for sock in sockets:
        sock.close()  # a queue that nobody serves any more would keep clients waiting
    await asyncio.gather(*ending)
    await asyncio.gather(*runs, return_exceptions=True)
    await runner.cleanup()
    await tasks.close()
