"""OAuth 2.0 as the command line speaks it, a public client: device flow (RFC 8628), and code with PKCE over loopback.

Tokens go to nobody but the provider that made them and the control plane. Nothing here follows redirects or proxies.
"""

from __future__ import annotations

import base64
import hashlib
import http.client
import json
import secrets
import ssl
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

from tollway.cli.exits import AUTHENTICATION, Failure

SECONDS = 15.0
MAX_ANSWER_BYTES = 1 << 20
WAIT_SECONDS = 600.0
"""How long a person may take."""
POLL_SECONDS = 5.0
"""How often the device flow asks where the provider does not say (RFC 8628, 3.5)."""
_DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"
SILENT_SECONDS = 2.0
"""How long a connection to the loopback address may say nothing: browsers open some before they need them."""
_PAGE = (
    '<!DOCTYPE html><html lang="en"><title>Tollway</title><main><h1>{}</h1>'
    "<p>You can close this window and go back to the terminal.</p></main></html>"
)
_NOT_NOW = frozenset({408, 425, 429})


@dataclass(frozen=True)
class Provider:
    """An issuer that the control plane trusts, with our client there."""

    name: str
    issuer: str
    client_id: str
    scopes: tuple[str, ...]
    authorization_endpoint: str = ""
    token_endpoint: str = ""
    device_authorization_endpoint: str = ""
    revocation_endpoint: str = ""


@dataclass(frozen=True)
class Tokens:
    """What a provider gave. `expires_at` is Unix time in seconds."""

    id_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    expires_at: float


class Refused(Failure):
    """The provider said no; `reason` is its code."""

    def __init__(self, reason: str) -> None:
        super().__init__(f"the identity provider refused: {reason}", AUTHENTICATION)
        self.reason = reason


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_args: Any, **_more: Any) -> None:
        return None


def _opener(ca_file: str | None) -> urllib.request.OpenerDirector:
    context = ssl.create_default_context(cafile=ca_file)
    return urllib.request.build_opener(
        urllib.request.ProxyHandler({}), urllib.request.HTTPSHandler(context=context), _NoRedirect()
    )


def _exchange(
    url: str, form: Mapping[str, str] | None = None, ca_file: str | None = None
) -> tuple[int, dict[str, Any]]:
    if urlsplit(url).scheme not in ("http", "https"):
        raise Failure("the identity provider's address is not one of the web")
    data = None if form is None else urlencode(form).encode()
    request = urllib.request.Request(url, data=data, headers={"Accept": "application/json"})  # noqa: S310 - checked above
    try:
        with _opener(ca_file).open(request, timeout=SECONDS) as answer:
            status, content = answer.status, answer.read(MAX_ANSWER_BYTES)
    except urllib.error.HTTPError as error:
        with error:
            status, content = error.code, error.read(MAX_ANSWER_BYTES)
    except (OSError, http.client.HTTPException) as error:
        host = urlsplit(url).netloc
        raise Failure(f"{host}: does not answer ({getattr(error, 'reason', None) or type(error).__name__})") from error
    try:
        found = json.loads(content)
    except ValueError:
        found = {}
    return status, found if isinstance(found, dict) else {}


def providers(control_url: str, ca_file: str | None) -> list[Provider]:
    """The issuers that a control plane offers to the command line."""
    status, found = _exchange(f"{control_url.rstrip('/')}/auth/cli", None, ca_file)
    if status != 200:
        raise Failure(f"{control_url}: answered {status}: is this the control plane's address?")
    names = Provider.__dataclass_fields__.keys()
    made = []
    for item in found.get("issuers", []):
        texts = {name: item.get(name, "") for name in names if name != "scopes"}
        made.append(Provider(**texts, scopes=tuple(item.get("scopes", ()))))
    return made


def _tokens(found: Mapping[str, Any], before: str = "") -> Tokens:
    id_token = found.get("id_token")
    if not isinstance(id_token, str) or id_token.count(".") != 2:
        raise Failure("the identity provider gave no ID token; its client needs the scope openid", AUTHENTICATION)
    return Tokens(id_token, str(found.get("refresh_token") or before), _claims(id_token).get("exp", 0))


def _claims(id_token: str) -> dict[str, Any]:
    """What a token says. Nobody here relies on it: the control plane verifies."""
    body = id_token.split(".")[1]
    try:
        found = json.loads(base64.urlsafe_b64decode(body + "=" * (-len(body) % 4)))
    except ValueError:
        found = {}
    return found if isinstance(found, dict) else {}


def refresh(token_endpoint: str, client_id: str, refresh_token: str) -> Tokens:
    """New tokens. Raises Refused when the provider gives none any more, Failure when it cannot say now."""
    form = {"grant_type": "refresh_token", "client_id": client_id, "refresh_token": refresh_token}
    status, found = _exchange(token_endpoint, form)
    if _in_trouble(status):
        raise Failure(f"the identity provider answered {status}; try again")
    if status != 200:
        raise Refused(str(found.get("error") or status))
    return _tokens(found, refresh_token)


