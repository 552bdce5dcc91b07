"""Who calls: bearer tokens to principals, compared in constant time. Tokens are never logged or shown."""

from __future__ import annotations

import hashlib
import hmac

from tollway.controlplane.call import ApiCode, ApiError, Principal
from tollway.runtime import log

_log = log.get(__name__)
ADMINISTRATOR = Principal(name="administrator")


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


class Authenticator:
    """Knows the administrator's token from the environment."""

    def __init__(self, admin_token: str) -> None:
        self._administrator = _digest(admin_token)

    def principal(self, authorization: str, source: str) -> Principal:
        """The caller, from the value of an `Authorization` header; `source` is where the call comes from, for the log.

        Raises ApiError (unauthenticated).
        """
        scheme, _, token = authorization.strip().partition(" ")
        if scheme.lower() != "bearer" or not token.strip():
            raise ApiError(ApiCode.UNAUTHENTICATED, "a token is needed: send it as `Authorization: Bearer <token>`")
        # Digests have one length, so the comparison tells nothing about the token's.
        if not hmac.compare_digest(_digest(token.strip()), self._administrator):
            _log.warning("a management call with a wrong token", source=source)
            raise ApiError(ApiCode.UNAUTHENTICATED, "the token is not valid")
        return ADMINISTRATOR
