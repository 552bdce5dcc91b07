"""Second copies of journals in Redis or Valkey: a stream for each holder of a journal, and who is alive.

Keys: `tw:copy:<holder>` stream; an entry's id is the place in the journal up to which it reaches (segment, offset), so
that adding it twice is adding it once and what the ledger has is trimmed by its place. Its field `d` is frames of
finished requests, one behind the other; the last entry of a stream whose rows were all shipped by another has `e`, the
life of the counters in which that was. `tw:copies` sorted set of holders by their last heartbeat (Unix ms by the
server's clock); `tw:copies:sweeper` who looks for lost ones. Each script touches one key.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

from redis.exceptions import ResponseError

from tollway.dataplane.stores.ports import StoreUnavailable
from tollway.dataplane.stores.redis_connection import RedisConnection

HOLDERS = "tw:copies"
SWEEPER = "tw:copies:sweeper"
PAGE_ENTRIES = 8
Place = tuple[int, int]
"""The number of a journal's segment, and an offset in it."""
MAX_LOST = 100
"""How many lost holders one look finds."""
_TOO_SMALL = "equal or smaller"
"""What a server says of an entry that is there already."""

_NOW = """
local t = redis.call('TIME')
local now = tonumber(t[1]) * 1000 + math.floor(tonumber(t[2]) / 1000)
"""
_BEAT = (
    _NOW
    + """
redis.call('ZADD', KEYS[1], now, ARGV[1])
for i = 2, #ARGV do redis.call('ZADD', KEYS[1], 'XX', now, ARGV[i]) end
return 1
"""
)
_SILENT = (
    _NOW
    + """
local before = string.format('%.0f', now - tonumber(ARGV[1]))
return redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', before, 'WITHSCORES', 'LIMIT', 0, ARGV[2])
"""
)
_REMOVE = """
if tonumber(redis.call('ZSCORE', KEYS[1], ARGV[1]) or '-1') ~= tonumber(ARGV[2]) then return 0 end
return redis.call('ZREM', KEYS[1], ARGV[1])
"""
_LEAD = """
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
"""


class Silent(NamedTuple):
    """A holder that was not heard of since `heartbeat_ms`."""

    holder: str
    heartbeat_ms: int


class Page(NamedTuple):
    """A part of a stream in its order. `after` is where the next begins; None: this was the last.

    `shipped_in`: the life of the counters in which all rows of the stream were shipped; None: nobody says so.
    """

    entries: tuple[bytes, ...]
    after: str | None
    last: str
    shipped_in: str | None


def stream_key(holder: str) -> str:
    """The name of a holder's stream."""
    return f"tw:copy:{holder}"


class RedisCopies:
    """The copies on one Redis or Valkey. Every method raises StoreUnavailable within a bounded time."""

    def __init__(self, connection: RedisConnection) -> None:
        self._redis = connection.redis
        self._bounded = connection.bounded

    async def beat(self, holder: str, others: Sequence[str] = ()) -> int:
        """A sign of life of a holder, and of others that have a copy; how many entries the holder's stream has."""
        pipe: Any = self._redis.pipeline(transaction=False)
        pipe.eval(_BEAT, 1, HOLDERS, holder, *others)
        pipe.xlen(stream_key(holder))
        _, entries = await self._bounded(pipe.execute())
        return int(entries)

    async def append(self, holder: str, end: Place, data: bytes) -> None:
        """Adds frames that reach up to `end`; nothing happens where they are already."""
        segment, offset = end
        identifier = f"{segment}-{offset}"
        call: Any = self._redis.xadd(stream_key(holder), {b"d": data}, id=identifier)
        try:
            await self._bounded(call)
        except StoreUnavailable as error:
            if not isinstance(error.__cause__, ResponseError) or _TOO_SMALL not in str(error.__cause__):
                raise

    async def trim(self, holder: str, reached: Place) -> None:
        """Removes the entries that reach no further than this."""
        segment, offset = reached
        first_kept = f"{segment}-{offset + 1}"
        call: Any = self._redis.xtrim(stream_key(holder), minid=first_kept, approximate=False)
        await self._bounded(call)

    async def drop(self, holder: str) -> None:
        """Removes a stream; the holder stays known."""
        call: Any = self._redis.delete(stream_key(holder))
        await self._bounded(call)

    async def forget(self, holder: str) -> None:
        """Removes a stream and its holder."""
        await self.drop(holder)
        call: Any = self._redis.zrem(HOLDERS, holder)
        await self._bounded(call)

    # -- lost ones --------------------------------------------------------------------------------------------------

    async def lead(self, holder: str, seconds: float) -> bool:
        """Whether this one looks for lost holders, for the next seconds."""
        call: Any = self._redis.eval(_LEAD, 1, SWEEPER, holder, int(seconds * 1000))
        return bool(await self._bounded(call))

    async def silent(self, seconds: float) -> list[Silent]:
        """Holders that were not heard of for so long, the oldest first."""
        call: Any = self._redis.eval(_SILENT, 1, HOLDERS, int(seconds * 1000), MAX_LOST)
        found: list[bytes] = await self._bounded(call)
        return [Silent(name.decode(), int(float(score))) for name, score in zip(found[::2], found[1::2], strict=True)]

    async def read(self, holder: str, after: str | None = None) -> Page:
        """The next part of a stream."""
        first = "-" if after is None else f"({after}"
        call: Any = self._redis.xrange(stream_key(holder), first, "+", count=PAGE_ENTRIES)
        found: list[tuple[bytes, dict[bytes, bytes]]] = await self._bounded(call)
        last = found[-1][0].decode() if found else after or "0-0"
        marks = [fields[b"e"].decode() for _, fields in found if b"e" in fields]
        entries = tuple(fields[b"d"] for _, fields in found if b"d" in fields)
        return Page(entries, last if len(found) == PAGE_ENTRIES else None, last, marks[-1] if marks else None)

    async def mark_shipped(self, holder: str, last: str, epoch: str) -> None:
        """Notes, behind the `last` entry, in which life of the counters all rows of a stream were shipped."""
        segment, _, offset = last.partition("-")
        call: Any = self._redis.xadd(stream_key(holder), {b"e": epoch}, id=f"{segment}-{int(offset) + 1}")
        try:
            await self._bounded(call)
        except StoreUnavailable as error:
            if not isinstance(error.__cause__, ResponseError) or _TOO_SMALL not in str(error.__cause__):
                raise

    async def bury(self, silent: Silent) -> bool:
        """Removes a holder with its stream, unless it was heard of since; true for one of all who try."""
        heard: Any = self._redis.zscore(HOLDERS, silent.holder)
        score = await self._bounded(heard)
        if score is None or int(score) != silent.heartbeat_ms:
            return False
        await self.drop(silent.holder)  # first: a stream without a holder would lie there for ever
        call: Any = self._redis.eval(_REMOVE, 1, HOLDERS, silent.holder, silent.heartbeat_ms)
        return bool(await self._bounded(call))
