"""vLLM's OpenAI-compatible server. Source: https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html

A server started without `--api-key` needs no credential.
"""

from __future__ import annotations

from tollway.core.operations import Operation
from tollway.dataplane.providers.openai_shape import OpenAIShape


class VLLM(OpenAIShape):
    """A vLLM server; its base URL may or may not end in /v1."""

    serves = frozenset(
        {
            Operation.CHAT,
            Operation.COMPLETIONS,
            Operation.EMBEDDINGS,
            Operation.RERANK,
            Operation.TRANSCRIPTION,
            Operation.TRANSLATION,
        }
    )
