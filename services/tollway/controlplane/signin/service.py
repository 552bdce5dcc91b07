"""Use cases of sign-in: at a provider, with the administrator's token, with bearer tokens; and of signing out.

What must be remembered between going to a provider and coming back stands sealed in a cookie of the browser that went,
so that nobody can fill a table by starting. A code is good once at its provider, a sign-in once here.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import hashlib
import hmac
import secrets
from collections.abc import Mapping
from datetime import timedelta

import msgspec

from tollway.controlplane.access.service import principal_of
from tollway.controlplane.audit import service as audit
from tollway.controlplane.call import ApiCode, ApiError, Call, Principal
from tollway.controlplane.credentials.vault import Vault, VaultError
from tollway.controlplane.db.pool import OUTAGE, Pool
from tollway.controlplane.db.statements import Database
from tollway.controlplane.resources import from_ms
from tollway.controlplane.signin import logouts, postgres, throttle
from tollway.controlplane.signin.fetch import Fetcher, ProviderUnavailable
from tollway.controlplane.signin.flow import Flow, Granted, SignInRefused
from tollway.controlplane.signin.headers import Origin
from tollway.controlplane.signin.issuers import Issuers
from tollway.controlplane.signin.model import ADMINISTRATOR, IssuerRow
from tollway.controlplane.signin.sessions import Sessions, digest_of
from tollway.controlplane.signin.tokens import Tokens
from tollway.core.bearer import TokenRefused
from tollway.runtime import log
from tollway.runtime.clock import Clock
from tollway.runtime.tasks import Tasks

_log = log.get(__name__)
PENDING_SECONDS = 600
"""How long somebody may take at the provider."""
_PENDING_PLACE = b"sign-in under way"
_MAX_PENDING = 4096
_MAX_RETURN = 1000
_BACK_CHANNEL = "back-channel logout"
SIGN_IN, SIGN_OUT = "signin.sign_in", "signin.sign_out"


class Pending(msgspec.Struct, frozen=True, kw_only=True):
    """A sign-in under way, as its browser keeps it."""

    issuer: str
    state: str
    nonce: str
    verifier: str
    return_to: str
    expires_ms: int


class Entered(msgspec.Struct, frozen=True, kw_only=True):
    """A sign-in that came to its end: what the session's cookie holds, and where the browser goes on."""

    cookie: str
    return_to: str


def local_path(text: str) -> str:
    """Where to go after a sign-in: a path of our own, never another site."""
    usable = text.startswith("/") and text[1:2] not in ("/", "\\") and text.isascii() and text.isprintable()
    return text if usable and len(text) <= _MAX_RETURN and " " not in text and "\\" not in text else "/"


