"""Hugging Face's inference router: OpenAI's chat completions with bare errors and usage on the last chunk.

Source: https://huggingface.co/docs/inference-providers and recorded answers.
"""

# ruff: noqa: ARG002 - signatures are those of the port

from __future__ import annotations

from typing import Any

from tollway.simulator.answer import Answer, Asked
from tollway.simulator.dialects.openai import OpenAI
from tollway.simulator.dialects.port import Reply, waiting

_MESSAGES = {
    401: "Invalid username or password.",
    402: "You have exceeded your monthly included credits for Inference Providers. Subscribe to PRO to get 20x more.",
    404: "Model not found",
    429: "Rate limit reached. Please log in or use a HF access token",
    503: "Model is currently loading",
}


class HuggingFace(OpenAI):
    """router.huggingface.co, under the path prefix `/hf`."""

    name = "huggingface"
    reasoning_field = "reasoning_content"

    def headers(self, request_id: str, asked: Asked | None) -> dict[str, str]:
        """As `Dialect.headers`; `retry-after` comes with good answers too."""
        found = {"x-request-id": f"Root=1-{request_id}", "x-inference-provider": "simulator"}
        return found if asked is None else {**found, "retry-after": "30"}

    def usage(self, answer: Answer) -> dict[str, Any]:
        """Cached tokens are at the top."""
        return {
            "prompt_tokens": answer.prompt_tokens,
            "completion_tokens": answer.completion_tokens,
            "total_tokens": answer.prompt_tokens + answer.completion_tokens,
            "cached_tokens": answer.cached,
        }

    def finished(self, found: dict[str, Any]) -> dict[str, Any]:
        """As recorded: with an empty `prompt`."""
        return {**found, "prompt": []}

    def error(
        self,
        status: int,
        message: str = "",
        *,
        param: str | None = None,
        code: str | None = None,
        retry_after: float = 0,
    ) -> Reply:
        """As `Dialect.error`: a bare string, an array for what is wrong with the input."""
        text = message or _MESSAGES.get(status, f"Simulated error {status}.")
        found: dict[str, Any] = {"error": [text] if status in (400, 422) else text}
        if status == 503:
            found["estimated_time"] = retry_after
        return Reply(status, waiting(status, retry_after), found)

    def quota(self) -> Reply:
        """As `Dialect.quota`."""
        return self.error(402)
