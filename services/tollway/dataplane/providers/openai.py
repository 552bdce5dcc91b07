"""OpenAI. Source: https://platform.openai.com/docs/api-reference"""

from __future__ import annotations

from urllib.parse import urlsplit

from tollway.core.catalog import Provider
from tollway.core.operations import Operation
from tollway.dataplane.providers.openai_shape import PATHS, OpenAIShape, completes, versioned


class OpenAI(OpenAIShape):
    """api.openai.com, or what stands in for it."""

    serves = frozenset(PATHS) - {Operation.RERANK}

    def native(self, operation: Operation, provider: Provider, target_model: str) -> Operation | None:
        """As `Adapter.native`; legacy completions become a chat where the model has them no more."""
        if operation is Operation.COMPLETIONS and not completes(target_model):
            return Operation.CHAT
        return super().native(operation, provider, target_model)

    def base_url(self, provider: Provider) -> str:
        """A base URL with a path is used as it is, as in OpenAI's SDKs; a bare host gets its /v1."""
        base_url = provider.base_url.rstrip("/")
        return base_url if urlsplit(base_url).path else versioned(base_url)
