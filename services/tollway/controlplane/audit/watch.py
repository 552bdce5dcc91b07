"""The check of the audit log that runs by itself, by one process of all: new entries every minute, all once a day.

What it finds is logged as an error, counted, and kept in `audit_checks`, from where the alerts take it. Every process
also remembers, outside of the database, how far it has seen the chain.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import msgspec
from psycopg.types.json import Jsonb

from tollway.controlplane.audit import postgres
from tollway.controlplane.audit.chain import FIRST, Head, Verifier, accepted_to, mark, marked
from tollway.controlplane.audit.sealing import seal_key
from tollway.controlplane.audit.service import present_head
from tollway.controlplane.audit.verify import PIECE, START, Place, remembered, take
from tollway.controlplane.call import ApiError
from tollway.controlplane.credentials.vault import Vault
from tollway.controlplane.db.pool import OUTAGE, Pool
from tollway.controlplane.db.statements import Database
from tollway.controlplane.resources import from_ms
from tollway.runtime import log
from tollway.runtime.clock import Clock
from tollway.runtime.tasks import Tasks

_log = log.get(__name__)
CHECK_LOCK = 0x61756469_74636865
"""Advisory lock of whoever checks."""
INTERVAL_SECONDS = 60.0
WHOLE_EVERY = timedelta(days=1)
UPGRADE = timedelta(days=1)
"""How long after the first start with the chain processes of the release before may still add entries."""
TELL_AGAIN = timedelta(hours=1)
"""How often what is still wrong is kept, and so told of, again."""
KEEP = timedelta(days=90)
"""How long results are kept."""


@dataclass
class AuditCounters:
    """Totals since the process started, ready to be shown as metrics."""

    checks: int = 0
    verified: int = 0
    problems: int = 0
    failures: int = 0


async def accept_earlier(db: Database, vault: Vault, now: datetime, *, vouch: bool = False) -> int:
    """Marks an empty log as one that needs no entry without a seal. To be called at every start, not in a transaction.

    With `vouch` an operator says that entries which are there without a seal, and with none that has one after them,
    are older than the chain; returns up to which number they are accepted, 0: there was nothing to accept. Nobody else
    can say so: to a process, a log that was made anew without seals looks the same.
    """
    key = await seal_key(db, vault)
    async with db.transaction():
        await postgres.hold_head(db)
        head = await postgres.head(db)
        if head is None or marked(key, head):
            return 0
        if head.seq == head.last == 0:
            await _accept(db, key, head, 0, now)
            return 0
        there = await postgres.unsealed(db)
        if not vouch or there.others:
            _log.error("the audit log has no mark; after an upgrade see: tollway-controlplane accept-audit")
            return 0
        await _accept(db, key, head, there.last, now + UPGRADE)
        return there.last


async def accept_growth(db: Database, vault: Vault, now: datetime) -> int:
    """During an upgrade, accepts what the release before has added since; returns up to where, 0: nothing.

    To be called when a check has told of it, not in a transaction.
    """
    key = await seal_key(db, vault)
    if not _growing(await postgres.head(db), key, now):
        return 0
    async with db.transaction():
        await postgres.hold_head(db)
        head, there = await present_head(db), await postgres.unsealed(db)
        if not _growing(head, key, now) or head.unproven_until is None or there.last <= head.unproven_to:
            return 0
        await _accept(db, key, head, there.last, head.unproven_until)
    _log.warning("entries of the audit log without a seal are accepted as unproven", up_to=there.last)
    return there.last


def _growing(head: Head | None, key: bytes, now: datetime) -> bool:
    return head is not None and head.unproven_until is not None and now < head.unproven_until and marked(key, head)


async def _accept(db: Database, key: bytes, head: Head, to: int, until: datetime) -> None:
    entry_hash = FIRST if to == 0 else await postgres.hash_at(db, to)
    assert entry_hash is not None
    await postgres.accept(db, to, until, mark(key, head.organisation, to, entry_hash, until))


class AuditWatch:
    """`start` it, `close` it; `look` is one look."""

    def __init__(self, pool: Pool, vault: Vault, clock: Clock, *, interval_seconds: float = INTERVAL_SECONDS) -> None:
        self._pool = pool
        self._vault = vault
        self._clock = clock
        self._interval = interval_seconds
        self._tasks = Tasks()
        self._seen = START
        self._told: tuple[tuple[str, int], ...] = ()
        self._told_at = datetime.min.replace(tzinfo=UTC)
        self.counters = AuditCounters()

    def start(self) -> None:
        """Begins to check."""
        self._tasks.keep(self._forever, "audit-check", restart_seconds=self._interval)

    async def close(self) -> None:
        """Ends the background work."""
        await self._tasks.close()

    async def _forever(self) -> None:
        while True:
            await asyncio.sleep(self._interval)
            try:
                await self.look()
            except (*OUTAGE, ApiError) as error:
                self.counters.failures += 1
                _log.warning("the audit log could not be checked; tried again", reason=type(error).__name__)

    async def look(self) -> Verifier | None:
        """Checks what is due; None when another process does. Returns what was found."""
        now = from_ms(self._clock.now_ms())
        async with self._pool.connection() as db:
            async with db.transaction():
                if not await postgres.take_check(db, CHECK_LOCK):
                    return None
                done = await self._check(db, now)
            # Afterwards, so that what grew was told of once.
            await accept_growth(db, self._vault, now)
        self.counters.checks += 1
        self.counters.verified += done.verified
        self.counters.problems += done.found
        if done.found:
            first = done.problems[0]
            _log.error(
                "the audit log is not what was written; see: tollway audit verify",
                problems=done.found,
                kind=first.kind,
                seq=first.seq,
                detail=first.detail,
            )
        elif done.verified:
            # Logs go elsewhere, as a rule: a head in them is one that nobody can take back.
            _log.info("audit log verified", entries=done.verified, head=f"{done.seq}:{done.hash.hex()}")
        if not done.found:
            self._seen = Place(done.seq, done.hash)  # else the place stays, and with it what contradicts it
        return done

    async def _check(self, db: Database, now: datetime) -> Verifier:
        # The head first: what is committed after this moment is for the next look.
        key, head = await seal_key(db, self._vault), await present_head(db)
        before, whole = await postgres.last_check(db, whole=False), await postgres.last_check(db, whole=True)
        from_start = before is None or whole is None or now - whole.checked_at >= WHOLE_EVERY
        known = START if before is None else Place(before.to_seq, before.hash)
        place = START if from_start else known
        verifier = Verifier(key, seq=place.seq, hash_=place.hash, accepted=accepted_to(key, head))
        await remembered(db, verifier, head, self._seen)
        while await take(db, verifier, head.seq, PIECE):
            continue
        verifier.end(head)
        if verifier.seq > head.seq:
            verifier.seq, verifier.hash = head.seq, head.hash
        if from_start or verifier.verified or self._news(verifier, now):
            await postgres.record_check(
                db,
                at=now,
                whole=from_start,
                **{"from": place.seq + 1},
                to=verifier.seq,
                hash=verifier.hash,
                found=verifier.found,
                problems=Jsonb(msgspec.to_builtins(verifier.problems)),
            )
            await postgres.forget_checks(db, now - KEEP)
        return verifier

    def _news(self, verifier: Verifier, now: datetime) -> bool:
        """Whether what was found is kept: the same again is, by the hour."""
        told = tuple((problem.kind, problem.seq) for problem in verifier.problems)
        if not told or (told == self._told and now - self._told_at < TELL_AGAIN):
            return False
        self._told, self._told_at = told, now
        return True
