"""How a process starts and ends: one line and a non-zero exit when it cannot start, an orderly end on SIGTERM."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Awaitable, Callable

import uvloop

from tollway.runtime import log, memory
from tollway.runtime.settings import SettingsError


class StartError(Exception):
    """The process cannot start; the message is one clear line with the remedy."""


def run(main: Callable[[asyncio.Event], Awaitable[None]]) -> int:
    """Runs `main(stop)` on uvloop until it returns; SIGTERM and SIGINT set `stop`. Returns the exit code."""
    memory.give_back_large_blocks()

    async def supervised() -> None:
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, stop.set)
        await main(stop)

    try:
        uvloop.run(supervised())
    except (StartError, SettingsError) as error:
        print(f"error: {log.scrub_text(str(error))}", file=sys.stderr)  # noqa: T201 - the one line for the operator
        return 1
    except OSError as error:
        print(f"error: {log.scrub_text(str(error))}", file=sys.stderr)  # noqa: T201
        return 1
    return 0
