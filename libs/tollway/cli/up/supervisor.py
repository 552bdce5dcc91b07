"""Keeps the children of one data directory running, and stops them in order.

Single-threaded: it starts processes with preparation between fork and exec, and the death signal of a child belongs to
the thread that forked it. It never restarts a child while another one is being stopped.
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import FrameType

from tollway.cli.up.account import Account, in_child
from tollway.cli.up.failure import UpError
from tollway.cli.up.processes import Child, complaint

STOP_ORDER = ("dataplane", "controlplane", "simulator", "valkey", "postgres")
BACKOFF_SECONDS = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0)
STEADY_SECONDS = 30.0
TICK_SECONDS = 1.0
STARTING_TICK_SECONDS = 0.02


class Stopped(Exception):
    """A signal asked for the end during the start."""


class Supervisor:
    """The children, by name. `changed` is called whenever a pid changes; `say` takes lines for the operator."""

    def __init__(self, logs: Path, run: Path, changed: Callable[[], None], say: Callable[[str], None]) -> None:
        self.children: dict[str, Child] = {}
        self._logs = logs
        self._run = run
        self._changed = changed
        self._say = say
        self._stop_asked = False
        self._starting = True
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_read, False)
        os.set_blocking(self._wake_write, False)

    @contextlib.contextmanager
    def signals(self) -> Iterator[None]:
        """Takes over SIGTERM, SIGINT, SIGHUP and SIGCHLD."""
        numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
        former = {number: signal.signal(number, self._asked) for number in numbers}
        former[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
        wakeup = signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)
        try:
            yield
        finally:
            signal.set_wakeup_fd(wakeup)
            for number, handler in former.items():
                signal.signal(number, handler)

    def _asked(self, _number: int, _frame: FrameType | None) -> None:
        first, self._stop_asked = not self._stop_asked, True
        if first and self._starting:
            raise Stopped

    def start(self, child: Child) -> None:
        """Starts a child and keeps it from now on."""
        self.children[child.name] = child
        try:
            child.start()
        except OSError as error:
            raise UpError(f"{child.name} cannot be started: {error.strerror} ({error.filename})") from error
        self._changed()

    def wait(self, name: str, ready: Callable[[], bool], seconds: float, why: Callable[[], str] = lambda: "") -> None:
        """Waits until `ready`; raises UpError when any child ends before, or when it takes too long."""
        deadline = time.monotonic() + seconds
        while True:
            for child in self.children.values():
                if child.exit_code() is not None:
                    raise UpError(child.reason())
            if ready():
                return
            if time.monotonic() > deadline:
                child = self.children[name]
                detail = why() or complaint(child.log, child.log_offset)
                raise UpError(f"{name} is not ready after {seconds:.0f} s: {detail} (log: {child.log})")
            self._pause(STARTING_TICK_SECONDS)

    def step(
        self, name: str, command: Sequence[str], account: Account | None = None, environ: dict[str, str] | None = None
    ) -> None:
        """Runs a command to its end; the children must live meanwhile. Raises UpError with its complaint."""
        log = self._logs / f"{name}.log"
        offset = log.stat().st_size if log.exists() else 0
        with log.open("ab") as file:
            log.chmod(0o600)
            process = subprocess.Popen(  # noqa: S603 - our own command
                list(command),
                env=environ if environ is not None else {"PATH": os.defpath, "LANG": "C"},
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=file,
                cwd="/",
                process_group=0,
                preexec_fn=in_child(account, signal.SIGTERM),
            )
        try:
            while process.poll() is None:
                self._pause(STARTING_TICK_SECONDS)
        finally:
            if process.poll() is None:
                process.terminate()
                process.wait()
        if process.returncode != 0:
            line = complaint(log, offset).removeprefix("error: ")
            raise UpError(f"{name} failed: {line or f'exit code {process.returncode}'} (log: {log})")

    def keep_running(self) -> None:
        """Restarts children that end, with growing pauses, until a signal asks for the end."""
        self._starting = False
        while not self._stop_asked:
            now = time.monotonic()
            for child in self.children.values():
                self._tend(child, now)
            due = [child.retry_at - now for child in self.children.values() if child.retry_at]
            self._pause(max(0.01, min([TICK_SECONDS, *due])))

    def _tend(self, child: Child, now: float) -> None:
        with contextlib.suppress(OSError):
            child.rotate()
        if child.exit_code() is None:
            return
        if not child.retry_at:
            steady = time.time() - child.started_at > STEADY_SECONDS
            child.restarts = 0 if steady else child.restarts
            pause = BACKOFF_SECONDS[min(child.restarts, len(BACKOFF_SECONDS) - 1)]
            child.retry_at = now + pause
            self._say(f"{child.reason()}; starting it again in {pause:g} s")
            self._changed()
        elif now >= child.retry_at:
            child.retry_at, child.restarts = 0.0, child.restarts + 1
            try:
                child.start()
            except OSError as error:
                self._say(f"{child.name} cannot be started: {error.strerror}")
            self._changed()

    def stop_all(self) -> None:
        """Stops everything, each one before those that it needs."""
        self._starting = False
        for name in STOP_ORDER:
            if child := self.children.get(name):
                child.stop()

    def _pause(self, seconds: float) -> None:
        select.select([self._wake_read], [], [], seconds)
        with contextlib.suppress(BlockingIOError):
            os.read(self._wake_read, 512)


def say_to_stderr(line: str) -> None:
    """A line for the operator."""
    with contextlib.suppress(OSError, ValueError):
        print(line, file=sys.stderr, flush=True)
