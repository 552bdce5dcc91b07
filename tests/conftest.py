"""What every test tier shares: how a missing part is reported, and a whole gateway as a user starts it.

Nothing is skipped in silence. A test that needs something that is not here calls `not_run("what: why")`: the run prints
`NOT RUN`, and under CI=true, where everything must be there, the test fails instead.
"""

from __future__ import annotations

import asyncio
import fcntl
import inspect
import json
import os
import subprocess
import sys
import time
import urllib.request
import weakref
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import aiohttp
import pytest
from hypothesis import HealthCheck, settings

from tollway.testkit.machine import FREE_PORTS
from tollway.testkit.oidc_provider import OidcProvider
from tollway.testkit.servers import PostgresServer, ValkeyServer, postgres_server, valkey_server
from tollway.testkit.simulator import SimulatorServer

# The cores are shared: how long an example takes says nothing about what it tests.
settings.register_profile("shared", settings(), deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("shared")

NotRun = Callable[[str], NoReturn]
_STRICT = os.environ.get("CI", "").lower() in ("1", "true")


@pytest.fixture(scope="session")
def not_run() -> NotRun:
    """Ends the test with a reason: NOT RUN on a developer's machine, a failure in CI."""

    def end(reason: str) -> NoReturn:
        if _STRICT:
            pytest.fail(f"NOT RUN: {reason}", pytrace=False)
        raise pytest.skip.Exception(f"NOT RUN: {reason}")

    return end


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """One line for each part that was not run."""
    for report in terminalreporter.stats.get("skipped", []):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        terminalreporter.write_line(f"{reason.removeprefix('Skipped: ')} ({report.nodeid})", yellow=True)


@dataclass(frozen=True)
class OneMachine:
    """A whole gateway on this machine, as `tollway up` starts it."""

    folder: Path
    base_url: str
    anthropic_url: str
    key: str
    control_url: str
    admin_token: str

    def management(self, path: str) -> dict[str, Any]:
        """A GET on the management API, for example `/api/v1/usage?by=key`."""
        headers = {"Authorization": f"Bearer {self.admin_token}"}
        with urllib.request.urlopen(
            urllib.request.Request(self.control_url + path, headers=headers), timeout=30
        ) as answer:
            found: dict[str, Any] = json.load(answer)
            return found

    def usage(self, *, requests: int, by: str = "project", seconds: float = 15.0) -> dict[str, Any]:
        """The ledger's total once it holds at least `requests` requests (rows are shipped in batches)."""
        deadline = time.monotonic() + seconds
        while True:
            total: dict[str, Any] = self.management(f"/api/v1/usage?by={by}").get("total") or {}
            if int(total.get("requests", 0)) >= requests or time.monotonic() > deadline:
                return total
            time.sleep(0.1)


@pytest.fixture(scope="session")
def one_machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., OneMachine]]:
    """Starts whole gateways with the CLI, on free ports, and stops them when the run ends."""
    tollway = str(Path(sys.executable).parent / "tollway")
    started: list[Path] = []

    def start(configuration: dict[str, Any] | None = None, *, processes: int = 1) -> OneMachine:
        folder = tmp_path_factory.mktemp("machine")
        # The database's own user has to reach its folder, which the test runner makes private.
        for parent in (folder, *folder.parents[:2]):
            parent.chmod(0o755)
        command = [tollway, "up", "--detach", "--data", str(folder), "--processes", str(processes), *FREE_PORTS]
        if configuration is not None:
            (folder / "tollway.yaml").write_text(json.dumps({"version": 1, **configuration}))
            command += ["--config", str(folder / "tollway.yaml")]
        kept = {name: value for name, value in os.environ.items() if not name.endswith(("_API_KEY", "_TOKEN"))}
        done = subprocess.run(command, env=kept, capture_output=True, text=True, timeout=90, check=False)
        started.append(folder)
        assert done.returncode == 0, done.stdout + done.stderr
        lines = (line.split("=", 1) for line in (folder / "env").read_text().splitlines() if "=" in line)
        values = {name.removeprefix("TOLLWAY_").lower(): value for name, value in lines}
        names = ("base_url", "anthropic_url", "key", "control_url", "admin_token")
        return OneMachine(folder=folder, **{name: values[name] for name in names})

    yield start
    for folder in started:
        subprocess.run([tollway, "down", "--data", str(folder)], capture_output=True, timeout=60, check=False)


