"""Idempotency keys: the same call sent again is done once, and answered as the first time.

The record of a call is written in the transaction of its change: either both are there or neither is. The record comes
first, so of several calls with one key, over any number of processes, one works and the others wait for it, holding
nothing that it could need. What was refused leaves no record. Neither key, request nor answer stands in the database in
the clear: the first two are keyed digests, the answer is sealed. An answer with a secret is forgotten soon; whoever
comes later is told that the call was done.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID
from weakref import WeakKeyDictionary

import msgspec

from tollway.controlplane.call import ApiCode, ApiError, Call, Principal
from tollway.controlplane.credentials.vault import Vault, ensure_peppers
from tollway.controlplane.db.pool import OUTAGE, STATEMENT_SECONDS, Pool
from tollway.controlplane.db.statements import Database, Statements
from tollway.controlplane.resources import from_ms
from tollway.runtime import log
from tollway.runtime.clock import Clock
from tollway.runtime.tasks import Tasks
from tollway.wire.contract import PUBLIC, MethodContract, is_sensitive

_log = log.get(__name__)
_SQL = Statements(__package__ or "")
HEADER = "Idempotency-Key"
"""Of REST; over gRPC it is metadata of the same name in lower case."""
REPLAYED = "Idempotent-Replayed"
"""On answers that were given before."""
KEPT = timedelta(hours=24)
SECRET_KEPT = timedelta(minutes=15)
"""How long an answer with a secret can be had again: long enough for who lost it on the way."""
MAX_ANSWER_BYTES = 4 << 20
"""Larger answers are not kept; their call is done once all the same."""
PRUNE_SECONDS = 60.0
BATCH = 1000
UNRECORDED = frozenset({"tollway.control.v1.RequestLogService/GetLoggedRequest"})
"""A read that leaves an audit entry each time: what was read must be kept nowhere else."""
_KEY = re.compile(r"[\x21-\x7e]{1,255}")
_PURPOSE = b"tollway idempotency 1"
_DIGEST_KEYS: WeakKeyDictionary[Vault, bytes] = WeakKeyDictionary()


class _Id(msgspec.Struct):
    id: UUID


class _Record(msgspec.Struct):
    request: bytes
    sealed: bytes | None
    data_key: str | None
    created_at: datetime
    answer_until: datetime
    expires_at: datetime


@dataclass(frozen=True)
class Claim:
    """A call with a key: its record's id, and what an earlier call was answered, None when this is the first."""

    id: UUID
    answer: bytes | None


def place(record_id: str) -> bytes:
    """Associated data of a sealed answer: it opens nowhere else."""
    return f"idempotency|{record_id}".encode()


def given_key(values: Sequence[str]) -> str:
    """The key that a caller sent, from the values of the header; empty without one. Raises ApiError."""
    if not values:
        return ""
    if len(values) > 1 or not _KEY.fullmatch(values[0]):
        message = "must be sent once, as 1 to 255 visible ASCII characters without spaces; a UUID is a good one"
        raise ApiError(ApiCode.INVALID, f"{HEADER} {message}", field=HEADER)
    return values[0]


def applies(contract: MethodContract) -> bool:
    """Whether a key counts for a method: not for what only reads, nor for callers without a name."""
    return not contract.read_only and contract.permission != PUBLIC and contract.name not in UNRECORDED


def owner_of(principal: Principal) -> str:
    """Whose a key is: the same user or account, however they have signed in."""
    return f"{principal.kind}:{principal.user_id or principal.service_account_id or principal.name}"


class Turns:
    """Lets calls with one key through this process one by one, so that those that wait hold no connection."""

    def __init__(self, seconds: float = STATEMENT_SECONDS) -> None:
        self._seconds = seconds
        self._turns: dict[tuple[str, ...], tuple[asyncio.Lock, int]] = {}

    @asynccontextmanager
    async def turn(self, *key: str) -> AsyncIterator[None]:
        """Held by one call for each key. Raises ApiError (unavailable) when the one before takes too long."""
        lock, count = self._turns.get(key, (asyncio.Lock(), 0))
        self._turns[key] = lock, count + 1
        try:
            try:
                async with asyncio.timeout(self._seconds):
                    await lock.acquire()
            except TimeoutError:
                message = "the first call with this idempotency key is still at work; send it again later"
                raise ApiError(ApiCode.UNAVAILABLE, message, field=HEADER) from None
            try:
                yield
            finally:
                lock.release()
        finally:
            lock, count = self._turns.pop(key)
            if count > 1:
                self._turns[key] = lock, count - 1


async def _digest_key(db: Database, vault: Vault) -> bytes:
    """The key of the digests, from a secret of the vault that lasts as long as the installation. Raises VaultError."""
    known = _DIGEST_KEYS.get(vault)
    if known is not None:
        return known
    found = await vault.peppers(db)
    made = found or await ensure_peppers(db, vault)
    derived = hmac.digest(made.index, _PURPOSE, "sha256")
    if found is not None:  # what this transaction has made may yet be undone
        _DIGEST_KEYS[vault] = derived
    return derived


