"""Endpoints and targets without a process around them: what would be sent, and what a client would be told."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tollway.core.bounds import Bound
from tollway.core.catalog import Credential, Provider, ProviderKind
from tollway.core.operations import Operation
from tollway.core.pricing import Price
from tollway.dataplane.endpoints.memory import Memory
from tollway.dataplane.endpoints.outgoing import outgoing, target_of
from tollway.dataplane.endpoints.port import JSON, Asked, Codec, Endpoint, Known, Target
from tollway.dataplane.endpoints.table import ENDPOINTS
from tollway.dataplane.providers.port import Adapter, Outgoing
from tollway.dataplane.providers.registry import REGISTRY

CHAT = "/v1/chat/completions"
PRICE = Price(version="test@1", input=1_000_000_000, output=2_000_000_000)
"""One and two dollars for a million tokens."""
_RESPONSES = Operation.RESPONSES
_ID = "00000000-0000-7000-8000-000000000000"
_SMALL: Mapping[str, Any] = {"model": "alias", "messages": [{"role": "user", "content": "hi"}]}


def codec(
    kind: str,
    *,
    path: str = CHAT,
    base_url: str = "https://example.com",
    version: str = "",
    model: str = "target",
    content_type: str = JSON,
    headers: Mapping[str, str] | None = None,
    body: bytes | None = None,
    **fields: Any,
) -> Codec:
    """The codec between a request to `path` and a provider of `kind`. `fields` go into a small chat request."""
    return _asked_of(kind, path, base_url, version, model, content_type, headers or {}, body, fields)[0]


def send(
    kind: str,
    base_url: str = "https://example.com",
    *,
    path: str = CHAT,
    version: str = "",
    model: str = "target",
    credential: Credential | None = None,
    output_cap: int | None = None,
    body: bytes | None = None,
    **fields: Any,
) -> tuple[Outgoing, tuple[str, ...]]:
    """What would be sent, and what is dropped."""
    made, adapter, target = _asked_of(kind, path, base_url, version, model, JSON, {}, body, fields, output_cap)
    payload = made.payload()
    return outgoing(payload, adapter, target, credential, "attempt"), payload.dropped


def bound(
    kind: str,
    base_url: str = "https://example.com",
    *,
    path: str = CHAT,
    model: str = "target",
    content_type: str = JSON,
    headers: Mapping[str, str] | None = None,
    memory: Memory | None = None,
    price: Price = PRICE,
    context_tokens: int | None = None,
    max_output_tokens: int | None = None,
    body: bytes | None = None,
    **fields: Any,
) -> Bound:
    """The bound of a request to `path` at a provider of `kind`. `fields` go into a small chat request."""
    endpoint, asked, _, target = _read(kind, path, base_url, "", model, content_type, headers or {}, body, fields)
    asked = asked._replace(memory=memory or asked.memory)
    known = Known(price, context_tokens)
    return endpoint.bound(asked, target._replace(max_output_tokens=max_output_tokens), known)


def _asked_of(
    kind: str,
    path: str,
    base_url: str,
    version: str,
    model: str,
    content_type: str,
    headers: Mapping[str, str],
    body: bytes | None,
    fields: Mapping[str, Any],
    output_cap: int | None = None,
) -> tuple[Codec, Adapter, Target]:
    endpoint, asked, adapter, target = _read(kind, path, base_url, version, model, content_type, headers, body, fields)
    return endpoint.codec(asked._replace(output_cap=output_cap), target), adapter, target


def _read(
    kind: str,
    path: str,
    base_url: str,
    version: str,
    model: str,
    content_type: str,
    headers: Mapping[str, str],
    body: bytes | None,
    fields: Mapping[str, Any],
) -> tuple[Endpoint, Asked, Adapter, Target]:
    endpoint = ENDPOINTS[path]
    provider = Provider(id="p", name="p", kind=ProviderKind(kind), base_url=base_url, api_version=version)
    adapter = REGISTRY[provider.kind]
    target = target_of(adapter, endpoint.operation, provider, model, None)
    if target is None:
        raise LookupError(f"{kind} does not serve {path}")
    body = json.dumps({**_SMALL, **fields}).encode() if body is None else body
    head = endpoint.read(body, content_type)
    memory = Memory("resp_0", store=False, previous_response_id=None) if endpoint.operation is _RESPONSES else None
    asked = Asked(head, body, content_type, headers, "shown-model", _ID, 9, memory)
    return endpoint, asked, adapter, target