def _install_npm(folder: Path, not_run: NotRun) -> None:
    lock, installed = folder / "package-lock.json", folder / "node_modules" / ".package-lock.json"
    if installed.exists() and installed.stat().st_mtime >= lock.stat().st_mtime:
        return
    binaries = str(Path(sys.executable).parent)
    environment = {**os.environ, "PATH": f"{binaries}{os.pathsep}{os.environ.get('PATH', '')}"}
    command = [f"{binaries}/npm", "ci", "--no-audit", "--no-fund", "--ignore-scripts"]
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, timeout=100, check=False
    )
    if "network" in done.stderr:
        not_run("npm client: the npm registry does not answer")
    assert done.returncode == 0, done.stderr


@pytest.fixture(scope="session")
def npm_openai(not_run: NotRun) -> Path:
    """The folder of the npm client's scripts, with the client installed from its lock file."""
    folder = Path(__file__).parent / "clients"
    with (folder / "package.json").open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)  # several processes of one run would install into one folder
        _install_npm(folder, not_run)
    return folder


@pytest.fixture(scope="session")
def oidc(not_run: NotRun) -> Iterator[OidcProvider]:
    """A real OpenID provider for the run; a test makes issuers of its own in it."""
    folder = Path(__file__).parent / "oidc"
    with (folder / "package.json").open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        _install_npm(folder, not_run)
    provider = OidcProvider(str(Path(sys.executable).parent / "node"), folder)
    yield provider
    provider.stop()


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PostgresServer]:
    """One real Postgres for the run; a test takes a database of its own with `create_database()`."""
    server = postgres_server(tmp_path_factory.mktemp("postgres") / "data").start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def valkey(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ValkeyServer]:
    """One real Valkey for the run; `flush()` empties it."""
    server = valkey_server(tmp_path_factory.mktemp("valkey") / "data").start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def simulator_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SimulatorServer]:
    """One simulator for the run, as a process of its own."""
    server = SimulatorServer(tmp_path_factory.mktemp("simulator")).start()
    yield server
    server.stop()


@pytest.fixture
def simulator(simulator_server: SimulatorServer) -> SimulatorServer:
    """The run's simulator, with nothing counted and nothing set."""
    simulator_server.reset()
    return simulator_server


@pytest.fixture(autouse=True)
def nothing_left_behind(request: pytest.FixtureRequest) -> None:
    """Fails an asynchronous test that leaves a task running or a client session open."""
    if inspect.iscoroutinefunction(getattr(request.node, "function", None)):
        request.getfixturevalue("left_behind")


@pytest.fixture
async def left_behind(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    """Set up before a test's own fixtures and checked after them, so that they have had their time to clean up."""
    sessions: weakref.WeakSet[aiohttp.ClientSession] = weakref.WeakSet()
    original = aiohttp.ClientSession.__init__

    def init(session: aiohttp.ClientSession, *arguments: Any, **named: Any) -> None:
        original(session, *arguments, **named)
        sessions.add(session)

    monkeypatch.setattr(aiohttp.ClientSession, "__init__", init)
    before = asyncio.all_tasks()
    yield
    # What was just cancelled or closed gets its time to end.
    current = asyncio.current_task()
    tasks: list[str] = []
    for _turn in range(100):
        tasks = [task.get_name() for task in asyncio.all_tasks() - before if task is not current]
        if not tasks:
            break
        await asyncio.sleep(0.01)
    assert tasks == [], f"the test left tasks running: {tasks}"
    unclosed = [repr(session) for session in sessions if not session.closed]
    assert unclosed == [], f"the test left client sessions open: {unclosed}"
