"""An endpoint that asks for a turn of a conversation: passed through to providers of its dialect, else translated."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tollway.core.bounding.conversations import bound_conversation
from tollway.core.bounds import Bound
from tollway.core.dialects.head import Head, estimate_input_tokens
from tollway.core.operations import Operation
from tollway.dataplane.endpoints.limits import asking_of, stored_items
from tollway.dataplane.endpoints.natives import PROVIDER_DIALECTS
from tollway.dataplane.endpoints.port import JSON, Asked, Codec, Known, Target
from tollway.dataplane.endpoints.translated import ClientDialect, TranslatedCodec


@dataclass(frozen=True)
class Conversation:
    """An Endpoint. `passes` makes the codec for a provider of the same dialect, `client` serves all others."""

    path: str
    operation: Operation
    dialect: str
    read_head: Callable[[bytes], Head]
    check_urls: Callable[[Head], None]
    client: ClientDialect
    passes: Callable[[Asked, Target], Codec]
    accepts: tuple[str, ...] = (JSON,)

    def read(self, body: bytes, content_type: str) -> Head:  # noqa: ARG002 - the port's signature
        """As `Endpoint.read`; URLs that a provider would fetch for the client are checked."""
        head = self.read_head(body)
        self.check_urls(head)
        return head

    def streams(self, head: Head) -> bool:
        """As `Endpoint.streams`."""
        return head.stream

    def input_tokens(self, head: Head, body: bytes) -> int:  # noqa: ARG002 - the port's signature
        """As `Endpoint.input_tokens`."""
        return estimate_input_tokens(len(body))

    def bound(self, asked: Asked, target: Target, known: Known) -> Bound:
        """As `Endpoint.bound`."""
        asking = asking_of(self.operation, asked, target, known)
        return bound_conversation(asked.head, asked.body, asking, stored_items(asked))

    def codec(self, asked: Asked, target: Target) -> Codec:
        """As `Endpoint.codec`."""
        if target.native is self.operation:
            return self.passes(asked, target)
        return TranslatedCodec(self.client, PROVIDER_DIALECTS[target.native], asked, target)
