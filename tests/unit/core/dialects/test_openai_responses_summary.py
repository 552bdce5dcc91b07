"""Reasoning is shown as a summary to a client that asks for one: official clients look nowhere else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from openai import omit
from openai.lib.streaming.responses._responses import ResponseStreamState
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from tollway.core import chat
from tollway.core.dialects.openai_responses import StreamWriter, read_head, read_request, write_answer

SCHEMAS = json.loads((Path(__file__).parents[3] / "fixtures" / "openai" / "openai_schemas.json").read_text())
EVENTS: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
BLOCKS = (chat.Thinking("First, then second.", "sig="), chat.Text("Done."))
STREAM: tuple[chat.Event, ...] = (
    chat.Opened("x", "m"),
    chat.ReasoningDelta("First, "),
    chat.ReasoningDelta("then second."),
    chat.ThinkingSigned("sig="),
    chat.TextDelta("Done."),
    chat.Closed(chat.Finish.STOP),
)


def body(**reasoning: Any) -> bytes:
    return json.dumps({"model": "m", "input": "hi", "reasoning": reasoning}).encode()


def streamed(raw: bytes) -> list[dict[str, Any]]:
    writer = StreamWriter(response_id="resp_a", created=1, model="m", fields=read_head(raw).fields)
    told = b"".join(map(writer.write, STREAM))
    return [json.loads(block.split(b"data: ", 1)[1]) for block in told.split(b"\n\n")[:-1]]


@pytest.mark.parametrize("field", ["summary", "generate_summary"])
def test_a_whole_answer(field: str) -> None:
    raw = body(**{field: "auto"})
    answer = chat.Answer(id="x", model="m", created=1, finish=chat.Finish.STOP, blocks=BLOCKS)
    told = json.loads(write_answer(answer, read_head(raw).fields, response_id="resp_a", created=1))
    thought = Response.model_validate(told).output[0]
    assert thought.type == "reasoning"
    assert ([part.text for part in thought.summary], thought.content) == (["First, then second."], None)
    assert told == streamed(raw)[-1]["response"]


def test_the_streams_events() -> None:
    events = streamed(body(effort="low", summary="detailed"))
    check = jsonschema.Draft202012Validator({**SCHEMAS, "$ref": "#/components/schemas/ResponseStreamEvent"})
    for event in events:
        check.validate(event)
    kinds = [event["type"].removeprefix("response.") for event in events]
    assert kinds[2:9] == [
        "output_item.added",
        "reasoning_summary_part.added",
        "reasoning_summary_text.delta",
        "reasoning_summary_text.delta",
        "reasoning_summary_text.done",
        "reasoning_summary_part.done",
        "output_item.done",
    ]
    assert "content_index" not in events[3]
    assert events[3]["summary_index"] == 0
    state: Any = ResponseStreamState(input_tools=omit, text_format=omit)
    for event in events:
        state.handle_event(EVENTS.validate_python(event))


def test_the_summary_comes_back_as_reasoning() -> None:
    items = streamed(body(summary="auto"))[-1]["response"]["output"]
    again = json.dumps({"model": "m", "input": [*items, {"role": "user", "content": "go on"}]}).encode()
    first = read_request(again).messages[0]
    assert first.parts == (chat.Thinking("First, then second.", "sig="), chat.Text("Done."))


@pytest.mark.parametrize("reasoning", [{}, {"summary": None}, {"effort": "high"}])
def test_nobody_asked(reasoning: dict[str, Any]) -> None:
    (thought, _message) = streamed(body(**reasoning))[-1]["response"]["output"]
    assert (thought["summary"], thought["content"][0]["type"]) == ([], "reasoning_text")
