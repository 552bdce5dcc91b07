"""The data directory: what lies where, with which mode, and what is generated once.

env          what clients and the command line need (0600)
keys.json    secrets of generated virtual keys, "<project>/<key>" -> secret (0600)
secrets      key-encryption key, fleet key, join token, administrator's token (0600)
settings     ports and origin of the configuration, as JSON
version      format and product version that wrote the directory
postgres/ valkey/ dataplane/ logs/ run/ tls/
"""

from __future__ import annotations

import base64
import importlib.metadata
import json
import os
import re
import secrets
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tollway.cli import envfile
from tollway.cli.up.failure import UpError

FORMAT = 1


def product_version() -> str:
    """The version of the installed product."""
    return importlib.metadata.version("tollway")


class Layout:
    """The data directory at `root`."""

    def __init__(self, root: Path) -> None:
        self.root = Path(os.path.abspath(root.expanduser()))
        self.env = self.root / "env"
        self.keys = self.root / "keys.json"
        self.secrets = self.root / "secrets"
        self.settings = self.root / "settings"
        self.version = self.root / "version"
        self.postgres = self.root / "postgres"
        self.valkey = self.root / "valkey"
        self.dataplane = self.root / "dataplane"
        self.logs = self.root / "logs"
        self.run = self.root / "run"
        self.tls = self.root / "tls"
        self.state = self.run / "state.json"
        self.lock = self.run / "lock"

    def create(self) -> None:
        """Makes the directories that are missing; refuses a directory that something else or a newer version wrote."""
        try:
            self.root.mkdir(parents=True, exist_ok=True)
            self.check_version()
            self._claim()
            for directory in (self.valkey, self.dataplane, self.logs, self.run):
                directory.mkdir(mode=0o700, exist_ok=True)
            self.version.write_text(json.dumps({"format": FORMAT, "tollway": product_version()}) + "\n")
        except OSError as error:
            raise UpError(f"{error.filename or self.root}: {error.strerror}") from error

    def _claim(self) -> None:
        """Makes an empty directory ours: private, and not for version control.

        In a directory with other files only our own files are private; one with files of our names is refused.
        """
        if self.version.exists():
            return
        # Without a version file these were not written by us: it comes before them.
        ours = (self.env, self.keys, self.secrets, self.settings, self.postgres, self.tls)
        if any(path.exists() for path in ours):
            raise UpError(f"{self.root} has other files in it; choose another directory with --data")
        if not any(self.root.iterdir()):
            self.root.chmod(0o700)
            (self.root / ".gitignore").write_text("*\n")

    def check_version(self) -> None:
        """Refuses a directory of a newer version: an older one could damage what it does not know."""
        if not self.version.exists():
            return
        try:
            wrote = json.loads(self.version.read_text())
            newer = int(wrote["format"]) > FORMAT or _release(wrote["tollway"]) > _release(product_version())
        except (ValueError, KeyError, TypeError) as error:
            raise UpError(f"{self.version} is damaged; restore it or choose another directory with --data") from error
        if newer:
            raise UpError(
                f"{self.root} was written by Tollway {wrote['tollway']}, this is {product_version()}: "
                "install that version or a newer one, or choose another directory with --data"
            )

    def read_json(self, path: Path) -> dict[str, Any]:
        """A JSON object; empty when there is no such file."""
        try:
            data = json.loads(path.read_text())
        except FileNotFoundError:
            return {}
        except (OSError, ValueError) as error:
            raise UpError(f"{path} cannot be read: restore it from a backup or remove it") from error
        if not isinstance(data, dict):
            raise UpError(f"{path} is damaged: restore it from a backup or remove it")
        return data

    def write_json(self, path: Path, data: Mapping[str, Any]) -> None:
        """Replaces the file in one step, mode 0600."""
        envfile.write_private(path, json.dumps(data, indent=2) + "\n")

    def own_secrets(self, environ: Mapping[str, str]) -> dict[str, str]:
        """The secrets of this installation, generated at the first start.

        A key-encryption key from the environment is taken over: an existing database may hold credentials under it.
        """
        have = envfile.read(self.secrets)
        wanted = {
            "TOLLWAY_KEK": environ.get("TOLLWAY_KEK") or _key(),
            "TOLLWAY_FLEET_KEY": _key(),
            "TOLLWAY_JOIN_TOKEN": "twj-" + secrets.token_urlsafe(32),
            "TOLLWAY_ADMIN_TOKEN": "twa-" + secrets.token_urlsafe(32),
        }
        merged = wanted | have
        if merged != have:
            envfile.write_private(self.secrets, envfile.render(merged))
        return merged

    def socket_directory(self) -> Path:
        """A private directory for Unix sockets: `run`, or one under the temporary directory when that path is too long.

        The address of a Unix socket has at most 108 bytes (unix(7)), 104 on macOS.
        """
        if len(os.fsencode(self.run / "postgres" / ".s.PGSQL.5432.lock")) < 100:
            return self.run
        import hashlib
        import tempfile

        digest = hashlib.sha256(os.fsencode(self.root)).hexdigest()[:12]
        directory = Path(tempfile.gettempdir()) / f"tollway-{os.geteuid()}-{digest}"
        directory.mkdir(mode=0o700, exist_ok=True)
        found = directory.lstat()
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid() or found.st_mode & 0o077:
            raise UpError(
                f"{directory} belongs to somebody else; remove it, or use a --data directory with a shorter path"
            )
        return directory


def _key() -> str:
    return base64.b64encode(secrets.token_bytes(32)).decode()


def _release(version: str) -> tuple[int, ...]:
    return tuple(int(number) for number in re.findall(r"[0-9]+", version)[:3])
