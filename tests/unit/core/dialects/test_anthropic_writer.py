"""Whole messages written for Anthropic's clients, read back by our reader and by the official SDK's types."""

from __future__ import annotations

import json
from typing import Any

import pytest
from anthropic.types import Message

from tollway.core import chat
from tollway.core.dialects.anthropic_messages import (
    ErrorEvent,
    read_answer,
    read_finished,
    read_usage,
    write_answer,
    write_usage,
)
from tollway.core.errors import TollwayError
from tollway.core.usage import Usage


def answer(*blocks: chat.Block, finish: chat.Finish = chat.Finish.STOP, **fields: Any) -> dict[str, Any]:
    given: dict[str, Any] = {"id": "chatcmpl-1", "model": "m", "created": 5} | fields
    written: dict[str, Any] = json.loads(write_answer(chat.Answer(finish=finish, blocks=blocks, **given)))
    Message.model_validate(written, strict=True)
    return written


def test_every_kind_of_block() -> None:
    usage = Usage(input=100, cached_input=30, cache_write_5m=20, cache_write_1h=10, output=9, reasoning=4)
    written = answer(
        chat.Thinking("hm", "sig"),
        chat.Thinking("unsigned"),
        chat.RedactedThinking("xx"),
        chat.Text("a"),
        chat.ToolCall("t1", "f", '{"x": 1.0}'),
        chat.Text("b"),
        chat.ToolCall("", "g", ""),
        finish=chat.Finish.TOOL_CALLS,
        usage=usage,
    )
    assert written == {
        "id": "msg_chatcmpl-1",
        "type": "message",
        "role": "assistant",
        "model": "m",
        "content": [
            {"type": "thinking", "thinking": "hm", "signature": "sig"},
            {"type": "thinking", "thinking": "unsigned", "signature": ""},
            {"type": "redacted_thinking", "data": "xx"},
            {"type": "text", "text": "a"},
            {"type": "tool_use", "id": "t1", "name": "f", "input": {"x": 1.0}},
            {"type": "text", "text": "b"},
            {"type": "tool_use", "id": "toolu_chatcmpl-1_1", "name": "g", "input": {}},
        ],
        "stop_reason": "tool_use",
        "stop_sequence": None,
        "usage": {
            "input_tokens": 40,
            "cache_creation_input_tokens": 30,
            "cache_read_input_tokens": 30,
            "cache_creation": {"ephemeral_5m_input_tokens": 20, "ephemeral_1h_input_tokens": 10},
            "output_tokens": 9,
            "output_tokens_details": {"thinking_tokens": 4},
        },
    }


def test_an_empty_answer_and_no_usage() -> None:
    written = answer(id="msg_1")
    assert (written["id"], written["content"], written["stop_reason"]) == ("msg_1", [], "end_turn")
    assert written["usage"] == {"input_tokens": 0, "output_tokens": 0}


CALL = chat.ToolCall("t", "f", "{}")


@pytest.mark.parametrize(
    ("finish", "blocks", "sequence", "reason"),
    [
        ("stop", (), None, "end_turn"),
        ("stop", (), "END", "stop_sequence"),
        ("stop", (CALL,), None, "tool_use"),
        ("stop", (chat.Refusal("no"),), None, "refusal"),
        ("length", (CALL,), None, "max_tokens"),
        ("tool_calls", (CALL,), None, "tool_use"),
        ("content_filter", (), None, "refusal"),
    ],
)
def test_stop_reasons(finish: str, blocks: tuple[chat.Block, ...], sequence: str | None, reason: str) -> None:
    written = answer(*blocks, finish=chat.Finish(finish), stop_sequence=sequence)
    assert (written["stop_reason"], written["stop_sequence"]) == (reason, sequence)


def test_a_refusal_is_text() -> None:
    assert answer(chat.Refusal("no"))["content"] == [{"type": "text", "text": "no"}]


@pytest.mark.parametrize("arguments", ['{"a": 1', "[1]", "3", "nope", '{"a": NaN}', '{"\ud800": 1}', "[" * 5000])
def test_arguments_that_are_no_object_are_kept_as_text(arguments: str) -> None:
    written = answer(chat.ToolCall("t", "f", arguments))
    assert written["content"][0]["input"] == {"_invalid_arguments": arguments}


def test_numbers_of_arguments_stay_as_they_were_written() -> None:
    call = chat.ToolCall("t", "f", '{"a": 1.10, "b": 12345678901234567890123}')
    body = write_answer(chat.Answer(id="i", model="m", created=0, finish=chat.Finish.STOP, blocks=(call,)))
    assert call.arguments.encode() in body


def test_lone_surrogates_survive() -> None:
    body = answer(chat.Text("\ud83d"), chat.ToolCall("t", "f", '{"a": 1}'))
    assert [body["content"][0]["text"], body["content"][1]["input"]] == ["\ud83d", {"a": 1}]


def test_usage_round_trip() -> None:
    usage = Usage(input=100, cached_input=30, cache_write_5m=20, cache_write_1h=10, output=9, reasoning=4)
    assert read_usage(write_usage(usage)) == usage
    assert read_usage(write_usage(Usage(input=3, output=1))) == Usage(input=3, output=1)
    assert write_usage(Usage(input=1, cached_input=5))["input_tokens"] == 0


def test_recorded_answers_read_and_written_again(anthropic_whole: dict[str, Any]) -> None:
    body = anthropic_whole["body"].encode()
    given = read_answer(body)
    again = write_answer(given)
    assert read_answer(again) == given
    sent, written = json.loads(body), json.loads(again)
    kinds = ("text", "thinking", "redacted_thinking", "tool_use")
    kept = [block for block in sent["content"] if block["type"] in kinds]
    shown = [{key: block[key] for key in ours} for block, ours in zip(kept, written["content"], strict=True)]
    assert written["content"] == shown
    same = ("id", "model", "stop_reason", "stop_sequence")
    assert [written[key] for key in same] == [sent[key] for key in same]
    Message.model_validate(written)


def test_whole_answers_that_pass_through(recorded: Any, anthropic_whole: dict[str, Any]) -> None:
    usage, chars = read_finished(anthropic_whole["body"].encode())
    given = read_answer(anthropic_whole["body"].encode())
    assert (usage, chars) == (given.usage, given.chars)
    with pytest.raises(ErrorEvent) as caught:
        read_finished(recorded("anthropic-q529")["body"].encode())
    assert isinstance(caught.value.error, dict)
    for garbage in (b"", b"<html>", b'{"object":"chat.completion"}'):
        with pytest.raises(TollwayError):
            read_finished(garbage)
