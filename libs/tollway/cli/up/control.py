"""`down` and `status`: from the data directory to the supervisor and its children."""

from __future__ import annotations

import contextlib
import os
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tollway.cli import envfile
from tollway.cli.up.failure import UpError
from tollway.cli.up.layout import Layout
from tollway.cli.up.lock import Lock
from tollway.cli.up.probe import accepts, http_get, problems, valkey_ready
from tollway.cli.up.processes import stop_leftovers
from tollway.cli.up.supervisor import STOP_ORDER

_PORT_OF = {"dataplane": "proxy", "controlplane": "control"}


def stop(layout: Layout, seconds: float, say: Callable[[str], None]) -> bool:
    """Stops everything and waits; False when nothing was running. Raises UpError when it is not done in time."""
    if not layout.run.is_dir():
        return False
    lock = Lock(layout.lock)
    holder = lock.holder()
    if holder is None:
        # A supervisor that was killed leaves no lock; its children may be there.
        if not lock.acquire():
            raise UpError(f"another `tollway up` is starting on {layout.root}")
        found = stop_leftovers(layout.run, STOP_ORDER)
        layout.state.unlink(missing_ok=True)
        lock.release()
        if found:
            say(f"stopped what an earlier run left behind: {', '.join(found)}")
        return bool(found)
    try:
        os.kill(holder, signal.SIGTERM)
    except PermissionError as error:
        raise UpError(f"Tollway on {layout.root} (pid {holder}) belongs to another user") from error
    except ProcessLookupError:
        say("it has just ended")
    deadline = time.monotonic() + seconds
    while lock.holder() is not None:
        if time.monotonic() > deadline:
            raise UpError(f"Tollway (pid {holder}) is still stopping after {seconds:.0f} s; see {layout.logs}")
        time.sleep(0.05)
    return True


@dataclass(frozen=True, kw_only=True)
class ProcessStatus:
    """One process as `status` shows it."""

    name: str
    pid: int | None
    health: str
    uptime_seconds: int | None
    restarts: int
    ports: str

    @property
    def ready(self) -> bool:
        """Whether it does its work."""
        return self.health == "ready"


@dataclass(frozen=True, kw_only=True)
class MachineStatus:
    """Everything that `status` shows."""

    running: bool
    ready: bool
    data: str
    version: str = ""
    config_version: int | None = None
    processes: tuple[ProcessStatus, ...] = ()


def status(layout: Layout) -> MachineStatus:
    """Asks each process how it is."""
    holder = Lock(layout.lock).holder() if layout.run.is_dir() else None
    state = layout.read_json(layout.state) if holder is not None else {}
    if not state:
        return MachineStatus(running=holder is not None, ready=False, data=str(layout.root))
    now = time.time()
    processes = tuple(_process(layout, state, entry, now) for entry in state["processes"])
    supervisor = ProcessStatus(
        name="supervisor",
        pid=holder,
        health="ready" if state["ready"] else "starting",
        uptime_seconds=int(now - state["started_at"]),
        restarts=0,
        ports="",
    )
    return MachineStatus(
        running=True,
        ready=all(process.ready for process in (supervisor, *processes)),
        data=str(layout.root),
        version=state["version"],
        config_version=_config_version(layout),
        processes=(supervisor, *processes),
    )


def _process(layout: Layout, state: Mapping[str, Any], entry: Mapping[str, Any], now: float) -> ProcessStatus:
    name, ports = entry["name"], state["ports"]
    shown = {
        "dataplane": f"{ports['proxy']} (proxy), {ports['admin']} (admin)",
        "controlplane": f"{ports['control']} (REST), {ports['grpc']} (gRPC), {ports['control_admin']} (admin)",
        "simulator": str(ports["simulator"]),
    }
    running = entry["pid"] is not None
    return ProcessStatus(
        name=name,
        pid=entry["pid"],
        health=_health(layout, state, name) if running else "restarting",
        uptime_seconds=int(now - entry["started_at"]) if running else None,
        restarts=entry["restarts"],
        ports=shown.get(name, "Unix socket"),
    )


def _health(layout: Layout, state: Mapping[str, Any], name: str) -> str:
    if name == "postgres":
        with contextlib.suppress(OSError, IndexError):
            return (layout.postgres / "postmaster.pid").read_text().splitlines()[7].strip()
        return "starting"
    if name == "valkey":
        return "ready" if valkey_ready(layout.socket_directory() / "valkey.sock") else "not ready"
    if name == "simulator":
        return "ready" if accepts("127.0.0.1", state["ports"]["simulator"]) else "not ready"
    code, body = http_get(state["host"], state["ports"][_PORT_OF[name]], "/readyz", tls=state["tls"])
    if code == 200:
        return "ready"
    return f"not ready: {problems(body) or (f'status {code}' if code else 'no answer')}"


def _config_version(layout: Layout) -> int | None:
    from tollway.sdk.client import Client
    from tollway.sdk.errors import TollwayError

    env = envfile.read(layout.env)
    with (
        contextlib.suppress(TollwayError, KeyError),
        Client(
            env["TOLLWAY_CONTROL_URL"],
            env["TOLLWAY_ADMIN_TOKEN"],
            timeout_seconds=5,
            ca_file=env.get("TOLLWAY_CA_FILE"),
        ) as client,
    ):
        return client.status().config_version
    return None
