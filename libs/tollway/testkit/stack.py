"""A whole gateway out of real processes, whose parts a test can kill, stop and bring back one by one.

Unlike `tollway up`, nothing here restarts what died: a test says when.
"""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg

from tollway.testkit.servers import PostgresServer, ValkeyServer, lasting_port

START_SECONDS = 30.0
SIMULATED = "sim/chat"


def _port(name: str, value: str) -> str:
    """A setting; a port that may be any becomes one that stays free for a restart."""
    return str(lasting_port()) if name.startswith("TOLLWAY_PORT_") and value == "0" else value


class Service:
    """One process of ours. `ports` are those that it announced; `log` is its stderr."""

    def __init__(self, name: str, arguments: list[str], environment: dict[str, str], folder: Path) -> None:
        self.name = name
        self._command = [sys.executable, "-m", *arguments]
        self._environment = environment
        self.log = folder / f"{name}.log"
        self.ports: dict[str, int] = {}
        self.process: subprocess.Popen[str] | None = None

    def start(self, *, wait: bool = True) -> Service:
        """Starts the process and waits until it announces its ports; later starts keep them."""
        environment = {name: _port(name, value) for name, value in self._environment.items()}
        for port, number in self.ports.items():
            environment[f"TOLLWAY_PORT_{port.upper()}"] = str(number)
        with self.log.open("a") as log:
            self.process = subprocess.Popen(
                self._command,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                start_new_session=True,
            )
        if wait:
            self.wait_listening()
        return self

    def wait_listening(self) -> None:
        """Waits for the line on stdout. Fails with the log's end when it does not come."""
        process = self.process
        assert process is not None
        assert process.stdout is not None
        timer = threading.Timer(START_SECONDS, process.kill)
        timer.start()
        try:
            for line in process.stdout:
                if line.startswith("listening "):
                    self.ports = json.loads(line.removeprefix("listening "))
                    return
        finally:
            timer.cancel()
        raise AssertionError(f"{self.name} did not start:\n{self.tail()}")

    def tail(self, size: int = 4000) -> str:
        """The end of its log."""
        return self.log.read_text()[-size:]

    @property
    def pid(self) -> int:
        """Process id of the running process."""
        assert self.process is not None
        return self.process.pid

    def send(self, number: signal.Signals) -> None:
        """Sends a signal to the process alone."""
        os.kill(self.pid, number)

    def kill(self) -> None:
        """SIGKILL to the process and its children."""
        if self.process is not None and self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
        self._reap()

    def stop(self, seconds: float = 20) -> int:
        """SIGTERM, then waits; returns the exit code."""
        assert self.process is not None
        if self.process.poll() is None:
            self.process.terminate()
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()
            raise AssertionError(f"{self.name} did not stop within {seconds} s:\n{self.tail()}") from None
        return self._reap()

    def _reap(self) -> int:
        if self.process is None:
            return 0
        code = self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()
        return code


def http(
    method: str,
    url: str,
    *,
    token: str = "",
    body: Any = None,
    headers: dict[str, str] | None = None,
    seconds: float = 30,
) -> tuple[int, dict[str, str], Any]:
    """One HTTP call: status, headers in lower case, and the JSON of the answer (or its text)."""
    data = json.dumps(body).encode() if body is not None and not isinstance(body, bytes) else body
    head = {"Content-Type": "application/json", **(headers or {})}
    if token:
        head["Authorization"] = f"Bearer {token}"
    request = urllib.request.Request(url, data, head, method=method)
    try:
        with urllib.request.urlopen(request, timeout=seconds) as answer:
            status, raw, found = answer.status, answer.read(), answer.headers
    except urllib.error.HTTPError as error:
        status, raw, found = error.code, error.read(), error.headers
        error.close()
    try:
        shown = json.loads(raw) if raw else None
    except ValueError:
        shown = raw.decode("utf-8", "replace")
    return status, {name.lower(): value for name, value in found.items()}, shown


def until(check: Callable[[], Any], seconds: float = 10.0, what: str = "the condition") -> Any:
    """Polls `check` until it is true and returns its value; fails after `seconds`."""
    deadline = time.monotonic() + seconds
    while True:
        value = check()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} did not come true within {seconds} s (last: {value!r})")
        time.sleep(0.02)


