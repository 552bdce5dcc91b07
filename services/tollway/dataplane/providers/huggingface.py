"""Hugging Face's inference router and its dedicated endpoints. Source: https://huggingface.co/docs/inference-providers

Errors may be a bare string or an array, spent credit is 402, and `retry-after` also comes on successful answers.
"""

from __future__ import annotations

from tollway.dataplane.providers.openai_shape import OpenAIShape


class HuggingFace(OpenAIShape):
    """The router (`org/model[:provider]` as model) or an endpoint of one's own."""
