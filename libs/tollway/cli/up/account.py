"""Under which account a child runs, and how it dies with its supervisor.

Postgres refuses to run as root. Started by root it runs under an ordinary account, and keeps one capability: to pass
through directories that the account may not enter, because the data directory is private (0700) and often lies in a
home directory. It can write only what is its own, and listens on a Unix socket in that private directory alone.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import pwd
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

_PR_SET_PDEATHSIG, _PR_SET_KEEPCAPS, _PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE = 1, 8, 47, 2
_CAP_DAC_OVERRIDE, _CAP_DAC_READ_SEARCH = 1, 2
_CAPABILITY_VERSION_3 = 0x20080522
ACCOUNT = "tollway-postgres"


@dataclass(frozen=True)
class Account:
    """User and group ids."""

    uid: int
    gid: int


def postgres_account(existing: Path) -> Account | None:
    """The account for Postgres: None (our own) unless we are root. That of `existing`, the data, if it is there."""
    if os.geteuid() != 0:
        return None
    if existing.exists() and existing.stat().st_uid != 0:
        return Account(existing.stat().st_uid, existing.stat().st_gid)
    if not _known(ACCOUNT) and (useradd := shutil.which("useradd")):
        command = [useradd, "--system", "--user-group", "--no-create-home", "--shell", "/usr/sbin/nologin", ACCOUNT]
        subprocess.run(command, check=False, capture_output=True)  # noqa: S603 - without it `nobody` does
    for name in (ACCOUNT, "postgres", "nobody"):
        if entry := _known(name):
            return Account(entry.pw_uid, entry.pw_gid)
    return Account(65534, 65534)


def _known(name: str) -> pwd.struct_passwd | None:
    with contextlib.suppress(KeyError):
        return pwd.getpwnam(name)
    return None


def in_child(account: Account | None, death_signal: signal.Signals | None) -> Callable[[], None]:
    """What a child does between fork and exec: become `account`, ask for a signal when its parent dies.

    `death_signal` None lets it outlive us. Needs a parent with one thread.
    """
    parent = os.getpid()
    linux = sys.platform == "linux"
    libc = ctypes.CDLL(None, use_errno=True) if linux else None
    capability = _passing_capability() if linux and account else None

    def prepare() -> None:
        if account is not None:
            if libc is not None and capability is not None:
                libc.prctl(_PR_SET_KEEPCAPS, 1, 0, 0, 0)
            os.setgroups([])
            os.setgid(account.gid)
            os.setuid(account.uid)
            if libc is not None and capability is not None:
                _keep_only(libc, capability)
        if libc is not None and death_signal is not None:
            libc.prctl(_PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0)
            if os.getppid() != parent:
                os._exit(1)

    return prepare


def _passing_capability() -> int | None:
    """The weaker of the two capabilities that pass through private directories, as far as we have one."""
    with contextlib.suppress(OSError, ValueError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("CapPrm:"):
                permitted = int(line.split()[1], 16)
                for capability in (_CAP_DAC_READ_SEARCH, _CAP_DAC_OVERRIDE):
                    if permitted >> capability & 1:
                        return capability
    return None


def _keep_only(libc: ctypes.CDLL, capability: int) -> None:
    """Gives up all capabilities but one, which survives exec as an ambient one (capabilities(7))."""
    bit = 1 << capability
    header = (ctypes.c_uint32 * 2)(_CAPABILITY_VERSION_3, 0)
    data = (ctypes.c_uint32 * 6)(bit, bit, bit, 0, 0, 0)
    libc.capset(ctypes.byref(header), ctypes.byref(data))
    libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_RAISE, capability, 0, 0)
