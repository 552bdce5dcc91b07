"""Logouts that providers tell (OpenID Connect Back-Channel Logout 1.0), as far as earlier bearer tokens are concerned.

They are in Postgres, where every control plane asks at each call, and from there they are pushed to the data planes:
with the entry of the person or, where nobody knows whose the session was, with the issuer. Each is kept until the last
token that it concerns has expired, so there are as many as people sign out in a day.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import msgspec

from tollway.controlplane.access import identities
from tollway.controlplane.access.model import Identity
from tollway.controlplane.db.statements import Database
from tollway.controlplane.db.versions import publish
from tollway.controlplane.prices import published as prices
from tollway.controlplane.signin.model import MAX_TOKEN_LIFETIME_SECONDS, IssuerRow
from tollway.controlplane.signin.postgres import SQL
from tollway.core.bearer import LEEWAY_SECONDS, TokenRefused, seconds, session_digest, session_of, subject_of

KEPT = timedelta(seconds=MAX_TOKEN_LIFETIME_SECONDS + 2 * LEEWAY_SECONDS)
"""After that no token is in force that was issued until now."""
MAX_UNCLAIMED = 1_000
"""So many sessions of an issuer of which nobody knows whose they were are pushed; when there are more, all older tokens
of the issuer that name a session are void on the data planes."""


class Logout(msgspec.Struct, frozen=True, kw_only=True):
    """What a provider ended: a session (`session`), or all of a person (no `session`). `issued` is by its clock."""

    issuer: IssuerRow
    subject: str
    session: str
    issued: datetime


class _Subject(msgspec.Struct):
    subject: str


class _Found(msgspec.Struct):
    issuer: str


class _Unclaimed(msgspec.Struct, frozen=True):
    issuer: str
    provider_sid: str
    issued_until: datetime


class Unclaimed(msgspec.Struct, frozen=True):
    """Sessions of an issuer that were signed out and are nobody's that is known, as data planes get them."""

    ended: tuple[str, ...] = ()
    sessions_not_before_ms: int | None = None


def logout_of(row: IssuerRow, claims: Mapping[str, Any]) -> Logout:
    """What the claims of a verified logout token end. Raises TokenRefused when they name nothing that can be ended."""
    subject = subject_of(claims) if claims.get("sub") is not None else ""
    session = session_of(claims)
    if not session and not subject:
        raise TokenRefused("it names neither a subject nor a session")
    # The id of a session that is none ends all of the person's: more than asked for, never less.
    issued = datetime.fromtimestamp(seconds(claims, "iat"), UTC)
    return Logout(issuer=row, subject=subject, session=session, issued=issued)


async def note(db: Database, logout: Logout, now: datetime) -> None:
    """Refuses the tokens that a logout concerns, here and on the data planes.

    To be called inside a transaction, as its last step: it publishes.
    """
    row = logout.issuer
    subjects = [logout.subject] if logout.subject else await _subjects(db, row.id, logout.session)
    for subject in subjects or [""]:
        await SQL.run(
            db,
            "note_logout",
            issuer=row.issuer,
            subject=subject,
            provider_sid=logout.session,
            issued=logout.issued,
            expires_at=max(now, logout.issued) + KEPT,
        )
    entries = await identities.of_subjects(db, row.issuer, subjects)
    everywhere = not subjects and row.data_plane is not None
    if everywhere:
        await prices.record(db, now)
    await publish(db, catalog=everywhere, keys=entries)


async def _subjects(db: Database, issuer: UUID, session: str) -> list[str]:
    """Whose a session at the provider is, by the sessions that began with it here."""
    found = await SQL.all(db, "subjects_of_session", _Subject, issuer_id=issuer, provider_sid=session)
    return [row.subject for row in found]


async def signed_out(db: Database, identity: Identity) -> bool:
    """Whether the session or the person of a bearer token was signed out since it was issued."""
    assert identity.issued is not None, "of bearer tokens alone"
    of_token = {"subject": identity.subject, "session": identity.session, "issued": identity.issued}
    return await SQL.one(db, "signed_out", _Found, issuer=identity.issuer, **of_token) is not None


async def unclaimed(db: Database) -> dict[str, Unclaimed]:
    """The sessions that are nobody's, by the URL of their issuer. No clock decides here: what has ended is removed."""
    found: dict[str, list[_Unclaimed]] = defaultdict(list)
    for row in await SQL.all(db, "unclaimed_logouts", _Unclaimed, limit=MAX_UNCLAIMED + 1):
        found[row.issuer].append(row)
    return {issuer: _pushed(rows) for issuer, rows in found.items()}


def _pushed(rows: list[_Unclaimed]) -> Unclaimed:
    """Of the newest, the newest first."""
    more = rows[MAX_UNCLAIMED:]
    return Unclaimed(
        ended=tuple(session_digest(row.provider_sid) for row in rows[:MAX_UNCLAIMED]),
        sessions_not_before_ms=int(more[0].issued_until.timestamp() * 1000) + 1 if more else None,
    )
