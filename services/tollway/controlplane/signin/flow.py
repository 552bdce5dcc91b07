"""The OAuth 2.0 and OpenID Connect messages of sign-in, made and read with Authlib, sent over the guarded fetcher.

Authorization code with PKCE (RFC 7636), state, nonce and the `iss` of answers (RFC 9207); refresh; sign-out at the
provider. It keeps nothing: what must be remembered between two requests is the caller's.
"""

from __future__ import annotations

import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

from authlib.oauth2.auth import ClientAuth
from authlib.oauth2.rfc6749.parameters import prepare_grant_uri, prepare_token_request
from authlib.oauth2.rfc7636 import create_s256_code_challenge

from tollway.controlplane.signin.claims import ClaimsRefused, claims_of, complete, subject_of
from tollway.controlplane.signin.fetch import Fetcher, ProviderUnavailable
from tollway.controlplane.signin.model import Claims, IssuerRow, Kept
from tollway.controlplane.signin.providers import Provider
from tollway.controlplane.signin.tokens import Tokens
from tollway.core.bearer import MAX_TOKEN_BYTES, TokenRefused

MAX_CODE = 4096
_NOT_THE_PERSON = frozenset(
    {
        "invalid_client",
        "invalid_request",
        "invalid_scope",
        "unauthorized_client",
        "unsupported_grant_type",
    }
)
"""Errors of a token endpoint (RFC 6749, 5.2) that are about our client and its message, not about who signs in."""
_LATER = frozenset({408, 425, 429})
"""Statuses that say to ask again."""
_WORD = re.compile(r"[A-Za-z0-9_]{1,60}")
_FORM = {"Content-Type": "application/x-www-form-urlencoded"}


class SignInRefused(Exception):
    """The sign-in, or its renewal, does not succeed. The message is for the person; `code` is the provider's."""

    def __init__(self, message: str, *, code: str = "") -> None:
        super().__init__(message)
        self.code = code

    @property
    def of_person(self) -> bool:
        """Whether the provider does not vouch for this person any more, as far as anybody can tell."""
        return self.code not in _NOT_THE_PERSON


@dataclass(frozen=True)
class Granted:
    """What a provider said of a person who signed in."""

    subject: str
    provider_sid: str
    claims: Claims
    kept: Kept


def challenge(verifier: str) -> str:
    """The PKCE code challenge (S256) of a verifier."""
    return str(create_s256_code_challenge(verifier))


