"""The directory in Redis or Valkey: one hash for each key, a marker, the sealed catalog, a lease for the writer.

Keys (`E` is the epoch): `tw:dir` marker hash, `tw:E:k:<lookup>` entry hash {v: version, s: sealed}, `tw:catalog` hash,
`tw:dir:writer` lease. Writes compare versions inside Redis, so that an older one never replaces a newer one. Nothing
here expires but tombstones, after two days: longer than any subscriber may be behind.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tollway.dataplane.stores.ports import Change, Marker, SealedCatalog, StoredEntry
from tollway.dataplane.stores.redis_connection import RedisConnection

MARKER = "tw:dir"
CATALOG = "tw:catalog"
WRITER = "tw:dir:writer"
TOMBSTONE_SECONDS = 2 * 86_400
EVICTING = frozenset(
    {"allkeys-lru", "allkeys-lfu", "allkeys-random", "volatile-lru", "volatile-lfu", "volatile-random", "volatile-ttl"}
)

_APPLY = """
local current = redis.call('HGET', KEYS[1], 'v')
if current and tonumber(current) >= tonumber(ARGV[1]) then return 0 end
redis.call('HSET', KEYS[1], 'v', ARGV[1], 's', ARGV[2])
if ARGV[2] == '' then redis.call('EXPIRE', KEYS[1], ARGV[3]) else redis.call('PERSIST', KEYS[1]) end
return 1
"""
_ADVANCE = """
local current = redis.call('HMGET', KEYS[1], 'e', 'v')
if current[1] == ARGV[1] and tonumber(current[2]) > tonumber(ARGV[2]) then return 0 end
redis.call('HSET', KEYS[1], 'e', ARGV[1], 'v', ARGV[2], ARGV[3], ARGV[4])
return 1
"""
_LEAD = """
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
"""


def _entry_key(epoch: str, lookup: str) -> str:
    return f"tw:{epoch}:k:{lookup}"


def _marker_of(values: Sequence[bytes | None]) -> Marker | None:
    epoch, version, complete = values
    if epoch is None or version is None:
        return None
    return Marker(epoch.decode(), int(version), complete == b"1")


class RedisDirectory:
    """A directory store on one Redis or Valkey."""

    def __init__(self, connection: RedisConnection) -> None:
        self._redis = connection.redis
        self._bounded = connection.bounded
        self._connection = connection

    async def eviction_problem(self) -> str | None:
        """Why this server must not hold state, or None: a policy that evicts would drop keys at will."""
        info: Any = await self._bounded(self._redis.info("memory"))
        policy = info.get("maxmemory_policy", "noeviction")
        if int(info.get("maxmemory", 0)) and policy in EVICTING:
            return f"maxmemory-policy is {policy}, which would evict keys: set it to noeviction"
        return None

    async def marker(self) -> Marker | None:
        """What the directory holds."""
        call: Any = self._redis.hmget(MARKER, ["e", "v", "c"])
        return _marker_of(await self._bounded(call))

    async def set_marker(self, marker: Marker) -> None:
        """Moves the marker forward."""
        call: Any = self._redis.eval(_ADVANCE, 1, MARKER, marker.epoch, marker.version, "c", int(marker.complete))
        await self._bounded(call)

    async def read(self, epoch: str, lookup: str) -> tuple[StoredEntry | None, Marker | None]:
        """An entry and the marker, in one round trip."""
        pipe = self._redis.pipeline(transaction=True)
        pipe.hmget(_entry_key(epoch, lookup), ["v", "s"])
        pipe.hmget(MARKER, ["e", "v", "c"])
        (version, sealed), marker = await self._bounded(pipe.execute())
        entry = None if version is None else StoredEntry(int(version), sealed or b"")
        return entry, _marker_of(marker)

    async def apply(self, epoch: str, changes: Sequence[Change]) -> None:
        """Writes what is newer, in one pipeline."""
        if not changes:
            return
        pipe = self._redis.pipeline(transaction=False)
        for change in changes:
            pipe.eval(_APPLY, 1, _entry_key(epoch, change.lookup), change.version, change.sealed, TOMBSTONE_SECONDS)
        await self._bounded(pipe.execute())

    async def save_catalog(self, catalog: SealedCatalog) -> None:
        """Keeps the catalog unless a newer one is there."""
        call: Any = self._redis.eval(_ADVANCE, 1, CATALOG, catalog.epoch, catalog.version, "s", catalog.sealed)
        await self._bounded(call)

    async def load_catalog(self) -> SealedCatalog | None:
        """The catalog that was kept."""
        call: Any = self._redis.hmget(CATALOG, ["e", "v", "s"])
        epoch, version, sealed = await self._bounded(call)
        if epoch is None or version is None or sealed is None:
            return None
        return SealedCatalog(epoch.decode(), int(version), sealed)

    async def lead(self, replica: str, seconds: float) -> bool:
        """Takes or renews the writer's lease."""
        call: Any = self._redis.eval(_LEAD, 1, WRITER, replica, int(seconds * 1000))
        return bool(await self._bounded(call))

    async def drop_epochs_but(self, epoch: str) -> int:
        """Removes the entries of other epochs, a slice at a time; returns how many."""
        removed, cursor = 0, 0
        keep = f"tw:{epoch}:k:".encode()
        while True:
            scan: Any = self._redis.scan(cursor, match="tw:*:k:*", count=500)
            cursor, found = await self._bounded(scan)
            old = [key for key in found if not key.startswith(keep)]
            if old:
                removed += await self._bounded(self._redis.unlink(*old))
            if cursor == 0:
                return removed

    async def close(self) -> None:
        """Closes the connections."""
        await self._connection.close()
