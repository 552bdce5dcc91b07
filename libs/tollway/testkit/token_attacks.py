"""Every way to forge a bearer token: what the management API and the data planes must refuse, and with which reason.

Each attack differs in one thing from `Issuer.token()`, which is taken.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Callable, Mapping
from typing import Any

import jwt

from tollway.testkit.oidc_provider import AUDIENCE, CLIENT, Issuer, signing_key


def encoded(part: Any) -> str:
    """A part of a JWT."""
    raw = part if isinstance(part, bytes) else json.dumps(part).encode()
    return base64.urlsafe_b64encode(raw).decode().rstrip("=")


def good(issuer: Issuer, **more: Any) -> dict[str, Any]:
    """The claims of a token that would be taken."""
    now = int(time.time())
    known = {"iss": issuer.url, "aud": AUDIENCE, "sub": "mallory", "iat": now, "exp": now + 600, "groups": ["readers"]}
    return known | more


def unsigned(issuer: Issuer, algorithm: str) -> str:
    """A token without signature."""
    return f"{encoded({'alg': algorithm, 'typ': 'JWT', 'kid': issuer.keys[0].kid})}.{encoded(good(issuer))}."


def symmetric(issuer: Issuer, secret: bytes) -> str:
    """A token signed with what everybody may know, as if that were a secret."""
    head = f"{encoded({'alg': 'HS256', 'typ': 'JWT', 'kid': issuer.keys[0].kid})}.{encoded(good(issuer))}"
    return f"{head}.{encoded(hmac.digest(secret, head.encode(), hashlib.sha256))}"


def other_key(issuer: Issuer, **header: Any) -> str:
    """A token signed with a key that the issuer does not publish."""
    key = signing_key("of-the-attacker")
    return jwt.encode(good(issuer), key.private, algorithm="RS256", headers={"kid": issuer.keys[0].kid, **header})


def raw(issuer: Issuer, claims: Mapping[str, str], **header: Any) -> str:
    """A token that the issuer signed, with claims that are JSON text: what no library would write."""
    known = {name: json.dumps(value) for name, value in good(issuer).items()} | dict(claims)
    text = ",".join(f"{json.dumps(name)}:{value}" for name, value in known.items())
    headers = {"kid": issuer.keys[0].kid, **header}
    return jwt.PyJWS().encode(f"{{{text}}}".encode(), issuer.keys[0].private, algorithm="RS256", headers=headers)


def own_key() -> dict[str, Any]:
    """The attacker's public key, to be put into a header."""
    known = signing_key("of-the-attacker").jwk()
    return {name: known[name] for name in ("kty", "n", "e")}


