"""Carries rotations on in the background, batch by batch, and tells the database which keys this process was given.

Every control plane runs one. A step is one short transaction under an advisory lock, so two never do the same step, and
a process that dies in the middle of one leaves what the step before left: the next step of any process goes on there.
Rows that somebody is changing are left for later, so no call waits for a rotation. A data key is retired only when
nothing is sealed under it and no transaction that could do so is under way, and deleted a while after that.
"""

from __future__ import annotations

import asyncio
import socket

import msgspec
from uuid_utils.compat import uuid7

from tollway.controlplane.credentials.keks import KekUnavailable, VaultError
from tollway.controlplane.credentials.postgres import DataKeyRow
from tollway.controlplane.credentials.vault import Vault
from tollway.controlplane.db.pool import OUTAGE, Pool
from tollway.controlplane.db.statements import Database
from tollway.controlplane.resources import from_ms
from tollway.controlplane.rotation import postgres
from tollway.controlplane.rotation.model import Holder, Kind, RotationRow
from tollway.controlplane.rotation.tables import TABLES, Place, SealedRow
from tollway.runtime import log
from tollway.runtime.clock import Clock
from tollway.runtime.tasks import Tasks

_log = log.get(__name__)
LOOK_SECONDS = 1.0
RETRY_SECONDS = 5.0
ANNOUNCE_SECONDS = 10.0
BATCH = 100
KEYS_A_STEP = 8
RETIRED_SECONDS = 3600.0
"""How long a retired data key is kept, for readers that saw a row before it was sealed anew."""


