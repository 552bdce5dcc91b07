"""Chat requests written for the Messages API, checked from the client's JSON to the provider's."""

from __future__ import annotations

import contextlib
import itertools
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollway.core.dialects.anthropic_messages import write_request
from tollway.core.dialects.anthropic_models import version_of
from tollway.core.dialects.openai_chat import read_request
from tollway.core.errors import Code, TollwayError

TOOL = {"type": "function", "function": {"name": "f", "description": "d", "parameters": {"properties": {}}}}


def write(
    model: str = "claude-sonnet-4-5", most: int | None = None, **fields: Any
) -> tuple[dict[str, Any], tuple[str, ...]]:
    raw = json.dumps({"model": "m", "messages": [{"role": "user", "content": "hi"}]} | fields).encode()
    written = write_request(read_request(raw), model, max_output_tokens=most)
    return json.loads(written.body), written.dropped


def refusal(**fields: Any) -> TollwayError:
    with pytest.raises(TollwayError) as caught:
        write(**fields)
    return caught.value


def test_a_plain_request() -> None:
    body, dropped = write()
    assert body == {
        "model": "claude-sonnet-4-5",
        "max_tokens": 4096,
        "messages": [{"role": "user", "content": [{"type": "text", "text": "hi"}]}],
    }
    assert dropped == ()


def test_a_whole_conversation() -> None:
    body, _ = write(
        stream=True,
        user="u1",
        stop=["a", "b"],
        messages=[
            {"role": "system", "content": "s1"},
            {"role": "user", "content": "one"},
            {"role": "user", "content": [{"type": "text", "text": "two", "cache_control": {"type": "ephemeral"}}]},
            {"role": "developer", "content": [{"type": "text", "text": "s2"}]},
            {
                "role": "assistant",
                "content": "calling",
                "tool_calls": [
                    {"id": "call.1:x", "type": "function", "function": {"name": "f", "arguments": '{"x": [1.5]}'}},
                    {"id": "c2", "type": "function", "function": {"name": "g", "arguments": ""}},
                ],
            },
            {"role": "tool", "tool_call_id": "call.1:x", "content": "r1"},
            {"role": "tool", "tool_call_id": "c2", "content": [{"type": "text", "text": "r2"}]},
            {"role": "user", "content": "and?"},
            {"role": "assistant", "content": "prefilled  \n"},
        ],
    )
    assert body["system"] == [{"type": "text", "text": "s1"}, {"type": "text", "text": "s2"}]
    assert (body["stream"], body["metadata"], body["stop_sequences"]) == (True, {"user_id": "u1"}, ["a", "b"])
    assert body["messages"] == [
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "one"},
                {"type": "text", "text": "two", "cache_control": {"type": "ephemeral"}},
            ],
        },
        {
            "role": "assistant",
            "content": [
                {"type": "text", "text": "calling"},
                {"type": "tool_use", "id": "call_1_x", "name": "f", "input": {"x": [1.5]}},
                {"type": "tool_use", "id": "c2", "name": "g", "input": {}},
            ],
        },
        {
            "role": "user",
            "content": [
                {"type": "tool_result", "tool_use_id": "call_1_x", "content": [{"type": "text", "text": "r1"}]},
                {"type": "tool_result", "tool_use_id": "c2", "content": [{"type": "text", "text": "r2"}]},
                {"type": "text", "text": "and?"},
            ],
        },
        {"role": "assistant", "content": [{"type": "text", "text": "prefilled"}]},
    ]


def part_of(part: dict[str, Any]) -> dict[str, Any]:
    body, _ = write(messages=[{"role": "user", "content": [part]}])
    block: dict[str, Any] = body["messages"][0]["content"][0]
    return block


def test_images_and_documents() -> None:
    def image(url: str) -> dict[str, Any]:
        return {"type": "image_url", "image_url": {"url": url}}

    def file(**file: str) -> dict[str, Any]:
        return {"type": "file", "file": file}

    assert part_of(image("https://e.org/a.png"))["source"] == {"type": "url", "url": "https://e.org/a.png"}
    expected = {"type": "base64", "media_type": "image/png", "data": "AAAA"}
    assert part_of(image("data:image/png;base64,AAAA"))["source"] == expected
    assert part_of(image("data:image/JPG;charset=x;base64,AAAA"))["source"]["media_type"] == "image/jpeg"
    assert part_of(file(filename="a.pdf", file_data="data:application/pdf;base64,AA==")) == {
        "type": "document",
        "title": "a.pdf",
        "source": {"type": "base64", "media_type": "application/pdf", "data": "AA=="},
    }
    assert part_of(file(file_data="data:text/plain;base64,aGk="))["source"]["data"] == "hi"