class Stack:
    """Postgres, Valkey, simulator, control plane and any number of data planes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.postgres = PostgresServer(folder / "postgres")
        self.valkey = ValkeyServer(folder / "valkey")
        self.admin_token = secrets.token_urlsafe(24)
        self.join_token = secrets.token_urlsafe(24)
        self.kek, self.fleet_key = secrets.token_hex(32), secrets.token_hex(32)
        self.simulator: Service
        self.control: Service
        self.controls: list[Service] = []
        self.dataplanes: list[Service] = []
        self.log_level = "info"
        self.control_settings: dict[str, str] = {}
        """Further variables of the control plane, for `start`."""

    def start(self, dataplanes: int = 1, *, processes: int = 1) -> Stack:
        """Brings everything up with the simulator as provider `sim`, its model `sim/chat` and a project `demo`."""
        self.postgres.start()
        self.valkey.start()
        plain = {name: value for name, value in os.environ.items() if not name.startswith("TOLLWAY_")}
        self.environment = {**plain, "TOLLWAY_LOG_LEVEL": self.log_level, "TOLLWAY_BIND": "127.0.0.1"}
        self.simulator = Service(
            "simulator",
            ["tollway.simulator.main", "serve"],
            {**self.environment, "TOLLWAY_PORT_SIMULATOR": "0"},
            self.folder,
        ).start()
        control_environment = {
            **self.environment,
            "TOLLWAY_DATABASE_URL": self.postgres.url,
            "TOLLWAY_KEK": self.kek,
            "TOLLWAY_FLEET_KEY": self.fleet_key,
            "TOLLWAY_JOIN_TOKEN": self.join_token,
            "TOLLWAY_ADMIN_TOKEN": self.admin_token,
            "TOLLWAY_DATA_DIR": str(self.folder / "control"),
            "TOLLWAY_PORT_CONTROL": "0",
            "TOLLWAY_PORT_GRPC": "0",
            "TOLLWAY_PORT_ADMIN": "0",
            **self.control_settings,
        }
        migrated = subprocess.run(
            [sys.executable, "-m", "tollway.controlplane.main", "migrate"],
            env=control_environment, capture_output=True, text=True, timeout=60, check=False,
        )  # fmt: skip
        assert migrated.returncode == 0, migrated.stderr
        self._control_environment = control_environment
        self.control = self.add_control()
        self.key = self.apply(self.demo())[0]["secret"]
        for _ in range(dataplanes):
            self.add_dataplane(processes=processes)
        return self

    def add_control(self) -> Service:
        """A further control plane on the same database, once it listens; `control` is the first."""
        name = f"control-{len(self.controls)}" if self.controls else "control"
        made = Service(name, ["tollway.controlplane.main", "serve"], self._control_environment, self.folder).start()
        self.controls.append(made)
        return made

    def demo(self) -> dict[str, Any]:
        """The configuration that `start` applies."""
        url = f"http://127.0.0.1:{self.simulator.ports['simulator']}/v1"
        return {
            "providers": [
                {
                    "name": "sim",
                    "kind": "simulator",
                    "base_url": url,
                    "credentials": [{"name": "main", "api_key": "sk-sim"}],
                }
            ],
            "models": [
                {
                    "name": SIMULATED,
                    "targets": [{"provider": "sim", "model": "sim-fast"}],
                    "price": {"input": "1", "output": "2"},
                }
            ],
            "projects": [{"name": "demo", "keys": [{"name": "demo-key"}]}],
        }

    def add_dataplane(
        self, *, processes: int = 1, data: str | None = None, ready_seconds: float = 15, **more: str
    ) -> Service:
        """A further data plane, once it is ready; `data` names its data folder, so that a successor can take over
        another's.
        """
        name = f"dataplane-{len(self.dataplanes)}"
        environment = {
            **self.environment,
            "TOLLWAY_REDIS_URL": self.valkey.url,
            "TOLLWAY_CONTROL_GRPC": f"127.0.0.1:{self.control.ports['grpc']}",
            "TOLLWAY_FLEET_KEY": self.fleet_key,
            "TOLLWAY_JOIN_TOKEN": self.join_token,
            "TOLLWAY_DATA_DIR": str(self.folder / (data or name)),
            "TOLLWAY_PORT_PROXY": "0",
            "TOLLWAY_PORT_ADMIN": "0",
            "TOLLWAY_PROCESSES": str(processes),
            "TOLLWAY_DRAIN_SECONDS": "20",
            **more,
        }
        service = Service(name, ["tollway.dataplane.main", "serve"], environment, self.folder).start()
        self.dataplanes.append(service)
        until(lambda: self.ready(service), ready_seconds, f"readiness of {name}")
        return service

    def ready(self, service: Service) -> bool:
        """Whether a data plane says that it is ready."""
        try:
            return http("GET", f"http://127.0.0.1:{service.ports['admin']}/readyz", seconds=2)[0] == 200
        except OSError:
            return False

    def base_url(self, number: int = 0) -> str:
        """What an OpenAI client takes as base URL."""
        return f"http://127.0.0.1:{self.dataplanes[number].ports['proxy']}/v1"

    def api(self, method: str, path: str, body: Any = None, *, expect: int | None = 200) -> Any:
        """One call of the management API as the administrator."""
        url = f"http://127.0.0.1:{self.control.ports['control']}/api/v1/{path}"
        status, _headers, found = http(method, url, token=self.admin_token, body=body)
        assert expect is None or status == expect, (status, found)
        return found

    def apply(self, configuration: dict[str, Any], **options: Any) -> list[dict[str, str]]:
        """Applies a configuration document; returns the generated keys."""
        found = self.api("POST", "configuration:apply", {"configuration": configuration, **options})
        generated: list[dict[str, str]] = found["generated_keys"]
        return generated

    def create_key(self, name: str, **fields: Any) -> tuple[str, str]:
        """A key of project `demo`: its id and its secret."""
        made = self.api("POST", "keys", {"project": "demo", "name": name, **fields})
        return made["key"]["id"], made["secret"]

    def simulate(self, method: str, path: str, body: Any = None) -> Any:
        """One call of the simulator's control port."""
        status, _headers, found = http(
            method, f"http://127.0.0.1:{self.simulator.ports['simulator']}/control/{path}", body=body
        )
        assert status == 200, found
        return found

    def chat(self, *, key: str | None = None, number: int = 0, **fields: Any) -> tuple[int, dict[str, str], Any]:
        """One unstreamed chat request, or whatever `fields` make of it."""
        body = {"model": SIMULATED, "messages": [{"role": "user", "content": "Hello"}], **fields}
        return http("POST", f"{self.base_url(number)}/chat/completions", token=key or self.key, body=body)

    def sql(self, query: str) -> list[tuple[Any, ...]]:
        """The rows of a query on the database."""
        with psycopg.connect(self.postgres.url, autocommit=True) as connection:
            return connection.execute(query.encode()).fetchall()

    def stop(self) -> None:
        """Ends everything, in order; a part that a test killed stays dead."""
        for service in (*self.dataplanes, *self.controls, getattr(self, "simulator", None)):
            if service is not None:
                service.kill()
        self.valkey.stop()
        self.postgres.stop()
