"""Reads and adds audit entries, and where their chain ends. Entries are never changed or removed."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

import msgspec

from tollway.controlplane.audit.chain import Head, Link
from tollway.controlplane.audit.model import Origin
from tollway.controlplane.db.statements import Database, Statements

_SQL = Statements(__package__ or "")
ORGANISATION = "default"
"""The one organisation of this release."""


class Locked(msgspec.Struct, frozen=True, kw_only=True):
    """The end of the chain, held until the commit; `texts` are the given JSON texts as the database writes them."""

    seq: int
    hash: bytes
    at: datetime
    texts: list[str]


class Unsealed(msgspec.Struct, frozen=True):
    """The last entry without a seal (0: there is none), and whether there are entries that have one."""

    last: int
    others: bool


class Checked(msgspec.Struct, frozen=True):
    """How far a check was."""

    checked_at: datetime
    to_seq: int
    hash: bytes


class _Hash(msgspec.Struct):
    hash: bytes


class _Seq(msgspec.Struct):
    seq: int


class _Taken(msgspec.Struct):
    locked: bool


async def lock_head(db: Database, texts: Sequence[str]) -> Locked | None:
    """Holds the end of the chain; None when its row is gone."""
    return await _SQL.one(db, "lock_head", Locked, organisation=ORGANISATION, texts=list(texts))


async def insert(db: Database, origin: Origin, links: Sequence[Link]) -> None:
    """Entries of one origin and time, which follow each other. The head must be held."""
    await _SQL.run(
        db,
        "insert_events",
        **msgspec.structs.asdict(origin),
        organisation=ORGANISATION,
        at=links[0].at,
        ids=[link.id for link in links],
        seqs=[link.seq for link in links],
        resources=[link.resource for link in links],
        befores=[link.before for link in links],
        afters=[link.after for link in links],
        hashes=[link.hash for link in links],
        seals=[link.seal for link in links],
    )


async def head(db: Database) -> Head | None:
    """The end of the chain; None when its row is gone."""
    return await _SQL.one(db, "head", Head, organisation=ORGANISATION)


async def hold_head(db: Database) -> None:
    """Keeps others from adding entries until the end of the transaction."""
    await _SQL.run(db, "hold_head", organisation=ORGANISATION)


async def unsealed(db: Database) -> Unsealed:
    """What has no seal."""
    found = await _SQL.one(db, "unsealed", Unsealed, organisation=ORGANISATION)
    return found or Unsealed(0, False)


async def hash_at(db: Database, seq: int) -> bytes | None:
    """The stored hash of an entry."""
    found = await _SQL.one(db, "hash_at", _Hash, organisation=ORGANISATION, seq=seq)
    return found.hash if found is not None else None


async def accept(db: Database, to: int, until: datetime, seal: bytes) -> None:
    """Notes up to where entries need no seal."""
    await _SQL.run(db, "accept", organisation=ORGANISATION, to=to, until=until, seal=seal)


async def links(db: Database, after: int, to: int, limit: int) -> list[Link]:
    """Entries after a number, in order."""
    return await _SQL.all(db, "links", Link, organisation=ORGANISATION, after=after, to=to, limit=limit)


async def first_from(db: Database, at: datetime) -> int:
    """The number of the first entry from a time on; 0: there is none."""
    found = await _SQL.one(db, "first_from", _Seq, organisation=ORGANISATION, at=at)
    return found.seq if found is not None else 0


async def last_before(db: Database, at: datetime) -> int:
    """The number of the last entry before a time; 0: there is none."""
    found = await _SQL.one(db, "last_before", _Seq, organisation=ORGANISATION, at=at)
    return found.seq if found is not None else 0


async def events(db: Database, *, oldest_first: bool, **filters: Any) -> list[Link]:
    """Entries that pass all filters, see the statement."""
    name = "events_oldest_first" if oldest_first else "events"
    return await _SQL.all(db, name, Link, organisation=ORGANISATION, **filters)


async def take_check(db: Database, lock: int) -> bool:
    """Whether this process is the one that checks, until the end of the transaction."""
    found = await _SQL.one(db, "check_lock", _Taken, lock=lock)
    return found is not None and found.locked


async def last_check(db: Database, *, whole: bool) -> Checked | None:
    """How far the last check was; with `whole`, the last that began with the first entry."""
    return await _SQL.one(db, "last_check", Checked, organisation=ORGANISATION, whole=whole)


async def last_sound(db: Database) -> Checked | None:
    """How far the last check was that found nothing."""
    return await _SQL.one(db, "last_sound", Checked, organisation=ORGANISATION)


async def record_check(db: Database, **check: Any) -> None:
    """Keeps what a check found."""
    await _SQL.run(db, "record_check", organisation=ORGANISATION, **check)


async def forget_checks(db: Database, before: datetime) -> None:
    """Removes old results."""
    await _SQL.run(db, "forget_checks", before=before)
