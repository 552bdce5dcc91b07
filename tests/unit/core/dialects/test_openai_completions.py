"""Legacy completions: requests in part and in full, passed-through answers, and answers of models that chat."""

from __future__ import annotations

import contextlib
import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollway.core import chat
from tollway.core.dialects.openai_chat import read_received
from tollway.core.dialects.openai_completions import (
    StreamWriter,
    check_urls,
    read_head,
    read_request,
    splice,
    write_answer,
)
from tollway.core.errors import Code, TollwayError
from tollway.core.usage import Usage

FOLDER = Path(__file__).parents[3] / "fixtures" / "openai"
USAGE = Usage(input=9, output=5)


def body(**fields: Any) -> bytes:
    return json.dumps({"model": "m", "prompt": "Say"} | fields).encode()


@pytest.mark.parametrize(
    ("fields", "n"),
    [
        ({}, 1),
        ({"n": 3}, 3),
        ({"n": 2, "best_of": 5}, 5),
        ({"prompt": ["a", "b"], "n": 2}, 4),
        ({"prompt": [1, 2, 3]}, 1),
        ({"prompt": [[1, 2], [3]]}, 2),
    ],
)
def test_how_many_answers(fields: dict[str, Any], n: int) -> None:
    assert read_head(body(**fields)).n == n


def test_the_head_and_passing_through() -> None:
    head = read_head(body(stream=True, max_tokens=7, stream_options={"x": 1}, suffix=" end", own=1.50))
    assert (head.model, head.stream, head.include_usage, head.max_tokens) == ("m", True, False, 7)
    check_urls(head)
    assert json.loads(splice(head, "target", want_usage=True)) == {
        "model": "target",
        "prompt": "Say",
        "stream": True,
        "max_tokens": 7,
        "stream_options": {"x": 1, "include_usage": True},
        "suffix": " end",
        "own": 1.5,
    }
    assert read_head(body(stream=True, stream_options={"include_usage": True})).include_usage


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"prompt": None}, "prompt"),
        ({"prompt": 3}, "prompt"),
        ({"prompt": []}, "prompt"),
        ({"prompt": {"text": "x"}}, "prompt"),
        ({"model": ""}, "model"),
        ({"n": 0}, "n"),
        ({"best_of": 21}, "best_of"),
        ({"max_tokens": -1}, "max_tokens"),
        ({"stream_options": []}, "stream_options"),
    ],
)
def test_heads_that_are_wrong(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(TollwayError) as caught:
        read_head(body(**fields))
    assert (caught.value.code, caught.value.param) == (Code.INVALID_REQUEST, param)


def test_a_request_for_a_model_that_chats() -> None:
    request = read_request(
        body(
            prompt=["Say hi"],
            max_tokens=5,
            temperature=0.5,
            top_p=1,
            stop=["a"],
            user="u",
            seed=3,
            echo=False,
            best_of=1,
        )
    )
    assert request.messages == (chat.Message(role=chat.Role.USER, path="prompt", parts=(chat.Text("Say hi"),)),)
    assert (request.max_tokens, request.temperature, request.top_p, request.stop) == (5, 0.5, 1.0, ("a",))
    assert (request.user, request.n, set(request.rest)) == ("u", 1, {"seed"})
    assert read_request(body()).max_tokens == 16
    assert read_request(body(n=2)).n == 2


@pytest.mark.parametrize(
    ("fields", "code", "param"),
    [
        ({"prompt": ["a", "b"]}, Code.UNSUPPORTED_PARAMETER, "prompt"),
        ({"prompt": [1, 2]}, Code.UNSUPPORTED_PARAMETER, "prompt"),
        ({"prompt": [[1, 2]]}, Code.UNSUPPORTED_PARAMETER, "prompt"),
        ({"prompt": [None]}, Code.INVALID_REQUEST, "prompt"),
        ({"prompt": [{}, "a"]}, Code.INVALID_REQUEST, "prompt"),
        ({"suffix": "x"}, Code.UNSUPPORTED_PARAMETER, "suffix"),
        ({"echo": True}, Code.UNSUPPORTED_PARAMETER, "echo"),
        ({"best_of": 2}, Code.UNSUPPORTED_PARAMETER, "best_of"),
        ({"logprobs": 0}, Code.UNSUPPORTED_PARAMETER, "logprobs"),
        ({"max_tokens": 0}, Code.INVALID_REQUEST, "max_tokens"),
        ({"temperature": 3}, Code.INVALID_REQUEST, "temperature"),
        ({"stop": [1]}, Code.INVALID_REQUEST, "stop[0]"),
    ],
)
def test_what_a_model_that_chats_cannot_do(fields: dict[str, Any], code: Code, param: str) -> None:
    with pytest.raises(TollwayError) as caught:
        read_request(body(**fields))
    assert (caught.value.code, caught.value.param) == (code, param)
    assert caught.value.message.endswith(".")


values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=2), inner, max_size=2),
    max_leaves=6,
)
FIELDS = st.sampled_from(["prompt", "n", "stop", "echo", "suffix", "stream", "stream_options", "temperature", "user"])