class SignIn:
    """Everything about callers who are not the holder of the administrator's token. One for a process."""

    def __init__(
        self,
        pool: Pool,
        vault: Vault,
        clock: Clock,
        admin_token: str,
        origin: Origin,
        *,
        fetcher: Fetcher | None = None,
    ) -> None:
        self._pool = pool
        self._vault = vault
        self._clock = clock
        self._administrator = hashlib.sha256(admin_token.encode()).digest()
        self.origin = origin
        self._fetcher = fetcher or Fetcher()
        self.issuers = Issuers(pool, vault, self._fetcher, clock)
        self._tokens = Tokens(self.issuers.provider, clock)
        self.flow = Flow(self._fetcher, self._tokens)
        self.sessions = Sessions(pool, vault, self.issuers, self.flow, origin, clock)
        self._tasks = Tasks()

    async def open(self) -> None:
        """Makes what calls providers, and begins to clean up."""
        await self._fetcher.open()
        self._tasks.keep(self._clean, "signin cleaning")

    async def close(self) -> None:
        """Ends what `open` began."""
        await self._tasks.close()
        await self.issuers.close()
        await self._fetcher.close()

    async def _clean(self) -> None:
        while True:
            await asyncio.sleep(60.0)
            try:
                await self.sessions.forget()
            except OUTAGE as error:
                _log.warning("sessions that have ended could not be removed", reason=type(error).__name__)

    async def bearer(self, token: str, source: str) -> Principal:
        """Who a JWT speaks for. Raises ApiError: unauthenticated with the reason, or unavailable."""
        try:
            trusted = await self.issuers.trusted()
            identity, first = await self._tokens.bearer(token, trusted.by_issuer, trusted.generation)
            now = from_ms(self._clock.now_ms())
            async with self._pool.connection() as db, db.transaction():
                if await logouts.signed_out(db, identity):
                    raise TokenRefused("its session was signed out; sign in again")
                return await principal_of(db, identity, now, vault=self._vault, source=source, news=first)
        except TokenRefused as refused:
            raise ApiError(ApiCode.UNAUTHENTICATED, f"the token is not valid: {refused}") from None
        except ProviderUnavailable as error:
            raise ApiError(ApiCode.UNAVAILABLE, f"the token cannot be verified now: {error}") from None
        except OUTAGE as error:
            raise ApiError(ApiCode.UNAVAILABLE, "the database does not answer; try again") from error

    async def issuer(self, name: str) -> IssuerRow:
        """A live issuer by name. Raises ApiError."""
        row = (await self.issuers.trusted()).by_name.get(name)
        if row is None:
            raise ApiError(ApiCode.NOT_FOUND, "there is no such identity provider")
        return row

    async def begin(self, name: str, return_to: str, base: str) -> tuple[str, str]:
        """Where the browser goes, and what it keeps meanwhile."""
        row = await self.issuer(name)
        pending = Pending(
            issuer=row.name,
            state=secrets.token_urlsafe(32),
            nonce=secrets.token_urlsafe(32),
            verifier=secrets.token_urlsafe(48),
            return_to=local_path(return_to),
            expires_ms=self._clock.now_ms() + PENDING_SECONDS * 1000,
        )
        url = await self.flow.authorization_url(
            row,
            self.issuers.provider(row),
            redirect_uri=callback_url(base, row.name),
            state=pending.state,
            nonce=pending.nonce,
            verifier=pending.verifier,
        )
        async with self._pool.connection() as db, db.transaction():
            data_key, sealed = await self._vault.seal(db, msgspec.json.encode(pending), _PENDING_PLACE)
        return url, f"{data_key}.{base64.urlsafe_b64encode(sealed).decode()}"

    async def _pending(self, cookie: str, name: str) -> Pending:
        data_key, _, sealed = cookie.partition(".")
        try:
            if not data_key or not 0 < len(sealed) <= _MAX_PENDING:
                raise SignInRefused("this sign-in was not begun in this browser, or it is too old")
            raw = base64.urlsafe_b64decode(sealed)
            async with self._pool.connection() as db:
                plain = await self._vault.open(db, data_key, raw, _PENDING_PLACE)
        except (VaultError, binascii.Error, ValueError):
            raise SignInRefused("this sign-in was not begun in this browser, or it is too old") from None
        pending = msgspec.json.decode(plain, type=Pending)
        if pending.expires_ms <= self._clock.now_ms():
            raise SignInRefused("this sign-in took too long")
        if pending.issuer != name:
            raise SignInRefused("the answer comes from another identity provider than the one that was asked")
        return pending

    async def finish(
        self, name: str, query: Mapping[str, str], kept: str, *, base: str, source: str, before: str, request_id: str
    ) -> Entered:
        """Ends a sign-in at a provider. `kept` is what `begin` gave, `before` the cookie of a session to replace.

        Raises SignInRefused, ProviderUnavailable, ApiError.
        """
        # Only an answer to a sign-in that this browser began calls a provider, and so is counted.
        pending = await self._pending(kept, name)
        if not hmac.compare_digest(query.get("state", "").encode("utf-8", "surrogatepass"), pending.state.encode()):
            raise SignInRefused("this sign-in was not begun in this browser, or it is too old")
        async with self._pool.connection() as db:
            await throttle.count(db, throttle.CALLBACK, source, self.sessions.now())
        row = await self.issuer(name)
        provider = self.issuers.provider(row)
        code = await self.flow.check_answer(row, provider, query, pending.state)
        async with self._pool.connection() as db:
            secret = await self.issuers.secret(db, row)
        granted = await self.flow.exchange(
            row,
            provider,
            secret,
            code=code,
            redirect_uri=callback_url(base, row.name),
            verifier=pending.verifier,
            nonce=pending.nonce,
        )
        async with self._pool.connection() as db, db.transaction():
            await self._use_once(db, f"sign-in|{pending.state}", PENDING_SECONDS)
            identity = granted.claims.identity(row.issuer, granted.subject)
            principal = await principal_of(db, identity, self.sessions.now(), vault=self._vault, source=source)
            cookie = await self._enter(db, before, source, row=row, granted=granted)
            detail: dict[str, object] = {"issuer": row.name, "subject": granted.subject}
            await self._record(db, principal, SIGN_IN, f"session:{principal.name}", detail, source, request_id)
        return Entered(cookie=cookie, return_to=pending.return_to)

    async def _enter(
        self, db: Database, before: str, source: str, *, row: IssuerRow | None, granted: Granted | None
    ) -> str:
        """A session under a new id; the one that the browser had before is over."""
        if before:
            await postgres.revoke_digest(db, digest_of(before), self.sessions.now(), "replaced")
        return await self.sessions.begin(db, source, row=row, granted=granted)

    async def _use_once(self, db: Database, value: str, seconds: float) -> None:
        digest = hashlib.sha256(value.encode("utf-8", "surrogatepass")).digest()
        if not await postgres.use_once(db, digest, self.sessions.now() + timedelta(seconds=seconds)):
            raise SignInRefused("this was used before")

    async def enter_local(self, token: str, *, source: str, before: str, request_id: str) -> str | None:
        """A session of the local administrator, for the right token; None for a wrong one. Raises TooMany."""
        now = self.sessions.now()
        async with self._pool.connection() as db:
            await throttle.count(db, throttle.LOCAL, source, now)
        right = hmac.compare_digest(
            hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest(), self._administrator
        )
        async with self._pool.connection() as db, db.transaction():
            cookie = None
            if right:
                await throttle.forgive(db, throttle.LOCAL, source)
                cookie = await self._enter(db, before, source, row=None, granted=None)
            detail: dict[str, object] = {"issuer": "local", "succeeded": right}
            who = ADMINISTRATOR if right else Principal(name="anonymous", permissions=frozenset())
            await self._record(db, who, SIGN_IN, "session:administrator", detail, source, request_id)
        if not right:
            _log.warning("a local sign-in with a wrong token", source=source)
        return cookie

    async def leave(
        self,
        value: str,
        who: Principal,
        *,
        base: str,
        everywhere: bool,
        at_provider: bool,
        source: str,
        request_id: str,
    ) -> str | None:
        """Ends a session, or all of the person's with all bearer tokens from before (`everywhere`).

        `who` is the session's principal. Returns where to go on at the provider, if asked.
        """
        row = await self.sessions.row(value)
        if row is None:
            return None
        issuer = (await self.issuers.trusted()).by_issuer.get(row.issuer or "")
        now = self.sessions.now()
        async with self._pool.connection() as db, db.transaction():
            kept = await self.sessions.kept(db, row)
            await postgres.revoke_session(db, row.id, now, "signed out")
            if everywhere and row.issuer_id is not None:
                await postgres.revoke_subject(db, row.issuer_id, row.subject, now, "signed out")
            detail: dict[str, object] = {"everywhere": everywhere}
            await self._record(db, who, SIGN_OUT, f"session:{who.name}", detail, source, request_id)
            if everywhere and issuer is not None:
                await logouts.note(db, logouts.Logout(issuer=issuer, subject=row.subject, session="", issued=now), now)
        if issuer is None or not at_provider:
            return None
        provider = self.issuers.provider(issuer)
        return await self.flow.end_session_url(issuer, provider, kept, f"{base}/auth/signed-out")

    async def back_channel(self, name: str, logout_token: str) -> int:
        """Ends the sessions that a provider's logout token names, and refuses their bearer tokens from now on.

        Returns how many sessions ended. Raises TokenRefused and others.
        """
        row = await self.issuer(name)
        claims = await self._tokens.logout_token(logout_token, row)
        logout, now = logouts.logout_of(row, claims), self.sessions.now()
        subject, session = logout.subject, logout.session
        async with self._pool.connection() as db, db.transaction():
            # For as long as the token could be sent again.
            await self._use_once(db, f"logout|{row.id}|{claims['jti']}", logouts.KEPT.total_seconds())
            if session:
                ended = await postgres.revoke_provider_session(db, row.id, session, subject, now, _BACK_CHANNEL)
            else:
                ended = await postgres.revoke_subject(db, row.id, subject, now, _BACK_CHANNEL)
            await logouts.note(db, logout, now)
        return ended

    async def _record(
        self,
        db: Database,
        who: Principal,
        action: str,
        resource: str,
        detail: dict[str, object],
        source: str,
        request_id: str,
    ) -> None:
        call = Call(
            principal=who,
            db=db,
            clock=self._clock,
            permission=action,
            request_id=request_id,
            source=source,
            transport="portal",
            sealing=self._vault,
        )
        call.audit(resource, None, detail)
        await audit.write(call)


def callback_url(base: str, name: str) -> str:
    """Where a provider sends the browser back to; each issuer has its own, so that answers cannot be mixed up."""
    return f"{base}/auth/callback/{name}"
