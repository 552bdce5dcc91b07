"""An estimate of a request's input tokens, for `POST /v1/messages/count_tokens` where the provider has no counter.

Owns the figures. It is no tokenizer: four bytes of UTF-8 count as one token (English prose has about 4.5 bytes to a
token, so the figure is rather too high; dense scripts and code can be off either way).
"""

from __future__ import annotations

import msgspec

from tollway.core import chat

BYTES_PER_TOKEN = 4
MESSAGE_TOKENS = 4
"""Role and delimiters of a message, and of a tool's description, in the usual chat templates."""

IMAGE_TOKENS = 1_600
"""Anthropic counts width x height / 750 and scales larger images to about this (docs: build-with-claude/vision)."""

PAGE_TOKENS = 3_000
"""A page of a PDF costs 1,500 to 3,000 tokens (docs: build-with-claude/pdf-support)."""

PAGE_BYTES = 75_000
"""A page of a PDF of text with few pictures, in bytes; a document by URL counts as one page."""

AUDIO_BYTES_PER_TOKEN = 1_600
"""Ten tokens a second, at 128 kbit/s."""

_encode = msgspec.json.Encoder().encode


def estimate_count(request: chat.Request) -> int:
    """Input tokens that the request may cost: text, calls and tools by their bytes, the rest by the figures above."""
    text, fixed = 0, 0
    for message in request.messages:
        fixed += MESSAGE_TOKENS
        for part in message.parts:
            match part:
                case chat.Text(words) | chat.Thinking(words) | chat.Refusal(words):
                    text += _bytes(words)
                case chat.RedactedThinking(data):
                    text += _bytes(data)
                case chat.Image():
                    fixed += IMAGE_TOKENS
                case chat.File():
                    fixed += PAGE_TOKENS * _pages(part.data)
                case chat.Audio(data):
                    fixed += -(-_decoded(data) // AUDIO_BYTES_PER_TOKEN)
        text += sum(_bytes(call.name) + _bytes(call.arguments) for call in message.tool_calls)
    for tool in request.tools:
        fixed += MESSAGE_TOKENS
        text += _bytes(tool.name) + _bytes(tool.description or "") + len(_encode(tool.parameters or {}))
    if request.response_format is not None and request.response_format.schema is not None:
        text += len(_encode(request.response_format.schema))
    return fixed + -(-text // BYTES_PER_TOKEN)


def _bytes(text: str) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def _decoded(base64: str) -> int:
    """Bytes that base64 text stands for."""
    return len(base64) * 3 // 4


def _pages(data: str | None) -> int:
    if data is None or data.startswith(("http://", "https://")):
        return 1
    return max(1, -(-_decoded(data) // PAGE_BYTES))
