"""Verifies tokens: signature, issuer, audience, times. PyJWT checks; this module says what, and with which key.

The issuer is chosen by the exact `iss` among those that are configured, the algorithm must be one of that issuer's, the
key comes from what that issuer publishes. A verified token is remembered by the SHA-256 of all of it, never of a part.
"""

from __future__ import annotations

import hashlib
import hmac
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import jwt
import msgspec

from tollway.controlplane.access.model import Identity
from tollway.controlplane.signin.claims import ClaimsRefused, claims_of, subject_of
from tollway.controlplane.signin.model import MAX_TOKEN_LIFETIME_SECONDS, IssuerRow
from tollway.controlplane.signin.providers import Provider, UnknownKey
from tollway.core.bearer import (
    MAX_TOKEN_BYTES,
    TYPES,
    TokenRefused,
    algorithm_of,
    check_times,
    header_of,
    issuer_named,
    seconds,
    session_of,
    signed_claims,
)
from tollway.core.claims import found_claim
from tollway.runtime.clock import Clock

MAX_REMEMBERED = 10_000
REMEMBER_SECONDS = 300
"""A key that a provider withdrew is trusted at most this long for tokens that were seen before."""
LOGOUT_EVENT = "http://schemas.openid.net/event/backchannel-logout"
_LOGOUT_TYPES = frozenset({None, "jwt", "logout+jwt", "application/logout+jwt"})


def token_digest(token: str) -> bytes:
    """SHA-256 of the whole token."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()


class Tokens:
    """Verifies tokens of the issuers that `issuers` names; `provider` has what an issuer publishes."""

    def __init__(self, provider: Callable[[IssuerRow], Provider], clock: Clock) -> None:
        self._provider = provider
        self._clock = clock
        self._remembered: OrderedDict[tuple[int, bytes], tuple[Identity, float]] = OrderedDict()

    async def bearer(self, token: str, issuers: Mapping[str, IssuerRow], generation: int) -> tuple[Identity, bool]:
        """Who a bearer token of the management API speaks for, and whether it was verified just now.

        `issuers` are those configured, by `iss`; `generation` changes with them. Raises TokenRefused,
        ProviderUnavailable.
        """
        if len(token) > MAX_TOKEN_BYTES:
            raise TokenRefused("it is too large")
        place = (generation, token_digest(token))
        known = self._remembered.get(place)
        now = self._clock.now_ms() / 1000
        if known is not None:
            if now < known[1]:
                self._remembered.move_to_end(place)
                return known[0], False
            del self._remembered[place]
        row = _issuer(token, issuers)
        claims = await self.claims(token, row, row.accepted, TYPES)
        if "events" in claims:
            raise TokenRefused("it is no token for calls")
        if seconds(claims, "exp") - seconds(claims, "iat") > MAX_TOKEN_LIFETIME_SECONDS:
            raise TokenRefused(f"it is good for more than {MAX_TOKEN_LIFETIME_SECONDS // 3600} hours")
        identity = _mapped(row, claims)
        self._remembered[place] = (identity, min(seconds(claims, "exp"), now + REMEMBER_SECONDS))
        while len(self._remembered) > MAX_REMEMBERED:
            self._remembered.popitem(last=False)
        return identity, True

    async def id_token(
        self, token: str, row: IssuerRow, *, nonce: str | None, access_token: str = ""
    ) -> dict[str, Any]:
        """The claims of an ID token for our own client (OpenID Connect Core, 3.1.3.7). `nonce` None: none was sent."""
        claims = await self.claims(token, row, (row.client_id,), TYPES)
        if nonce is not None and not _same(claims.get("nonce"), nonce):
            raise TokenRefused("its nonce is not that of this sign-in")
        audience = claims["aud"]
        party = claims.get("azp")
        if (isinstance(audience, list) and len(audience) > 1 and party is None) or party not in (None, row.client_id):
            raise TokenRefused("it was made for another client")
        if "events" in claims:
            raise TokenRefused("it is no ID token")
        if access_token and "at_hash" in claims and not _same(claims["at_hash"], _half_hash(token, access_token)):
            raise TokenRefused("it does not belong to its access token")
        return claims

    async def logout_token(self, token: str, row: IssuerRow) -> dict[str, Any]:
        """The claims of a back-channel logout token (OpenID Connect Back-Channel Logout 1.0, 2.6)."""
        claims = await self.claims(token, row, (row.client_id,), _LOGOUT_TYPES, required=("iat", "iss", "aud"))
        events = claims.get("events")
        if not isinstance(events, dict) or not isinstance(events.get(LOGOUT_EVENT), dict) or "nonce" in claims:
            raise TokenRefused("it is no logout token")
        if not isinstance(claims.get("jti"), str) or not 0 < len(claims["jti"]) <= 256:
            raise TokenRefused("it has no id")
        if "exp" in claims and seconds(claims, "exp") - seconds(claims, "iat") > MAX_TOKEN_LIFETIME_SECONDS:
            raise TokenRefused(f"it is good for more than {MAX_TOKEN_LIFETIME_SECONDS // 3600} hours")
        return claims

    async def claims(
        self,
        token: str,
        row: IssuerRow,
        audiences: Sequence[str],
        types: frozenset[str | None],
        required: Sequence[str] = ("exp", "iat", "iss", "aud", "sub"),
    ) -> dict[str, Any]:
        """The claims of a token of this issuer for one of `audiences`. Raises TokenRefused, ProviderUnavailable."""
        header = header_of(token)
        algorithm = algorithm_of(header, row.algorithms, types)
        if not audiences:
            raise TokenRefused("no audience is configured for its issuer")
        try:
            key = await self._provider(row).key(header.get("kid"), algorithm)
        except UnknownKey:
            raise TokenRefused("its key is not one of its issuer's") from None
        claims = signed_claims(token, key, algorithm, issuer=row.issuer, audiences=audiences, required=required)
        # By the clock of the process.
        check_times(claims, self._clock.now_ms() / 1000)
        return claims


def _issuer(token: str, issuers: Mapping[str, IssuerRow]) -> IssuerRow:
    """The configured issuer that a token names; nothing of the token is trusted yet."""
    row = issuers.get(issuer_named(token))
    if row is None:
        raise TokenRefused("its issuer is not known here")
    return row


def _mapped(row: IssuerRow, claims: Mapping[str, Any]) -> Identity:
    try:
        identity = claims_of(row, claims).identity(row.issuer, subject_of(claims))
    except ClaimsRefused as refused:
        raise TokenRefused(str(refused)) from None
    return msgspec.structs.replace(
        identity,
        issued=datetime.fromtimestamp(seconds(claims, "iat"), UTC),
        session=session_of(claims),
        groups_told=any(found_claim(claims, name) is not None for name in (row.groups_claim, *row.claims)),
    )


def _same(found: Any, expected: str) -> bool:
    return isinstance(found, str) and hmac.compare_digest(found.encode("utf-8", "surrogatepass"), expected.encode())


def _half_hash(token: str, access_token: str) -> str:
    """The `at_hash` of an access token: the left half of its hash, by the algorithm of the ID token."""
    algorithm = jwt.get_unverified_header(token)["alg"]
    size = algorithm[-3:] if algorithm[-3:].isdigit() else "512"
    digest = hashlib.new(f"sha{size}", access_token.encode()).digest()
    return jwt.utils.base64url_encode(digest[: len(digest) // 2]).decode()
