"""What is checked before anything is started, so that nothing is half-started."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tollway.cli.document.load import configuration, read_text
from tollway.cli.document.problems import DocumentError
from tollway.cli.up.failure import UpError
from tollway.cli.up.options import UpOptions

FIRST_START_BYTES = 300 << 20
LATER_START_BYTES = 100 << 20


def check_space(directory: Path, free: Callable[[Path], int] = lambda path: shutil.disk_usage(path).free) -> None:
    """Refuses to start on a disk that is all but full: Postgres would stop in the middle of its work."""
    there = directory
    while not there.exists():
        there = there.parent
    need = LATER_START_BYTES if (directory / "postgres").exists() else FIRST_START_BYTES
    have = free(there)
    if have < need:
        raise UpError(
            f"the disk of {directory} is full: {have >> 20} MiB are free, {need >> 20} MiB are needed; "
            "make room or choose another directory with --data"
        )


def check_exposure(options: UpOptions, environ: Mapping[str, str]) -> None:
    """Refuses to send keys in the clear to other machines."""
    certificate, key = environ.get("TOLLWAY_TLS_CERT"), environ.get("TOLLWAY_TLS_KEY")
    if bool(certificate) != bool(key):
        missing = "TOLLWAY_TLS_KEY" if certificate else "TOLLWAY_TLS_CERT"
        raise UpError(f"{missing} is not set: a certificate and its key belong together")
    for name in ("TOLLWAY_TLS_CERT", "TOLLWAY_TLS_KEY"):
        if (path := environ.get(name)) and not Path(path).is_file():
            raise UpError(f"{name}: there is no file {path}")
    if options.exposed and not (certificate or options.self_signed or options.insecure_http):
        raise UpError(
            f"--bind {options.bind} would send keys in the clear: set TOLLWAY_TLS_CERT and TOLLWAY_TLS_KEY, or add "
            "--self-signed, or accept it with --insecure-http"
        )


def load_configuration(path: Path, environ: Mapping[str, str]) -> dict[str, Any]:
    """The configuration file. Raises UpError with its first problem, and how many more there are."""
    try:
        return configuration(read_text(path), environ)
    except DocumentError as error:
        first, *rest = error.problems
        more = f" (and {len(rest)} more; see `tollway apply -f {path} --dry-run`)" if rest else ""
        prefix = "" if first.startswith(str(path)) else f"{path}: "
        raise UpError(f"{prefix}{first}{more}") from error
