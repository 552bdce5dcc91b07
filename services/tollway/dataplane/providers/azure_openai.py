"""Azure OpenAI: deployments under dated API versions, and the newer v1 API.

Source: https://learn.microsoft.com/azure/ai-services/openai/reference and .../api-version-lifecycle
"""

from __future__ import annotations

import re
from urllib.parse import quote

from tollway.core.catalog import Credential, Provider
from tollway.dataplane.providers.openai_shape import CHAT_PATH, OpenAIShape

_DATED = re.compile(r"\d{4}-\d{2}-\d{2}")
_STREAM_OPTIONS_SINCE = "2024-09-01"
"""Older API versions answer `stream_options` with 400; 2024-10-21 is the first stable version that has it."""


class AzureOpenAI(OpenAIShape):
    """A resource of Azure OpenAI; the target's model is the deployment."""

    def url(self, provider: Provider, target_model: str) -> str:
        """With a dated `api_version` the deployment is in the path, else (v1 API) it is the body's `model`."""
        base_url = provider.base_url.rstrip("/").removesuffix("/v1").removesuffix("/openai")
        version = provider.api_version
        if _DATED.match(version):
            deployment = quote(target_model, safe="")
            return f"{base_url}/openai/deployments/{deployment}{CHAT_PATH}?api-version={quote(version, safe='')}"
        query = f"?api-version={quote(version, safe='')}" if version not in ("", "v1") else ""
        return f"{base_url}/openai/v1{CHAT_PATH}{query}"

    def authorization(self, credential: Credential | None) -> dict[str, str]:
        """Azure's own header."""
        return {} if credential is None else {"api-key": credential.api_key}

    def refused_fields(self, provider: Provider) -> tuple[str, ...]:
        """What the configured API version does not know yet."""
        version = provider.api_version
        return ("stream_options",) if _DATED.match(version) and version[:10] < _STREAM_OPTIONS_SINCE else ()
