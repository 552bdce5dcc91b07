"""What all providers with an OpenAI-shaped API have in common: which calls, at which paths, with which header.

Owns the shared behaviour; each kind's own file says where it lives and what it serves.
"""

# ruff: noqa: ARG002 - signatures are those of the port and of its overriders

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType

from tollway.core.catalog import Credential, Provider
from tollway.core.operations import GENERATION, Operation

PATHS: Mapping[Operation, str] = MappingProxyType(
    {
        Operation.CHAT: "/chat/completions",
        Operation.COMPLETIONS: "/completions",
        Operation.RESPONSES: "/responses",
        Operation.EMBEDDINGS: "/embeddings",
        Operation.MODERATIONS: "/moderations",
        Operation.IMAGE_GENERATION: "/images/generations",
        Operation.IMAGE_EDIT: "/images/edits",
        Operation.SPEECH: "/audio/speech",
        Operation.TRANSCRIPTION: "/audio/transcriptions",
        Operation.TRANSLATION: "/audio/translations",
        Operation.RERANK: "/rerank",
    }
)
"""Below the base URL, as in OpenAI's API description; rerank as vLLM, Jina and Cohere have it."""


_COMPLETES = re.compile(r"instruct|(?:^|:)(?:davinci|babbage)")


def completes(model: str) -> bool:
    """Whether one of OpenAI's models serves legacy completions; all others answer 404 ("This is a chat model")."""
    return _COMPLETES.search(model) is not None


def versioned(base_url: str) -> str:
    """The base URL with its `/v1`, which operators write or leave out."""
    base_url = base_url.rstrip("/")
    return base_url if base_url.endswith("/v1") else base_url + "/v1"


class OpenAIShape:
    """An Adapter for a provider of OpenAI's dialect; a kind overrides where it differs."""

    serves: frozenset[Operation] = frozenset(PATHS) - {Operation.RESPONSES}
    """The calls that are passed through; other ways to ask for a turn of a conversation become a chat."""

    def native(self, operation: Operation, provider: Provider, target_model: str) -> Operation | None:
        """As `Adapter.native`."""
        if operation in self.serves:
            return operation
        return Operation.CHAT if operation in GENERATION else None

    def base_url(self, provider: Provider) -> str:
        """What the paths are put behind."""
        return versioned(provider.base_url)

    def url(self, operation: Operation, provider: Provider, target_model: str) -> str:
        """As `Adapter.url`."""
        return self.base_url(provider) + PATHS[operation]

    def models_url(self, provider: Provider) -> str:
        """As `Adapter.models_url`."""
        return self.base_url(provider) + "/models"

    def authorization(self, credential: Credential | None) -> dict[str, str]:
        """As `Adapter.authorization`: a bearer token."""
        return {} if credential is None else {"authorization": f"Bearer {credential.api_key}"}
