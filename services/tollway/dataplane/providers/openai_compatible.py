"""Services that offer OpenAI's chat API under an address of their own.

The base URL is used as it is, as in OpenAI's SDKs: with /v1 where there is one.
"""

from __future__ import annotations

from tollway.core.catalog import Provider
from tollway.core.operations import Operation
from tollway.dataplane.providers.openai_shape import PATHS, OpenAIShape


class OpenAICompatible(OpenAIShape):
    """Any other service of this dialect."""

    def base_url(self, provider: Provider) -> str:
        """The base URL as it is; the path of a chat, which some operators write, is taken off."""
        return provider.base_url.rstrip("/").removesuffix(PATHS[Operation.CHAT])
