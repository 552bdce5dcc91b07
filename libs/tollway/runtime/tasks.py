"""The only place that creates tasks: each has a name, is kept alive, and its failure is never silent."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any

from tollway.runtime import log

_log = log.get(__name__)
END_SECONDS = 5.0


class Tasks:
    """A process's background tasks. `close` cancels and awaits what is left."""

    def __init__(self) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()

    def spawn(self, coroutine: Coroutine[Any, Any, Any], name: str) -> asyncio.Task[Any]:
        """Starts a task that ends by itself; an exception in it is logged."""
        task = asyncio.get_running_loop().create_task(coroutine, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._done)
        return task

    def keep(
        self, work: Callable[[], Awaitable[None]], name: str, *, restart_seconds: float = 1.0
    ) -> asyncio.Task[Any]:
        """Runs `work` for the life of the process: when it fails, it is logged and started again after a pause."""

        async def forever() -> None:
            while True:
                try:
                    await work()
                    return
                except Exception:  # noqa: BLE001 - a background task must not die, and never in silence
                    _log.exception("background task failed", task=name, restart_seconds=restart_seconds)
                    await asyncio.sleep(restart_seconds)

        return self.spawn(forever(), name)

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _log.error("task failed", task=task.get_name(), exc_info=error)

    async def end(self, name: str) -> None:
        """Cancels the tasks of this name and waits until they have ended."""
        ending = [task for task in self._tasks if task.get_name() == name]
        for task in ending:
            task.cancel()
        if ending:
            await asyncio.wait(ending, timeout=END_SECONDS)

    async def close(self) -> None:
        """Cancels every task and waits for it to end; one whose library swallowed the cancellation is told again."""
        while self._tasks:
            tasks = list(self._tasks)
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks, timeout=1.0)
