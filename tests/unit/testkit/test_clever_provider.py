"""The clever provider: one answer in both dialects, streamed and not; requests that break a rule are refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tollway.testkit import clever_anthropic, clever_openai
from tollway.testkit.clever_mind import Offer, Question, reply_to

HEADERS = {"anthropic-version": "2023-06-01"}
CALL: Any = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
USE: Any = {"type": "tool_use", "id": "c1", "name": "f", "input": {}}
CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}


def chat(*messages: Any, **more: Any) -> Any:
    return {"model": "m", "messages": [{"role": "user", "content": "Hello"}, *messages], **more}


def messages(*turns: Any, **more: Any) -> Any:
    return {"max_tokens": 50, **chat(*turns), **more}


@pytest.mark.parametrize(
    "body",
    [
        chat(novelty=1),
        chat({"role": "assistant", "tool_calls": [CALL]}, {"role": "user", "content": "a"}),
        chat({"role": "tool", "tool_call_id": "c1", "content": "a"}),
        chat({"role": "assistant", "content": None}),
        chat({"role": "user", "content": [{"type": "image", "source": {}}]}),
        chat({"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:text/plain,a"}}]}),
        chat(stop=list("abcde")),
        chat(stream_options={"include_usage": True}),
        chat(tool_choice="auto"),
        chat(tools=[{"type": "function", "function": {"name": "f", "parameters": CITY, "strict": True}}]),
        chat(max_tokens=1, max_completion_tokens=1),
        chat(response_format={"type": "json_object"}),
    ],
)
def test_chats_that_are_refused(body: Any) -> None:
    with pytest.raises(clever_openai.Refused):
        clever_openai.question_of(body)


@pytest.mark.parametrize(
    "body",
    [
        messages(novelty=1),
        chat(),
        messages({"role": "assistant", "content": [USE]}, {"role": "user", "content": "a"}),
        messages({"role": "user", "content": [{"type": "tool_result", "tool_use_id": "c1"}]}),
        messages({"role": "assistant", "content": [{"type": "thinking", "thinking": "a", "signature": ""}]}),
        messages({"role": "assistant", "content": [{"type": "thinking", "thinking": "a", "signature": "clever-b"}]}),
        messages({"role": "user", "content": [{"type": "text", "text": " "}]}),
        messages({"role": "tool", "content": "a"}),
        messages(tool_choice={"type": "any"}),
        messages(thinking={"type": "enabled", "budget_tokens": 10}),
        messages(output_config={"format": {"type": "json_schema", "schema": CITY}}),
        messages(tools=[{"name": "a.b", "input_schema": CITY}]),
    ],
)
def test_messages_that_are_refused(body: Any) -> None:
    with pytest.raises(clever_anthropic.Refused):
        clever_anthropic.question_of(body, HEADERS)


def test_a_stream_says_what_the_whole_answer_says() -> None:
    offer = Offer("weather", "", CITY)
    for question in (
        Question(said="Hello", prompt="Hello", stop=("help",), thinks=True),
        Question(said="weather in Paris and in Berlin", prompt="p", offers=(offer,)),
    ):
        reply = reply_to(question)
        whole = clever_openai.answer(reply, "open", 1, 0)["choices"][0]
        lines = [e[6:] for e in clever_openai.events(reply, "open", 1, 0, False) if e != b"data: [DONE]\n\n"]
        choices = [json.loads(line)["choices"][0] for line in lines]
        assert "".join(c["delta"].get("content") or "" for c in choices) == (whole["message"]["content"] or "")
        assert choices[-1]["finish_reason"] == whole["finish_reason"]
        told = clever_anthropic.usage(reply, {}, False)
        events = b"".join(clever_anthropic.events(reply, "m", 1, told)).decode()
        parts = [json.loads(line[6:]) for line in events.splitlines() if line.startswith("data: ")]
        text = "".join(p["delta"].get("text", "") for p in parts if p["type"] == "content_block_delta")
        content = clever_anthropic.answer(reply, "m", 1, told)["content"]
        assert text == "".join(block["text"] for block in content if block["type"] == "text")
        calls = [block["input"] for block in content if block["type"] == "tool_use"]
        assert calls == [arguments for _, arguments in reply.calls]
