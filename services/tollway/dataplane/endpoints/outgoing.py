"""The request that leaves for a target: the codec's payload at the adapter's address, with the credential."""

from __future__ import annotations

from functools import lru_cache
from urllib.parse import urlsplit

from tollway.core.catalog import Credential, Provider
from tollway.core.dialects.openai_habits import habits_of
from tollway.core.operations import Operation
from tollway.dataplane.endpoints.port import Payload, Target
from tollway.dataplane.providers.port import USER_AGENT, Adapter, Outgoing


@lru_cache(maxsize=1024)
def _host(base_url: str) -> str:
    """Host and port of a provider's address."""
    return urlsplit(base_url).netloc.rpartition("@")[2]


def target_of(
    adapter: Adapter, operation: Operation, provider: Provider, model: str, max_output_tokens: int | None
) -> Target | None:
    """The target for a call; None when the provider does not serve it."""
    native = adapter.native(operation, provider, model)
    if native is None:
        return None
    habits = habits_of(provider.kind.value, _host(provider.base_url), model, provider.api_version)
    return Target(provider, model, native, adapter.url(native, provider, model), habits, max_output_tokens)


def outgoing(
    payload: Payload, adapter: Adapter, target: Target, credential: Credential | None, attempt_id: str
) -> Outgoing:
    """The POST to the provider; it names our attempt, so that both sides' records can be matched."""
    headers = {
        "content-type": payload.content_type,
        "accept": payload.accept,
        "user-agent": USER_AGENT,
        "Accept-Encoding": "identity",
        "x-client-request-id": attempt_id,
        **adapter.authorization(credential),
        **payload.headers,
    }
    return Outgoing(target.url, headers, payload.body)
