"""A real, certified OpenID provider on Node, with issuers that tests make: accounts, groups, clients, keys on demand.

Its private keys are made here, so that a test can sign any token that the provider could, and some that it would not.
"""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

import jwt
from cryptography.hazmat.primitives.asymmetric import rsa

START_SECONDS = 30.0
CLIENT = "tollway-portal"
SECRET = "portal-secret/with+signs=&%"
CLI_CLIENT = "tollway-cli"
MACHINE = "nightly-job"
MACHINE_SECRET = "machine-secret-of-the-tests"
AUDIENCE = "https://tollway.example.com/api"
DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"


@dataclass(frozen=True)
class SigningKey:
    """A private key with the id under which it is published."""

    kid: str
    private: rsa.RSAPrivateKey = field(repr=False)

    def jwk(self) -> dict[str, Any]:
        """The private key as a JWK."""
        made: dict[str, Any] = json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(self.private))
        made.pop("key_ops", None)
        return made | {"kid": self.kid, "use": "sig", "alg": "RS256"}

    def public_pem(self) -> bytes:
        """What everybody may know, as a file has it."""
        from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

        return self.private.public_key().public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo)


@cache
def signing_key(kid: str) -> SigningKey:
    """A key of that name, made once for the run."""
    return SigningKey(kid, rsa.generate_private_key(public_exponent=65537, key_size=2048))


class OidcProvider:
    """The process. `issuer` makes one more issuer in it; `stop` ends it."""

    def __init__(self, node: str, folder: Path) -> None:
        self._process = subprocess.Popen(
            [node, str(folder / "provider.mjs")], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self._lock = threading.Lock()

    def tell(self, command: str, **given: Any) -> dict[str, Any]:
        """One command to the process, and its answer."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with self._lock:
            self._process.stdin.write(json.dumps({"command": command, **given}) + "\n")
            self._process.stdin.flush()
            line = self._process.stdout.readline()
        answer: dict[str, Any] = json.loads(line) if line else {"error": "the provider has ended"}
        if "error" in answer:
            raise RuntimeError(answer["error"])
        return answer

    def issuer(self, *, conform: bool = False, key: str = "first") -> Issuer:
        """A new issuer. `conform`: names and groups are at its userinfo endpoint, not in ID tokens."""
        keys = [signing_key(key)]
        url = self.tell("add", conform=conform, keys=[made.jwk() for made in keys], resource=AUDIENCE)["issuer"]
        return Issuer(self, url, keys)

    def stop(self) -> None:
        """Ends the process."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        try:
            self._process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()


class Issuer:
    """One issuer: who has an account there, which clients there are, and with which keys it signs."""

    def __init__(self, provider: OidcProvider, url: str, keys: list[SigningKey]) -> None:
        self._provider = provider
        self.url = url
        self.keys = keys
        self._accounts: dict[str, dict[str, Any]] = {}

    def account(self, name: str, *, groups: Sequence[str] = (), email_verified: bool = True, **more: Any) -> None:
        """Makes or changes an account; its address is NAME@example.com."""
        self._accounts[name] = {
            "name": name.capitalize(),
            "email": f"{name}@example.com",
            "email_verified": email_verified,
            "groups": list(groups),
            **more,
        }
        self._set(accounts=self._accounts)

    def close_account(self, name: str) -> None:
        """There is nobody of that name any more."""
        del self._accounts[name]
        self._set(accounts=self._accounts)

    def sign_in_as(self, name: str) -> None:
        """Who answers at the provider's page from now on; empty: a form asks."""
        self._set(login=name)

    def clients(self, origin: str, name: str, machines: Mapping[str, Any] | None = None) -> None:
        """Registers our clients: the portal at `origin` (the issuer is called `name` there), the CLI, a machine."""
        portal = {
            "client_id": CLIENT,
            "client_secret": SECRET,
            "redirect_uris": [f"{origin}/auth/callback/{name}"],
            "post_logout_redirect_uris": [f"{origin}/auth/signed-out"],
            "backchannel_logout_uri": f"{origin}/auth/backchannel/{name}",
            "backchannel_logout_session_required": True,
            "grant_types": ["authorization_code", "refresh_token"],
        }
        cli = {
            "client_id": CLI_CLIENT,
            "application_type": "native",
            "token_endpoint_auth_method": "none",
            "redirect_uris": ["http://127.0.0.1/callback"],
            "grant_types": ["authorization_code", "refresh_token", DEVICE_GRANT],
        }
        machine = {
            "client_id": MACHINE,
            "client_secret": MACHINE_SECRET,
            "redirect_uris": [],
            "response_types": [],
            "grant_types": ["client_credentials"],
        }
        self._set(clients=[portal, cli, machine], machines={MACHINE: dict(machines or {})})

    def rotate(self, *kids: str) -> None:
        """Publishes other keys; it signs with the first of them."""
        self.publish(*(signing_key(kid) for kid in kids))

    def publish(self, *keys: SigningKey) -> None:
        """As `rotate`, with keys that have their names."""
        self.keys = list(keys)
        self._set(keys=[key.jwk() for key in self.keys])

    def down(self, state: bool = True) -> None:
        """Answers 503 to everything, or no more."""
        self._set(down=state)

    def key_requests(self) -> int:
        """How often its keys were asked for."""
        found: int = self._provider.tell("requests", issuer=self.url)["requests"]
        return found

    def _set(self, **given: Any) -> None:
        self._provider.tell("set", issuer=self.url, **given)

    def token(self, claims: Mapping[str, Any] | None = None, *, header: Mapping[str, Any] | None = None) -> str:
        """A bearer token signed with this issuer's key; claims that are given as None are left out."""
        now = int(time.time())
        known = {
            "iss": self.url,
            "aud": AUDIENCE,
            "sub": "alice",
            "iat": now,
            "exp": now + 600,
            "groups": ["readers"],
            **(claims or {}),
        }
        headers = {"kid": self.keys[0].kid, **(header or {})}
        said = {name: value for name, value in known.items() if value is not None}
        return jwt.encode(said, self.keys[0].private, algorithm="RS256", headers=headers)
