"""Sessions of browsers, kept in Postgres under a digest of what the cookie holds, ended there at once when revoked.

Every use computes anew what the person may do. When it is time, the provider is asked with the refresh token: a role
that was removed there is gone here, and who the provider does not vouch for any more is signed out everywhere.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta
from functools import wraps
from typing import Any
from urllib.parse import quote, urlsplit, urlunsplit
from uuid import UUID

import msgspec
from aiohttp import web
from uuid_utils.compat import uuid7

from tollway.controlplane.access.service import groups_withdrawn, principal_of
from tollway.controlplane.call import ApiCode, ApiError, Principal
from tollway.controlplane.credentials.vault import Vault, VaultError
from tollway.controlplane.db.pool import OUTAGE, Pool
from tollway.controlplane.db.statements import Database
from tollway.controlplane.resources import from_ms
from tollway.controlplane.signin import csrf, postgres
from tollway.controlplane.signin.fetch import ProviderUnavailable
from tollway.controlplane.signin.flow import Flow, Granted, SignInRefused
from tollway.controlplane.signin.headers import Origin
from tollway.controlplane.signin.issuers import Issuers
from tollway.controlplane.signin.model import ADMINISTRATOR, Claims, IssuerRow, Kept, Session, SessionRow
from tollway.runtime import log
from tollway.runtime.clock import Clock

_log = log.get(__name__)
COOKIE = "tollway_session"
ABSOLUTE = timedelta(hours=24)
"""The longest that a person stays signed in without saying so at the provider again."""
IDLE = timedelta(hours=8)
LOCAL = timedelta(hours=1)
"""The same for the local administrator, of whom no provider knows."""
TOUCH = timedelta(minutes=1)
CLAIM = timedelta(seconds=30)
"""Whoever asks the provider has so long; then another call does."""
_NOT_RENEWED = "not renewed"
_VALUE_BYTES = 32
_MAX_COOKIE = 200


def place(session_id: object) -> bytes:
    """Associated data of what a session keeps sealed."""
    return f"session|{session_id}".encode()


def digest_of(cookie: str) -> bytes:
    """What the database has of a cookie's value."""
    return hashlib.sha256(cookie.encode("utf-8", "surrogatepass")).digest()


class _Said(msgspec.Struct, frozen=True):
    """Claims, and when the provider said them."""

    claims: Claims
    at: datetime