def _in_trouble(status: int) -> bool:
    """Whether an answer says nothing of who signs in: to be asked again later."""
    return status >= 500 or status in _NOT_NOW


def revoke(endpoint: str, client_id: str, refresh_token: str) -> None:
    """Gives a refresh token back (RFC 7009)."""
    form = {"client_id": client_id, "token": refresh_token, "token_type_hint": "refresh_token"}
    status, found = _exchange(endpoint, form)
    if status != 200:
        raise Refused(str(found.get("error") or status))


def by_device(provider: Provider, tell: Callable[[str, str], None]) -> Tokens:
    """Signs in on another device; `tell` gets the address to open and the code to enter there."""
    form = {"client_id": provider.client_id, "scope": " ".join(provider.scopes)}
    status, begun = _exchange(provider.device_authorization_endpoint, form)
    if status != 200 or "device_code" not in begun:
        raise Refused(str(begun.get("error") or status))
    tell(str(begun.get("verification_uri_complete") or begun.get("verification_uri")), str(begun.get("user_code")))
    pause = float(begun.get("interval") or POLL_SECONDS)
    deadline = time.monotonic() + min(float(begun.get("expires_in") or WAIT_SECONDS), WAIT_SECONDS)
    asked = {"grant_type": _DEVICE_GRANT, "client_id": provider.client_id, "device_code": str(begun["device_code"])}
    while time.monotonic() < deadline:
        time.sleep(pause)
        status, found = _exchange(provider.token_endpoint, asked)
        if status == 200:
            return _tokens(found)
        reason = str(found.get("error") or status)
        if reason == "slow_down" or _in_trouble(status):
            pause += 5
        elif reason != "authorization_pending":
            raise Refused(reason)
    raise Failure("nobody signed in in time", AUTHENTICATION)


class _Listener(HTTPServer):
    """Waits on loopback for the browser to come back (RFC 8252, 7.3)."""

    def __init__(self, state: str) -> None:
        super().__init__(("127.0.0.1", 0), _Answer)
        self.state = state
        self.query: dict[str, str] | None = None
        """The answer with our state; whatever else knocks is ignored."""


class _Answer(BaseHTTPRequestHandler):
    timeout = SILENT_SECONDS

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        assert isinstance(self.server, _Listener)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        mine = parts.path == "/callback" and secrets.compare_digest(
            query.get("state", "").encode(), self.server.state.encode()
        )
        if mine:
            self.server.query = query
        self.send_response(200 if mine else 404)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.send_header("Content-Security-Policy", "default-src 'none'")
        self.end_headers()
        if mine:
            said = "Signed in" if "code" in query else "The sign-in was refused"
            self.wfile.write(_PAGE.format(said).encode())

    def log_message(self, *_args: Any) -> None:
        """The terminal is for the person."""


def by_browser(provider: Provider, tell: Callable[[str], None]) -> Tokens:
    """Signs in with this machine's browser; `tell` gets the address to open."""
    state, nonce, verifier = (secrets.token_urlsafe(32) for _ in range(3))
    challenge = base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")
    with _Listener(state) as listener:
        back = f"http://127.0.0.1:{listener.server_port}/callback"
        asked = {
            "response_type": "code",
            "client_id": provider.client_id,
            "redirect_uri": back,
            "scope": " ".join(provider.scopes),
            "state": state,
            "nonce": nonce,
            "code_challenge": challenge,
            "code_challenge_method": "S256",
        }
        endpoint = provider.authorization_endpoint
        tell(f"{endpoint}{'&' if '?' in endpoint else '?'}{urlencode(asked)}")
        query = _wait(listener)
    if query.get("iss", provider.issuer) != provider.issuer:
        raise Failure("the answer comes from another identity provider than the one that was asked", AUTHENTICATION)
    if "code" not in query:
        raise Refused(query.get("error", "no reason was given")[:100])
    form = {
        "grant_type": "authorization_code",
        "client_id": provider.client_id,
        "code": query["code"],
        "redirect_uri": back,
        "code_verifier": verifier,
    }
    status, found = _exchange(provider.token_endpoint, form)
    if status != 200:
        raise Refused(str(found.get("error") or status))
    tokens = _tokens(found)
    if _claims(tokens.id_token).get("nonce") != nonce:
        raise Failure("the identity provider's token is not of this sign-in", AUTHENTICATION)
    return tokens


def _wait(listener: _Listener) -> dict[str, str]:
    """The provider's answer, by way of the browser."""
    deadline = time.monotonic() + WAIT_SECONDS
    while (left := deadline - time.monotonic()) > 0:
        listener.timeout = left
        listener.handle_request()
        if listener.query is not None:
            return listener.query
    raise Failure("nobody signed in in time", AUTHENTICATION)
