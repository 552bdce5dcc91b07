"""OpenAI. Source: https://platform.openai.com/docs/api-reference/chat"""

from __future__ import annotations

from tollway.dataplane.providers.openai_shape import OpenAIShape


class OpenAI(OpenAIShape):
    """api.openai.com, or what stands in for it."""
