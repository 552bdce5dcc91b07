"""Access tokens of Microsoft Entra ID for providers that take them in place of a key.

A credential that begins with `entra:` names an application (`entra:tenant=...;client=...;secret=...`); its tokens are
fetched by OAuth 2.0 client credentials, kept in memory, and renewed before they expire. One fetch serves all that wait.
Source: https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import NamedTuple
from urllib.parse import quote, urlencode

import msgspec

from tollway.core.catalog import Credential
from tollway.core.errors import Code
from tollway.dataplane.providers.port import USER_AGENT, Outgoing, ProviderFault
from tollway.dataplane.upstream.port import UpstreamClient, read_whole, unreachable
from tollway.dataplane.upstream.resend import send_unbilled
from tollway.runtime.tasks import Tasks

PREFIX = "entra:"
AUTHORITY = "https://login.microsoftonline.com"
SCOPE = "https://cognitiveservices.azure.com/.default"
FETCH_SECONDS = 10.0
RENEW_SECONDS = 300.0
"""Before a token expires, it is renewed while it still serves."""
MAX_ANSWER_BYTES = 1 << 16
SERVER_ERROR = 500


class Application(NamedTuple):
    """Who signs in, and for what."""

    tenant: str
    client: str
    secret: str
    authority: str = AUTHORITY
    scope: str = SCOPE


class _Answer(msgspec.Struct):
    access_token: str = ""
    expires_in: int = 0
    error: str = ""
    error_description: str = ""


class _Token(NamedTuple):
    value: str
    until: float


_DECODER = msgspec.json.Decoder(_Answer, strict=False)


def application_of(text: str) -> Application:
    """The application that a credential names. Raises ValueError that names what is missing, never a value."""
    parts = dict(part.split("=", 1) for part in text.removeprefix(PREFIX).split(";") if "=" in part)
    unknown = set(parts) - set(Application._fields)
    missing = {"tenant", "client", "secret"} - {name for name, value in parts.items() if value}
    if unknown or missing:
        raise ValueError(f"unknown or missing: {', '.join(sorted(unknown | missing))}")
    return Application(**parts)


class EntraTokens:
    """The tokens of one process. `now` tells monotonic seconds."""

    def __init__(self, upstream: UpstreamClient, tasks: Tasks, now: Callable[[], float]) -> None:
        self._upstream = upstream
        self._tasks = tasks
        self._now = now
        self._tokens: dict[str, _Token] = {}
        self._fetches: dict[str, asyncio.Task[str]] = {}

    async def resolve(self, credential: Credential) -> Credential:
        """The credential with a token in place of the application.

        Raises ProviderFault: provider_auth_failed where the application was refused, provider_unavailable where nobody
        could say so.
        """
        text = credential.api_key
        token = self._tokens.get(text)
        left = 0.0 if token is None else token.until - self._now()
        if left < RENEW_SECONDS and text not in self._fetches:
            task = self._fetches[text] = self._tasks.spawn(self._fetch(text), "entra token")
            task.add_done_callback(lambda _: self._fetches.pop(text, None))
        if token is None or left <= 0:
            # Shielded: others wait for the same fetch, and must not lose it when this client leaves.
            value = await asyncio.shield(self._fetches[text])
        else:
            value = token.value
        return msgspec.structs.replace(credential, api_key=value)

    async def _fetch(self, text: str) -> str:
        try:
            application = application_of(text)
        except ValueError as error:
            raise _refused(f"the credential is not 'entra:tenant=...;client=...;secret=...': {error}") from error
        form = {
            "grant_type": "client_credentials",
            "client_id": application.client,
            "client_secret": application.secret,
            "scope": application.scope,
        }
        url = f"{application.authority.rstrip('/')}/{quote(application.tenant, safe='')}/oauth2/v2.0/token"
        headers = {
            "content-type": "application/x-www-form-urlencoded",
            "accept": "application/json",
            "user-agent": USER_AGENT,
        }
        try:
            async with asyncio.timeout(FETCH_SECONDS):
                response = await send_unbilled(self._upstream, Outgoing(url, headers, urlencode(form).encode()))
                body = await read_whole(response, MAX_ANSWER_BYTES, lambda: None)
        except TimeoutError as error:
            raise unreachable("the token endpoint did not answer in time") from error
        if response.status >= SERVER_ERROR:
            raise unreachable(f"the token endpoint answered {response.status}")
        try:
            answer = _DECODER.decode(body)
        except msgspec.DecodeError as error:
            raise _refused(f"the token endpoint did not answer as it should: {type(error).__name__}") from error
        if not answer.access_token:
            raise _refused(f"the token endpoint answered {response.status} {answer.error}: {answer.error_description}")
        self._tokens[text] = _Token(answer.access_token, self._now() + answer.expires_in)
        return answer.access_token


def _refused(note: str) -> ProviderFault:
    return ProviderFault(
        Code.PROVIDER_AUTH_FAILED,
        "The gateway could not sign in to the provider. Your own key is fine.",
        retryable=False,
        operator_note=note[:500],
    )
