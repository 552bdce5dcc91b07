"""The OpenAI view of answers: valid against OpenAI's own description, and what the official client makes of it."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollway.core import chat
from tollway.core.dialects.openai_chat import StreamReader, StreamWriter, read_answer, write_answer
from tollway.core.usage import Usage

FOLDER = Path(__file__).parents[3] / "fixtures" / "openai"
USAGE = Usage(input=9, cached_input=2, output=5, reasoning=1)


@pytest.fixture(scope="module")
def breaks() -> Any:
    """Where a value breaks a schema of OpenAI's, but for what the real service's own answers break."""
    schemas, soft = (json.loads((FOLDER / name).read_text()) for name in ("openai_schemas.json", "soft.json"))

    def found(name: str, value: Any) -> list[str]:
        described = jsonschema.Draft202012Validator({**schemas, "$ref": f"#/components/schemas/{name}"})
        errors = ["/".join(map(str, error.path)) + ": " + error.message for error in described.iter_errors(value)]
        return [error for error in errors if not any(re.search(known, error) for known in soft[name])]

    return found


def chunks(data: bytes) -> list[Any]:
    assert data.endswith(b"\n\n")
    events = data.decode().removesuffix("\n\n").split("\n\n")
    assert all(event.startswith("data: ") for event in events)
    return [json.loads(event[6:]) for event in events if event != "data: [DONE]"]


EVENTS: list[chat.Event] = [
    chat.Opened("msg_1", "claude"),
    chat.ReasoningDelta("hm"),
    chat.ThinkingSigned("sig"),
    chat.ThinkingRedacted("xx"),
    chat.TextDelta('a "quoted"\n line é 👩\u200d🚀'),
    chat.RefusalDelta("no"),
    chat.ToolStarted(0, "c1", "f"),
    chat.ToolDelta(0, '{"x":'),
    chat.ToolDelta(0, '"1"}'),
    chat.ToolStarted(1, "c2", "g"),
    chat.ToolDelta(1, "{}"),
    chat.Closed(chat.Finish.TOOL_CALLS, USAGE),
]


@pytest.mark.parametrize("include_usage", [True, False])
def test_a_stream_is_what_the_description_says(breaks: Any, include_usage: bool) -> None:
    writer = StreamWriter(model="m", created=5, include_usage=include_usage)
    data = b"".join(writer.write(event) for event in EVENTS)
    assert data.endswith(b"data: [DONE]\n\n")
    written = chunks(data)
    for chunk in written:
        assert breaks("CreateChatCompletionStreamResponse", chunk) == []
        assert (chunk["id"], chunk["model"], chunk["created"]) == ("msg_1", "claude", 5)
    usages = [chunk.get("usage", "absent") for chunk in written]
    if include_usage:
        assert usages[:-1] == [None] * (len(usages) - 1)
        assert written[-1]["choices"] == []
        assert usages[-1]["prompt_tokens"] == 9
    else:
        assert set(usages) == {"absent"}


def test_a_stream_reads_back_as_it_was() -> None:
    writer = StreamWriter(model="m", created=5, include_usage=True)
    reader = StreamReader()
    back = reader.feed(b"".join(writer.write(event) for event in EVENTS))
    private = (chat.ThinkingSigned, chat.ThinkingRedacted)
    assert back == [event for event in EVENTS if not isinstance(event, private)]


def test_before_the_provider_names_itself() -> None:
    writer = StreamWriter(model="m", created=5, include_usage=False)
    assert chunks(writer.write(chat.TextDelta("x")))[0]["model"] == "m"
    writer.write(chat.Opened("", ""))
    assert chunks(writer.write(chat.TextDelta("x")))[0]["model"] == "m"


def test_no_usage_is_invented() -> None:
    writer = StreamWriter(model="m", created=5, include_usage=True)
    assert all(chunk["choices"] for chunk in chunks(writer.write(chat.Closed(chat.Finish.STOP))))


def test_a_failure_is_the_last_event() -> None:
    writer = StreamWriter(model="m", created=5, include_usage=True)
    told = chunks(writer.fail("It broke.", "server_error", "provider_error"))
    error = {"message": "It broke.", "type": "server_error", "param": None, "code": "provider_error"}
    assert told == [{"error": error}]


ANSWERS = [
    chat.Answer(id="a", model="m", created=1, finish=chat.Finish.STOP, blocks=(chat.Text("x"), chat.Text("y"))),
    chat.Answer(
        id="a",
        model="m",
        created=1,
        finish=chat.Finish.TOOL_CALLS,
        blocks=(chat.Thinking("hm", "sig"), chat.ToolCall("c", "f", "{}")),
        usage=USAGE,
    ),
    chat.Answer(id="a", model="m", created=1, finish=chat.Finish.CONTENT_FILTER, blocks=(chat.Refusal("no"),)),
    chat.Answer(id="a", model="m", created=1, finish=chat.Finish.LENGTH),
]


@pytest.mark.parametrize("answer", ANSWERS)
def test_a_whole_answer_is_what_the_description_says(breaks: Any, answer: chat.Answer) -> None:
    written = json.loads(write_answer(answer))
    assert breaks("CreateChatCompletionResponse", written) == []
    back = read_answer(write_answer(answer))
    assert (back.text or None, back.reasoning, back.refusal) == (answer.text, answer.reasoning, answer.refusal)
    assert (back.tool_calls, back.finish, back.usage) == (answer.tool_calls, answer.finish, answer.usage)


def test_half_a_surrogate_pair_stays_the_escape_that_it_was() -> None:
    writer = StreamWriter(model="m", created=5, include_usage=False)
    assert b'{"content":"\\ud83d"}' in writer.write(chat.TextDelta("\ud83d"))
    answer = chat.Answer(id="a", model="m", created=1, finish=chat.Finish.STOP, blocks=(chat.Text("\ud83d"),))
    assert b'"content":"\\ud83d"' in write_answer(answer)


@given(st.lists(st.sampled_from(EVENTS[1:-1]) | st.builds(chat.TextDelta, st.text()), max_size=8))
def test_every_event_is_whole_json(events: list[chat.Event]) -> None:
    writer = StreamWriter(model="m", created=5, include_usage=True)
    for event in events:
        data = writer.write(event)
        for chunk in chunks(data) if data else ():
            assert chunk["object"] == "chat.completion.chunk"
            if isinstance(event, chat.TextDelta):
                assert chunk["choices"][0]["delta"] == {"content": event.text}