@pytest.mark.parametrize(
    ("fields", "code", "param"),
    [
        ({"n": 2}, Code.UNSUPPORTED_PARAMETER, "n"),
        ({"logprobs": True}, Code.UNSUPPORTED_PARAMETER, "logprobs"),
        ({"top_logprobs": 3}, Code.UNSUPPORTED_PARAMETER, "logprobs"),
        ({"modalities": ["text", "audio"]}, Code.UNSUPPORTED_PARAMETER, "modalities"),
        ({"audio": {"voice": "a", "format": "wav"}}, Code.UNSUPPORTED_PARAMETER, "audio"),
        ({"functions": [{"name": "f"}]}, Code.UNSUPPORTED_PARAMETER, "functions"),
        ({"web_search_options": {}}, Code.UNSUPPORTED_PARAMETER, "web_search_options"),
        ({"stop": ["\n"]}, Code.UNSUPPORTED_PARAMETER, "stop"),
        ({"reasoning_effort": "huge"}, Code.INVALID_REQUEST, "reasoning_effort"),
        ({"messages": [{"role": "system", "content": "s"}]}, Code.INVALID_REQUEST, "messages"),
        ({"messages": [{"role": "user", "content": ""}]}, Code.INVALID_REQUEST, "messages"),
        (
            {
                "messages": [
                    {
                        "role": "user",
                        "content": [{"type": "image_url", "image_url": {"url": "data:image/tiff;base64,A"}}],
                    }
                ]
            },
            Code.INVALID_REQUEST,
            "messages[0].content[0].image_url.url",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "file", "file": {"file_id": "file-1"}}]}]},
            Code.UNSUPPORTED_PARAMETER,
            "messages[0].content[0].file.file_id",
        ),
        (
            {"messages": [{"role": "user", "content": [{"type": "input_audio", "input_audio": {"data": "A"}}]}]},
            Code.UNSUPPORTED_PARAMETER,
            "messages[0].content[0]",
        ),
    ],
)
def test_what_cannot_be_said_is_refused(fields: dict[str, Any], code: Code, param: str) -> None:
    error = refusal(**fields)
    assert (error.code, error.param) == (code, param)


@pytest.mark.parametrize("arguments", ["{not json", '{"a": 1', "[]", "7"])
def test_arguments_that_a_model_was_cut_short_in_go_on_as_text(arguments: str) -> None:
    call = {"id": "1", "function": {"name": "f", "arguments": arguments}}
    told, _ = write(messages=[{"role": "user", "content": "q"}, {"role": "assistant", "tool_calls": [call]}])
    assert told["messages"][1]["content"][0]["input"] == {"_invalid_arguments": arguments}


def test_tuning_knobs_are_dropped_and_named() -> None:
    body, dropped = write(seed=1, presence_penalty=0.5, logit_bias={"1": 2}, service_tier="flex", store=False)
    assert dropped == ("logit_bias", "presence_penalty", "seed", "service_tier", "store")
    assert set(body) == {"model", "max_tokens", "messages"}
    assert write(messages=[{"role": "user", "content": "x", "name": "ann"}])[1] == ("messages.name",)


@pytest.mark.parametrize(
    ("choice", "parallel", "expected"),
    [
        (None, None, None),
        ("auto", None, {"type": "auto"}),
        ("none", False, {"type": "none"}),
        ("required", None, {"type": "any"}),
        (
            {"type": "function", "function": {"name": "f"}},
            False,
            {"type": "tool", "name": "f", "disable_parallel_tool_use": True},
        ),
        (None, False, {"type": "auto", "disable_parallel_tool_use": True}),
        (None, True, None),
    ],
)
def test_tool_choice(choice: Any, parallel: bool | None, expected: Any) -> None:
    body, _ = write(tools=[TOOL], tool_choice=choice, parallel_tool_calls=parallel)
    assert body["tools"] == [{"name": "f", "description": "d", "input_schema": {"type": "object", "properties": {}}}]
    assert body.get("tool_choice") == expected


def test_max_tokens() -> None:
    assert write(max_tokens=10)[0]["max_tokens"] == 10
    assert write(most=8192)[0]["max_tokens"] == 8192
    assert write(most=8192, max_completion_tokens=100_000)[0]["max_tokens"] == 8192


def test_sampling() -> None:
    assert write(temperature=1.7)[0]["temperature"] == 1.0
    assert write(model="claude-3-opus-20240229", temperature=0.5, top_p=0.9, top_k=4)[0]["top_p"] == 0.9
    body, dropped = write(temperature=0.5, top_p=0.9)
    assert ("top_p" in body, dropped) == (False, ("top_p",))
    assert write(model="claude-opus-4-7", temperature=0.5)[1] == ("temperature",)


