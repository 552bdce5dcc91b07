"""Reads and writes what rotation keeps, and every table with sealed values. It sees ciphertext only."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from uuid import UUID

import msgspec

from tollway.controlplane.credentials.postgres import DataKeyRow
from tollway.controlplane.db.statements import Database, Statements
from tollway.controlplane.rotation.model import Holder, KeyRow, Kind, RotationRow
from tollway.controlplane.rotation.tables import TABLES, SealedRow

_SQL = Statements(__package__)
_LOCK = 0x7661756C_74000002
"""Advisory lock of whoever starts or carries on a rotation."""
LIVING_SECONDS = 30.0
"""A control plane that was not seen for longer is taken for gone."""
FORGET_SECONDS = 3600.0


class _Locked(msgspec.Struct):
    locked: bool


class _Uses(msgspec.Struct):
    data_key: str
    uses: int


class _Id(msgspec.Struct):
    id: str


async def try_lock(db: Database) -> bool:
    """Whether this transaction may carry on a rotation now; nobody else does until it ends."""
    found = await _SQL.one(db, "try_lock", _Locked, lock=_LOCK)
    return found is not None and found.locked


async def lock(db: Database) -> None:
    """Waits until nobody carries on a rotation; held to the end of the transaction."""
    await _SQL.run(db, "lock", lock=_LOCK)


async def announce(db: Database, holder: Holder) -> None:
    """Says that a control plane runs, and which keys it was given."""
    await _SQL.run(db, "announce", id=holder.id, host=holder.host, keks=holder.keks)


async def leave(db: Database, holder_id: UUID) -> None:
    """Says that a control plane ends; forgets those that are long gone."""
    await _SQL.run(db, "leave", id=holder_id, forget_seconds=FORGET_SECONDS)


async def holders(db: Database) -> list[Holder]:
    """The control planes that run."""
    return await _SQL.all(db, "holders", Holder, seconds=LIVING_SECONDS)


async def running(db: Database) -> list[RotationRow]:
    """Rotations under way, oldest first: one of a kind at most."""
    return await _SQL.all(db, "running", RotationRow)


async def rotations(db: Database, limit: int) -> list[RotationRow]:
    """The last rotations, newest first."""
    return await _SQL.all(db, "rotations", RotationRow, limit=limit)


async def begin(db: Database, rotation_id: UUID, kind: Kind, target: str, *, total: int, by: str, at: datetime) -> None:
    """A new rotation."""
    await _SQL.run(db, "begin", id=rotation_id, kind=kind.value, target=target, total=total, by=by, at=at)


async def supersede(db: Database, rotation_id: UUID, at: datetime) -> None:
    """Ends a rotation in favour of another."""
    await _SQL.run(db, "supersede", id=rotation_id, at=at)


async def advance(db: Database, rotation_id: UUID, changed: int, problem: str) -> None:
    """Counts what was changed, and keeps what is in the way."""
    await _SQL.run(db, "advance", id=rotation_id, changed=changed, problem=problem)


async def finish(db: Database, rotation_id: UUID, at: datetime) -> None:
    """Ends a rotation that has nothing left to do."""
    await _SQL.run(db, "finish", id=rotation_id, at=at)


async def data_keys(db: Database) -> list[KeyRow]:
    """All data keys in the order of their making."""
    return await _SQL.all(db, "data_keys", KeyRow)


async def rewrap(db: Database, row: DataKeyRow, before: str) -> bool:
    """Stores a data key under another key-encryption key, if it still is under `before`."""
    return await _SQL.run(db, "rewrap", id=row.id, wrapped=row.wrapped, kek=row.kek, before=before) == 1


async def hold_data_keys(db: Database, current: str) -> list[str]:
    """Locks all data keys but `current` that are not retired, after everything that is being sealed under them."""
    return [row.id for row in await _SQL.all(db, "hold_data_keys", _Id, current=current)]


async def retire(db: Database, ids: Sequence[str]) -> None:
    """Marks data keys as no longer used."""
    await _SQL.run(db, "retire", ids=list(ids))


async def revive(db: Database, ids: Sequence[str]) -> None:
    """Takes the mark away."""
    await _SQL.run(db, "revive", ids=list(ids))


async def over(db: Database, seconds: float) -> list[str]:
    """Data keys that were retired longer ago than that."""
    return [row.id for row in await _SQL.all(db, "over", _Id, seconds=seconds)]


async def delete_data_keys(db: Database, ids: Sequence[str]) -> None:
    """Deletes data keys; refused by the database when something refers to one."""
    await _SQL.run(db, "delete_data_keys", ids=list(ids))


async def batch(db: Database, table: str, current: str, after: str | None, limit: int) -> list[SealedRow]:
    """Rows of a table that are not under the data key `current`, locked, by id; without those that others locked."""
    return await _SQL.all(db, f"{table}_batch", SealedRow, current=current, after=after, limit=limit)


async def reseal(db: Database, table: str, row: SealedRow) -> None:
    """Writes the value of a row under its other data key."""
    await _SQL.run(db, f"{table}_reseal", id=row.id, data_key=row.data_key, sealed=row.sealed)


async def uses(db: Database) -> Mapping[str, Counter[str]]:
    """Table -> data key -> how many values are under it."""
    found: dict[str, Counter[str]] = {}
    for table in TABLES:
        rows = await _SQL.all(db, f"{table}_uses", _Uses)
        found[table] = Counter({row.data_key: row.uses for row in rows})
    return found


def in_use(found: Mapping[str, Counter[str]]) -> Counter[str]:
    """Data key -> how many values are under it, over all tables."""
    return sum(found.values(), Counter())
