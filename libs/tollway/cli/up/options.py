"""What `tollway up` was asked for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

PORTS = {"proxy": 8080, "control": 8081, "grpc": 8082, "admin": 9090, "control_admin": 9091, "simulator": 8089}
"""Name -> default. `control_admin` is the control plane's admin port."""
FLAGS = {
    "proxy": "--port-proxy",
    "control": "--port-control",
    "grpc": "--port-grpc",
    "admin": "--port-admin",
    "control_admin": "--port-admin",
    "simulator": "--port-simulator",
}
LOOPBACK = ("127.0.0.1", "::1", "localhost")


@dataclass(frozen=True, kw_only=True)
class UpOptions:
    """Options of one start. `ports` holds only those that were given; 0 picks a free one."""

    data: Path
    ports: dict[str, int]
    config: Path | None = None
    processes: int | None = None
    bind: str = "127.0.0.1"
    insecure_http: bool = False
    self_signed: bool = False
    simulator: bool | None = None
    verify: bool = True

    @property
    def exposed(self) -> bool:
        """Whether other machines can connect."""
        return self.bind not in LOOPBACK


def reachable(bind: str) -> str:
    """The host under which this machine reaches what listens on `bind`, ready for a URL."""
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(bind, bind)  # noqa: S104 - a comparison, not a bind
    return f"[{host}]" if ":" in host else host
