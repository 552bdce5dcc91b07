"""One supervisor a data directory: an advisory lock that the kernel releases when its holder dies."""

from __future__ import annotations

import contextlib
import fcntl
import os
import time
from pathlib import Path


class Lock:
    """The lock file at `path`; it holds the pid of its holder."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._descriptor: int | None = None

    def acquire(self) -> bool:
        """Takes the lock; False when another process has it."""
        descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return False
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
        self._descriptor = descriptor
        return True

    def release(self) -> None:
        """Gives the lock back; the file stays, so that nobody locks a file that is being removed."""
        if self._descriptor is not None:
            os.ftruncate(self._descriptor, 0)
            os.close(self._descriptor)
            self._descriptor = None

    def holder(self) -> int | None:
        """The pid of the process that holds the lock, or None when it is free."""
        if not self._path.exists():
            return None
        descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        try:
            # The holder writes its pid right after taking the lock.
            for _ in range(50):
                with contextlib.suppress(BlockingIOError):
                    fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
                    return None
                if text := os.pread(descriptor, 32, 0).strip():
                    return int(text)
                time.sleep(0.02)
            return 0
        finally:
            os.close(descriptor)