class Sessions:
    """The sessions of all browsers. One for a process."""

    def __init__(self, pool: Pool, vault: Vault, issuers: Issuers, flow: Flow, origin: Origin, clock: Clock) -> None:
        self._pool = pool
        self._vault = vault
        self._issuers = issuers
        self._flow = flow
        self._origin = origin
        self._clock = clock
        # Its prefix binds the cookie to this host, this path and HTTPS (RFC 6265bis, 4.1.3.2).
        self.cookie = f"__Host-{COOKIE}" if origin.secure else COOKIE

    def now(self) -> datetime:
        """The present time."""
        return from_ms(self._clock.now_ms())

    async def begin(self, db: Database, source: str, *, row: IssuerRow | None, granted: Granted | None) -> str:
        """A new session, of a person or (without them) of the local administrator; returns what its cookie holds."""
        value, session_id, now = secrets.token_urlsafe(_VALUE_BYTES), uuid7(), self.now()
        if row is None or granted is None:
            await postgres.insert_session(
                db, session_id, digest_of(value), kind="local", at=now, expires_at=now + LOCAL, source=source
            )
            return value
        interval = timedelta(seconds=row.refresh_seconds)
        renewable = bool(granted.kept.refresh_token)
        data_key, sealed = await self._vault.seal(db, msgspec.json.encode(granted.kept), place(session_id))
        await postgres.insert_session(
            db,
            session_id,
            digest_of(value),
            kind="oidc",
            at=now,
            # What cannot be renewed ends when it should be: signing in again is one redirect.
            expires_at=now + (ABSOLUTE if renewable else interval),
            source=source,
            issuer_id=row.id,
            subject=granted.subject,
            provider_sid=granted.provider_sid,
            claims=granted.claims,
            sealed=sealed,
            data_key=data_key,
            refresh_at=now + interval if renewable else None,
        )
        return value

    def give(self, response: web.StreamResponse, value: str) -> None:
        """Puts the cookie of a new session into an answer."""
        response.set_cookie(self.cookie, value, path="/", secure=self._origin.secure, httponly=True, samesite="Lax")

    def take(self, response: web.StreamResponse) -> None:
        """Takes the cookie from the browser."""
        response.del_cookie(self.cookie, path="/", secure=self._origin.secure, httponly=True, samesite="Lax")

    def value_of(self, request: web.Request) -> str:
        """What the session cookie of a request holds; empty when there is none that could be ours."""
        value = request.cookies.get(self.cookie, "")
        return value if len(value) <= _MAX_COOKIE else ""

    async def find(self, value: str, source: str) -> Session | None:
        """The live session of a cookie's value. Raises ApiError when database or provider do not answer.

        `source` is the address that it came from, for the audit log.
        """
        if not value:
            return None
        now = self.now()
        try:
            async with self._pool.connection() as db:
                row = await postgres.session(db, digest_of(value), now, now - IDLE)
                if row is not None and now - row.seen_at > TOUCH:
                    await postgres.touch_session(db, row.id, now)
            if row is None:
                return None
            said = await self._current(row, now, source)
            return None if said is None else await self._opened(row, said, value, now, source)
        except OUTAGE as error:
            raise ApiError(ApiCode.UNAVAILABLE, "the database does not answer; try again") from error

    async def _opened(self, row: SessionRow, said: _Said, value: str, now: datetime, source: str) -> Session | None:
        principal = ADMINISTRATOR
        if row.kind == "oidc":
            try:
                async with self._pool.connection() as db, db.transaction():
                    principal = await self._principal(db, row, said, now, source, news=False)
            except ApiError as error:
                if error.code is ApiCode.UNAVAILABLE:
                    raise
                await self.end(row.id, "refused")  # the account was disabled
                return None
        trusted = (await self._issuers.trusted()).by_issuer.get(row.issuer or "")
        return Session(
            id=row.id,
            kind=row.kind,
            principal=principal,
            csrf_token=csrf.token_for(value),
            created_at=row.created_at,
            expires_at=row.expires_at,
            issuer_name=trusted.name if trusted is not None else "",
        )

    async def _principal(
        self, db: Database, row: SessionRow, said: _Said, now: datetime, source: str, *, news: bool
    ) -> Principal:
        identity = msgspec.structs.replace(said.claims.identity(row.issuer or "", row.subject), issued=said.at)
        # Whoever was unbound since is not bound again by what was said then.
        return await principal_of(db, identity, now, vault=self._vault, source=source, news=news, binds=False)

    async def _current(self, row: SessionRow, now: datetime, source: str) -> _Said | None:
        """The claims of a session, asked for anew when it is time; None when the session has ended by that."""
        said = _Said(msgspec.convert(row.claims, Claims), row.refreshed_at)
        if row.refresh_at is None or row.refresh_at > now:
            return said
        async with self._pool.connection() as db:
            mine = await postgres.claim_refresh(db, row.id, now, now + CLAIM)
        issuer = (await self._issuers.trusted()).by_issuer.get(row.issuer or "")
        if issuer is None:
            return None
        if mine:
            return await self._refreshed(row, issuer, said, now, source)
        # Another call asks at this moment. What is known serves unless that has failed for too long.
        return said if self._within_grace(row, issuer, now) else None

    def _within_grace(self, row: SessionRow, issuer: IssuerRow, now: datetime) -> bool:
        """Whether what was said last may still be believed while the provider does not answer: two intervals."""
        return now - row.refreshed_at < 2 * timedelta(seconds=issuer.refresh_seconds)

    async def _refreshed(
        self, row: SessionRow, issuer: IssuerRow, said: _Said, now: datetime, source: str
    ) -> _Said | None:
        try:
            async with self._pool.connection() as db:
                kept = await self.kept(db, row)
                secret = await self._issuers.secret(db, issuer)
            granted = await self._flow.refresh(issuer, self._issuers.provider(issuer), secret, kept, row.subject)
        except ProviderUnavailable as error:
            _log.warning("a session could not be renewed", issuer=issuer.name, reason=str(error))
            return said if self._within_grace(row, issuer, now) else None
        except VaultError as error:
            _log.warning("a session ended at its renewal", issuer=issuer.name, reason=str(error))
            await self.end(row.id, _NOT_RENEWED)
            return None
        except SignInRefused as error:
            _log.info("a session ended at its renewal", issuer=issuer.name, reason=str(error))
            await self._not_renewed(row, error, source)
            return None
        renewed = _Said(granted.claims, now)
        async with self._pool.connection() as db, db.transaction():
            sealed = await self._vault.seal(db, msgspec.json.encode(granted.kept), place(row.id))
            due = now + timedelta(seconds=issuer.refresh_seconds)
            if not await postgres.refresh_session(db, row.id, granted.claims, sealed, now, due):
                return None  # it was ended while the provider was asked: nothing that it said counts
            try:
                # Together, so that no call between the two takes the new groups without a trace.
                await self._principal(db, row, renewed, now, source, news=True)
            except ApiError as error:
                _log.info("a session was renewed for somebody who is refused", reason=error.message)
        return renewed

    async def _not_renewed(self, row: SessionRow, refused: SignInRefused, source: str) -> None:
        """Ends what rests on a provider that refused to renew a session.

        It does not vouch for this person any more, so neither for the other sessions nor for the groups. All of it ends
        together, so that no other session brings back what one has lost; only what the provider says later counts.
        """
        now = self.now()
        async with self._pool.connection() as db, db.transaction():
            if not refused.of_person or row.issuer_id is None:
                await postgres.revoke_session(db, row.id, now, _NOT_RENEWED)
                return
            await postgres.revoke_subject(db, row.issuer_id, row.subject, now, _NOT_RENEWED)
            await groups_withdrawn(db, row.issuer or "", row.subject, now, vault=self._vault, source=source)

    async def kept(self, db: Database, row: SessionRow) -> Kept:
        """What a session keeps sealed. Raises VaultError."""
        if row.sealed is None or row.data_key is None:
            return Kept()
        return msgspec.json.decode(await self._vault.open(db, row.data_key, row.sealed, place(row.id)), type=Kept)

    async def row(self, value: str) -> SessionRow | None:
        """The live row of a cookie's value, without asking anybody."""
        now = self.now()
        async with self._pool.connection() as db:
            return await postgres.session(db, digest_of(value), now, now - IDLE) if value else None

    async def end(self, session_id: UUID, reason: str) -> None:
        """Ends a session, everywhere and at once."""
        async with self._pool.connection() as db:
            await postgres.revoke_session(db, session_id, self.now(), reason)

    async def forget(self) -> None:
        """Removes a part of what has ended long ago."""
        async with self._pool.connection() as db:
            now = self.now()
            await postgres.forget(db, now, now - timedelta(days=7))


