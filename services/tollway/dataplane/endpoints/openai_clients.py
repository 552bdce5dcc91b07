"""OpenAI's chat and legacy completions as dialects of clients whose provider speaks another."""

from __future__ import annotations

from tollway.core import chat
from tollway.core.dialects import openai_chat, openai_completions
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


class CompletionsClient:
    """OpenAI's legacy completions."""

    def request(self, asked: Asked) -> chat.Request:
        """As `ClientDialect.request`."""
        return openai_completions.read_request(asked.body, asked.head)

    def answer(self, answer: chat.Answer, asked: Asked) -> bytes:  # noqa: ARG002 - the port's signature
        """As `ClientDialect.answer`."""
        return openai_completions.write_answer(answer)

    def writer(self, asked: Asked) -> StreamWriter:
        """As `ClientDialect.writer`."""
        return openai_completions.StreamWriter(
            model=asked.model, created=asked.created, include_usage=asked.head.include_usage
        )
