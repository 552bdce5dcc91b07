"""Against calls that another site makes in a signed-in browser (CSRF).

Every unsafe call that a cookie vouches for must come from our own pages (`Origin`, `Sec-Fetch-Site`) and carry a token
that is bound to its session: in the header `x-csrf-token`, or in the field `csrf_token` of a form. The token is derived
from the cookie's value, which no script can read and the database does not have.
"""

from __future__ import annotations

import base64
import hashlib
import hmac

from aiohttp import web

from tollway.controlplane.call import ApiCode, ApiError
from tollway.controlplane.signin.form_body import FORM, read_form

HEADER = "x-csrf-token"
FIELD = "csrf_token"
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


def token_for(cookie: str, purpose: str = "session") -> str:
    """The token of whoever holds a cookie."""
    mac = hmac.digest(cookie.encode("utf-8", "surrogatepass"), f"tollway csrf {purpose}".encode(), hashlib.sha256)
    return base64.urlsafe_b64encode(mac).decode().rstrip("=")


def matches(given: str, expected: str) -> bool:
    """Whether a token is the expected one, compared in constant time."""
    return hmac.compare_digest(given.encode("utf-8", "surrogatepass"), expected.encode())


async def check(request: web.Request, expected: str) -> None:
    """Raises ApiError (permission denied) unless the call carries the expected token."""
    given = request.headers.get(HEADER, "")
    if not given and request.content_type == FORM:
        field = (await read_form(request)).get(FIELD, "")
        given = field if isinstance(field, str) else ""
    if not matches(given, expected):
        raise ApiError(
            ApiCode.PERMISSION_DENIED, f"the call lacks the session's CSRF token: send it as the header {HEADER}"
        )
