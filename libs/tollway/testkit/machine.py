"""`tollway up` in a data directory of a test: run it, ask it, find what it left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tollway.cli import envfile

TOLLWAY = (sys.executable, "-m", "tollway.cli.main")
FREE_PORTS = tuple(
    part for name in ("proxy", "control", "grpc", "admin", "simulator") for part in (f"--port-{name}", "0")
)
SECONDS = 90


class Machine:
    """The data directory `data`. `environ` comes on top of an environment without provider keys and settings of ours.

    `prepare` runs in each child before it becomes `tollway`, for example to change its user.
    """

    def __init__(
        self, data: Path, environ: Mapping[str, str] | None = None, prepare: Callable[[], None] | None = None
    ) -> None:
        self.data = data
        ours = ("_API_KEY", "_TOKEN", "_BASE_URL")
        clean = {name: value for name, value in os.environ.items() if not name.endswith(ours)}
        clean = {name: value for name, value in clean.items() if not name.startswith("TOLLWAY_")}
        self.environ = {**clean, **(environ or {})}
        self._prepare = prepare

    def run(self, *arguments: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        """`tollway ARGUMENTS`, to its end."""
        return subprocess.run(
            [*TOLLWAY, *arguments],
            env=self.environ,
            input=stdin,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
            preexec_fn=self._prepare,
        )

    def up(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """`tollway up --detach` on free ports."""
        return self.run("up", "--detach", "--data", str(self.data), *FREE_PORTS, *arguments)

    def again(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """`tollway up --detach` with no ports given."""
        return self.run("up", "--detach", "--data", str(self.data), *arguments)

    def foreground(self, *arguments: str) -> subprocess.Popen[str]:
        """`tollway up`, running."""
        return subprocess.Popen(
            [*TOLLWAY, "up", "--data", str(self.data), *FREE_PORTS, *arguments],
            env=self.environ,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            preexec_fn=self._prepare,
        )

    def down(self) -> subprocess.CompletedProcess[str]:
        """`tollway down`."""
        return self.run("down", "--data", str(self.data))

    def status(self) -> dict[str, Any]:
        """`tollway status` as data, with `code`, its exit code."""
        done = self.run("status", "--data", str(self.data), "-o", "json")
        return {**json.loads(done.stdout or "{}"), "code": done.returncode}

    def env(self) -> dict[str, str]:
        """The lines of DIR/env."""
        return envfile.read(self.data / "env")

    def pid(self, name: str) -> int:
        """The pid of a child, from its pid file."""
        return int((self.data / "run" / f"{name}.pid").read_text().split()[0])

    def kill_supervisor(self) -> None:
        """SIGKILL."""
        os.kill(int((self.data / "run" / "lock").read_text()), signal.SIGKILL)

    def left(self) -> list[str]:
        """Command lines of running processes that belong to the data directory."""
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                command, environ = (folder / "cmdline").read_bytes(), (folder / "environ").read_bytes()
            except OSError:
                continue
            if str(self.data).encode() in command + environ and int(folder.name) != os.getpid():
                found.append(command.replace(b"\0", b" ").decode())
        return found

    def await_nothing_left(self, seconds: float = 15.0) -> None:
        """Waits until no process is left; fails with what is."""
        await_true(lambda: not self.left(), seconds, lambda: self.left())


def await_true(done: Callable[[], bool], seconds: float, shown: Callable[[], Any] = lambda: "not in time") -> None:
    """Waits for something to become true; fails with what `shown` returns."""
    deadline = time.monotonic() + seconds
    while not done():
        assert time.monotonic() < deadline, shown()
        time.sleep(0.05)


def one_line(text: str, *parts: str) -> None:
    """Asserts that `text` is one line that begins with `error: ` and has all `parts` in it."""
    lines: Sequence[str] = text.strip().splitlines()
    assert len(lines) == 1, text
    assert lines[0].startswith("error: "), text
    for part in parts:
        assert part in lines[0], text
