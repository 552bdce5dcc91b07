"""A Responses request in the neutral model: every field, every item, errors that name the client's field."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import Raw

from tollway.core import chat
from tollway.core.dialects.openai_responses import read_request
from tollway.core.dialects.openai_responses_sealed import seal_redacted, seal_signature
from tollway.core.errors import Code, TollwayError

WEATHER = {"type": "function", "name": "weather", "description": "d", "parameters": {"type": "object"}, "strict": True}


def encoded(**fields: Any) -> bytes:
    return json.dumps({"model": "m", "input": "hi"} | fields).encode()


def request_of(**fields: Any) -> chat.Request:
    return read_request(encoded(**fields))


def raw(*items: Any) -> list[Raw]:
    return [Raw(json.dumps(item).encode()) for item in items]


def test_a_plain_request() -> None:
    request = request_of(instructions="Be brief.")
    assert [(m.role, m.path, m.parts) for m in request.messages] == [
        (chat.Role.SYSTEM, "instructions", (chat.Text("Be brief."),)),
        (chat.Role.USER, "input", (chat.Text("hi"),)),
    ]
    assert (request.max_tokens, request.temperature, request.tools, request.rest) == (None, None, (), {})


def test_all_the_fields() -> None:
    request = request_of(
        stream=True,
        max_output_tokens=9,
        temperature=0.5,
        top_p=0.9,
        parallel_tool_calls=False,
        tools=[WEATHER],
        tool_choice={"type": "function", "name": "weather"},
        reasoning={"effort": "low", "summary": "auto"},
        text={
            "format": {"type": "json_schema", "name": "n", "schema": {"type": "object"}, "strict": True},
            "verbosity": "low",
        },
        metadata={"a": "b"},
        user="u",
        prompt_cache_key="k",
        service_tier="flex",
        truncation="auto",
        max_tool_calls=3,
        include=["reasoning.encrypted_content"],
        store=False,
        stream_options={"include_obfuscation": False},
        seed=4,
        top_logprobs=0,
        background=False,
        previous_response_id="resp_1",
    )
    assert (request.stream, request.max_tokens, request.temperature, request.top_p) == (True, 9, 0.5, 0.9)
    assert request.parallel_tool_calls is False
    assert request.tools == (chat.Tool(name="weather", description="d", parameters={"type": "object"}, strict=True),)
    assert request.tool_choice == chat.ToolChoice(mode="named", name="weather")
    assert request.reasoning_effort == "low"
    wanted = chat.ResponseFormat(kind="json_schema", name="n", schema={"type": "object"}, strict=True)
    assert request.response_format == wanted
    assert request.user == "u"
    assert {name: json.loads(bytes(value)) for name, value in request.rest.items()} == {
        "metadata": {"a": "b"},
        "prompt_cache_key": "k",
        "service_tier": "flex",
        "truncation": "auto",
        "max_tool_calls": 3,
        "seed": 4,
        "verbosity": "low",
    }


def test_names_are_the_clients_own() -> None:
    request = request_of()
    told = {name: request.said(name) for name in ("max_tokens", "messages", "reasoning_effort", "response_format")}
    assert told == {
        "max_tokens": "max_output_tokens",
        "messages": "input",
        "reasoning_effort": "reasoning.effort",
        "response_format": "text.format",
    }
    assert (request.said("verbosity"), request.said("temperature")) == ("text.verbosity", "temperature")


def test_what_is_off_is_not_told() -> None:
    request = request_of(truncation="disabled", metadata=None, text={"format": {"type": "text"}}, safety_identifier="s")
    assert (request.rest, request.user) == ({}, "s")
    assert request.response_format == chat.ResponseFormat(kind="text")


@pytest.mark.parametrize(
    ("choice", "expected", "tools"),
    [
        ("required", chat.ToolChoice(mode="required"), ["weather", "time"]),
        ("none", chat.ToolChoice(mode="none"), ["weather", "time"]),
        (
            {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "time"}]},
            chat.ToolChoice(mode="required"),
            ["time"],
        ),
    ],
)
def test_tool_choice(choice: Any, expected: chat.ToolChoice, tools: list[str]) -> None:
    request = request_of(tools=[WEATHER, {"type": "function", "name": "time"}], tool_choice=choice)
    assert (request.tool_choice, [tool.name for tool in request.tools]) == (expected, tools)


def test_content_parts() -> None:
    mark = {"type": "ephemeral"}
    content = [
        {"type": "input_text", "text": "a", "cache_control": mark},
        {"type": "input_image", "image_url": "https://example.com/a.png", "detail": "low"},
        {"type": "input_file", "file_data": "data:application/pdf;base64,AA==", "filename": "a.pdf"},
        {"type": "input_file", "file_url": "https://example.com/b.pdf"},
        {"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}},
    ]
    (message,) = request_of(input=[{"type": "message", "role": "user", "content": content}]).messages
    where = "input[0].content"
    assert message.parts == (
        chat.Text("a", mark),
        chat.Image("https://example.com/a.png", f"{where}[1].image_url", None, "low"),
        chat.File(f"{where}[2]", "data:application/pdf;base64,AA==", None, "a.pdf"),
        chat.File(f"{where}[3]", "https://example.com/b.pdf"),
        chat.Audio("AA==", "wav", f"{where}[4]"),
    )


def test_items_in_a_row_are_one_turn() -> None:
    items = [
        {"role": "developer", "content": "sys"},
        {"role": "user", "content": "q"},
        {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "brief"}]},
        {
            "type": "message",
            "role": "assistant",
            "id": "msg_1",
            "status": "completed",
            "content": [
                {"type": "output_text", "text": "calling", "annotations": []},
                {"type": "refusal", "refusal": "no"},
            ],
        },
        {"type": "function_call", "id": "fc_1", "call_id": "c1", "name": "weather", "arguments": '{"a":1}'},
        {"type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": "more"}]},
        {"type": "function_call", "call_id": "c2", "name": "weather", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "c1", "output": "sun"},
        {"type": "function_call_output", "call_id": "c2", "output": [{"type": "input_text", "text": "rain"}]},
        {"role": "assistant", "content": "one"},
        {"role": "assistant", "content": "two"},
    ]
    messages = request_of(input=items).messages
    assert [(m.role.value, m.path) for m in messages] == [
        ("system", "input[0]"),
        ("user", "input[1]"),
        ("assistant", "input[2]"),
        ("tool", "input[7]"),
        ("tool", "input[8]"),
        ("assistant", "input[9]"),
        ("assistant", "input[10]"),
    ]
    turn = messages[2]
    assert turn.parts == (chat.Thinking("brief"), chat.Text("calling"), chat.Refusal("no"), chat.Thinking("more"))
    assert turn.tool_calls == (chat.ToolCall("c1", "weather", '{"a":1}'), chat.ToolCall("c2", "weather", "{}"))
    assert [(m.tool_call_id, m.parts) for m in messages[3:5]] == [
        ("c1", (chat.Text("sun"),)),
        ("c2", (chat.Text("rain"),)),
    ]


def test_reasoning_comes_back_with_its_signature() -> None:
    text = [{"type": "reasoning_text", "text": "hm"}]
    items = [
        {"role": "user", "content": "q"},
        {"type": "reasoning", "summary": [], "content": text, "encrypted_content": seal_signature("sig")},
        {"type": "reasoning", "summary": [], "encrypted_content": seal_redacted("opaque")},
        {"type": "reasoning", "summary": [], "encrypted_content": seal_signature("of nothing")},
        {"type": "reasoning", "summary": [], "content": text, "encrypted_content": "gAAAA-of-openai"},
        {"type": "reasoning", "summary": [], "content": text, "encrypted_content": "tw1.broken"},
        {"type": "reasoning", "summary": [], "encrypted_content": "gAAAA-of-openai"},
        {"role": "assistant", "content": "a"},
    ]
    assert request_of(input=items).messages[1].parts == (
        chat.Thinking("hm", "sig"),
        chat.RedactedThinking("opaque"),
        chat.Thinking("", "of nothing"),
        chat.Thinking("hm"),
        chat.Thinking("hm"),
        chat.Text("a"),
    )
    lone = [{"type": "reasoning", "summary": []}, {"role": "user", "content": "q"}]
    assert [message.role for message in request_of(input=lone).messages] == [chat.Role.USER]


def test_earlier_items_and_references_come_first() -> None:
    earlier = raw({"role": "user", "content": "first"}, {"type": "message", "role": "assistant", "content": "second"})
    request = read_request(encoded(instructions="sys"), None, earlier)
    assert [(m.path, m.parts[0]) for m in request.messages] == [
        ("instructions", chat.Text("sys")),
        ("previous_response_id", chat.Text("first")),
        ("previous_response_id", chat.Text("second")),
        ("input", chat.Text("hi")),
    ]
    body = encoded(input=[{"type": "item_reference", "id": "msg_1"}, {"role": "user", "content": "q"}])
    (stored,) = raw({"type": "message", "role": "assistant", "content": "known"})
    request = read_request(body, None, (), {"msg_1": stored})
    assert [m.parts for m in request.messages] == [(chat.Text("known"),), (chat.Text("q"),)]


def user(*parts: dict[str, Any]) -> dict[str, Any]:
    return {"input": [{"role": "user", "content": list(parts)}]}


@pytest.mark.parametrize(
    ("fields", "code", "param"),
    [
        ({"tools": [WEATHER, {"type": "web_search"}]}, Code.UNSUPPORTED_PARAMETER, "tools[1].type"),
        ({"tools": [{"type": "function"}]}, Code.INVALID_REQUEST, "tools[0].name"),
        ({"tool_choice": {"type": "mcp"}}, Code.UNSUPPORTED_PARAMETER, "tool_choice.type"),
        ({"tool_choice": "some"}, Code.INVALID_REQUEST, "tool_choice"),
        ({"tool_choice": {"type": "function", "name": "x"}}, Code.INVALID_REQUEST, "tool_choice.name"),
        ({"input": [{"type": "item_reference", "id": "rs_1"}]}, Code.UNSUPPORTED_PARAMETER, "input[0]"),
        ({"input": [{"type": "web_search_call", "id": "x"}]}, Code.UNSUPPORTED_PARAMETER, "input[0].type"),
        ({"input": [{"role": "tool", "content": "x"}]}, Code.INVALID_REQUEST, "input[0].role"),
        ({"input": [{"role": "user", "content": 3}]}, Code.INVALID_REQUEST, "input[0].content"),
        ({"input": [{"type": "message", "content": "x"}]}, Code.INVALID_REQUEST, "input[0].role"),
        ({"input": [{"type": "function_call_output", "output": "x"}]}, Code.INVALID_REQUEST, "input[0].call_id"),
        (user({"type": "input_text"}), Code.INVALID_REQUEST, "input[0].content[0].text"),
        (user({"type": "input_image"}), Code.INVALID_REQUEST, "input[0].content[0].image_url"),
        (user({"type": "input_image", "file_id": "f"}), Code.UNSUPPORTED_PARAMETER, "input[0].content[0].file_id"),
        (user({"type": "input_file", "file_id": "f"}), Code.UNSUPPORTED_PARAMETER, "input[0].content[0].file_id"),
        (user({"type": "input_file"}), Code.INVALID_REQUEST, "input[0].content[0].file_data"),
        (user({"type": "input_audio"}), Code.INVALID_REQUEST, "input[0].content[0].input_audio"),
        (user({"type": "video"}), Code.UNSUPPORTED_PARAMETER, "input[0].content[0].type"),
        ({"temperature": 3}, Code.INVALID_REQUEST, "temperature"),
        ({"temperature": "hot"}, Code.INVALID_REQUEST, "temperature"),
        ({"top_logprobs": 2}, Code.UNSUPPORTED_PARAMETER, "top_logprobs"),
        ({"include": ["message.output_text.logprobs"]}, Code.UNSUPPORTED_PARAMETER, "include"),
        ({"reasoning": {"mode": "pro"}}, Code.UNSUPPORTED_PARAMETER, "reasoning.mode"),
        ({"text": {"format": {"type": "xml"}}}, Code.INVALID_REQUEST, "text.format.type"),
        ({"text": {"format": {"type": "json_schema", "name": "n"}}}, Code.INVALID_REQUEST, "text.format.schema"),
        ({"text": {"format": {"type": "json_schema", "schema": {}}}}, Code.INVALID_REQUEST, "text.format.name"),
        ({"tools": [{"name": "f"}]}, Code.INVALID_REQUEST, "tools[0].type"),
    ],
)
def test_refusals_name_the_field(fields: dict[str, Any], code: Code, param: str) -> None:
    with pytest.raises(TollwayError) as caught:
        request_of(**fields)
    assert (caught.value.code, caught.value.param) == (code, param)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["type", "role", "content", "text", "output", "call_id", "name", "arguments", "summary", "id"]
            ),
            inner | st.sampled_from(["message", "reasoning", "function_call", "function_call_output", "user"]),
            max_size=4,
        )
    ),
    max_leaves=8,
)


@settings(max_examples=150, deadline=None)
@given(st.lists(_JSON, max_size=3), st.sampled_from(["tools", "text", "reasoning", "tool_choice", "metadata"]), _JSON)
def test_no_request_raises_anything_else(items: list[Any], field: str, value: Any) -> None:
    with contextlib.suppress(TollwayError):
        assert request_of(input=items, **{field: value}).model == "m"
