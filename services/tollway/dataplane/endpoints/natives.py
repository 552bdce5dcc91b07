"""The dialects that providers are asked in when they do not speak the client's."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from tollway.core import chat
from tollway.core.dialects import anthropic_messages, openai_chat
from tollway.core.dialects.ports import StreamReader, Written
from tollway.core.operations import Operation
from tollway.dataplane.endpoints.port import Target
from tollway.dataplane.endpoints.translated import ProviderDialect


class Messages:
    """Anthropic's Messages API."""

    def tool_name_length(self, target: Target) -> int | None:  # noqa: ARG002 - the port's signature
        """As `ProviderDialect.tool_name_length`; `^[a-zA-Z0-9_-]{1,128}$` in Anthropic's words."""
        return 128

    def write(self, request: chat.Request, target: Target) -> Written:
        """As `ProviderDialect.write`."""
        return anthropic_messages.write_request(request, target.model, max_output_tokens=target.max_output_tokens)

    def read(self, body: bytes, created: int) -> chat.Answer:
        """As `ProviderDialect.read`."""
        return anthropic_messages.read_answer(body, created)

    def reader(self) -> StreamReader:
        """As `ProviderDialect.reader`."""
        return anthropic_messages.StreamReader()


class Chat:
    """OpenAI's chat completions, with the habits of the target."""

    def tool_name_length(self, target: Target) -> int | None:
        """As `ProviderDialect.tool_name_length`."""
        return target.habits.tool_name_length

    def write(self, request: chat.Request, target: Target) -> Written:
        """As `ProviderDialect.write`."""
        return openai_chat.write_request(
            request, target.model, target.habits, max_output_tokens=target.max_output_tokens
        )

    def read(self, body: bytes, created: int) -> chat.Answer:
        """As `ProviderDialect.read`."""
        return openai_chat.read_answer(body, created)

    def reader(self) -> StreamReader:
        """As `ProviderDialect.reader`."""
        return openai_chat.StreamReader()


PROVIDER_DIALECTS: Mapping[Operation, ProviderDialect] = MappingProxyType(
    {Operation.CHAT: Chat(), Operation.MESSAGES: Messages()}
)
