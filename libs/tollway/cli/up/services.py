"""The services as child processes: command and environment of each, with no more secrets than it needs."""

from __future__ import annotations

import sys
from collections.abc import Mapping

from tollway.cli.up.layout import Layout
from tollway.cli.up.options import reachable
from tollway.cli.up.processes import Child

DRAIN_SECONDS = 30
_PASSED = frozenset({
    "PATH", "HOME", "USER", "LOGNAME", "LANG", "TZ", "TMPDIR", "TEMP", "LD_LIBRARY_PATH", "VIRTUAL_ENV",
    "SSL_CERT_FILE", "SSL_CERT_DIR", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy",
})  # fmt: skip
_PASSED_PREFIXES = ("LC_", "OTEL_", "PYTHON", "TOLLWAY_")
_SECRET = frozenset({
    "TOLLWAY_DATABASE_URL", "TOLLWAY_REDIS_URL", "TOLLWAY_KEK", "TOLLWAY_FLEET_KEY", "TOLLWAY_JOIN_TOKEN",
    "TOLLWAY_ADMIN_TOKEN", "TOLLWAY_KEY",
})  # fmt: skip


def base_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """What every child gets of our environment: provider keys and secrets of ours stay behind."""
    passed = {
        name: value
        for name, value in environ.items()
        if name in _PASSED or (name.startswith(_PASSED_PREFIXES) and name not in _SECRET)
    }
    return passed | {"PYTHONUNBUFFERED": "1"}


def server_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """What the embedded servers get: nothing of ours, and no setting that libpq would take up."""
    return {name: value for name, value in base_environment(environ).items() if not name.startswith("TOLLWAY_")}


class Services:
    """Builds the children of one start. `shared` is the environment that all of them get."""

    def __init__(
        self,
        layout: Layout,
        shared: Mapping[str, str],
        secrets: Mapping[str, str],
        ports: Mapping[str, int],
        bind: str,
    ) -> None:
        self._layout = layout
        self._shared = {**shared, "TOLLWAY_BIND": bind, "TOLLWAY_BIND_INTERNAL": "127.0.0.1"}
        self._secrets = secrets
        self._ports = ports
        self._bind = bind

    def controlplane(self, database_url: str, verb: str = "serve") -> Child:
        """The control plane, or its migration."""
        environ = {
            **self._shared,
            **self._secret("TOLLWAY_KEK", "TOLLWAY_FLEET_KEY", "TOLLWAY_JOIN_TOKEN", "TOLLWAY_ADMIN_TOKEN"),
            "TOLLWAY_DATABASE_URL": database_url,
            "TOLLWAY_PORT_CONTROL": str(self._ports["control"]),
            "TOLLWAY_PORT_GRPC": str(self._ports["grpc"]),
            "TOLLWAY_PORT_ADMIN": str(self._ports["control_admin"]),
        }
        scheme = "https" if self._shared.get("TOLLWAY_TLS_CERT") else "http"
        environ.setdefault("TOLLWAY_GATEWAY_URL", f"{scheme}://{reachable(self._bind)}:{self._ports['proxy']}")
        name = "controlplane" if verb == "serve" else verb
        return self._child(name, "tollway.controlplane.main", verb, environ, 20)

    def dataplane(self, redis_url: str, processes: int) -> Child:
        """The data plane."""
        environ = {
            "TOLLWAY_DRAIN_SECONDS": str(DRAIN_SECONDS),
            **self._shared,
            **self._secret("TOLLWAY_FLEET_KEY", "TOLLWAY_JOIN_TOKEN"),
            "TOLLWAY_REDIS_URL": redis_url,
            "TOLLWAY_CONTROL_GRPC": f"{reachable(self._bind)}:{self._ports['grpc']}",
            "TOLLWAY_DATA_DIR": str(self._layout.dataplane),
            "TOLLWAY_PORT_PROXY": str(self._ports["proxy"]),
            "TOLLWAY_PORT_ADMIN": str(self._ports["admin"]),
            "TOLLWAY_PROCESSES": str(processes),
        }
        drain = environ["TOLLWAY_DRAIN_SECONDS"]
        return self._child(
            "dataplane", "tollway.dataplane.main", "serve", environ, int(drain) + 15 if drain.isdigit() else 60
        )

    def simulator(self) -> Child:
        """The simulator; always on loopback, always plain."""
        environ = {name: value for name, value in self._shared.items() if not name.startswith("TOLLWAY_TLS")}
        environ |= {"TOLLWAY_PORT_SIMULATOR": str(self._ports["simulator"]), "TOLLWAY_BIND": "127.0.0.1"}
        return self._child("simulator", "tollway.simulator.main", "serve", environ, 10)

    def _secret(self, *names: str) -> dict[str, str]:
        return {name: self._secrets[name] for name in names}

    def _child(self, name: str, module: str, verb: str, environ: Mapping[str, str], stop_seconds: float) -> Child:
        return Child(
            name=name,
            # -P: the working directory is never a place to import from.
            command=[sys.executable, "-P", "-m", module, verb],
            environ=environ,
            log=self._layout.logs / f"{name}.log",
            pid_file=self._layout.run / f"{name}.pid",
            stop_seconds=stop_seconds,
        )
