"""The one thread that packs captured requests, many together, and writes them to the spool.

It works in rounds: masking holds the interpreter, and a busy event loop should not be interrupted for each request.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence

from tollway.core.requestlog import LoggedBody
from tollway.dataplane.requestlog.capture import Captured, Memory
from tollway.dataplane.requestlog.content import Packer
from tollway.dataplane.requestlog.counts import Counts
from tollway.dataplane.requestlog.spool import Packed, Spool
from tollway.runtime import log
from tollway.wire.bodies_codec import BatchPacker

_log = log.get(__name__)
ROUND_SECONDS = 0.25
"""Between two rounds: each time that thread and event loop alternate costs both, so they do it seldom."""
ROUND_BODIES = 512
ROUND_BYTES = 1 << 20
MAX_WAITING = 20_000
"""Bodies in the queue, at most; their bytes are bounded by `Memory`."""
IDLE_SECONDS = 1.0


class Writer:
    """One for each process. `wake` is called in the thread after something was written."""

    def __init__(self, spool: Spool, memory: Memory, counts: Counts, wake: Callable[[], None]) -> None:
        self._spool = spool
        self._memory = memory
        self._counts = counts
        self._wake = wake
        self._waiting: deque[Captured] = deque()
        self._something = threading.Event()
        self._ending = threading.Event()
        self._busy = False
        self.problem = ""
        """Why the disk did not take bodies the last time that it did not."""
        self._packer = Packer()
        self._batches = BatchPacker()
        self._thread = threading.Thread(target=self._run, name="bodies-writer", daemon=True)

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def offer(self, captured: Captured) -> bool:
        """Queues a request; false when too many wait. Never blocks."""
        waiting = self._waiting
        if len(waiting) >= MAX_WAITING:
            return False
        waiting.append(captured)
        if not self._something.is_set():
            self._something.set()
        return True

    @property
    def idle(self) -> bool:
        """Whether everything that was offered is written or counted as lost."""
        return not self._waiting and not self._busy

    def stop(self, seconds: float) -> bool:
        """Ends the thread after it has written what waits; false when that takes longer. Blocks: not for the loop."""
        self._ending.set()
        self._something.set()
        if self._thread.ident is not None:
            self._thread.join(seconds)
        return not self._thread.is_alive()

    def _run(self) -> None:
        while True:
            if not self._waiting:
                if self._ending.is_set():
                    return
                self._something.wait(IDLE_SECONDS)
                if not self._waiting:
                    self._something.clear()
                    if not self._waiting:  # else it was offered between the two
                        continue
            if len(self._waiting) < ROUND_BODIES:
                self._ending.wait(ROUND_SECONDS)
            self._busy = True
            try:
                self._round()
            finally:
                self._busy = False

    def _round(self) -> None:
        packed: list[LoggedBody] = []
        size = 0
        while self._waiting and len(packed) < ROUND_BODIES and size < ROUND_BYTES:
            captured = self._waiting.popleft()
            try:
                body = self._packer.pack(captured)
            except Exception:  # noqa: BLE001 - the boundary: one body must not end the log of all others
                _log.exception("a body could not be packed for the request log", request_id=captured.request_id)
                self._counts.dropped_aside["not_packed"] += 1
            else:
                packed.append(body)
                size += len(body.content)
            self._memory.packed(captured.held)
            del captured
        if packed:
            self._store(packed)

    def _store(self, packed: list[LoggedBody]) -> None:
        try:
            stored = self._append(packed)
            reason = "spool_full"
        except OSError as error:
            stored, reason = 0, "spool_failed"
            self.problem = error.strerror or "unknown"
        except Exception:  # noqa: BLE001 - the boundary: the thread must outlive what nobody thought of
            _log.exception("bodies could not be written to the spool", bodies=len(packed))
            stored, reason = 0, "not_packed"
        if stored < len(packed):
            self._counts.dropped_aside[reason] += len(packed) - stored
        if stored:
            self._wake()

    def _append(self, bodies: Sequence[LoggedBody]) -> int:
        """How many of the bodies found room: all together, or else as many as do."""
        plain = sum(len(body.content) for body in bodies)
        oldest = min(body.started_ms for body in bodies)
        if self._spool.append(Packed(len(bodies), plain, oldest, self._batches.pack(bodies))):
            return len(bodies)
        half = len(bodies) // 2
        if not half:
            return 0
        stored = self._append(bodies[:half])
        return stored if stored < half else stored + self._append(bodies[half:])