@given(st.dictionaries(FIELDS, values))
def test_no_request_makes_it_raise_anything_else(fields: dict[str, Any]) -> None:
    with contextlib.suppress(TollwayError):
        read_request(body(**fields))


def breaks(value: Any) -> list[str]:
    name = "CreateCompletionResponse"
    schemas, soft = (json.loads((FOLDER / file).read_text()) for file in ("openai_schemas.json", "soft.json"))
    described = jsonschema.Draft202012Validator({**schemas, "$ref": f"#/components/schemas/{name}"})
    errors = ["/".join(map(str, error.absolute_path)) + ": " + error.message for error in described.iter_errors(value)]
    return [error for error in errors if not any(re.search(known, error) for known in soft[name])]


@pytest.mark.parametrize(
    ("blocks", "finish", "text", "reason"),
    [
        ((chat.Thinking("hm"), chat.Text("a"), chat.Text("b")), chat.Finish.LENGTH, "ab", "length"),
        ((chat.Refusal("no"),), chat.Finish.CONTENT_FILTER, "no", "content_filter"),
        ((chat.ToolCall("c", "f", "{}"),), chat.Finish.TOOL_CALLS, "", "stop"),
        ((), chat.Finish.STOP, "", "stop"),
    ],
)
def test_whole_answers(blocks: Any, finish: chat.Finish, text: str, reason: str) -> None:
    answer = chat.Answer(id="a", model="m", created=5, finish=finish, blocks=blocks, usage=USAGE)
    written = json.loads(write_answer(answer))
    assert breaks(written) == []
    assert written["choices"] == [{"text": text, "index": 0, "logprobs": None, "finish_reason": reason}]
    assert written["usage"]["prompt_tokens"] == 9
    assert "usage" not in json.loads(write_answer(chat.Answer(id="a", model="m", created=5, finish=finish)))


EVENTS: list[chat.Event] = [
    chat.Opened("id1", "claude"),
    chat.ReasoningDelta("hm"),
    chat.TextDelta('a"\n'),
    chat.RefusalDelta("no"),
    chat.ToolStarted(0, "c", "f"),
    chat.ToolDelta(0, "{}"),
    chat.Closed(chat.Finish.TOOL_CALLS, USAGE),
]


@pytest.mark.parametrize("include_usage", [True, False])
def test_streams(include_usage: bool) -> None:
    writer = StreamWriter(model="m", created=5, include_usage=include_usage)
    data = b"".join(writer.write(event) for event in EVENTS).decode()
    assert data.endswith("}\n\ndata: [DONE]\n\n")
    chunks = [json.loads(line[6:]) for line in data.splitlines() if line.startswith("data: {")]
    assert [breaks(chunk) for chunk in chunks] == [[]] * len(chunks)
    assert {(chunk["id"], chunk["model"], chunk["created"]) for chunk in chunks} == {("id1", "claude", 5)}
    choices = [chunk["choices"][0] for chunk in chunks if chunk["choices"]]
    assert [(choice["text"], choice["finish_reason"]) for choice in choices] == [
        ('a"\n', None),
        ("no", None),
        ("", "stop"),
    ]
    assert (chunks[-1].get("usage") is not None) is include_usage
    assert json.loads(writer.fail("m.", "t", "c")[6:])["error"]["code"] == "c"


def test_passed_through_answers_are_counted() -> None:
    whole = read_received(b'{"object":"text_completion","choices":[{"text":"abc","finish_reason":null},{"text":"d"}]}')
    assert (whole.chars(), whole.bears()) == (4, True)
    empty = read_received(b'{"choices":[{"text":"","finish_reason":null}]}')
    assert (empty.chars(), empty.bears()) == (0, False)
    twice = read_received(b'{"choices":[{"text":"abc","delta":{"content":"abc"}}]}')
    assert twice.chars() == 3
