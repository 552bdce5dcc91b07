"""Reads and writes the tables of sign-in. It decides nothing, and sees digests and ciphertext only."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

import msgspec
from psycopg.types.json import Jsonb

from tollway.controlplane.db.statements import Database, Statements
from tollway.controlplane.signin.model import Claims, IssuerRow, SessionRow

SQL = Statements(__package__ or "")


class Tries(msgspec.Struct, frozen=True):
    """How often something was tried in the present window."""

    tries: int
    window_end: datetime


class _Id(msgspec.Struct):
    id: UUID


async def issuers(db: Database) -> list[IssuerRow]:
    """Live issuers by name."""
    return await SQL.all(db, "issuers", IssuerRow)


async def insert_issuer(db: Database, row: IssuerRow, at: datetime) -> None:
    """A new issuer. Raises UniqueViolation when a live one has the name or the URL."""
    await SQL.run(db, "insert_issuer", name=row.name, issuer=row.issuer, at=at, **_columns(row))


async def update_issuer(db: Database, row: IssuerRow, at: datetime) -> None:
    """Writes what can change of an issuer."""
    await SQL.run(db, "update_issuer", at=at, **_columns(row))


def _columns(row: IssuerRow) -> dict[str, Any]:
    names = (
        "id",
        "client_id",
        "cli_client_id",
        "sealed",
        "data_key",
        "fingerprint",
        "audiences",
        "scopes",
        "algorithms",
        "groups_claim",
        "email_claim",
        "name_claim",
        "trust_email",
        "refresh_seconds",
        "claims",
    )
    data_plane = None if row.data_plane is None else Jsonb(row.data_plane)
    return {name: getattr(row, name) for name in names} | {"data_plane": data_plane}


async def archive_issuer(db: Database, issuer_id: UUID, at: datetime) -> None:
    """Marks an issuer as removed, forgets its secret, and ends its sessions."""
    await SQL.run(db, "archive_issuer", id=issuer_id, at=at)
    await SQL.run(db, "revoke_issuer", issuer_id=issuer_id, at=at, reason="issuer removed")


async def insert_session(
    db: Database,
    session_id: UUID,
    digest: bytes,
    *,
    kind: str,
    at: datetime,
    expires_at: datetime,
    source: str,
    issuer_id: UUID | None = None,
    subject: str = "",
    provider_sid: str = "",
    claims: Claims | None = None,
    sealed: bytes | None = None,
    data_key: str | None = None,
    refresh_at: datetime | None = None,
) -> None:
    """A new session; `digest` is of what its cookie holds."""
    await SQL.run(
        db,
        "insert_session",
        id=session_id,
        digest=digest,
        kind=kind,
        at=at,
        expires_at=expires_at,
        source=source,
        issuer_id=issuer_id,
        subject=subject,
        provider_sid=provider_sid,
        claims=Jsonb(msgspec.to_builtins(claims or Claims())),
        sealed=sealed,
        data_key=data_key,
        refresh_at=refresh_at,
    )


async def session(db: Database, digest: bytes, at: datetime, idle: datetime) -> SessionRow | None:
    """The live session of a cookie that was seen after `idle`."""
    return await SQL.one(db, "session", SessionRow, digest=digest, at=at, idle=idle)


async def touch_session(db: Database, session_id: UUID, at: datetime) -> None:
    """Notes that a session was used."""
    await SQL.run(db, "touch_session", id=session_id, at=at)


async def claim_refresh(db: Database, session_id: UUID, at: datetime, again: datetime) -> bool:
    """Whether the refresh that is due is the caller's to do."""
    return await SQL.one(db, "claim_refresh", _Id, id=session_id, at=at, again=again) is not None


async def refresh_session(
    db: Database, session_id: UUID, claims: Claims, sealed: tuple[str, bytes], at: datetime, refresh_at: datetime
) -> bool:
    """What the provider said anew; `sealed` is data key and ciphertext. False: the session has ended meanwhile."""
    touched = await SQL.run(
        db,
        "refresh_session",
        id=session_id,
        claims=Jsonb(msgspec.to_builtins(claims)),
        data_key=sealed[0],
        sealed=sealed[1],
        at=at,
        refresh_at=refresh_at,
    )
    return touched == 1


async def revoke_session(db: Database, session_id: UUID, at: datetime, reason: str) -> int:
    """Ends a session; returns how many ended (0 or 1)."""
    return await SQL.run(db, "revoke_session", id=session_id, at=at, reason=reason)


async def revoke_digest(db: Database, digest: bytes, at: datetime, reason: str) -> int:
    """Ends the session of a cookie."""
    return await SQL.run(db, "revoke_digest", digest=digest, at=at, reason=reason)


async def revoke_subject(db: Database, issuer_id: UUID, subject: str, at: datetime, reason: str) -> int:
    """Ends all sessions of a person."""
    return await SQL.run(db, "revoke_subject", issuer_id=issuer_id, subject=subject, at=at, reason=reason)


async def revoke_provider_session(
    db: Database, issuer_id: UUID, provider_sid: str, subject: str, at: datetime, reason: str
) -> int:
    """Ends the sessions that came from one session at the provider."""
    return await SQL.run(
        db,
        "revoke_provider_session",
        issuer_id=issuer_id,
        provider_sid=provider_sid,
        subject=subject,
        at=at,
        reason=reason,
    )


async def use_once(db: Database, digest: bytes, expires_at: datetime) -> bool:
    """Whether this is the first use of a value that is good once."""
    return await SQL.run(db, "use_once", digest=digest, expires_at=expires_at) == 1


async def count_try(db: Database, scope: str, at: datetime, window_end: datetime) -> Tries:
    """One more try; how many there were in the window, this one included."""
    found = await SQL.one(db, "count_try", Tries, scope=scope, at=at, window_end=window_end)
    assert found is not None
    return found


async def tries(db: Database, scope: str, at: datetime) -> Tries | None:
    """How many tries there were in the present window; None: none."""
    return await SQL.one(db, "tries", Tries, scope=scope, at=at)


async def clear_tries(db: Database, scope: str) -> None:
    """Forgets the tries of a scope."""
    await SQL.run(db, "clear_tries", scope=scope)


async def forget(db: Database, at: datetime, sessions_before: datetime) -> None:
    """Removes a part of what has ended."""
    await SQL.run(db, "forget_once", at=at)
    await SQL.run(db, "forget_tries", at=at)
    await SQL.run(db, "forget_logouts", at=at)
    await SQL.run(db, "forget_sessions", before=sessions_before)
