"""Services that offer OpenAI's chat API under an address of their own.

Owns the table of habits by host. The base URL is used as it is, as in OpenAI's SDKs: with /v1 where there is one.
"""

# ruff: noqa: ARG002 - signatures are those of OpenAIShape

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from tollway.core.catalog import Provider
from tollway.dataplane.providers.openai_shape import CHAT_PATH, OpenAIShape

REFUSED_FIELDS: Mapping[str, tuple[str, ...]] = {
    # 422 "Extra inputs are not permitted" at stream_options.include_usage; usage comes without asking.
    "api.mistral.ai": ("stream_options",),
}
"""Fields that a host answers with an error, by host name; seen in answers of the service itself."""


class OpenAICompatible(OpenAIShape):
    """Any other service of this dialect."""

    def url(self, provider: Provider, target_model: str) -> str:
        """The base URL and the path, unless the operator wrote both."""
        base_url = provider.base_url.rstrip("/")
        return base_url if base_url.endswith(CHAT_PATH) else base_url + CHAT_PATH

    def refused_fields(self, provider: Provider) -> tuple[str, ...]:
        """By the table."""
        return REFUSED_FIELDS.get(urlsplit(provider.base_url).hostname or "", ())