SESSIONS = web.AppKey("signin_sessions", Sessions)
ORIGIN = web.AppKey("signin_origin", Origin)
LEAVING: web.AppKey[list[Callable[[web.Request, Session], None]]] = web.AppKey("signin_leaving", list)
"""Who is told when somebody signs out in this process; what takes time they do later."""
_FOUND: web.RequestKey[list[Session | None]] = web.RequestKey("signin_session", list)
PageHandler = Callable[[web.Request], Awaitable[web.StreamResponse]]


async def session_of(request: web.Request) -> Session | None:
    """The session of a request's cookie, or None; looked up once for a request."""
    known = request.get(_FOUND)
    if known is None:
        sessions = request.app[SESSIONS]
        known = request[_FOUND] = [await sessions.find(sessions.value_of(request), request.remote or "")]
    return known[0]


async def check_csrf(request: web.Request, session: Session) -> None:
    """Raises ApiError (permission denied) unless our own pages made this call."""
    if request.app[ORIGIN].foreign(request):
        raise ApiError(ApiCode.PERMISSION_DENIED, "the call comes from another site")
    await csrf.check(request, session.csrf_token)


def signed_in(handler: PageHandler) -> PageHandler:
    """For handlers of pages: sends who is not signed in to sign in, and refuses unsafe calls without CSRF token."""

    @wraps(handler)
    async def guarded(request: web.Request) -> web.StreamResponse:
        session = await session_of(request)
        if session is None:
            return _to_sign_in(request)
        if request.method not in csrf.SAFE:
            await check_csrf(request, session)
        return await handler(request)

    return guarded


def _to_sign_in(request: web.Request) -> web.StreamResponse:
    headers: dict[str, Any] = {"Cache-Control": "no-store"}
    by_htmx = "HX-Request" in request.headers
    if request.method in csrf.SAFE and (not by_htmx or "HX-Boosted" in request.headers):
        back = request.path_qs
    else:  # a part of a page was asked for, or a form was sent
        back = _page_shown(request.headers.get("HX-Current-URL", "/"))
    target = f"/auth/login?return_to={quote(back, safe='')}"
    if by_htmx:  # it would put the page of the sign-in into a part of its own
        return web.Response(status=401, headers=headers | {"HX-Redirect": target})
    return web.Response(status=303, headers=headers | {"Location": target})


def _page_shown(url: str) -> str:
    """The path and query of the page that asked for a part of itself."""
    try:
        page = urlsplit(url)
    except ValueError:
        return "/"
    return urlunsplit(("", "", page.path, page.query, ""))
