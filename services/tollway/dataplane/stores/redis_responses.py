"""Stored responses in Redis or Valkey: a value with an expiry for each, and what a project's take up.

Keys of a project `P`, in one slot: `tw:{r:P}:<name>` value, `tw:{r:P}:item:<id>` its name,
`tw:{r:P}` sorted set of names by when they go (Unix
milliseconds), `tw:{r:P}:bytes` hash of sizes, with their sum under the empty name.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tollway.dataplane.stores.redis_connection import RedisConnection

_PUT = """
local index, sizes, name = KEYS[1], KEYS[2], ARGV[1]
local prefix, size, seconds, quota = index .. ':', #ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
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
if size > quota then return 0 end
forget(redis.call('ZRANGEBYSCORE', index, '-inf', now))
local items = tonumber(ARGV[5])
for i = 6 + items, #ARGV do
  if redis.call('EXPIRE', prefix .. ARGV[i], seconds) == 1 then
    redis.call('ZADD', index, now + seconds * 1000, ARGV[i])
  end
end
forget({name})
while tonumber(redis.call('HGET', sizes, '') or 0) + size > quota do
  local first = redis.call('ZRANGE', index, 0, 0)
  if #first == 0 then break end
  forget(first)
end
redis.call('SET', prefix .. name, ARGV[2], 'EX', seconds)
for i = 6, 5 + items do redis.call('SET', prefix .. 'item:' .. ARGV[i], name, 'EX', seconds) end
redis.call('ZADD', index, now + seconds * 1000, name)
redis.call('HSET', sizes, name, size)
redis.call('HINCRBY', sizes, '', size)
redis.call('EXPIRE', index, seconds)
redis.call('EXPIRE', sizes, seconds)
return 1
"""

_REMOVE = """
local freed = redis.call('HGET', KEYS[2], ARGV[1])
if freed then
  redis.call('HINCRBY', KEYS[2], '', -tonumber(freed))
  redis.call('HDEL', KEYS[2], ARGV[1])
end
redis.call('ZREM', KEYS[1], ARGV[1])
return redis.call('UNLINK', KEYS[1] .. ':' .. ARGV[1])
"""


def _index(project: str) -> str:
    return f"tw:{{r:{project}}}"


class RedisResponses:
    """A response store on one Redis or Valkey."""

    def __init__(self, connection: RedisConnection) -> None:
        self._connection = connection

    async def put(
        self,
        project: str,
        name: str,
        value: bytes,
        *,
        ancestors: Sequence[str],
        items: Sequence[str],
        seconds: int,
        quota: int,
    ) -> bool:
        """As `ResponseStore.put`."""
        index = _index(project)
        call: Any = self._connection.redis.eval(
            _PUT, 2, index, f"{index}:bytes", name, value, seconds, quota, len(items), *items, *ancestors
        )
        return bool(await self._connection.bounded(call))

    async def get(self, project: str, names: Sequence[str]) -> list[bytes | None]:
        """As `ResponseStore.get`."""
        index = _index(project)
        call: Any = self._connection.redis.mget([f"{index}:{name}" for name in names])
        found: list[bytes | None] = await self._connection.bounded(call)
        return found

    async def owners(self, project: str, items: Sequence[str]) -> list[str | None]:
        """As `ResponseStore.owners`."""
        index = _index(project)
        call: Any = self._connection.redis.mget([f"{index}:item:{item}" for item in items])
        found: list[bytes | None] = await self._connection.bounded(call)
        return [None if owner is None else owner.decode() for owner in found]

    async def remove(self, project: str, name: str) -> bool:
        """As `ResponseStore.remove`."""
        index = _index(project)
        call: Any = self._connection.redis.eval(_REMOVE, 2, index, f"{index}:bytes", name)
        return bool(await self._connection.bounded(call))

    async def close(self) -> None:
        """The connection is the process's."""
