"""The dialects in which clients ask for a turn of a conversation."""

from __future__ import annotations

from tollway.core import chat
from tollway.core.dialects import openai_chat
from tollway.core.dialects.ports import StreamWriter
from tollway.dataplane.endpoints.port import Asked


class ChatClient:
    """OpenAI's chat completions."""

    def request(self, asked: Asked) -> chat.Request:
        """As `ClientDialect.request`."""
        return openai_chat.read_request(asked.body, asked.head)

    def answer(self, answer: chat.Answer, asked: Asked) -> bytes:  # noqa: ARG002 - the port's signature
        """As `ClientDialect.answer`."""
        return openai_chat.write_answer(answer)

    def writer(self, asked: Asked) -> StreamWriter:
        """As `ClientDialect.writer`."""
        return openai_chat.StreamWriter(
            model=asked.model, created=asked.created, include_usage=asked.head.include_usage
        )
