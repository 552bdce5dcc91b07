"""Services that offer OpenAI's chat API under an address of their own.

Owns the table of habits by host. The base URL is used as it is, as in OpenAI's SDKs: with /v1 where there is one.
"""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

from tollway.core.catalog import Provider
from tollway.core.operations import Operation
from tollway.dataplane.providers.openai_shape import PATHS, OpenAIShape

REFUSED_FIELDS: Mapping[str, tuple[str, ...]] = {
    # 422 "Extra inputs are not permitted" at stream_options.include_usage; usage comes without asking.
    "api.mistral.ai": ("stream_options",),
}
"""Fields that a host answers with an error, by host name; seen in answers of the service itself."""


class OpenAICompatible(OpenAIShape):
    """Any other service of this dialect."""

    def base_url(self, provider: Provider) -> str:
        """The base URL as it is; the path of a chat, which some operators write, is taken off."""
        return provider.base_url.rstrip("/").removesuffix(PATHS[Operation.CHAT])

    def refused_fields(self, provider: Provider) -> tuple[str, ...]:
        """By the table."""
        return REFUSED_FIELDS.get(urlsplit(provider.base_url).hostname or "", ())
