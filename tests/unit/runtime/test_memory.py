"""Large blocks go back to the system."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import NoReturn

from tollway.runtime.memory import give_back_large_blocks

SCRIPT = """
import sys, psutil
from tollway.runtime.memory import give_back_large_blocks
if sys.argv[1] == "set":
    give_back_large_blocks()
held = lambda: psutil.Process().memory_info().rss / (1 << 20)
bytearray(16 << 20)  # what raises the size from which glibc gives blocks back
began = held()
kept = []
bodies = []
for _ in range(60):
    bodies.append(bytearray(1 << 20))
    kept.append([bytes(700) for _ in range(40)])
del bodies
print(held() - began)
"""


def grown(how: str) -> float:
    """MiB that a process holds more after 60 bodies of a MiB have come and gone among small things that stay."""
    done = subprocess.run([sys.executable, "-c", SCRIPT, how], capture_output=True, text=True, timeout=30, check=False)
    assert done.returncode == 0, done.stderr
    return float(done.stdout)


def test_bodies_among_small_things_leave_nothing_behind(not_run: Callable[[str], NoReturn]) -> None:
    if not give_back_large_blocks():
        not_run("memory of large blocks: this C library has no mallopt")
    assert grown("set") < 10
    assert grown("not") > 30, "or it is not needed any more"
