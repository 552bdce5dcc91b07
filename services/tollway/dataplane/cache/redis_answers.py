"""Sealed answers in Redis or Valkey: a value with an expiry for each, and what a partition's take up.

A partition is a project's own answers, or those that an organisation's projects share. Keys of partition `P` of
organisation `O`, in the slot of the organisation: `tw:{o:O}:cache:P:<name>` value, `tw:{o:O}:cache:P` sorted set of
names by when they go (Unix milliseconds), `tw:{o:O}:cache:P:bytes` hash of sizes, with their sum under the empty name.
All have an expiry.
"""

from __future__ import annotations

import asyncio
from typing import Any, NamedTuple

from tollway.dataplane.stores.ports import StoreUnavailable
from tollway.dataplane.stores.redis_connection import RedisConnection
from tollway.runtime.tasks import Tasks

READ_TASK = "cache-read"
ROUND_READS = 64
"""How many values one round reads at most."""
MAX_STEPS = 100
"""How many values one call may forget: a server does nothing else meanwhile."""

_PUT = """
local index, sizes, name = KEYS[1], KEYS[2], ARGV[1]
local prefix, size, seconds = index .. ':', #ARGV[2], tonumber(ARGV[3])
local quota, steps = tonumber(ARGV[4]), tonumber(ARGV[5])
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local function forget(names)
  for _, each in ipairs(names) do
    local freed = tonumber(redis.call('HGET', sizes, each) or 0)
    redis.call('UNLINK', prefix .. each)
    redis.call('ZREM', index, each)
    redis.call('HDEL', sizes, each)
    redis.call('HINCRBY', sizes, '', -freed)
  end
end
forget(redis.call('ZRANGEBYSCORE', index, '-inf', now, 'LIMIT', 0, steps))
forget({name})
if size > quota then return -1 end
local gone = 0
while tonumber(redis.call('HGET', sizes, '') or 0) + size > quota do
  local first = redis.call('ZRANGE', index, 0, 0)
  if #first == 0 or gone == steps then return -1 - gone end
  forget(first)
  gone = gone + 1
end
redis.call('SET', prefix .. name, ARGV[2], 'EX', seconds)
redis.call('ZADD', index, now + seconds * 1000, name)
redis.call('HSET', sizes, name, size)
redis.call('HINCRBY', sizes, '', size)
for _, each in ipairs(KEYS) do
  if redis.call('TTL', each) < seconds + 1 then redis.call('EXPIRE', each, seconds + 1) end
end
return gone
"""


class Partition(NamedTuple):
    """Whose answers: an organisation's, and of these a project's (`p:<id>`) or the shared ones (`shared`)."""

    organisation: str
    name: str

    @property
    def root(self) -> str:
        """The key of its index, with which all others begin."""
        return f"tw:{{o:{self.organisation}}}:cache:{self.name}"


class Stored(NamedTuple):
    """`stored`: the value is kept. `evicted`: how many went to make room for it."""

    stored: bool
    evicted: int


class RedisAnswers:
    """The answers on one server. Methods raise StoreUnavailable when it cannot be reached, or has no memory left.

    Reads go in rounds, one at a time: each takes in all that waits for it, and who asks for the same shares the answer.
    """

    def __init__(self, connection: RedisConnection, tasks: Tasks) -> None:
        self._connection = connection
        self._tasks = tasks
        self._wanted: dict[str, dict[str, asyncio.Future[bytes | None]]] = {}
        self._reader: asyncio.Task[None] | None = None

    async def get(self, partition: Partition, name: str) -> bytes | None:
        """The value; None when it is not there (any more)."""
        slot = self._wanted.setdefault(partition.organisation, {})
        key = f"{partition.root}:{name}"
        future = slot.get(key)
        if future is None:
            future = slot[key] = asyncio.get_running_loop().create_future()
        if self._reader is None or self._reader.done():
            self._reader = self._tasks.spawn(self._rounds(), READ_TASK)
        return await asyncio.shield(future)

    async def _rounds(self) -> None:
        """Reads until nobody waits."""
        try:
            await self._read_all()
        finally:  # also when this task is cancelled: nobody waits for ever
            for slot in self._wanted.values():
                _tell(slot, StoreUnavailable("the process ends"))
            self._wanted.clear()

    async def _read_all(self) -> None:
        """A round asks one slot, so that it is one command."""
        while self._wanted:
            organisation, slot = next(iter(self._wanted.items()))
            taken = dict(list(slot.items())[:ROUND_READS])
            del self._wanted[organisation]
            if len(taken) < len(slot):  # to the end of the line
                self._wanted[organisation] = {key: slot[key] for key in slot if key not in taken}
            try:
                call: Any = self._connection.redis.mget(list(taken))
                found: list[bytes | None] = await self._connection.bounded(call)
            except StoreUnavailable as error:
                _tell(taken, error)
                continue
            except asyncio.CancelledError:
                _tell(taken, StoreUnavailable("the process ends"))
                raise
            for future, value in zip(taken.values(), found, strict=True):
                future.set_result(value)

    async def put(self, partition: Partition, name: str, value: bytes, *, seconds: int, quota: int) -> Stored:
        """Keeps a value for `seconds` in place of what the name had.

        A partition keeps at most `quota` bytes: what would go first goes earlier, up to `MAX_STEPS` values a call;
        where that is not enough the value is not kept.
        """
        root = partition.root
        call: Any = self._connection.redis.eval(_PUT, 2, root, f"{root}:bytes", name, value, seconds, quota, MAX_STEPS)
        told = int(await self._connection.bounded(call))
        return Stored(told >= 0, told if told >= 0 else -1 - told)

    async def close(self) -> None:
        """Gives the connections back."""
        await self._connection.close()


def _tell(taken: dict[str, asyncio.Future[bytes | None]], error: StoreUnavailable) -> None:
    """Tells all of a round that it failed. One that has gone meanwhile does not hear it."""
    for future in taken.values():
        if not future.done():
            future.set_exception(error)
            future.exception()  # or it would be reported as never looked at
