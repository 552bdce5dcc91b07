"""Full reading of chat requests into the neutral model."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollway.core import chat
from tollway.core.dialects.openai_chat import read_request
from tollway.core.errors import Code, TollwayError

FUNCTION = {"name": "f", "description": "d", "parameters": {"type": "object", "properties": {"x": {"type": "string"}}}}


def body(**fields: Any) -> bytes:
    return json.dumps({"model": "m", "messages": [{"role": "user", "content": "hi"}]} | fields).encode()


def test_everything_that_is_modelled() -> None:
    messages = [
        {"role": "developer", "content": "be brief"},
        {
            "role": "user",
            "content": [
                {"type": "text", "text": "look", "cache_control": {"type": "ephemeral"}},
                {"type": "image_url", "image_url": {"url": "https://example.com/a.png", "detail": "low"}},
                {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,AA=="}},
                {"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}},
            ],
        },
        {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"x":1}'}}],
        },
        {"role": "tool", "tool_call_id": "c1", "content": "42"},
        {"role": "assistant", "content": [{"type": "refusal", "refusal": "no"}]},
    ]
    request = read_request(
        body(
            messages=messages,
            tools=[{"type": "function", "function": FUNCTION}],
            tool_choice={"type": "function", "function": {"name": "f"}},
            parallel_tool_calls=False,
            max_completion_tokens=7,
            temperature=0.5,
            top_p=1,
            stop="END",
            reasoning_effort="low",
            response_format={"type": "json_schema", "json_schema": {"name": "s", "schema": {"type": "object"}}},
            user="u",
            seed=3,
            logit_bias=None,
        )
    )
    roles = [message.role.value for message in request.messages]
    assert roles == ["system", "user", "assistant", "tool", "assistant"]
    assert request.messages[1].parts == (
        chat.Text("look", {"type": "ephemeral"}),
        chat.Image("https://example.com/a.png", "messages[1].content[1].image_url.url", detail="low"),
        chat.File("messages[1].content[2].file", "data:application/pdf;base64,AA==", None, "a.pdf"),
        chat.Audio("AA==", "wav", "messages[1].content[3]"),
    )
    assert request.messages[2].tool_calls == (chat.ToolCall("c1", "f", '{"x":1}'),)
    assert request.messages[3].tool_call_id == "c1"
    assert request.messages[4].parts == (chat.Refusal("no"),)
    assert request.tools[0].parameters == FUNCTION["parameters"]
    assert request.tool_choice == chat.ToolChoice(mode="named", name="f")
    assert (request.max_tokens, request.stop, request.reasoning_effort, request.user) == (7, ("END",), "low", "u")
    assert request.response_format == chat.ResponseFormat(kind="json_schema", schema={"type": "object"}, name="s")
    assert set(request.rest) == {"seed"}


def test_reasoning_and_refusals_that_a_client_sends_back() -> None:
    turns = [
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": "yes", "reasoning_content": "hm"},
        {"role": "assistant", "content": None, "refusal": "no", "reasoning": "hm"},
        {"role": "user", "content": "hi", "reasoning_content": "not a model's"},
    ]
    request = read_request(body(messages=turns))
    assert [message.parts for message in request.messages[1:]] == [
        (chat.Thinking("hm"), chat.Text("yes")),
        (chat.Thinking("hm"), chat.Refusal("no")),
        (chat.Text("hi"),),
    ]


def test_fields_that_are_not_modelled_are_kept_as_they_are() -> None:
    fields = {
        "verbosity": "low",
        "prediction": {"type": "content", "content": "x"},
        "audio": {"voice": "alloy", "format": "wav"},
        "top_logprobs": 2,
        "metadata": {"a": "b"},
        "service_tier": "flex",
        "prompt_cache_key": "k",
        "own_field": [1.50],
    }
    request = read_request(body(modalities=["text", "audio"], logprobs=True, **fields))
    assert {name: json.loads(bytes(raw)) for name, raw in request.rest.items()} == fields
    assert (request.modalities, request.logprobs) == (("text", "audio"), True)


def test_a_schema_keeps_its_name_description_and_strictness() -> None:
    schema = {"name": "s", "description": "d", "strict": True, "schema": {"type": "object"}}
    request = read_request(body(response_format={"type": "json_schema", "json_schema": schema}))
    assert request.response_format == chat.ResponseFormat(
        kind="json_schema", schema={"type": "object"}, name="s", description="d", strict=True
    )


def test_allowed_tools_narrow_the_tools() -> None:
    tools = [{"type": "function", "function": FUNCTION | {"name": name}} for name in ("a", "b")]
    allowed = {"mode": "required", "tools": [{"type": "function", "function": {"name": "b"}}]}
    request = read_request(body(tools=tools, tool_choice={"type": "allowed_tools", "allowed_tools": allowed}))
    assert [tool.name for tool in request.tools] == ["b"]
    assert request.tool_choice == chat.ToolChoice(mode="required")


def user(*parts: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"role": "user", "content": list(parts)}]


@pytest.mark.parametrize(
    ("fields", "code", "param"),
    [
        ({"messages": [{"role": "user", "content": 3}]}, Code.INVALID_REQUEST, "messages[0].content"),
        ({"messages": [{"role": "user"}]}, Code.INVALID_REQUEST, "messages[0].content"),
        ({"messages": [{"content": "x"}]}, Code.INVALID_REQUEST, "messages[0].role"),
        ({"messages": [{"role": "robot", "content": "x"}]}, Code.INVALID_REQUEST, "messages[0].role"),
        ({"messages": [{"role": "tool", "content": "x"}]}, Code.INVALID_REQUEST, "messages[0].tool_call_id"),
        ({"messages": user({"type": "text"})}, Code.INVALID_REQUEST, "messages[0].content[0].text"),
        ({"messages": user({"text": "x"})}, Code.INVALID_REQUEST, "messages[0].content[0].type"),
        ({"messages": user({"type": "image_url"})}, Code.INVALID_REQUEST, "messages[0].content[0].image_url"),
        ({"messages": user({"type": "hologram"})}, Code.UNSUPPORTED_PARAMETER, "messages[0].content[0].type"),
        ({"messages": [{"role": "function", "name": "f", "content": "x"}]}, Code.UNSUPPORTED_PARAMETER, "messages[0]"),
        ({"temperature": "hot"}, Code.INVALID_REQUEST, "temperature"),
        ({"temperature": 2.1}, Code.INVALID_REQUEST, "temperature"),
        ({"top_p": -1}, Code.INVALID_REQUEST, "top_p"),
        ({"stop": [1]}, Code.INVALID_REQUEST, "stop[0]"),
        ({"tools": [{"type": "function"}]}, Code.INVALID_REQUEST, "tools[0].function"),
        ({"tools": [{"type": "function", "function": {}}]}, Code.INVALID_REQUEST, "tools[0].function.name"),
        ({"tools": [{"type": "custom", "custom": {"name": "x"}}]}, Code.UNSUPPORTED_PARAMETER, "tools[0].type"),
        ({"tool_choice": "maybe"}, Code.INVALID_REQUEST, "tool_choice"),
        (
            {"tool_choice": {"type": "function", "function": {"name": "gone"}}},
            Code.INVALID_REQUEST,
            "tool_choice.function.name",
        ),
        ({"response_format": {"type": "xml"}}, Code.INVALID_REQUEST, "response_format.type"),
        ({"response_format": {"type": "json_schema"}}, Code.INVALID_REQUEST, "response_format.json_schema"),
    ],
)
def test_what_is_wrong_is_named(fields: dict[str, Any], code: Code, param: str) -> None:
    with pytest.raises(TollwayError) as caught:
        read_request(body(**fields))
    assert (caught.value.code, caught.value.param) == (code, param)
    assert caught.value.message.endswith(".")


NAMES = ["messages", "tools", "tool_choice", "stop", "response_format", "n", "temperature", "role", "content", "type"]
NAMES += ["function", "name", "image_url", "url", "file", "text"]
json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.sampled_from(["user", "text", "file", "function", "auto"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from(NAMES), json_values))
def test_no_request_makes_it_raise_anything_else(fields: dict[str, Any]) -> None:
    with contextlib.suppress(TollwayError):
        read_request(body(**fields))