class RotationWorker:
    """`open` it before the process serves, `start` and `close` it. `step` is one step, for tests too."""

    def __init__(self, pool: Pool, vault: Vault, clock: Clock, *, batch: int = BATCH) -> None:
        self._pool = pool
        self._vault = vault
        self._clock = clock
        self._batch = batch
        self._tasks = Tasks()
        self._holder = Holder(id=uuid7(), host=socket.gethostname()[:200], keks=vault.keks)
        self._after: dict[str, str] = {}
        """Where the present pass over a table is; a value that does not open must not hold up those behind it."""

    async def open(self) -> None:
        """Announces this process's keys, so that no rotation begins that would leave it without."""
        async with self._pool.connection() as db:
            await postgres.announce(db, self._holder)

    def start(self) -> None:
        """Works in the background."""
        self._tasks.keep(self._rotate_forever, "secrets-rotate", restart_seconds=RETRY_SECONDS)
        self._tasks.keep(self._announce_forever, "secrets-announce", restart_seconds=RETRY_SECONDS)

    async def close(self) -> None:
        """Ends the background work. What runs is carried on by another process, or after the next start."""
        await self._tasks.close()
        try:
            async with self._pool.connection() as db:
                await postgres.leave(db, self._holder.id)
        except OUTAGE as error:
            _log.warning("this process's keys stay announced for a while", reason=type(error).__name__)

    async def _announce_forever(self) -> None:
        while True:
            try:
                async with self._pool.connection() as db:
                    await postgres.announce(db, self._holder)
                    await self._vault.warm(db)
            except OUTAGE as error:
                _log.warning("this process's keys could not be announced", reason=type(error).__name__)
            except VaultError as error:
                _log.error("a data key cannot be opened by this process", reason=str(error))
            await asyncio.sleep(ANNOUNCE_SECONDS)

    async def _rotate_forever(self) -> None:
        while True:
            pause = LOOK_SECONDS
            try:
                if await self.step():
                    pause = 0.0
            except OUTAGE as error:
                pause = RETRY_SECONDS
                _log.warning("the rotation of keys has to wait", reason=type(error).__name__)
            await asyncio.sleep(pause)

    async def step(self) -> bool:
        """One batch of whatever is to be done; whether there is more to do at once."""
        async with self._pool.connection() as db:
            if not await postgres.running(db) and not await postgres.over(db, RETIRED_SECONDS):
                return False
            async with db.transaction():
                if not await postgres.try_lock(db):
                    return False
                more = False
                for rotation in await postgres.running(db):
                    work = self._reseal if rotation.kind is Kind.DATA_KEY else self._rewrap
                    more |= await work(db, rotation)
                await self._forget_retired(db)
                return more

    async def _rewrap(self, db: Database, rotation: RotationRow) -> bool:
        """Wraps a few data keys under the key-encryption key that the rotation goes to."""
        todo = [key for key in await postgres.data_keys(db) if key.kek != rotation.target]
        if todo and rotation.target not in self._vault.keks:
            return False  # for a process that has it
        changed, problem = 0, ""
        for key in todo[:KEYS_A_STEP]:
            row = DataKeyRow(id=key.id, wrapped=key.wrapped, kek=key.kek)
            try:
                changed += await postgres.rewrap(db, await self._vault.rewrapped(row, rotation.target), key.kek)
            except VaultError as error:
                problem = f"data key {key.id}: {error}"
                if isinstance(error, KekUnavailable):
                    break
        await self._progress(db, rotation, changed, problem)
        if not todo:
            await self._finish(db, rotation)
        return bool(changed)

    async def _reseal(self, db: Database, rotation: RotationRow) -> bool:
        """Seals one batch of one table under the data key that the rotation goes to."""
        changed, problem = 0, ""
        for table, place in TABLES.items():
            rows = await postgres.batch(db, table, rotation.target, self._after.pop(table, None), self._batch)
            for row in rows:
                try:
                    await self._reseal_row(db, table, place, row)
                    changed += 1
                except VaultError as error:
                    problem = f"{table} {row.id}: {error}"
                    if isinstance(error, KekUnavailable):
                        await self._progress(db, rotation, changed, problem)
                        return False
            if len(rows) == self._batch:
                self._after[table] = rows[-1].id
                await self._progress(db, rotation, changed, problem or rotation.problem)
                return True
        await self._progress(db, rotation, changed, problem)
        if problem or changed:
            # Data keys are retired by a step that changed no row: it waits for others, so it must not be waited for.
            return not problem
        await self._retire(db, rotation)
        return False

    async def _reseal_row(self, db: Database, table: str, place: Place, row: SealedRow) -> None:
        bound = place(row)
        data_key, sealed = row.data_key, row.sealed
        plain = await self._vault.open(db, data_key, sealed, bound) if sealed else b""
        data_key, fresh = await self._vault.seal(db, plain, bound)
        await postgres.reseal(
            db, table, msgspec.structs.replace(row, data_key=data_key, sealed=fresh if sealed else sealed)
        )

    async def _retire(self, db: Database, rotation: RotationRow) -> None:
        """Retires the other data keys when nothing is sealed under them, which ends the rotation."""
        held = await postgres.hold_data_keys(db, rotation.target)
        used = postgres.in_use(await postgres.uses(db))
        await postgres.retire(db, [data_key for data_key in held if not used[data_key]])
        # Rows that others have locked, or that were written while this pass went on, come with the next one.
        if not any(used[data_key] for data_key in held):
            await self._finish(db, rotation)

    async def _forget_retired(self, db: Database) -> None:
        """Deletes data keys that were retired a while ago; one that came to be used after all is used again."""
        over = await postgres.over(db, RETIRED_SECONDS)
        if not over:
            return
        used = postgres.in_use(await postgres.uses(db))
        await postgres.revive(db, [data_key for data_key in over if used[data_key]])
        await postgres.delete_data_keys(db, [data_key for data_key in over if not used[data_key]])

    async def _progress(self, db: Database, rotation: RotationRow, changed: int, problem: str) -> None:
        if problem and problem != rotation.problem:
            _log.error("the rotation of keys does not get on", kind=rotation.kind.value, reason=problem)
        await postgres.advance(db, rotation.id, changed, problem)

    async def _finish(self, db: Database, rotation: RotationRow) -> None:
        await postgres.finish(db, rotation.id, from_ms(self._clock.now_ms()))
        _log.info("keys are rotated", kind=rotation.kind.value, target=rotation.target)
