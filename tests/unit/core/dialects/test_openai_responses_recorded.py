"""Every recorded chat answer, whole and streamed, as a response: nothing of what the model said is lost or added."""

from __future__ import annotations

import json
import re
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from openai.types.responses import Response

from tollway.core import chat
from tollway.core.dialects import anthropic_messages, sse
from tollway.core.dialects.openai_chat import read_usage
from tollway.core.dialects.openai_responses import StreamWriter, read_head, write_answer

FIXTURES = Path(__file__).parents[3] / "fixtures"
HEAD = read_head(b'{"model":"m","input":"hi"}')
FINISH = {"stop": "stop", "length": "length", "tool_calls": "tool_calls", "content_filter": "content_filter"}


def chats(stream: bool) -> dict[str, Any]:
    """Recorded chat exchanges that went well, by name."""
    found = {}
    for path in sorted((FIXTURES / "providers").glob("*.json")):
        exchange = json.loads(path.read_text())
        body = exchange["body"]
        told = '"message_stop"' if stream else '"role"'
        if exchange["provider"] != "anthropic":
            told = '"choices"'
        if exchange["status"] == 200 and exchange["stream"] is stream and told in body and "event: error" not in body:
            found[path.stem] = exchange
    return found


WHOLE, STREAMED = chats(False), chats(True)


@cache
def validator() -> tuple[Any, list[str]]:
    schemas, soft = (
        json.loads((FIXTURES / "openai" / f"{name}.json").read_text()) for name in ("openai_schemas", "soft")
    )
    return jsonschema.Draft202012Validator({**schemas, "$ref": "#/components/schemas/Response"}), soft["Response"]


def checked(body: dict[str, Any]) -> Response:
    """The response as the official client parses it, valid as far as the service's own are."""
    described, soft = validator()
    breaks = [f"{'/'.join(map(str, e.absolute_path))}: {e.message}" for e in described.iter_errors(body)]
    assert [b for b in breaks if not any(re.search(known, b) for known in soft)] == []
    return Response.model_validate(body)


def reasoning_of(response: Response) -> str:
    items = [item for item in response.output if item.type == "reasoning"]
    return "".join(part.text for item in items for part in item.content or ())


def said(message: dict[str, Any]) -> list[chat.Block]:
    """A plain reading of a chat completion's message."""
    blocks: list[chat.Block] = []
    thought = message.get("reasoning_content") or message.get("reasoning")
    if isinstance(thought, str):
        blocks.append(chat.Thinking(thought))
    if message.get("content"):
        blocks.append(chat.Text(message["content"]))
    if message.get("refusal"):
        blocks.append(chat.Refusal(message["refusal"]))
    for call in message.get("tool_calls") or ():
        function = call.get("function") or {"name": call["custom"]["name"], "arguments": "{}"}
        blocks.append(chat.ToolCall(call["id"], function["name"], function["arguments"]))
    return blocks


def neutral(exchange: dict[str, Any]) -> chat.Answer:
    body = exchange["body"]
    if exchange["provider"] == "anthropic":
        return anthropic_messages.read_answer(body.encode())
    answer = json.loads(body)
    choice = answer["choices"][0]
    return chat.Answer(
        id=answer["id"],
        model=answer["model"],
        created=answer["created"],
        finish=chat.Finish(FINISH.get(choice["finish_reason"], "stop")),
        blocks=tuple(said(choice.get("message") or {})),
        usage=read_usage(answer.get("usage")),
    )


def events_of(exchange: dict[str, Any]) -> list[chat.Event]:
    if exchange["provider"] == "anthropic":
        reader = anthropic_messages.StreamReader()
        return reader.feed(exchange["body"].encode()) + reader.end()
    events: list[chat.Event] = [chat.Opened("x", "theirs")]
    finish, usage = "stop", None
    for raw in sse.Parser().feed(exchange["body"].encode() + b"\n\n"):
        if raw.data is None or raw.data.strip() in (b"", b"[DONE]"):
            continue
        chunk = json.loads(raw.data)
        usage = read_usage(chunk.get("usage")) or usage
        for choice in chunk.get("choices") or ():
            finish = choice.get("finish_reason") or finish
            delta = choice.get("delta") or {}
            calls = delta.pop("tool_calls", None) or ()
            for block in said(delta):
                if isinstance(block, chat.Text):
                    events.append(chat.TextDelta(block.text))
                elif isinstance(block, chat.Thinking):
                    events.append(chat.ReasoningDelta(block.text))
                elif isinstance(block, chat.Refusal):
                    events.append(chat.RefusalDelta(block.text))
            for call in calls:
                if call.get("id"):
                    events.append(chat.ToolStarted(call["index"], call["id"], call["function"]["name"]))
                events.append(chat.ToolDelta(call["index"], call["function"].get("arguments") or ""))
    return [*events, chat.Closed(chat.Finish(FINISH.get(finish, "stop")), usage)]


@pytest.mark.parametrize("name", WHOLE)
def test_a_recorded_answer(name: str) -> None:
    answer = neutral(WHOLE[name])
    response = checked(json.loads(write_answer(answer, HEAD.fields, response_id="resp_1", created=5)))
    assert response.output_text == (answer.text or "")
    assert reasoning_of(response) == answer.reasoning
    calls = [item for item in response.output if item.type == "function_call"]
    assert [(call.call_id, call.name, call.arguments) for call in calls] == [
        (call.id, call.name, call.arguments or "{}") for call in answer.tool_calls
    ]
    assert (response.usage is None) == (answer.usage is None)
    if answer.usage is not None and response.usage is not None:
        assert (response.usage.input_tokens, response.usage.output_tokens) == (answer.usage.input, answer.usage.output)


@pytest.mark.parametrize("name", STREAMED)
def test_a_recorded_stream(name: str) -> None:
    events = events_of(STREAMED[name])
    out = StreamWriter(response_id="resp_1", created=5, model="m", fields=HEAD.fields)
    told = [json.loads(event.data or b"") for event in sse.Parser().feed(b"".join(map(out.write, events)))]
    assert [event["sequence_number"] for event in told] == list(range(len(told)))
    response = checked(told[-1]["response"])
    text = "".join(event.text for event in events if isinstance(event, chat.TextDelta))
    thought = "".join(event.text for event in events if isinstance(event, chat.ReasoningDelta))
    assert text or thought or any(isinstance(event, chat.ToolStarted) for event in events)
    assert "".join(event["delta"] for event in told if event["type"] == "response.output_text.delta") == text
    assert (response.output_text, reasoning_of(response)) == (text, thought)
    calls = [item for item in response.output if item.type == "function_call"]
    for index, started in enumerate(event for event in events if isinstance(event, chat.ToolStarted)):
        pieces = [e.arguments for e in events if isinstance(e, chat.ToolDelta) and e.index == started.index]
        assert (calls[index].call_id, calls[index].arguments) == (started.id, "".join(pieces) or "{}")


def test_there_are_recordings_of_every_provider() -> None:
    assert {exchange["provider"] for exchange in WHOLE.values()} >= {"anthropic", "openai", "azure"}
    assert {exchange["provider"] for exchange in STREAMED.values()} >= {"anthropic", "openai", "azure", "huggingface"}
