"""The request that leaves for a target: the codec's payload at the adapter's address, with the credential."""

from __future__ import annotations

from tollway.core.catalog import Credential, Provider
from tollway.core.operations import Operation
from tollway.dataplane.endpoints.port import Payload, Target
from tollway.dataplane.providers.port import USER_AGENT, Adapter, Outgoing


def target_of(
    adapter: Adapter, operation: Operation, provider: Provider, model: str, max_output_tokens: int | None
) -> Target | None:
    """The target for a call; None when the provider does not serve it."""
    native = adapter.native(operation, provider, model)
    if native is None:
        return None
    return Target(provider, model, native, adapter.refused_fields(provider), max_output_tokens)


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
    return Outgoing(adapter.url(target.native, target.provider, target.model), headers, payload.body)