ATTACKS: dict[str, Callable[[Issuer, Issuer], str]] = {
    "alg none": lambda corp, _: unsigned(corp, "none"),
    "alg None": lambda corp, _: unsigned(corp, "None"),
    "alg empty": lambda corp, _: unsigned(corp, ""),
    "signature cut off": lambda corp, _: corp.token().rpartition(".")[0] + ".",
    "HS256 with the public key": lambda corp, _: symmetric(corp, corp.keys[0].public_pem()),
    "HS256 with the JWK": lambda corp, _: symmetric(corp, json.dumps(corp.keys[0].jwk()).encode()),
    "HS256 with nothing": lambda corp, _: symmetric(corp, b""),
    "wrong key": lambda corp, _: other_key(corp),
    "wrong key, unknown kid": lambda corp, _: other_key(corp, kid="of-the-attacker"),
    "kid is a path": lambda corp, _: other_key(corp, kid="../../../../dev/null"),
    "kid is a URL": lambda corp, _: other_key(corp, kid="https://evil.example/jwks"),
    "kid is SQL": lambda corp, _: other_key(corp, kid="' OR 1=1 --"),
    "kid is very long": lambda corp, _: other_key(corp, kid="k" * 5000),
    "kid is a number": lambda corp, _: f"{encoded({'alg': 'RS256', 'kid': 7})}.{encoded(good(corp))}.{encoded(b's')}",
    "kid of the other issuer": lambda corp, other: corp.token(header={"kid": other.keys[0].kid}),
    "jku": lambda corp, _: other_key(corp, jku="http://127.0.0.1:1/jwks"),
    "x5u": lambda corp, _: other_key(corp, x5u="http://127.0.0.1:1/chain.pem"),
    "jwk": lambda corp, _: other_key(
        corp, jwk={"kty": "RSA", "n": signing_key("of-the-attacker").jwk()["n"], "e": "AQAB"}
    ),
    "crit": lambda corp, _: corp.token(header={"crit": ["exp"]}),
    "expired": lambda corp, _: corp.token({"exp": int(time.time()) - 31}),
    "no expiry": lambda corp, _: corp.token({"exp": None}),
    "expiry is a text": lambda corp, _: corp.token({"exp": "tomorrow"}),
    "not yet valid": lambda corp, _: corp.token({"nbf": int(time.time()) + 60}),
    "issued in the future": lambda corp, _: corp.token({"iat": int(time.time()) + 60, "exp": int(time.time()) + 90}),
    "good for days": lambda corp, _: corp.token({"exp": int(time.time()) + 100_000}),
    "wrong audience": lambda corp, _: corp.token({"aud": "https://another.example"}),
    "no audience": lambda corp, _: corp.token({"aud": None}),
    "an ID token of the portal": lambda corp, _: corp.token({"aud": CLIENT}),
    "a logout token": lambda corp, _: corp.token(
        {"events": {"http://schemas.openid.net/event/backchannel-logout": {}}}
    ),
    "type of a logout token": lambda corp, _: corp.token(header={"typ": "logout+jwt"}),
    "wrong issuer": lambda corp, _: corp.token({"iss": "https://evil.example"}),
    "issuer with a slash more": lambda corp, _: corp.token({"iss": f"{corp.url}/"}),
    "issuer is a list": lambda corp, _: (
        f"{encoded({'alg': 'RS256'})}.{encoded(good(corp, iss=[corp.url]))}.{encoded(b's')}"
    ),
    "mixed issuers": lambda corp, other: other.token({"iss": corp.url}),
    "typ is a list": lambda corp, _: raw(corp, {}, typ=["JWT"]),
    "typ is an object": lambda corp, _: raw(corp, {}, typ={"a": 1}),
    "typ of an ID token elsewhere": lambda corp, _: corp.token(header={"typ": "secevent+jwt"}),
    "alg is a list": lambda corp, _: f"{encoded({'alg': ['RS256']})}.{encoded(good(corp))}.{encoded(b's')}",
    "kid is null": lambda corp, _: f"{encoded({'alg': 'RS256', 'kid': None})}.{encoded(good(corp))}.{encoded(b's')}",
    "payload outside": lambda corp, _: (
        f"{encoded({'alg': 'RS256', 'b64': False})}.{encoded(good(corp))}.{encoded(b's')}"
    ),
    "encrypted": lambda *_: f"{encoded({'alg': 'RSA-OAEP', 'enc': 'A256GCM'})}.a.b.c.d",
    "an encryption's algorithm": lambda corp, _: f"{encoded({'alg': 'dir', 'enc': 'A256GCM'})}.{encoded(good(corp))}.c",
    "expiry without end": lambda corp, _: raw(corp, {"exp": "1e400"}),
    "expiry is no number": lambda corp, _: raw(corp, {"exp": "NaN"}),
    "expiry beyond all time": lambda corp, _: raw(corp, {"exp": str(1 << 64)}),
    "expiry of five thousand digits": lambda corp, _: raw(corp, {"exp": "9" * 5000}),
    "expiry is true": lambda corp, _: corp.token({"exp": True}),
    "issued before time": lambda corp, _: raw(corp, {"iat": "-1e300"}),
    "audience is an object": lambda corp, _: corp.token({"aud": {AUDIENCE: 1}}),
    "audience is a list of others": lambda corp, _: corp.token({"aud": ["https://another.example", f"{AUDIENCE}/"]}),
    "audience is a list of lists": lambda corp, _: corp.token({"aud": [[AUDIENCE]]}),
    "signed and nested": lambda corp, _: raw(corp, {"deep": "[" * 2500 + "]" * 2500}),
    "claims are a list": lambda corp, _: jwt.PyJWS().encode(
        b"[]", corp.keys[0].private, algorithm="RS256", headers={"kid": corp.keys[0].kid}
    ),
    "half a character in the subject": lambda corp, _: raw(corp, {"sub": '"\\ud800"'}),
    "a zero in the subject": lambda corp, _: raw(corp, {"sub": '"a\\u0000"'}),
    "no subject": lambda corp, _: corp.token({"sub": None}),
    "subject is a number": lambda corp, _: corp.token({"sub": 7}),
    "not JSON": lambda *_: f"{encoded({'alg': 'RS256'})}.{encoded(b'{')}.{encoded(b's')}",
    "a thousand brackets": lambda *_: f"{encoded({'alg': 'RS256'})}.{encoded(b'[' * 5000)}.{encoded(b's')}",
    "three dots of nothing": lambda *_: "..",
}


WHY = {
    "alg none": "algorithm is not allowed",
    "HS256 with the public key": "algorithm is not allowed",
    "wrong key": "signature is not valid",
    "kid is a path": "key is not one of its issuer's",
    "kid of the other issuer": "key is not one of its issuer's",
    "jku": "must not have jku",
    "expired": "has expired",
    "not yet valid": "not valid yet",
    "good for days": "more than 24 hours",
    "wrong audience": "audience is another one",
    "an ID token of the portal": "audience is another one",
    "a logout token": "no token for calls",
    "wrong issuer": "issuer is not known",
    "typ is a list": "token of another kind",
    "expiry without end": "exp is not a time",
    "expiry beyond all time": "exp is not a time",
    "audience is a list of others": "audience is another one",
    "mixed issuers": "key is not one of its issuer's",
    "subject is a number": "names no subject",
}
"""What is said of those that could be refused for another reason than the one that they are named for."""
