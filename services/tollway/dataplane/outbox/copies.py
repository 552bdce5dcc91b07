"""The second copy of finished rows: in Redis, for the loss of a node or of its disk.

In the background, a few times a second, rows that have been in the journal for longer than a short lag and that the
ledger does not have yet are appended to the stream of this process, and trimmed once it has them. While the control
plane is at hand nothing is old enough to be copied. A server that is away, slow or full costs the copy and nothing
else: the journal stays the record, and no request waits for this.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple, Protocol

from tollway.dataplane.outbox.journal import Journal, Position
from tollway.dataplane.stores.ports import StoreUnavailable
from tollway.runtime import log
from tollway.runtime.clock import Clock
from tollway.runtime.tasks import Tasks

_log = log.get(__name__)
FLUSH_SECONDS = 0.25
LAG_SECONDS = 0.5
"""How long a row may be in the journal alone. With FLUSH_SECONDS: what the loss of a node can cost at most."""
BATCH_BYTES = 256 << 10
ENTRY_BYTES = 128
"""What an entry costs beside its frames."""
HEARTBEAT_SECONDS = 5.0
RETRY_SECONDS = 1.0
REMIND_SECONDS = 30.0
VOUCH_SECONDS = 60.0
"""For how long a word for another's journal holds; it is given anew with every look at what dead processes left."""


class CopyStore(Protocol):
    """Where copies are; the real one is `tollway.dataplane.stores.redis_copies`. Raises StoreUnavailable."""

    async def beat(self, holder: str, others: Sequence[str] = ()) -> int:
        """A sign of life of a holder, and of others that have a copy; how many entries the holder's stream has."""

    async def append(self, holder: str, end: Position, data: bytes) -> None:
        """Adds frames that reach up to `end`; nothing happens where they are already."""

    async def trim(self, holder: str, reached: Position) -> None:
        """Removes the entries that reach no further than this."""

    async def drop(self, holder: str) -> None:
        """Removes a stream; the holder stays known."""

    async def forget(self, holder: str) -> None:
        """Removes a stream and its holder."""


class Entry(NamedTuple):
    """What was appended at once, or is about to be."""

    end: Position
    size: int
    rows: int


