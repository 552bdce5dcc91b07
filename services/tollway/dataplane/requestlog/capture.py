"""What is kept of a request and its answer while it is under way: references to bytes, within bounds.

Everything here runs on the path of requests: it counts and appends. It never parses, copies more than what is cut off,
or waits; what would exceed the memory is given up and counted, never waited for.
"""

from __future__ import annotations

from collections.abc import Coroutine, Mapping
from typing import Any

import msgspec
from aiohttp import web

from tollway.core.catalog import Bodies, DirectoryEntry, Project

OVERHEAD_BYTES = 2048
"""What a captured request costs beside its bodies, roughly."""
CHUNK_BYTES = 64
"""What a chunk of a stream costs beside its bytes."""
RESERVE_BYTES = 4096
"""How much memory a stream takes at once."""


class Memory:
    """How many bytes are held for capture, over all requests of the process.

    The event loop takes and gives back; the writer gives back what it has packed. Each counts for itself, so that no
    lock is needed.
    """

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self._taken = 0
        self._packed = 0

    @property
    def held(self) -> int:
        """Bytes at this moment."""
        return self._taken - self._packed

    def take(self, size: int) -> bool:
        """Whether `size` bytes more may be held; then they are. For the event loop alone."""
        if self._taken - self._packed + size > self.limit:
            return False
        self._taken += size
        return True

    def give_back(self, size: int) -> None:
        """The event loop holds `size` bytes less."""
        self._taken -= size

    def packed(self, size: int) -> None:
        """The writer has let go of `size` bytes."""
        self._packed += size


class Captured(msgspec.Struct, frozen=True, gc=False):
    """One request that is over, as the writer gets it. `secrets` must not be in what is stored.

    `headers` and `answer_headers` are as they came and went: the writer takes from them what may be kept. `held` is
    what `Memory` counts for it.
    """

    request_id: str
    started_ms: int
    ended_ms: int
    project: Project
    entry: DirectoryEntry
    endpoint: str
    model: str
    provider: str
    stream: bool
    status: int
    outcome: str
    error_code: str
    client_request_id: str
    tags: Mapping[str, str]
    client_address: str
    headers: Mapping[str, str]
    body: bytes
    body_cut: bool
    answer_headers: tuple[tuple[str, str], ...]
    answer: tuple[bytes, ...]
    answer_cut: bool
    secrets: tuple[str, ...]
    held: int

    @property
    def cut(self) -> bool:
        """Whether a body was longer than what is kept of one."""
        return self.body_cut or self.answer_cut

    @property
    def masked(self) -> bool:
        """Whether personal data and secrets must be replaced."""
        return self.project.logging.bodies is Bodies.MASKED


class LoggedStream(web.StreamResponse):
    """A streamed answer that keeps its chunks as they are given to the client, up to a limit.

    `held` is what `Memory` counts for it; `lost`: the memory was full, and nothing is kept.
    """

    def __init__(self, headers: Mapping[str, str], memory: Memory, limit: int) -> None:
        super().__init__(headers=headers)
        self.chunks: list[bytes] = []
        self.held = 0
        self.cut = False
        self.lost = False
        self._memory = memory
        self._room = limit
        self._reserved = 0

    def write(self, data: bytes | bytearray | memoryview) -> Coroutine[Any, Any, None]:
        """Sends a piece of the answer. Pieces are many: what is done for each is kept to a few steps."""
        size = len(data)
        cost = size + CHUNK_BYTES
        if cost <= self._reserved and size <= self._room:
            self._reserved -= cost
            self._room -= size
            self.chunks.append(bytes(data))  # the same object where it is bytes, as it always is
        elif size:
            self._keep(bytes(data))
        return web.StreamResponse.write(self, data)

    def _keep(self, data: bytes) -> None:
        """Keeps what there is room for, and takes more memory for what comes."""
        if len(data) > self._room:
            data, self.cut = data[: self._room], True
        if not data:
            return
        cost = len(data) + CHUNK_BYTES
        if cost > self._reserved:
            more = max(cost - self._reserved, RESERVE_BYTES)
            if not self._memory.take(more):
                self.lost = True
                self.let_go()
                return
            self.held += more
            self._reserved += more
        self._reserved -= cost
        self._room -= len(data)
        self.chunks.append(data)

    def let_go(self) -> None:
        """Nothing is kept any more."""
        self._memory.give_back(self.held)
        self.held = self._reserved = self._room = 0
        self.chunks = []
