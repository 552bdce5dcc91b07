"""Anthropic. Source: https://docs.anthropic.com/en/api/messages and /en/api/errors"""

# ruff: noqa: ARG002 - signatures are those of the port

from __future__ import annotations

from tollway.core.catalog import Credential, Provider
from tollway.core.operations import GENERATION, Operation

API_VERSION = "2023-06-01"
_PATHS = {Operation.MESSAGES: "/v1/messages", Operation.COUNT_TOKENS: "/v1/messages/count_tokens"}


class Anthropic:
    """An Adapter for api.anthropic.com, or what stands in for it; the base URL may or may not end in /v1."""

    def native(self, operation: Operation, provider: Provider, target_model: str) -> Operation | None:
        """As `Adapter.native`: every way to ask for a turn of a conversation becomes a message."""
        if operation in _PATHS:
            return operation
        return Operation.MESSAGES if operation in GENERATION else None

    def url(self, operation: Operation, provider: Provider, target_model: str) -> str:
        """As `Adapter.url`."""
        return provider.base_url.rstrip("/").removesuffix("/v1") + _PATHS[operation]

    def models_url(self, provider: Provider) -> str:
        """As `Adapter.models_url`."""
        return provider.base_url.rstrip("/").removesuffix("/v1") + "/v1/models"

    def authorization(self, credential: Credential | None) -> dict[str, str]:
        """Anthropic's own header, and the version of the API that is spoken where the client names none."""
        headers = {"anthropic-version": API_VERSION}
        if credential is not None:
            headers["x-api-key"] = credential.api_key
        return headers
