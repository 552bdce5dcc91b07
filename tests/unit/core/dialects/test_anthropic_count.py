"""The estimate of input tokens."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tollway.core import chat
from tollway.core.dialects.anthropic_count import IMAGE_TOKENS, MESSAGE_TOKENS, PAGE_BYTES, PAGE_TOKENS
from tollway.core.dialects.anthropic_messages import estimate_count, read_head, read_request


def count(**fields: Any) -> int:
    body = json.dumps({"model": "m", "messages": [{"role": "user", "content": ""}]} | fields).encode()
    return estimate_count(read_request(body, read_head(body, needs_max_tokens=False))) - MESSAGE_TOKENS


def content(*blocks: dict[str, Any]) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": list(blocks)}]}


def pdf(size: int) -> dict[str, Any]:
    source = {"type": "base64", "media_type": "application/pdf", "data": "A" * size}
    return {"type": "document", "source": source}


@pytest.mark.parametrize(
    ("fields", "tokens"),
    [
        ({}, 0),
        (content({"type": "text", "text": "abcde"}), 2),
        (content({"type": "text", "text": "éé"}), 1),
        (content({"type": "text", "text": "ab"}, {"type": "text", "text": "cd"}), 1),
        (content({"type": "image", "source": {"type": "url", "url": "https://e.org/a"}}), IMAGE_TOKENS),
        (content(pdf(100)), PAGE_TOKENS),
        (content(pdf(PAGE_BYTES * 2)), 2 * PAGE_TOKENS),
        (content({"type": "document", "source": {"type": "url", "url": "https://e.org/a"}}), PAGE_TOKENS),
        ({"system": "abcd"}, MESSAGE_TOKENS + 1),
        ({"tools": [{"name": "ab", "description": "cd", "input_schema": {"a": "bcdef"}}]}, MESSAGE_TOKENS + 5),
        ({"output_config": {"format": {"type": "json_schema", "schema": {"a": "bcdef"}}}}, 4),
        (
            {
                "messages": [
                    {
                        "role": "assistant",
                        "content": [
                            {"type": "thinking", "thinking": "abcd", "signature": "long " * 100},
                            {"type": "redacted_thinking", "data": "abcd"},
                            {"type": "tool_use", "id": "t", "name": "fg", "input": {}},
                        ],
                    }
                ]
            },
            3,
        ),
    ],
)
def test_estimate(fields: dict[str, Any], tokens: int) -> None:
    assert count(**fields) == tokens


def test_sound_counts_by_its_length() -> None:
    sound = chat.Audio("A" * 4267, "mp3", "messages[0].content[0]")
    message = chat.Message(role=chat.Role.USER, path="messages[0]", parts=(sound,))
    assert estimate_count(chat.Request(model="m", messages=(message,))) == MESSAGE_TOKENS + 2
