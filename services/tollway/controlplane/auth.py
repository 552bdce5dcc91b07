"""Who calls: tokens and sessions to principals. Tokens are never logged or shown.

A token is the administrator's of the environment (compared in constant time), a service account's, or a JWT of a
trusted issuer. Without a token, a browser's session counts, and only with its CSRF token.
"""

from __future__ import annotations

import hashlib
import hmac

from aiohttp import web

from tollway.controlplane.access import tokens as service_accounts
from tollway.controlplane.access.service import account_of
from tollway.controlplane.call import ApiCode, ApiError, Principal
from tollway.controlplane.db.pool import OUTAGE, Pool
from tollway.controlplane.signin import csrf
from tollway.controlplane.signin.model import ADMINISTRATOR
from tollway.controlplane.signin.service import SignIn
from tollway.controlplane.signin.sessions import check_csrf, session_of
from tollway.runtime import log

_log = log.get(__name__)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


class Authenticator:
    """Knows every kind of caller of the management API."""

    def __init__(self, admin_token: str, signin: SignIn, pool: Pool) -> None:
        self._administrator = _digest(admin_token)
        self._signin = signin
        self._pool = pool

    async def of_token(self, authorization: str, source: str) -> Principal:
        """The caller, from the value of an `Authorization` header; `source` is where the call comes from, for the log.

        Raises ApiError: unauthenticated, or unavailable when that cannot be told now.
        """
        scheme, _, token = authorization.strip().partition(" ")
        token = token.strip()
        if scheme.lower() != "bearer" or not token:
            raise ApiError(ApiCode.UNAUTHENTICATED, "a token is needed: send it as `Authorization: Bearer <token>`")
        # Digests have one length, so the comparison tells nothing about the token's.
        if hmac.compare_digest(_digest(token), self._administrator):
            return ADMINISTRATOR
        try:
            return await self._other(token, source)
        except ApiError as error:
            _log.warning("a management call was not let in", source=source, code=error.code.value, reason=error.message)
            raise

    async def _other(self, token: str, source: str) -> Principal:
        if token.startswith(service_accounts.PREFIX):
            try:
                async with self._pool.connection() as db, db.transaction():
                    account = await account_of(db, token)
            except OUTAGE as error:
                raise ApiError(ApiCode.UNAVAILABLE, "the database does not answer; try again") from error
            if account is not None:
                return account
        elif token.count(".") == 2:
            return await self._signin.bearer(token, source)
        raise ApiError(ApiCode.UNAUTHENTICATED, "the token is not valid")

    async def of_request(self, request: web.Request) -> Principal:
        """The caller of a REST call: by its token or, without one, by its session with the CSRF token as a header."""
        authorization = request.headers.get("Authorization", "")
        if not authorization and (session := await session_of(request)) is not None:
            if csrf.HEADER not in request.headers:
                message = f"a call with a session's cookie needs the session's CSRF token as the header {csrf.HEADER}"
                raise ApiError(ApiCode.PERMISSION_DENIED, message)
            await check_csrf(request, session)
            return session.principal
        return await self.of_token(authorization, request.remote or "")
