"""The order of a start: check everything, start what can start side by side, configure, print, watch, stop."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tollway.cli import envfile
from tollway.cli.up import configure, preflight
from tollway.cli.up.certificate import self_signed
from tollway.cli.up.discovered import discover
from tollway.cli.up.failure import UpError
from tollway.cli.up.layout import Layout, product_version
from tollway.cli.up.lock import Lock
from tollway.cli.up.options import UpOptions, reachable
from tollway.cli.up.postgres import EmbeddedPostgres
from tollway.cli.up.probe import accepts, choose_ports, http_get, http_status, problems
from tollway.cli.up.processes import stop_leftovers
from tollway.cli.up.services import Services, base_environment, server_environment
from tollway.cli.up.supervisor import STOP_ORDER, Stopped, Supervisor
from tollway.cli.up.valkey import EmbeddedValkey

READY_SECONDS = 60.0
KEY_SECONDS = 10.0
Announce = Callable[[dict[str, str], list[str], float], None]
"""Takes the lines of DIR/env, the notes and the seconds that the start took, when everything is ready."""


class Start:
    """One run of `tollway up` in this process."""

    def __init__(
        self, options: UpOptions, environ: Mapping[str, str], announce: Announce, say: Callable[[str], None]
    ) -> None:
        self._options = options
        self._environ = dict(environ)
        self._announce = announce
        self._say = say
        self._layout = Layout(options.data)
        self._lock = Lock(self._layout.lock)
        self._began = time.monotonic()
        self._started_at = time.time()
        self._notes: list[str] = []
        self._ready = False
        self._tls: dict[str, str] = {}
        self._ports: dict[str, int] = {}
        self._settings: dict[str, Any] = {}
        self._env: dict[str, str] = {}
        self._supervisor = Supervisor(self._layout.logs, self._layout.run, self._write_state, say)

    def run(self) -> None:
        """Runs until a signal asks for the end. Raises UpError when it cannot start; then nothing is left running."""
        options = self._options
        preflight.check_exposure(options, self._environ)
        self._layout.check_version()
        preflight.check_space(self._layout.root)
        self._refuse_running()
        self._layout.create()
        if not self._lock.acquire():
            self._refuse_running()
            raise UpError(f"another `tollway up` is starting on {self._layout.root}")
        with self._supervisor.signals():
            try:
                self._prepare()
                self._bring_up()
                self._supervisor.keep_running()
            except Stopped:
                raise UpError("stopped before everything was ready") from None
            finally:
                self._ready = False
                self._supervisor.stop_all()
                self._layout.state.unlink(missing_ok=True)
                self._lock.release()

    def _refuse_running(self) -> None:
        if (holder := self._lock.holder()) is not None:
            raise UpError(
                f"Tollway is already running on {self._layout.root} (pid {holder}); stop it with `tollway down`"
            )

    def _prepare(self) -> None:
        """Everything that can fail before a process is started."""
        layout, options = self._layout, self._options
        if found := stop_leftovers(layout.run, STOP_ORDER):
            self._say(f"stopped what an earlier run left behind: {', '.join(found)}")
        self._settings = layout.read_json(layout.settings)
        kept = {str(name): int(port) for name, port in self._settings.get("ports", {}).items()}
        self._ports = choose_ports(options.ports, kept, options.bind)
        self._simulator_url = f"http://127.0.0.1:{self._ports['simulator']}/v1"
        self._wanted, self._with_simulator = self._decide()
        self._set_tls()
        self._secrets = layout.own_secrets(self._environ)
        self._layout.write_json(layout.settings, self._settings | {"ports": self._ports})

    def _decide(self) -> tuple[configure.Wanted | None, bool]:
        """What to apply, and whether our simulator is needed for it."""
        options, asked = self._options, self._options.simulator
        if options.config is not None:
            environ = {"TOLLWAY_SIMULATOR_URL": self._simulator_url, **self._environ}
            text_mentions = "TOLLWAY_SIMULATOR_URL" in self._text(options.config)
            document = preflight.load_configuration(options.config, environ)
            needed = configure.with_simulator(document, self._simulator_url) or text_mentions
            self._settings |= {"configured": "file", "simulator": needed}
            notes = [f"configuration: {options.config}"]
            return configure.Wanted(document, configure.FILE_SET, notes), needed if asked is None else asked
        if self._settings.get("configured") == "file":
            needed = bool(self._settings.get("simulator"))
            return None, needed if asked is None else asked
        found = discover(self._environ, self._ports, self._simulator_url)
        if found.simulated and asked is False:
            raise UpError(
                "--no-simulator leaves no model: set a provider key such as OPENAI_API_KEY, or use --config FILE"
            )
        return configure.from_environment(found), found.simulated if asked is None else asked

    def _text(self, path: Path) -> str:
        try:
            return path.read_text(errors="replace")
        except OSError as error:
            raise UpError(f"{path}: {(error.strerror or 'cannot be read').lower()}") from error

    def _set_tls(self) -> None:
        if self._options.insecure_http:
            return
        if certificate := self._environ.get("TOLLWAY_TLS_CERT"):
            paths = (Path(certificate), Path(self._environ["TOLLWAY_TLS_KEY"]))
        elif self._options.self_signed:
            paths = self_signed(self._layout.tls, self._options.bind)
        else:
            return
        names = ("TOLLWAY_TLS_CERT", "TOLLWAY_TLS_KEY")
        self._tls = {name: os.path.abspath(path) for name, path in zip(names, paths, strict=True)}

    def _bring_up(self) -> None:
        layout, supervisor = self._layout, self._supervisor
        shared = base_environment(self._environ)
        for name in ("TOLLWAY_TLS_CERT", "TOLLWAY_TLS_KEY"):
            shared.pop(name, None)
        services = Services(layout, shared | self._tls, self._secrets, self._ports, self._options.bind)
        sockets, servers = layout.socket_directory(), server_environment(self._environ)
        valkey = None if self._environ.get("TOLLWAY_REDIS_URL") else EmbeddedValkey(layout, sockets, servers)
        postgres = None if self._environ.get("TOLLWAY_DATABASE_URL") else EmbeddedPostgres(layout, sockets, servers)
        if valkey:
            valkey.prepare()
            supervisor.start(valkey.child)
        if self._with_simulator:
            supervisor.start(services.simulator())
        if postgres:
            postgres.prepare(supervisor.step)
            supervisor.start(postgres.child)
            supervisor.wait("postgres", postgres.ready, READY_SECONDS)
            postgres.create_database(supervisor.step)
        database_url = postgres.url if postgres else self._environ["TOLLWAY_DATABASE_URL"]
        migration = services.controlplane(database_url, "migrate")
        supervisor.step("migrate", migration.command, None, dict(migration.environ))
        supervisor.start(services.controlplane(database_url))
        if valkey:
            supervisor.wait("valkey", valkey.ready, READY_SECONDS)
        redis_url = valkey.url if valkey else self._environ["TOLLWAY_REDIS_URL"]
        supervisor.start(services.dataplane(redis_url, self._processes()))
        self._configure(database_url)

    def _processes(self) -> int:
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        return self._options.processes or min(4, cores)

    def _configure(self, database_url: str) -> None:
        """Waits for the services, applies the configuration, writes DIR/env, announces."""
        from tollway.sdk.client import Client
        from tollway.sdk.errors import TollwayError

        supervisor, token = self._supervisor, self._secrets["TOLLWAY_ADMIN_TOKEN"]
        self._wait_ready("controlplane", "control")
        if self._with_simulator:
            supervisor.wait("simulator", lambda: accepts("127.0.0.1", self._ports["simulator"]), READY_SECONDS)
        try:
            with Client(self._url("control"), token, ca_file=self._tls.get("TOLLWAY_TLS_CERT")) as client:
                key = self._apply(client, database_url)
        except TollwayError as error:
            raise UpError(f"the control plane could not be configured: {error}") from error
        self._wait_ready("dataplane", "proxy")
        self._env = self._lines(key)
        envfile.write_private(self._layout.env, envfile.render(self._env))
        self._layout.write_json(self._layout.settings, self._settings | {"ports": self._ports})
        if key:
            self._await_key(key)
        self._ready = True
        self._write_state()
        self._announce(self._env, self._notes, time.monotonic() - self._began)

    def _apply(self, client: Any, database_url: str) -> str:
        wanted, layout = self._wanted, self._layout
        before = envfile.read(layout.env).get("TOLLWAY_KEY", "")
        if wanted is None:
            return before
        self._notes += wanted.notes
        digest = wanted.digest(self._secrets["TOLLWAY_ADMIN_TOKEN"], database_url)
        automatic = wanted.set_name == configure.AUTOMATIC_SET
        if not automatic or self._settings.get("applied") != digest:
            self._notes += configure.apply(client, wanted, layout, verify=self._options.verify)
            self._settings["applied"] = digest
        found = configure.first_key(wanted.configuration)
        if found is None:
            self._notes.append("the configuration has no key: make one with `tollway keys create`")
            return ""
        project, name, value = found
        return value or configure.secret_of(client, layout, project, name)

    def _wait_ready(self, name: str, port: str) -> None:
        host, number, tls = reachable(self._options.bind), self._ports[port], bool(self._tls)
        answer = [0, ""]

        def ready() -> bool:
            answer[:] = http_get(host, number, "/readyz", tls=tls)
            return answer[0] == 200

        self._supervisor.wait(name, ready, READY_SECONDS, lambda: problems(str(answer[1])))

    def _await_key(self, key: str) -> None:
        """Waits until the data plane knows the key, so that the printed line works."""
        host, deadline = reachable(self._options.bind), time.monotonic() + KEY_SECONDS
        status = 0

        def known() -> bool:
            nonlocal status
            status = http_status(host, self._ports["proxy"], "/v1/models", tls=bool(self._tls), token=key)
            return status == 200 or time.monotonic() > deadline

        self._supervisor.wait("dataplane", known, KEY_SECONDS + 5)
        if status != 200:
            self._say(f"note: the data plane does not accept TOLLWAY_KEY (status {status}); was it revoked?")

    def _url(self, port: str) -> str:
        return f"{'https' if self._tls else 'http'}://{reachable(self._options.bind)}:{self._ports[port]}"

    def _lines(self, key: str) -> dict[str, str]:
        lines = {
            "TOLLWAY_BASE_URL": self._url("proxy") + "/v1",
            "TOLLWAY_ANTHROPIC_URL": self._url("proxy"),
            "TOLLWAY_KEY": key,
            "TOLLWAY_CONTROL_URL": self._url("control"),
            "TOLLWAY_GRPC": f"{reachable(self._options.bind)}:{self._ports['grpc']}",
            "TOLLWAY_ADMIN_TOKEN": self._secrets["TOLLWAY_ADMIN_TOKEN"],
        }
        if self._tls and self._options.self_signed:
            lines["TOLLWAY_CA_FILE"] = self._tls["TOLLWAY_TLS_CERT"]
        return lines

    def _write_state(self) -> None:
        children = self._supervisor.children.values()
        self._layout.write_json(
            self._layout.state,
            {
                "pid": os.getpid(),
                "version": product_version(),
                "ready": self._ready,
                "started_at": self._started_at,
                "host": reachable(self._options.bind),
                "tls": bool(self._tls),
                "ports": self._ports,
                "processes": [
                    {"name": c.name, "pid": c.pid, "started_at": c.started_at, "restarts": c.restarts} for c in children
                ],
            },
        )
