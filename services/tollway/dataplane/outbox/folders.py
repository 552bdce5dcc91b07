"""Folders of one process each below a common root, with a lock that dies with its holder.

Whoever takes the lock of a folder owns it: the process that made it, or, after its death, one that takes it over.
"""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from tollway.runtime import log

_log = log.get(__name__)
LOCK = "lock"


class Owned(NamedTuple):
    """A folder and the descriptor of its lock; closing the descriptor gives the folder up."""

    folder: Path
    lock: int


def take_lock(folder: Path) -> int:
    """The descriptor of the folder's lock. Raises BlockingIOError while another process holds it."""
    descriptor = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise
    return descriptor


def make_folder(root: Path, name: str) -> Owned:
    """A new folder below `root`, which need not exist; nobody sees it before its lock is held. Raises OSError."""
    unborn = root / f".{name}"
    unborn.mkdir(parents=True)
    lock = take_lock(unborn)
    unborn.rename(root / name)
    return Owned(root / name, lock)


def orphans(root: Path) -> Iterator[Owned]:
    """Takes over the folders whose holders are gone, one after the other."""
    for folder in sorted(root.glob("[!.]*")):
        try:
            lock = take_lock(folder)
        except (BlockingIOError, NotADirectoryError, FileNotFoundError):
            continue
        except OSError as error:  # those behind it are not to wait for it
            _log.warning("a folder cannot be taken over", folder=str(folder), reason=error.strerror)
            continue
        if not folder.is_dir():  # it was deleted by another between the listing and the lock
            os.close(lock)
            continue
        yield Owned(folder, lock)
