"""Several processes on one port: opens the sockets, starts the processes, replaces one that dies or hangs.

The supervisor keeps every listening socket open, so connections that wait in a queue survive a crash and are served by
the successor. It carries no traffic and holds no state that a request needs.
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

from prometheus_client import CollectorRegistry, multiprocess

from tollway.dataplane.app import announce, bind_socket, metrics_dir, serve_admin
from tollway.dataplane.settings import Settings, inherited
from tollway.dataplane.telemetry import render
from tollway.runtime import log
from tollway.runtime.health import Health
from tollway.runtime.tasks import Tasks

_log = log.get(__name__)
HEARTBEAT_SECONDS = 5.0
START_SECONDS = 30.0
RESTART_SECONDS = (0.1, 0.5, 1.0, 2.0, 5.0)
KILL_GRACE_SECONDS = 15.0
READY = b"r"
QUEUE = 4096


class Slot:
    """One process and its successors, on one socket."""

    def __init__(self, number: int, sock: socket.socket, settings: Settings, metrics: str) -> None:
        self.number = number
        self._sock = sock
        self._settings = settings
        self._metrics = metrics
        self.ready = False
        self.beating = asyncio.Event()
        self.process: asyncio.subprocess.Process | None = None

    async def run(self, stop: asyncio.Event) -> None:
        """Keeps a process running until `stop`."""
        failures = 0
        while not stop.is_set():
            loop = asyncio.get_running_loop()
            started = loop.time()
            await self._one_life(stop)
            if stop.is_set():
                return
            failures = 0 if loop.time() - started > 60 else failures + 1
            pause = RESTART_SECONDS[min(failures, len(RESTART_SECONDS)) - 1] if failures else 0
            _log.error("a data-plane process ended and is replaced", slot=self.number, pause_seconds=pause)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await stop.wait()

    async def _one_life(self, stop: asyncio.Event) -> None:
        read_fd, write_fd = os.pipe()
        os.set_blocking(read_fd, False)
        environment = {
            "TOLLWAY_CHILD": "1",
            "TOLLWAY_LISTEN_FD": f"{self._sock.fileno()},{write_fd}",
            "PROMETHEUS_MULTIPROC_DIR": self._metrics,
        }
        self.process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "tollway.dataplane.main",
            "serve",
            pass_fds=(self._sock.fileno(), write_fd),
            env=inherited() | environment,
        )
        os.close(write_fd)
        watch = asyncio.gather(self.process.wait(), self._watch(read_fd, self.process, stop))
        try:
            await watch
        finally:
            os.close(read_fd)
            self.ready = False
            self.beating.clear()
            multiprocess.mark_process_dead(self.process.pid, path=self._metrics)  # type: ignore[no-untyped-call]

    async def _watch(self, fd: int, process: asyncio.subprocess.Process, stop: asyncio.Event) -> None:
        """Reads the heartbeat; a process that misses it is killed, so that `run` replaces it."""
        loop = asyncio.get_running_loop()
        last = loop.time()
        patience = START_SECONDS
        while process.returncode is None:
            await asyncio.sleep(0.1)
            with contextlib.suppress(BlockingIOError):
                data = os.read(fd, 4096)
                if data:
                    self.ready = data.endswith(READY)
                    self.beating.set()
                    last, patience = loop.time(), HEARTBEAT_SECONDS
            if loop.time() - last > patience and not stop.is_set():
                _log.error("a data-plane process does not respond and is killed", slot=self.number, pid=process.pid)
                process.kill()
                await process.wait()

    async def end(self, seconds: float) -> None:
        """Asks the process to drain; kills it when it takes longer than it may."""
        process = self.process
        if process is None or process.returncode is not None:
            return
        with contextlib.suppress(ProcessLookupError):
            process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(seconds):
                await process.wait()
        except TimeoutError:
            _log.error("a data-plane process did not end in time and is killed", slot=self.number, pid=process.pid)
            process.kill()


async def serve_many(settings: Settings, stop: asyncio.Event) -> None:
    """A pod of several processes."""
    first = bind_socket(settings.bind, settings.port_proxy, share=True)
    port = first.getsockname()[1]
    sockets = [first, *(bind_socket(settings.bind, port, share=True) for _ in range(settings.processes - 1))]
    admin = bind_socket(settings.bind_internal or settings.bind, settings.port_admin, share=False)
    folder = metrics_dir(settings)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    child_settings = dataclasses.replace(settings, child=True)
    slots = [Slot(number, sock, child_settings, str(folder)) for number, sock in enumerate(sockets)]
    health = Health()
    for slot in slots:
        health.require(f"process {slot.number}", lambda slot=slot: None if slot.ready else "not ready")  # type: ignore[misc]
    tasks = Tasks()
    runs = [tasks.spawn(slot.run(stop), f"slot-{slot.number}") for slot in slots]
    runner = await serve_admin(health, admin, lambda: render(CollectorRegistry(), str(folder)))
    waiting = [tasks.spawn(slot.beating.wait(), "first-beat") for slot in slots]
    stopping = tasks.spawn(stop.wait(), "stop")
    await asyncio.wait([asyncio.gather(*waiting), stopping], return_when=asyncio.FIRST_COMPLETED)
    if not stop.is_set():
        announce({"proxy": port, "admin": admin.getsockname()[1]})
    await stop.wait()
    health.draining = True
    grace = settings.drain_delay_seconds + settings.drain_seconds + KILL_GRACE_SECONDS
    await asyncio.gather(*(slot.end(grace) for slot in slots))
    await asyncio.gather(*runs, return_exceptions=True)
    await runner.cleanup()
    await tasks.close()
