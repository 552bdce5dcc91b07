"""Child processes: start, watch, stop, and find those that a killed supervisor left behind."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tollway.cli.up.account import Account, in_child

LOG_BYTES = 10 << 20
LOGS_KEPT = 2
FULL = "No space left on device"


@dataclass(kw_only=True)
class Child:
    """A process that shall run. Its standard output and error go to `log`; its pid is in `pid_file` while it runs."""

    name: str
    command: Sequence[str]
    environ: Mapping[str, str] = field(repr=False)
    log: Path
    pid_file: Path
    stop_signal: signal.Signals = signal.SIGTERM
    stop_seconds: float = 15.0
    account: Account | None = None
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)
    started_at: float = 0.0
    restarts: int = 0
    retry_at: float = 0.0
    log_offset: int = 0

    def start(self) -> None:
        """Starts the process in a group of its own, so that Ctrl-C in a terminal reaches only the supervisor."""
        self.log_offset = self.log.stat().st_size if self.log.exists() else 0
        with self.log.open("ab") as log:
            self.log.chmod(0o600)
            self.process = subprocess.Popen(  # noqa: S603 - our own command
                list(self.command),
                env=dict(self.environ),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd="/",
                process_group=0,
                preexec_fn=in_child(self.account, self.stop_signal),  # safe: this process has one thread
            )
        self.started_at = time.time()
        remember(self.pid_file, self.process.pid, self.stop_signal)

    @property
    def pid(self) -> int | None:
        """The pid while it runs."""
        return self.process.pid if self.process is not None and self.process.poll() is None else None

    def exit_code(self) -> int | None:
        """How it ended, or None while it runs or before it was started."""
        return None if self.process is None else self.process.poll()

    def stop(self) -> None:
        """Asks it to end, waits, and ends it by force when it does not."""
        if self.process is None:
            return
        if self.process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                self.process.send_signal(self.stop_signal)
            try:
                self.process.wait(self.stop_seconds)
            except subprocess.TimeoutExpired:
                kill_group(self.process.pid)
                self.process.wait()
        self.pid_file.unlink(missing_ok=True)

    def reason(self) -> str:
        """Why it ended, from its log: one line."""
        code = self.exit_code()
        how = f"signal {-code}" if code is not None and code < 0 else f"exit code {code}"
        # Who is killed says nothing: its last line would mislead.
        line = complaint(self.log, self.log_offset, only_marked=code is not None and code < 0)
        return f"{self.name} ended with {how}" + (f": {line}" if line else "") + f" (log: {self.log})"

    def rotate(self) -> None:
        """Keeps the log bounded: copied and cut, because the process holds it open (it appends)."""
        if not self.log.exists() or self.log.stat().st_size < LOG_BYTES:
            return
        for number in range(LOGS_KEPT - 1, 0, -1):
            older = self.log.with_suffix(f".log.{number}")
            if older.exists():
                older.replace(self.log.with_suffix(f".log.{number + 1}"))
        kept = self.log.with_suffix(".log.1")
        with self.log.open("rb") as source, kept.open("wb") as copy:
            kept.chmod(0o600)
            copy.write(source.read(2 * LOG_BYTES))
        os.truncate(self.log, 0)
        self.log_offset = 0


def complaint(log: Path, offset: int, *, only_marked: bool = False) -> str:
    """The most telling line that was written to the log after `offset`, else its last one; empty when there is none.

    `only_marked` leaves out a last line that does not look like a complaint.
    """
    if not log.exists():
        return ""
    with log.open("rb") as file:
        file.seek(max(offset, log.stat().st_size - 65536))
        lines = [line.strip() for line in file.read().decode(errors="replace").splitlines() if line.strip()]
    for mark in (FULL, "error:", "FATAL:", "Fatal error", "ERROR:", "Error:"):
        for line in reversed(lines):
            if mark in line:
                return line[-400:] if mark != FULL else f"the disk is full ({line[-200:]})"
    return lines[-1][-400:] if lines and not only_marked else ""


def remember(pid_file: Path, pid: int, stop_signal: signal.Signals) -> None:
    """Writes the pid with the process's time of birth, so that another one with this pid is not mistaken for it."""
    pid_file.write_text(f"{pid} {int(stop_signal)} {born(pid)}\n")


def born(pid: int) -> str:
    """A text that is the same for the whole life of a process and differs for the next one with this pid."""
    platform: str = sys.platform
    if platform == "linux":
        try:
            # proc(5): field 22, counted after the name in parentheses, which may contain anything.
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            return ""
        return "" if fields[0] in ("Z", "X") else fields[19]
    shown = subprocess.run(["ps", "-o", "lstart=", "-p", str(pid)], check=False, capture_output=True, text=True)  # noqa: S603, S607
    return "-".join(shown.stdout.split())


def kill_group(pid: int) -> None:
    """SIGKILL to a child and all that it started."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def stop_leftovers(run: Path, names: Sequence[str], wait_seconds: float = 20.0) -> list[str]:
    """Stops what a killed supervisor left running, in the order of `names`; returns the names of those found."""
    found = []
    for name in names:
        pid_file = run / f"{name}.pid"
        try:
            pid_text, signal_text, birth = pid_file.read_text().split()
        except (OSError, ValueError):
            pid_file.unlink(missing_ok=True)
            continue
        pid = int(pid_text)
        if birth == born(pid):
            found.append(name)
            _end(pid, signal.Signals(int(signal_text)), birth, wait_seconds)
        pid_file.unlink(missing_ok=True)
    return found


def _end(pid: int, stop_signal: signal.Signals, birth: str, wait_seconds: float) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, stop_signal)
    deadline = time.monotonic() + wait_seconds
    while born(pid) == birth:
        if time.monotonic() > deadline:
            kill_group(pid)
            deadline += wait_seconds
        time.sleep(0.02)
