"""Every endpoint that asks something of a model, by its path."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from tollway.core.dialects import openai_chat
from tollway.core.operations import Operation
from tollway.dataplane.endpoints.clients import ChatClient
from tollway.dataplane.endpoints.conversation import Conversation
from tollway.dataplane.endpoints.openai_pass import OpenAIPass
from tollway.dataplane.endpoints.port import Dialect, Endpoint

_ALL: tuple[Endpoint, ...] = (
    Conversation(
        "/v1/chat/completions",
        Operation.CHAT,
        Dialect.OPENAI,
        openai_chat.read_head,
        openai_chat.check_urls,
        ChatClient(),
        OpenAIPass,
    ),
)
ENDPOINTS: Mapping[str, Endpoint] = MappingProxyType({endpoint.path: endpoint for endpoint in _ALL})
