"""Anthropic's token counting: what a message's usage would say. Source: https://docs.anthropic.com/en/api/messages-count-tokens"""

# ruff: noqa: ARG002 - signatures are those of the port

from __future__ import annotations

from collections.abc import Mapping

import orjson

from tollway.simulator.answer import Answer, Asked
from tollway.simulator.dialects.anthropic import checked, prompt_tokens
from tollway.simulator.dialects.endpoint import Endpoint


class CountTokens(Endpoint):
    """`/v1/messages/count_tokens`: the whole prompt, whatever of it is cached."""

    def read(self, body: bytes, path_model: str, query: Mapping[str, str], headers: Mapping[str, str]) -> Asked:
        """As `Dialect.read`."""
        self.admit(path_model, query, headers)
        request = checked(body)
        return Asked(
            model=request.model,
            stream=False,
            prompt_tokens=prompt_tokens(request),
            last_user="",
            may_call=False,
            natural=0,
            unmetered=True,
        )

    def whole(self, asked: Asked, answer: Answer, request_id: str, created: int, *, usage: bool) -> bytes:
        """As `Dialect.whole`."""
        return orjson.dumps({"input_tokens": asked.prompt_tokens})
