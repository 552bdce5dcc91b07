"""Endpoints and targets without a process around them: what would be sent, and what a client would be told."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tollway.core.catalog import Credential, Provider, ProviderKind
from tollway.dataplane.endpoints.outgoing import outgoing, target_of
from tollway.dataplane.endpoints.port import JSON, Asked, Codec, Target
from tollway.dataplane.endpoints.table import ENDPOINTS
from tollway.dataplane.providers.port import Adapter, Outgoing
from tollway.dataplane.providers.registry import REGISTRY

CHAT = "/v1/chat/completions"
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
    body: bytes | None = None,
    **fields: Any,
) -> tuple[Outgoing, tuple[str, ...]]:
    """What would be sent, and what is dropped."""
    made, adapter, target = _asked_of(kind, path, base_url, version, model, JSON, {}, body, fields)
    payload = made.payload()
    return outgoing(payload, adapter, target, credential, "attempt"), payload.dropped


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
) -> tuple[Codec, Adapter, Target]:
    endpoint = ENDPOINTS[path]
    provider = Provider(id="p", name="p", kind=ProviderKind(kind), base_url=base_url, api_version=version)
    adapter = REGISTRY[provider.kind]
    target = target_of(adapter, endpoint.operation, provider, model, None)
    if target is None:
        raise LookupError(f"{kind} does not serve {path}")
    body = json.dumps({**_SMALL, **fields}).encode() if body is None else body
    head = endpoint.read(body, content_type)
    asked = Asked(head, body, content_type, headers, "shown-model", "00000000-0000-7000-8000-000000000000", 9)
    return endpoint.codec(asked, target), adapter, target
