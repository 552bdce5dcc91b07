"""The official SDKs of OpenAI and Anthropic behind one small port: list the models with a key.

Each SDK is loaded by the first check that needs it. The clients take nothing from the environment that would change
whom they ask as, use the guarded transport, and are closed after each call. What a provider answers leaves this module
as a status only.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import httpx2

from tollway.controlplane.credentials.checking import CHECK_SECONDS, Checked, Outcome, dated, entra, outcome_of
from tollway.controlplane.credentials.guarded import AddressBlocked, GuardedTransport
from tollway.core.catalog import ProviderKind
from tollway.core.netguard import Guard
from tollway.core.proxies import Proxies

ANTHROPIC_VERSION = "2023-06-01"
_SCOPES = ("missing scope", "insufficient permissions")
"""OpenAI's words to a restricted key that is right but may not list models."""


@dataclass(frozen=True)
class Sdk:
    """One SDK: how to make its client for a key, and what it raises for a status and for a lost connection."""

    make: Callable[[str, httpx2.AsyncClient], Any]
    status_error: type[Exception]
    connection_error: type[Exception]


def listing(kind: ProviderKind, root: str, api_version: str, guard: Guard, proxies: Proxies) -> SdkListing:
    """What lists the models of a provider of this kind; `root` is its base URL as the SDK wants it. Loads the SDK."""
    sdk = _anthropic(root) if kind is ProviderKind.ANTHROPIC else _openai(kind, root, api_version)
    return SdkListing(sdk, guard, proxies)


def _anthropic(root: str) -> Sdk:
    import anthropic  # takes long to load, as does the other: for who has such a provider

    def make(api_key: str, http: httpx2.AsyncClient) -> Any:
        # As requests carry it: newer SDKs send a bearer token, which not everything of this dialect takes.
        headers: Any = {
            "x-api-key": api_key,
            "authorization": anthropic.Omit(),
            "anthropic-version": ANTHROPIC_VERSION,
        }
        return anthropic.AsyncAnthropic(
            api_key=api_key, base_url=root, http_client=http, max_retries=0, default_headers=headers
        )

    return Sdk(make, anthropic.APIStatusError, anthropic.APIConnectionError)


def _openai(kind: ProviderKind, root: str, api_version: str) -> Sdk:
    import openai

    azure = kind is ProviderKind.AZURE_OPENAI

    def make(api_key: str, http: httpx2.AsyncClient) -> Any:
        client: openai.AsyncOpenAI
        if azure and dated(api_version):
            given: dict[str, Any] = {"azure_ad_token": api_key} if entra(api_key) else {"api_key": api_key}
            client = openai.AsyncAzureOpenAI(
                azure_endpoint=root, api_version=api_version, http_client=http, max_retries=0, **given
            )
        else:
            query = {"api-version": api_version} if azure and api_version not in ("", "v1") else {}
            client = openai.AsyncOpenAI(
                api_key=api_key, base_url=root, http_client=http, max_retries=0, default_query=query
            )
        client.organization = client.project = None  # of the environment, if at all: not of this key
        return client

    return Sdk(make, openai.APIStatusError, openai.APIConnectionError)


class SdkListing:
    """Asks with a client of its own for each call."""

    def __init__(self, sdk: Sdk, guard: Guard, proxies: Proxies) -> None:
        self._sdk = sdk
        self._guard = guard
        self._proxies = proxies

    async def list_models(self, api_key: str) -> Checked:
        """As the port says: never raises for what the provider answers or fails to."""
        try:
            async with self._client(api_key) as client:
                raw = await client.models.with_raw_response.list()
                return _of_answer(raw.http_response)
        except self._sdk.connection_error as error:
            blocked = isinstance(error.__cause__, AddressBlocked)
            return Checked(outcome=Outcome.BLOCKED if blocked else Outcome.UNREACHABLE)
        except self._sdk.status_error as error:
            response: httpx2.Response = getattr(error, "response")  # noqa: B009 - both SDKs' errors have it
            return _of_status(response)

    @contextlib.asynccontextmanager
    async def _client(self, api_key: str) -> AsyncIterator[Any]:
        http = httpx2.AsyncClient(
            transport=GuardedTransport(self._guard, self._proxies),
            timeout=CHECK_SECONDS,
            trust_env=False,
            follow_redirects=False,
            headers={"accept-encoding": "identity"},
        )
        async with http:
            yield self._sdk.make(api_key, http)


def _of_answer(response: Any) -> Checked:
    """A list of models is an acceptance; anything else that comes with success says nothing."""
    try:
        body = response.json()
    except ValueError:
        body = None
    models = body.get("data") if isinstance(body, dict) else body
    if isinstance(models, list):
        return Checked(outcome=outcome_of(response.status_code), status=response.status_code)
    return Checked(outcome=Outcome.UNPROVEN, status=response.status_code)


def _of_status(response: httpx2.Response) -> Checked:
    text, status = response.text[:4096].lower(), response.status_code
    return Checked(outcome=outcome_of(status, knows_key=any(word in text for word in _SCOPES)), status=status)