class Copies:
    """One for each process. The numbers are totals since it started, but `kept_bytes` and `behind_seconds`."""

    def __init__(self, journal: Journal, store: CopyStore, clock: Clock, *, capacity: int, lost_seconds: float) -> None:
        """`capacity` bounds the stream, in bytes. A holder counts as lost after `lost_seconds` without a heartbeat."""
        self.holder = journal.folder.name
        self._journal = journal
        self._store = store
        self._clock = clock
        self._capacity = capacity
        self._heartbeat_seconds = min(HEARTBEAT_SECONDS, lost_seconds / 5)
        self._marks: deque[tuple[float, Position]] = deque()
        self._due = self._copied = journal.acknowledged
        self._kept: deque[Entry] = deque()
        self._unsent: tuple[Entry, bytes] | None = None
        self._beat_at: float | None = None
        self._vouched: dict[str, float] = {}
        self._behind_since: float | None = None
        self._reminded = -REMIND_SECONDS
        self._task: asyncio.Task[None] | None = None
        self.rows = 0
        self.bytes = 0
        self.kept_bytes = 0

    @property
    def behind_seconds(self) -> float:
        """For how long there have been rows that should have a copy and have none."""
        return 0.0 if self._behind_since is None else self._clock.monotonic() - self._behind_since

    def start(self, tasks: Tasks) -> None:
        """Copies in the background."""
        self._task = tasks.keep(self._run, "outbox-copies")

    async def _run(self) -> None:
        while True:
            pause = FLUSH_SECONDS
            try:
                await self.step()
            except StoreUnavailable as error:
                pause = RETRY_SECONDS
                if self._journal.acknowledged < self._due:
                    self._behind(str(error))
            await asyncio.sleep(pause)

    async def step(self) -> None:
        """One round: a sign of life when it is time, what the ledger has is trimmed, what it lacks is copied."""
        now = self._clock.monotonic()
        self._look(now)
        acknowledged = self._journal.acknowledged
        if self._copied < acknowledged:
            self._copied = acknowledged
        if self._due <= acknowledged:
            self._caught_up()
        await self._beat(now)
        await self._trim(acknowledged)
        await self._append(acknowledged)

    def _look(self, now: float) -> None:
        """Moves `_due` to where the journal ended a lag ago."""
        end = self._journal.end
        if not self._marks or self._marks[-1][1] != end:
            self._marks.append((now, end))
        while self._marks and now - self._marks[0][0] >= LAG_SECONDS:
            self._due = self._marks.popleft()[1]

    async def _beat(self, now: float) -> None:
        if self._beat_at is not None and now - self._beat_at < self._heartbeat_seconds:
            return
        self._vouched = {holder: at for holder, at in self._vouched.items() if now - at < VOUCH_SECONDS}
        entries = await self._store.beat(self.holder, sorted(self._vouched))
        self._beat_at = now
        if entries < len(self._kept) - (self._unsent is not None):
            _log.warning("the second copy of ledger rows was lost: it is made anew", entries=entries)
            await self._store.drop(self.holder)
            self._kept.clear()
            self.kept_bytes = 0
            self._unsent = None
            self._copied = self._journal.acknowledged

    async def _trim(self, acknowledged: Position) -> None:
        if not self._kept or acknowledged < self._kept[0].end:
            return
        await self._store.trim(self.holder, acknowledged)
        while self._kept and self._kept[0].end <= acknowledged:
            self.kept_bytes -= self._kept.popleft().size
        if self._unsent is not None and self._unsent[0].end <= acknowledged:
            self._unsent = None

    async def _append(self, acknowledged: Position) -> None:
        if self._unsent is None:
            if self._due <= self._copied:
                return
            room = self._capacity - self.kept_bytes - ENTRY_BYTES
            found = self._journal.unacknowledged(self._copied, self._due, min(BATCH_BYTES, room))
            if not found.rows:
                if found.end >= self._due:
                    self._copied = found.end
                    self._caught_up()
                else:
                    self._behind("the stream is full")
                return
            entry = Entry(found.end, len(found.data) + ENTRY_BYTES, found.rows)
            # Kept before it is sent: an answer that never comes leaves open whether it is there.
            self._unsent = (entry, found.data)
            self._kept.append(entry)
            self.kept_bytes += entry.size
        entry, data = self._unsent
        await self._store.append(self.holder, entry.end, data)
        self._unsent = None
        self._copied = entry.end
        self.rows += entry.rows
        self.bytes += len(data)
        if self._due <= self._copied or self._due <= acknowledged:
            self._caught_up()

    def _behind(self, reason: str) -> None:
        """Rows that should have a copy have none; it is said once in a while."""
        now = self._clock.monotonic()
        if self._behind_since is None:
            self._behind_since = now
        if now - self._reminded >= REMIND_SECONDS:
            self._reminded = now
            _log.warning("ledger rows have no second copy", reason=reason, kept_bytes=self.kept_bytes)

    def _caught_up(self) -> None:
        if self._behind_since is not None:
            self._behind_since = None
            _log.info("ledger rows have a second copy again, or need none")

    # -- others -----------------------------------------------------------------------------------------------------

    def vouch(self, holder: str) -> None:
        """Says that the journal of a dead process is here, but cannot be settled yet: it does not count as lost."""
        self._vouched[holder] = self._clock.monotonic()

    async def forget(self, holder: str) -> None:
        """Removes the copy of a journal that is settled. Where that fails, it goes when its holder counts as lost."""
        self._vouched.pop(holder, None)
        try:
            await self._store.forget(holder)
        except StoreUnavailable as error:
            _log.info("a copy of ledger rows that nobody needs stays for now", holder=holder, reason=str(error))

    async def leave(self) -> None:
        """An orderly end: stops, and removes this process's own copy unless something is left for a successor."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        if self._journal.settled:
            await self.forget(self.holder)
