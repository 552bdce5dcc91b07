"""OpenAI. Source: https://platform.openai.com/docs/api-reference/chat"""

# ruff: noqa: ARG002 - signatures are those of OpenAIShape

from __future__ import annotations

from urllib.parse import urlsplit

from tollway.core.catalog import Provider
from tollway.dataplane.providers.openai_shape import CHAT_PATH, OpenAIShape, versioned


class OpenAI(OpenAIShape):
    """api.openai.com, or what stands in for it."""

    def url(self, provider: Provider, target_model: str) -> str:
        """A base URL with a path is used as it is, as in OpenAI's SDKs; a bare host gets its /v1."""
        base_url = provider.base_url.rstrip("/")
        return (base_url if urlsplit(base_url).path else versioned(base_url)) + CHAT_PATH