class Flow:
    """Speaks with the token endpoint, userinfo endpoint and pages of providers as our client."""

    def __init__(self, fetcher: Fetcher, tokens: Tokens) -> None:
        self._fetcher = fetcher
        self._tokens = tokens

    async def authorization_url(
        self, row: IssuerRow, provider: Provider, *, redirect_uri: str, state: str, nonce: str, verifier: str
    ) -> str:
        """Where the browser goes. Raises ProviderUnavailable."""
        endpoint = await provider.endpoint("authorization_endpoint")
        return str(
            prepare_grant_uri(
                endpoint,
                row.client_id,
                "code",
                redirect_uri=redirect_uri,
                scope=" ".join(row.scopes),
                state=state,
                nonce=nonce,
                code_challenge=challenge(verifier),
                code_challenge_method="S256",
            )
        )

    async def check_answer(self, row: IssuerRow, provider: Provider, query: Mapping[str, str], state: str) -> str:
        """The code of an authorization answer. Raises SignInRefused, ProviderUnavailable."""
        if not hmac.compare_digest(query.get("state", "").encode("utf-8", "surrogatepass"), state.encode()):
            raise SignInRefused("this sign-in was not begun in this browser, or it is too old")
        issuer = query.get("iss")
        announced = (await provider.metadata()).get("authorization_response_iss_parameter_supported") is True
        if (issuer is None and announced) or (issuer is not None and issuer != row.issuer):
            raise SignInRefused("the answer comes from another identity provider than the one that was asked")
        if "error" in query:
            raise SignInRefused(f"the identity provider refused: {_error_word(query['error'])}")
        code = query.get("code", "")
        if not 0 < len(code) <= MAX_CODE:
            raise SignInRefused("the identity provider's answer has no code")
        return code

    async def exchange(
        self,
        row: IssuerRow,
        provider: Provider,
        secret: str,
        *,
        code: str,
        redirect_uri: str,
        verifier: str,
        nonce: str,
    ) -> Granted:
        """Trades a code for tokens and verifies them. Raises SignInRefused, ProviderUnavailable."""
        body = prepare_token_request("authorization_code", code=code, redirect_uri=redirect_uri, code_verifier=verifier)
        answer = await self._token(row, provider, secret, body)
        return await self._granted(row, provider, answer, nonce=nonce, expected="", before=Kept())

    async def refresh(self, row: IssuerRow, provider: Provider, secret: str, kept: Kept, subject: str) -> Granted:
        """Asks anew what the provider says of a person. Raises SignInRefused when it says no more."""
        body = prepare_token_request("refresh_token", refresh_token=kept.refresh_token)
        answer = await self._token(row, provider, secret, body)
        return await self._granted(row, provider, answer, nonce=None, expected=subject, before=kept)

    async def _token(self, row: IssuerRow, provider: Provider, secret: str, body: str) -> dict[str, Any]:
        endpoint = await provider.endpoint("token_endpoint")
        # RFC 6749, 2.3.1: both parts are encoded before they are joined.
        client = (quote(row.client_id, safe=""), quote(secret, safe=""))
        method = (
            "none" if not secret else _method((await provider.metadata()).get("token_endpoint_auth_methods_supported"))
        )
        if method != "client_secret_basic":
            client = (row.client_id, secret)
        url, headers, sent = ClientAuth(*client, method).prepare("POST", endpoint, dict(_FORM), body)
        status, found = await self._fetcher.post(url, sent, headers)
        if status in _LATER:
            raise ProviderUnavailable(f"the identity provider answered {status}")
        if status != 200:
            code = _error_word(found.get("error"))
            raise SignInRefused(f"the identity provider refused: {code}", code=code)
        return found

    async def _granted(
        self,
        row: IssuerRow,
        provider: Provider,
        answer: dict[str, Any],
        *,
        nonce: str | None,
        expected: str,
        before: Kept,
    ) -> Granted:
        access, id_token = _token_text(answer, "access_token"), _token_text(answer, "id_token")
        claims: dict[str, Any] = {}
        try:
            if id_token:
                claims = await self._tokens.id_token(id_token, row, nonce=nonce, access_token=access)
            elif not expected:
                raise SignInRefused("the identity provider sent no ID token")
            subject = subject_of(claims) if claims else expected
            if expected and subject != expected:
                raise SignInRefused("the identity provider answered for somebody else")
            if not claims or not complete(row, claims):
                claims = {**await self._userinfo(provider, access, subject), **claims}
            if not claims:
                raise SignInRefused("the identity provider says nothing of this person any more")
            found = claims_of(row, claims | {"sub": subject})
        except TokenRefused as refused:
            raise SignInRefused(f"the identity provider's token is not valid: {refused}") from None
        except ClaimsRefused as refused:
            raise SignInRefused(f"the identity provider's claims cannot be used: {refused}") from None
        sid = claims.get("sid")
        return Granted(
            subject=subject,
            provider_sid=sid if isinstance(sid, str) and len(sid) <= 256 else "",
            claims=found,
            kept=Kept(
                refresh_token=_token_text(answer, "refresh_token") or before.refresh_token,
                id_token=id_token or before.id_token,
            ),
        )

    async def _userinfo(self, provider: Provider, access: str, subject: str) -> dict[str, Any]:
        """What the userinfo endpoint says of the same person (OpenID Connect Core, 5.3); {} where there is none."""
        endpoint = (await provider.metadata()).get("userinfo_endpoint")
        if not endpoint or not access:
            return {}
        found = await self._fetcher.get(str(endpoint), {"Authorization": f"Bearer {access}"}, refusals=(401, 403))
        if found is None:
            raise SignInRefused("the identity provider says nothing of this person any more", code="access_denied")
        if found.get("sub") != subject:
            raise SignInRefused("the identity provider answered for somebody else")
        return found

    async def end_session_url(self, row: IssuerRow, provider: Provider, kept: Kept, back: str) -> str | None:
        """Where the browser signs out at the provider (RP-Initiated Logout 1.0); None when it offers no such page."""
        try:
            endpoint = (await provider.metadata()).get("end_session_endpoint")
        except ProviderUnavailable:
            return None
        if not endpoint:
            return None
        asked = {"client_id": row.client_id, "post_logout_redirect_uri": back}
        if kept.id_token:
            asked["id_token_hint"] = kept.id_token
        return f"{endpoint}{'&' if '?' in str(endpoint) else '?'}{urlencode(asked)}"


def _method(offered: Any) -> str:
    """How a client with a secret shows it: in the header unless the provider takes it in the body alone."""
    if isinstance(offered, list) and "client_secret_basic" not in offered and "client_secret_post" in offered:
        return "client_secret_post"
    return "client_secret_basic"


def _token_text(answer: Mapping[str, Any], name: str) -> str:
    value = answer.get(name, "")
    if not isinstance(value, str) or len(value) > MAX_TOKEN_BYTES:
        raise SignInRefused(f"the identity provider's {name} has the wrong form")
    return value


def _error_word(value: Any) -> str:
    """An error code of OAuth: a short word without anything that could be more than that."""
    return value if isinstance(value, str) and _WORD.fullmatch(value) else "no reason was given"
