"""Azure OpenAI: deployments under dated API versions, and the newer v1 API.

Source: https://learn.microsoft.com/azure/ai-services/openai/reference and .../api-version-lifecycle
"""

from __future__ import annotations

import re
from urllib.parse import quote

from tollway.core.catalog import Credential, Provider
from tollway.core.operations import Operation
from tollway.dataplane.providers.openai_shape import PATHS, OpenAIShape, completes

_DATED = re.compile(r"\d{4}-\d{2}-\d{2}")
_RESPONSES_SINCE = "2025-03-01"
_TOKEN = re.compile(r"eyJ[\w-]+\.[\w-]+\.[\w-]+")
"""An Entra ID access token is a JWT (RFC 7519): three parts, of which the first is a JSON object in base64url."""


def _resource(provider: Provider) -> str:
    """The address of the resource, which operators write with or without what follows."""
    return provider.base_url.rstrip("/").removesuffix("/v1").removesuffix("/openai")


class AzureOpenAI(OpenAIShape):
    """A resource of Azure OpenAI; the target's model is the deployment."""

    serves = frozenset(PATHS) - {Operation.RERANK, Operation.MODERATIONS}

    def native(self, operation: Operation, provider: Provider, target_model: str) -> Operation | None:
        """As `Adapter.native`; the responses API came late to dated API versions. A deployment tells by its name."""
        version = provider.api_version
        if operation is Operation.COMPLETIONS and not completes(target_model):
            return Operation.CHAT
        if operation is Operation.RESPONSES and _DATED.match(version) and version[:10] < _RESPONSES_SINCE:
            return Operation.CHAT
        return super().native(operation, provider, target_model)

    def url(self, operation: Operation, provider: Provider, target_model: str) -> str:
        """With a dated `api_version` the deployment is in the path, else (v1 API) it is the body's `model`."""
        base_url = _resource(provider)
        path, version = PATHS[operation], provider.api_version
        if _DATED.match(version):
            place = "" if operation is Operation.RESPONSES else f"/deployments/{quote(target_model, safe='')}"
            return f"{base_url}/openai{place}{path}?api-version={quote(version, safe='')}"
        query = f"?api-version={quote(version, safe='')}" if version not in ("", "v1") else ""
        return f"{base_url}/openai/v1{path}{query}"

    def models_url(self, provider: Provider) -> str:
        """As `Adapter.models_url`."""
        base_url, version = _resource(provider), provider.api_version
        if _DATED.match(version):
            return f"{base_url}/openai/models?api-version={quote(version, safe='')}"
        query = f"?api-version={quote(version, safe='')}" if version not in ("", "v1") else ""
        return f"{base_url}/openai/v1/models{query}"

    def authorization(self, credential: Credential | None) -> dict[str, str]:
        """Azure's own header for a key; an Entra ID access token is a bearer token."""
        if credential is None:
            return {}
        if _TOKEN.fullmatch(credential.api_key):
            return {"authorization": f"Bearer {credential.api_key}"}
        return {"api-key": credential.api_key}
