"""`POST /v1/messages/count_tokens`: asked of a provider that counts, else estimated here.

Source: https://docs.anthropic.com/en/api/messages-count-tokens
"""

# ruff: noqa: ARG002 - signatures are those of the ports

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from msgspec import Raw

from tollway.core.bounds import Bound
from tollway.core.dialects import anthropic_messages
from tollway.core.dialects.head import Head
from tollway.core.operations import Operation
from tollway.core.usage import ZERO
from tollway.dataplane.endpoints.messages import MessagesPass
from tollway.dataplane.endpoints.port import JSON, Asked, Codec, Dialect, Finished, Known, Target


class _Count(MessagesPass):
    """A Codec: the count is handed on as it is; counting is free of charge."""

    def _limits(self) -> dict[str, Raw]:
        """None: nothing is generated, and the call has no such field."""
        return {}

    def finish(self, headers: Mapping[str, str], body: bytes) -> Finished:
        """As `Codec.finish`."""
        return Finished(body, ZERO, 0)


class CountTokens:
    """An Endpoint."""

    path = "/v1/messages/count_tokens"
    operation = Operation.COUNT_TOKENS
    dialect = Dialect.ANTHROPIC
    accepts: tuple[str, ...] = (JSON,)

    def read(self, body: bytes, content_type: str) -> Head:
        """As `Endpoint.read`."""
        head = anthropic_messages.read_head(body, needs_max_tokens=False)
        anthropic_messages.check_urls(head)
        return head

    def streams(self, head: Head) -> bool:
        """As `Endpoint.streams`."""
        return False

    def input_tokens(self, head: Head, body: bytes) -> int:
        """As `Endpoint.input_tokens`: nothing is generated."""
        return 0

    def bound(self, asked: Asked, target: Target, known: Known) -> Bound:
        """As `Endpoint.bound`: counting is free of charge."""
        return Bound(input=0)

    def codec(self, asked: Asked, target: Target) -> Codec:
        """As `Endpoint.codec`."""
        return _Count(asked, target)


def estimated_count(asked: Asked) -> bytes:
    """The answer where no provider counts."""
    request = anthropic_messages.read_request(asked.body, asked.head)
    return msgspec.json.encode({"input_tokens": anthropic_messages.estimate_count(request)})
