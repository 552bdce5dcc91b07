"""The pools in Redis or Valkey. One connection, one command at a time: a round takes in all that waits for it.

The server's run id is read once for each connection and goes with every command: after a failover or a restart the
counters are those of another server, and no script grants anything from them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from hashlib import sha1
from typing import Any, Literal, overload

import redis.asyncio as redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, RedisError

from tollway.core.leases import Told
from tollway.dataplane.admission import scripts
from tollway.dataplane.admission.ports import Answer, Life, PoolAsk, PoolTold, WrittenOff
from tollway.dataplane.stores.ports import StoreUnavailable

TIMEOUT_SECONDS = 0.5
"""A server that takes longer counts as away: what a limit does then is stated for each."""
ALIVE_MS = 10_000
"""A holder that was not heard of for longer does not count among those that share what is free."""
PLACES_MS = 20_000
"""A holder that was not heard of for longer gives up the places of its requests under way."""
MEMBERS_SECONDS = 40 * 86_400
ALWAYS_KNOWN_MS = 1 << 52
NOT_BEFORE_UNKNOWN = 2


class _Script:
    """A script and the name by which a server knows it."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.digest = sha1(text.encode(), usedforsecurity=False).hexdigest()


_ASK, _CLOSE, _BEGIN, _READY, _LEAVE = (
    _Script(text) for text in (scripts.ASK, scripts.CLOSE, scripts.BEGIN, scripts.READY, scripts.LEAVE)
)