def test_reasoning_effort() -> None:
    old, dropped = write(model="claude-3-5-haiku-20241022", reasoning_effort="low")
    assert ("thinking" in old, dropped) == (False, ("reasoning_effort",))
    body, dropped = write(reasoning_effort="medium", max_tokens=10_000, temperature=0.2, top_p=0.99)
    assert (body["thinking"], body.get("temperature")) == ({"type": "enabled", "budget_tokens": 4096}, None)
    assert (body["top_p"], dropped) == (0.99, ("temperature",))
    assert write(reasoning_effort="high", max_tokens=1500)[1] == ("reasoning_effort",)
    assert write(reasoning_effort="high", max_tokens=9000, tools=[TOOL], tool_choice="required")[1] == (
        "reasoning_effort",
    )
    new, _ = write(model="claude-opus-4-6", reasoning_effort="minimal")
    assert (new["thinking"], new["output_config"]) == ({"type": "adaptive"}, {"effort": "low"})
    warm = write(model="claude-opus-4-6", reasoning_effort="low", temperature=0.3, top_p=0.5, top_k=3)
    assert warm[1] == ("temperature", "top_k", "top_p")
    assert write(model="claude-opus-4-6", reasoning_effort="low", temperature=1)[1] == ()
    assert write(model="claude-opus-4-6", reasoning_effort="xhigh")[0]["output_config"] == {"effort": "high"}
    assert write(model="claude-opus-4-7", reasoning_effort="xhigh")[0]["output_config"] == {"effort": "xhigh"}
    assert "thinking" not in write(model="claude-opus-4-6", reasoning_effort="none")[0]


def test_no_thinking_budget_while_a_tool_call_is_open() -> None:
    messages = [
        {"role": "user", "content": "x"},
        {"role": "assistant", "tool_calls": [{"id": "1", "function": {"name": "f", "arguments": "{}"}}]},
        {"role": "tool", "tool_call_id": "1", "content": ""},
    ]
    body, dropped = write(messages=messages, tools=[TOOL], reasoning_effort="low", max_tokens=9000)
    assert ("thinking" in body, dropped) == (False, ("reasoning_effort",))
    assert body["messages"][-1]["content"] == [{"type": "tool_result", "tool_use_id": "1"}]


def test_response_format() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string"}}}
    wanted = {"type": "json_schema", "json_schema": {"name": "n", "schema": schema, "strict": True}}
    closed = schema | {"additionalProperties": False}
    assert write(response_format=wanted)[0]["output_config"] == {"format": {"type": "json_schema", "schema": closed}}
    free = {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}}}
    assert "JSON Schema" in write(response_format=free)[0]["system"][0]["text"]
    old, _ = write(model="claude-3-haiku-20240307", response_format=wanted)
    assert json.dumps(schema) in old["system"][0]["text"]
    assert "JSON object" in write(response_format={"type": "json_object"})[0]["system"][0]["text"]
    assert set(write(response_format={"type": "text"})[0]) == {"model", "max_tokens", "messages"}


@pytest.mark.parametrize(
    ("model", "version"),
    [
        ("claude-3-opus-20240229", (3, 0)),
        ("claude-3-7-sonnet-20250219", (3, 7)),
        ("claude-3.5-sonnet", (3, 5)),
        ("claude-sonnet-4-20250514", (4, 0)),
        ("claude-sonnet-4-0", (4, 0)),
        ("claude-opus-4-6", (4, 6)),
        ("anthropic.claude-sonnet-4-5-20250929-v1:0", (4, 5)),
        ("claude-fable-5", (5, 0)),
        ("claude-latest", (99, 0)),
        ("something-1-2", (99, 0)),
    ],
)
def test_versions(model: str, version: tuple[int, int]) -> None:
    assert version_of(model) == version


texts = st.text(max_size=6)
parts = st.lists(st.fixed_dictionaries({"type": st.just("text"), "text": texts}), max_size=2)
calls = st.lists(
    st.fixed_dictionaries(
        {"id": texts, "function": st.fixed_dictionaries({"name": texts, "arguments": texts | st.just("{}")})}
    ),
    max_size=2,
)
turn = (
    st.fixed_dictionaries({"role": st.sampled_from(["system", "user"]), "content": texts | parts})
    | st.fixed_dictionaries({"role": st.just("assistant"), "content": texts | parts | st.none(), "tool_calls": calls})
    | st.fixed_dictionaries({"role": st.just("tool"), "tool_call_id": st.just("a"), "content": texts | parts})
)


@given(st.lists(turn, min_size=1, max_size=6), st.sampled_from([None, "low", "high"]))
def test_turns_obey_the_api(messages: list[dict[str, Any]], effort: str | None) -> None:
    with contextlib.suppress(TollwayError):
        body, _ = write(messages=messages, reasoning_effort=effort, max_tokens=5000)
        roles = [turn["role"] for turn in body["messages"]]
        assert all(a != b for a, b in itertools.pairwise(roles))
        for written in body["messages"]:
            assert written["content"]
            kinds = [block["type"] for block in written["content"]]
            assert kinds == sorted(kinds, key=lambda kind: kind != "tool_result")
            assert all(block["text"] for block in written["content"] if block["type"] == "text")
