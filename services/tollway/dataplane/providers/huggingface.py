"""Hugging Face's inference router and its dedicated endpoints. Source: https://huggingface.co/docs/inference-providers

Errors may be a bare string or an array, spent credit is 402, and `retry-after` also comes on successful answers.
"""

from __future__ import annotations

import re
from urllib.parse import quote, urlsplit

from tollway.core.catalog import Provider
from tollway.core.operations import Operation
from tollway.dataplane.providers.openai_shape import OpenAIShape

ROUTER = "router.huggingface.co"
_LEADS_ASIDE = re.compile(r"(?:^|[/:])\.\.?(?:[/:]|$)")


def _is_router(provider: Provider) -> bool:
    return urlsplit(provider.base_url).hostname == ROUTER


class HuggingFace(OpenAIShape):
    """The router (`org/model[:provider]` as model) or an endpoint of one's own."""

    def native(self, operation: Operation, provider: Provider, target_model: str) -> Operation | None:
        """As `Adapter.native`; the router chats, and gives embeddings as features; endpoints serve what they run."""
        if _is_router(provider):
            if operation is Operation.EMBEDDINGS:
                # The name is a part of the path here, and may be a client's choice.
                return None if _LEADS_ASIDE.search(target_model) else Operation.FEATURES
            if operation is not Operation.CHAT and operation in self.serves - {Operation.COMPLETIONS}:
                return None
            return Operation.CHAT
        return super().native(operation, provider, target_model)

    def url(self, operation: Operation, provider: Provider, target_model: str) -> str:
        """As `Adapter.url`; features come from the provider behind the router, by default Hugging Face itself."""
        if operation is not Operation.FEATURES:
            return super().url(operation, provider, target_model)
        model, _, behind = target_model.partition(":")
        base_url = provider.base_url.rstrip("/").removesuffix("/v1")
        return (
            f"{base_url}/{quote(behind or 'hf-inference', safe='')}/models/{quote(model)}/pipeline/feature-extraction"
        )