class RedisCounters:
    """The counter store of one process. Raises ValueError for a URL that is none."""

    def __init__(self, url: str, timeout_seconds: float = TIMEOUT_SECONDS) -> None:
        self._timeout = timeout_seconds
        self._run = ""
        self._turn = asyncio.Lock()
        self._redis: redis.Redis = redis.Redis.from_url(
            url,
            socket_timeout=None,  # as in RedisConnection: `_bounded` bounds, and no cancellation is lost
            socket_connect_timeout=timeout_seconds,
            max_connections=2,
            retry=Retry(NoBackoff(), 0),
            redis_connect_func=self._connected,
        )

    async def _connected(self, connection: Any) -> None:
        """Sets a new connection up and learns which server is behind it."""
        await connection.on_connect()
        await connection.send_command("INFO", "server")
        info = await connection.read_response()
        if isinstance(info, bytes):
            info = _parsed(info)
        self._run = str(info["run_id"])

    def _command(self, *arguments: Any) -> Any:
        command: Any = self._redis.execute_command  # ships without types
        return command(*arguments)

    async def _bounded(self, call: Any) -> Any:
        try:
            async with asyncio.timeout(self._timeout):
                return await call
        except (RedisError, OSError, TimeoutError) as error:
            if not isinstance(error, NoScriptError):
                self._run = ""  # the next command finds out anew who is there
            raise StoreUnavailable(type(error).__name__) from error

    async def _run_script(self, script: _Script, keys: Sequence[str], epoch: str, rest: Sequence[Any]) -> Any:
        """Runs a script; its first arguments are the life and the run id of the connection's server."""
        async with self._turn:
            if not self._run:
                await self._bounded(self._redis.connection_pool.disconnect())  # a new connection says who is there
                await self._bounded(self._redis.ping())
            if not self._run:
                raise StoreUnavailable("the server does not say who it is")
            call = [*keys, epoch, self._run, *rest]
            try:
                return await self._bounded(self._evaluate("EVALSHA", script.digest, len(keys), call))
            except StoreUnavailable as error:
                if not isinstance(error.__cause__, NoScriptError):
                    raise
            return await self._bounded(self._evaluate("EVAL", script.text, len(keys), call))

    async def _evaluate(self, command: str, script: str, keys: int, arguments: Sequence[Any]) -> Any:
        return await self._command(command, script, keys, *arguments)

    async def ask(self, organisation: str, epoch: str, holder: str, asks: Sequence[PoolAsk]) -> Answer:
        """As `CounterStore.ask`."""
        base, prefix = _base(organisation), _prefix(organisation, epoch)
        keys = [f"{base}:life", f"{prefix}:holders", f"{prefix}:closed", f"{prefix}:of:{holder}"]
        arguments: list[Any] = [holder, ALIVE_MS, PLACES_MS]
        for one in asks:
            key = f"{prefix}:a:{one.account}"
            keys += (key, f"{prefix}:a:{one.previous}" if one.previous is not None else key)
            arguments += (
                one.account,
                *one.ask,
                one.limit,
                ALWAYS_KNOWN_MS if one.places else one.start_ms,
                "" if one.expire_ms is None else one.expire_ms,
                "" if one.before is None else one.before,
                "c" if one.places else "",
                one.carry,
                one.previous_start_ms,
            )
        status, *rest = await self._run_script(_ASK, keys, epoch, arguments)
        if status != b"ok":
            return Answer(None, closed=status == b"closed")
        holders, phase, _since, cut, *told = rest
        life = Life(epoch, phase == b"ready", int(cut or 0))
        return Answer(life, max(1, int(holders)), tuple(_told(each) for each in told))

    async def begin(self, organisation: str, epoch: str) -> Life:
        """As `CounterStore.begin`."""
        found, phase = await self._run_script(_BEGIN, [f"{_base(organisation)}:life"], epoch, [])
        return Life(found.decode(), phase == b"ready")

    async def join(self, organisation: str, epoch: str, holder: str, replica: str) -> None:
        """As `CounterStore.join`."""
        async with self._turn:
            key = f"{_prefix(organisation, epoch)}:members"
            await self._bounded(self._command("HSET", key, holder, replica))
            await self._bounded(self._command("EXPIRE", key, MEMBERS_SECONDS))

    async def part(self, organisation: str, epoch: str, holder: str) -> None:
        """As `CounterStore.part`."""
        async with self._turn:
            await self._bounded(self._command("HDEL", f"{_prefix(organisation, epoch)}:members", holder))

    async def members(self, organisation: str, epoch: str) -> frozenset[str]:
        """As `CounterStore.members`."""
        async with self._turn:
            found = await self._bounded(self._command("HVALS", f"{_prefix(organisation, epoch)}:members"))
        return frozenset(name.decode() for name in found)

    async def lead(self, organisation: str, holder: str, seconds: float) -> bool:
        """As `CounterStore.lead`."""
        key = f"{_base(organisation)}:lead"
        async with self._turn:
            taken = await self._bounded(self._command("SET", key, holder, "NX", "PX", int(seconds * 1000)))
            if taken:
                return True
            present = await self._bounded(self._command("GET", key))
        return bool(present == holder.encode())

    async def ready(self, organisation: str, epoch: str, cut_us: int) -> bool:
        """As `CounterStore.ready`."""
        return bool(await self._run_script(_READY, [f"{_base(organisation)}:life"], epoch, [cut_us]))

    @overload
    async def close_holder(
        self, organisation: str, epoch: str, holder: str, totals: Mapping[str, int]
    ) -> bool | None: ...

    @overload
    async def close_holder(
        self, organisation: str, epoch: str, holder: str, totals: Mapping[str, int], *, lost: Literal[True]
    ) -> WrittenOff | None: ...

    async def close_holder(
        self, organisation: str, epoch: str, holder: str, totals: Mapping[str, int], *, lost: bool = False
    ) -> WrittenOff | bool | None:
        """As `CounterStore.close_holder`."""
        base, prefix = _base(organisation), _prefix(organisation, epoch)
        of, off = f"{prefix}:of:{holder}", f"{prefix}:lost:{holder}"
        keys = [f"{base}:life", f"{prefix}:holders", f"{prefix}:closed", of, off]
        arguments: list[Any] = [holder, f"{prefix}:a:", "lost" if lost else ""]
        arguments += [part for pair in totals.items() for part in pair]
        status, *more = await self._run_script(_CLOSE, keys, epoch, arguments)
        if not lost:
            return {b"done": True, b"unknown": None}.get(status, False)
        if status == b"lost":
            return None
        pairs: Sequence[bytes] = more[0] if more else ()
        amounts = {name.decode(): int(amount) for name, amount in zip(pairs[::2], pairs[1::2], strict=True) if name}
        return WrittenOff(amounts, ended=status == b"gone")

    async def leave(self, organisation: str, epoch: str, holder: str) -> None:
        """As `CounterStore.leave`."""
        prefix = _prefix(organisation, epoch)
        keys = [f"{prefix}:holders", f"{prefix}:closed", f"{prefix}:of:{holder}"]
        async with self._turn:
            await self._bounded(self._evaluate("EVAL", scripts.LEAVE, len(keys), [*keys, holder]))

    async def close(self) -> None:
        """Closes the connection."""
        await self._redis.aclose()


def _base(organisation: str) -> str:
    return f"tw:{{o:{organisation}}}"


def _prefix(organisation: str, epoch: str) -> str:
    return f"tw:{{o:{organisation}}}:{epoch}"


def _told(values: Sequence[Any]) -> PoolTold:
    granted, spent, held, limit, tight, known = (int(value) for value in values)
    stale = granted < 0
    told = Told(max(0, granted), spent, held, limit, bool(tight), known == 1, stale)
    return PoolTold(told, previous_unknown=known == NOT_BEFORE_UNKNOWN)


def _parsed(info: bytes) -> dict[str, str]:
    lines = (line.partition(":") for line in info.decode().splitlines() if ":" in line)
    return {name: value for name, _, value in lines}