def _record_id(call: Call, secret: bytes, key: str) -> UUID:
    text = "\0".join((owner_of(call.principal), call.method, key))
    return UUID(bytes=hmac.new(secret, text.encode(), hashlib.sha256).digest()[:16])


async def known(call: Call, key: str) -> bool:
    """Whether a call with the key was done, and its record has not ended. Only reads."""
    if call.vault not in _DIGEST_KEYS and await call.vault.peppers(call.db) is None:
        return False
    secret = await _digest_key(call.db, call.vault)
    record = await _SQL.one(call.db, "record", _Record, id=_record_id(call, secret, key))
    return record is not None and record.expires_at > from_ms(call.clock.now_ms())


async def claim(call: Call, key: str, message: Any, stands_for: bytes) -> Claim:
    """Begins a call with a key, or finds what it was answered; waits while another with the key is at work.

    `stands_for` is compared in place of the request where a transport has made the request from something else. Raises
    ApiError when the key was used for another request, or when the answer is not kept any more.
    """
    now = from_ms(call.clock.now_ms())
    secret = await _digest_key(call.db, call.vault)
    request = hmac.digest(secret, stands_for or message.SerializeToString(deterministic=True), "sha256")
    record_id = _record_id(call, secret, key)
    claimed = await _SQL.one(
        call.db,
        "claim",
        _Id,
        id=record_id,
        principal=owner_of(call.principal),
        method=call.method,
        request=request,
        now=now,
        expires_at=now + KEPT,
    )
    if claimed is not None:
        return Claim(record_id, None)
    record = await _SQL.one(call.db, "record", _Record, id=record_id)
    assert record is not None, "the statement before holds it"
    return Claim(record_id, await _answer(call, record_id, record, request, now))


async def _answer(call: Call, record_id: UUID, record: _Record, request: bytes, now: datetime) -> bytes:
    if not hmac.compare_digest(record.request, request):
        message = (
            f"this idempotency key was used for another request at {record.created_at:%Y-%m-%dT%H:%M:%SZ}; "
            "send the request as it was then, or a new key"
        )
        raise ApiError(ApiCode.KEY_REUSED, message, field=HEADER)
    if record.sealed is None or record.data_key is None or record.answer_until <= now:
        message = (
            f"this call was done at {record.created_at:%Y-%m-%dT%H:%M:%SZ}; its answer held a secret, or was very "
            "large, and is not kept any more: look at what it made, and rotate that if its secret was lost"
        )
        raise ApiError(ApiCode.ANSWER_GONE, message, field=HEADER)
    return await call.vault.open(call.db, record.data_key, record.sealed, place(str(record_id)))


async def keep(call: Call, record_id: UUID, answer: Any) -> None:
    """Adds the answer, a message, to the record, in the call's transaction before its last steps. Raises VaultError."""
    plain = answer.SerializeToString()
    if len(plain) > MAX_ANSWER_BYTES:
        return
    data_key, sealed = await call.vault.seal(call.db, plain, place(str(record_id)))
    until = from_ms(call.clock.now_ms()) + (SECRET_KEPT if holds_secret(answer) else KEPT)
    await _SQL.run(call.db, "keep_answer", id=record_id, sealed=sealed, data_key=data_key, answer_until=until)


def holds_secret(message: Any) -> bool:
    """Whether a message has a secret in any of its fields, at any depth. The contract has no map of messages."""
    for field, value in message.ListFields():
        if is_sensitive(field):
            return True
        if field.message_type is not None and not field.message_type.GetOptions().map_entry:
            items = value if field.is_repeated else (value,)
            if any(holds_secret(item) for item in items):
                return True
    return False


class Pruning:
    """Removes what has ended, in the background. Any number of processes may be at it: each takes rows of its own."""

    def __init__(self, pool: Pool, clock: Clock, *, batch: int = BATCH) -> None:
        self._pool = pool
        self._clock = clock
        self._batch = batch
        self._tasks = Tasks()

    def start(self) -> None:
        """Begins to prune."""
        self._tasks.keep(self._forever, "idempotency-prune", restart_seconds=PRUNE_SECONDS)

    async def close(self) -> None:
        """Ends it; a batch under way is undone."""
        await self._tasks.close()

    async def _forever(self) -> None:
        while True:
            await asyncio.sleep(PRUNE_SECONDS)
            try:
                while await self.prune() >= self._batch:
                    continue
            except OUTAGE as error:
                _log.warning("records of idempotency keys could not be pruned", reason=type(error).__name__)

    async def prune(self) -> int:
        """One batch of answers and one of records; how many the larger of the two was."""
        now = from_ms(self._clock.now_ms())
        async with self._pool.connection() as db:
            forgotten = await _SQL.run(db, "forget_answers", now=now, limit=self._batch)
            return max(forgotten, await _SQL.run(db, "prune", now=now, limit=self._batch))
