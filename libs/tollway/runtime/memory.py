"""How a process's C library gives memory back."""

from __future__ import annotations

import ctypes

_MMAP_THRESHOLD = -3
"""M_MMAP_THRESHOLD of glibc's malloc.h."""
LARGE_BYTES = 256 << 10


def give_back_large_blocks() -> bool:
    """Blocks of `LARGE_BYTES` and more go back to the system when they are freed; False where that cannot be set.

    By itself glibc raises this size to that of the largest block ever freed, 32 MiB at most. From then on bodies of
    requests lie between what lives long, and a process stays as large as its worst moment.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # glibc alone has it
    return mallopt is not None and bool(mallopt(_MMAP_THRESHOLD, LARGE_BYTES))
