"""Signed tokens (JWT), from text to claims that can be trusted. PyJWT checks; this module says what, with which key.

The key is the one with the exact `kid` among those that the issuer publishes; what a token says of where keys are is
never followed. Algorithms are asymmetric, so that what verifies a token cannot make one. It has no clock: callers say
what time it is.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey

ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
"""Signatures that may be trusted at all."""
TYPES = frozenset({None, "jwt", "at+jwt", "application/at+jwt"})
"""`typ` of tokens for calls, in small letters."""
MAX_TOKEN_BYTES = 16 << 10
MAX_SUBJECT = 255
MAX_KID = 256
MAX_SESSION = 256
"""How long the id of a provider's session (`sid`) may be; what is longer names none."""
MIN_RSA_BITS = 2048
MAX_RSA_BITS = 8192
"""Of larger keys every verification would take long."""
LEEWAY_SECONDS = 30
"""How far the clocks of an issuer and of this process may be apart."""
_FOREIGN_HEADERS = ("jku", "jwk", "x5u", "x5c", "crit", "b64", "zip")
"""Headers that would let a token say with what it is to be verified, or change what is signed."""
_KEY_TYPES = {"RS": "RSA", "PS": "RSA", "ES": "EC", "Ed": "OKP"}
_CURVES = {"ES256": "P-256", "ES384": "P-384", "ES512": "P-521"}
_DECODER = jwt.PyJWT({"enforce_minimum_key_length": True})


class TokenRefused(Exception):
    """The token is not valid. The message says why and is shown to who sent it."""


def header_of(token: str) -> dict[str, Any]:
    """The header of a token, of which nothing is trusted yet. Raises TokenRefused for one that none may have."""
    if len(token) > MAX_TOKEN_BYTES:
        raise TokenRefused("it is too large")
    try:
        header = jwt.get_unverified_header(token)
    except (jwt.PyJWTError, ValueError, RecursionError):
        raise TokenRefused("it is not a signed JWT") from None
    if not isinstance(header.get("alg"), str) or not isinstance(header.get("kid", ""), str):
        raise TokenRefused("its header has the wrong form")
    for name in _FOREIGN_HEADERS:
        if name in header:
            raise TokenRefused(f"its header must not have {name}")
    return header


def issuer_named(token: str) -> str:
    """The `iss` of a token that is not verified yet, to choose what verifies it. Raises TokenRefused."""
    header_of(token)
    try:
        named = jwt.decode(token, options={"verify_signature": False}).get("iss")
    except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
        raise TokenRefused("it is not a signed JWT") from None
    if not isinstance(named, str):
        raise TokenRefused("its issuer is not known here")
    return named


def algorithm_of(header: Mapping[str, Any], allowed: Sequence[str], types: frozenset[str | None]) -> str:
    """The signature algorithm of a header, when it and the kind of token are allowed. Raises TokenRefused."""
    algorithm: str = header["alg"]
    if algorithm not in allowed or algorithm not in ALGORITHMS:
        raise TokenRefused("its signature algorithm is not allowed")
    kind = header.get("typ")
    if not isinstance(kind, str | None) or (kind.lower() if kind is not None else None) not in types:
        raise TokenRefused("it is a token of another kind")
    return algorithm


def choose_key(keys: Sequence[Mapping[str, Any]], kid: str | None, algorithm: str) -> Any:
    """The one key with that id and of the algorithm's type; without an id, the only one of the type; else None."""
    fitting = [key for key in keys if _fits(key, algorithm) and (kid is None or key.get("kid") == kid)]
    if len(fitting) != 1:
        return None
    try:
        key = jwt.PyJWK(dict(fitting[0]), algorithm=algorithm).key
    except (jwt.PyJWTError, ValueError, TypeError):
        return None
    if isinstance(key, RSAPublicKey) and not MIN_RSA_BITS <= key.key_size <= MAX_RSA_BITS:
        return None
    return key


def _fits(key: Mapping[str, Any], algorithm: str) -> bool:
    if key.get("kty") != _KEY_TYPES.get(algorithm[:2]) or key.get("alg", algorithm) != algorithm or "d" in key:
        return False
    return key.get("crv") == _CURVES[algorithm] if algorithm in _CURVES else True


def signed_claims(
    token: str,
    key: Any,
    algorithm: str,
    *,
    issuer: str,
    audiences: Sequence[str],
    required: Sequence[str] = ("exp", "iat", "iss", "aud", "sub"),
) -> dict[str, Any]:
    """The claims of a token whose signature, issuer and audience are right; times are `check_times`'s.

    Raises TokenRefused.
    """
    try:
        claims: dict[str, Any] = _DECODER.decode(
            token,
            key,
            algorithms=[algorithm],
            audience=list(audiences),
            issuer=issuer,
            options={"require": list(required), "verify_exp": False, "verify_nbf": False, "verify_iat": False},
        )
    except jwt.InvalidAudienceError:
        raise TokenRefused("its audience is another one") from None
    except jwt.InvalidIssuerError:
        raise TokenRefused("its issuer is not known here") from None
    except jwt.exceptions.InvalidSubjectError:
        raise TokenRefused("it names no subject") from None
    except jwt.MissingRequiredClaimError as error:
        raise TokenRefused(f"it has no {error.claim}") from None
    except (jwt.PyJWTError, ValueError, TypeError, RecursionError):
        raise TokenRefused("its signature is not valid") from None
    return claims


def check_times(claims: Mapping[str, Any], now: float) -> None:
    """Raises TokenRefused when a token is not in force at `now` (Unix seconds), give or take the leeway."""
    if "exp" in claims and seconds(claims, "exp") + LEEWAY_SECONDS <= now:
        raise TokenRefused("it has expired")
    if "nbf" in claims and seconds(claims, "nbf") - LEEWAY_SECONDS > now:
        raise TokenRefused("it is not valid yet")
    if seconds(claims, "iat") - LEEWAY_SECONDS > now:
        raise TokenRefused("it was issued in the future")
    if "exp" not in claims and seconds(claims, "iat") + LEEWAY_SECONDS * 10 <= now:
        raise TokenRefused("it has expired")  # a logout token of the old form, which has no end


def seconds(claims: Mapping[str, Any], name: str) -> float:
    """A time of the claims, in Unix seconds. Raises TokenRefused for what is none."""
    value = claims[name]
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < 1 << 40:
        raise TokenRefused(f"its {name} is not a time")
    return float(value)


def subject_of(claims: Mapping[str, Any]) -> str:
    """The `sub` of a token (OpenID Connect Core, 2). Raises TokenRefused."""
    subject = claims.get("sub")
    if not isinstance(subject, str) or not 0 < len(subject) <= MAX_SUBJECT or not subject.isprintable():
        raise TokenRefused("it names no subject")
    return subject


def session_of(claims: Mapping[str, Any]) -> str:
    """The `sid` of a token (OpenID Connect Front-Channel Logout 1.0, 3); empty when it names no session."""
    session = claims.get("sid")
    if not isinstance(session, str) or len(session) > MAX_SESSION or not session.isprintable():
        return ""
    return session


def session_digest(session: str) -> str:
    """What data planes know of a provider's session that has ended: 128 bits of a digest of its id; "" of none."""
    return hashlib.sha256(b"session\0" + session.encode()).hexdigest()[:32] if session else ""
