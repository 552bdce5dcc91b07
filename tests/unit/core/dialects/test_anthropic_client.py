"""Messages requests read in full: every field, what is refused, what is named as lost."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tollway.core import chat
from tollway.core.dialects.anthropic_messages import read_head, read_request, write_request
from tollway.core.errors import Code, TollwayError

TOOL = {"name": "f", "description": "d", "input_schema": {"type": "object", "properties": {}}}
MARK = {"type": "ephemeral"}


def read(**fields: Any) -> chat.Request:
    base = {"model": "m", "max_tokens": 9000, "messages": [{"role": "user", "content": "hi"}]}
    return read_request(json.dumps(base | fields).encode())


def parts_of(*blocks: dict[str, Any]) -> tuple[chat.Part, ...]:
    return read(messages=[{"role": "user", "content": list(blocks)}]).messages[0].parts


def test_a_plain_request() -> None:
    request = read(system="be brief", stream=True)
    assert (request.model, request.max_tokens, request.stream, request.include_usage) == ("m", 9000, True, True)
    system, user = request.messages
    assert (system.role, system.path, system.parts) == (chat.Role.SYSTEM, "system", (chat.Text("be brief"),))
    assert (user.role, user.path, user.parts) == (chat.Role.USER, "messages[0]", (chat.Text("hi"),))
    assert (request.tools, request.tool_choice, request.reasoning_effort, request.rest) == ((), None, None, {})


def test_a_whole_conversation() -> None:
    request = read(
        system=[{"type": "text", "text": "s", "cache_control": MARK}],
        messages=[
            {"role": "user", "content": "q"},
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": "hm", "signature": "sig"},
                    {"type": "redacted_thinking", "data": "xx"},
                    {"type": "text", "text": "calling"},
                    {"type": "tool_use", "id": "t1", "name": "f", "input": {"a": [1.5, 12345678901234567890123]}},
                    {"type": "tool_use", "id": "t2", "name": "g", "input": {}},
                ],
            },
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "and?"},
                    {"type": "tool_result", "tool_use_id": "t1", "content": "r1", "is_error": True},
                    {
                        "type": "tool_result",
                        "tool_use_id": "t2",
                        "cache_control": MARK,
                        "content": [
                            {"type": "text", "text": "r2"},
                            {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA"}},
                        ],
                    },
                ],
            },
            {"role": "system", "content": "mind the gap"},
        ],
    )
    system, question, calling, first, second, rest, late = request.messages
    assert system.parts == (chat.Text("s", MARK),)
    assert question.parts == (chat.Text("q"),)
    assert calling.parts == (chat.Thinking("hm", "sig"), chat.RedactedThinking("xx"), chat.Text("calling"))
    assert calling.tool_calls == (
        chat.ToolCall("t1", "f", '{"a":[1.5,12345678901234567890123]}'),
        chat.ToolCall("t2", "g", "{}"),
    )
    assert (first.role, first.path, first.tool_call_id) == (chat.Role.TOOL, "messages[2].content[1]", "t1")
    assert (first.is_error, first.parts) == (True, (chat.Text("r1"),))
    assert (second.is_error, second.path) == (False, "messages[2].content[2]")
    path = "messages[2].content[2].content[1].source"
    assert second.parts == (chat.Text("r2"), chat.Image("data:image/png;base64,AA", path, MARK))
    assert (rest.role, rest.path, rest.parts) == (chat.Role.USER, "messages[2]", (chat.Text("and?"),))
    assert (late.role, late.path) == (chat.Role.SYSTEM, "messages[3]")


def test_a_turn_of_results_alone_is_no_user_message() -> None:
    result = {"type": "tool_result", "tool_use_id": "t"}
    request = read(messages=[{"role": "user", "content": [result]}])
    assert [message.role for message in request.messages] == [chat.Role.TOOL]
    assert request.messages[0].parts == ()


def test_documents_and_search_results() -> None:
    def document(source: dict[str, Any], **fields: Any) -> tuple[chat.Part, ...]:
        return parts_of({"type": "document", "source": source} | fields)

    path = "messages[0].content[0].source"
    pdf = {"type": "base64", "media_type": "application/pdf", "data": "AA=="}
    expected = chat.File(path, "data:application/pdf;base64,AA==", None, "a.pdf", MARK)
    assert document(pdf, title="a.pdf", cache_control=MARK) == (expected,)
    assert document(pdf, context="from Ann") == (chat.Text("from Ann"), chat.File(path, expected.data))
    url = {"type": "url", "url": "https://e.org/a.pdf"}
    assert document(url) == (chat.File(path, "https://e.org/a.pdf"),)
    text = {"type": "text", "media_type": "text/plain", "data": "words"}
    assert document(text, title="t", context="c", cache_control=MARK) == (chat.Text("t\nc\nwords", MARK),)
    assert document({"type": "content", "content": "words"}) == (chat.Text("words"),)
    image = {"type": "image", "source": {"type": "url", "url": "https://e.org/a.png"}}
    blocks = {"type": "content", "content": [{"type": "text", "text": "x"}, image]}
    picture = chat.Image("https://e.org/a.png", f"{path}.content[1].source", MARK)
    assert document(blocks, title="t", cache_control=MARK) == (chat.Text("t"), chat.Text("x"), picture)
    found = {"type": "search_result", "title": "t", "source": "s", "content": [{"type": "text", "text": "x"}]}
    assert parts_of(found) == (chat.Text("t\ns\nx"),)


def test_tools_and_choice() -> None:
    tool = {"type": "custom", "strict": True, "cache_control": MARK} | TOOL
    request = read(tools=[tool, TOOL | {"name": "g", "type": None}], tool_choice={"type": "tool", "name": "f"})
    first = chat.Tool(name="f", description="d", parameters=TOOL["input_schema"], strict=True, cache_control=MARK)  # type: ignore[arg-type]
    assert (request.tools[0], request.tools[1].name) == (first, "g")
    assert (request.tool_choice, request.parallel_tool_calls) == (chat.ToolChoice(mode="named", name="f"), None)
    choices = {"auto": "auto", "any": "required", "none": "none"}
    for kind, mode in choices.items():
        request = read(tools=[TOOL], tool_choice={"type": kind, "disable_parallel_tool_use": kind == "any"})
        assert request.tool_choice == chat.ToolChoice(mode=mode)
        assert request.parallel_tool_calls is (kind != "any")


def test_knobs() -> None:
    request = read(
        temperature=1, top_p=0.5, top_k=3, stop_sequences=["a"], metadata={"user_id": "u"}, service_tier="standard_only"
    )
    assert (request.temperature, request.top_p, request.top_k, request.stop, request.user) == (1.0, 0.5, 3, ("a",), "u")
    assert {name: json.loads(bytes(raw)) for name, raw in request.rest.items()} == {"service_tier": "default"}
    names = ("stop", "user", "parallel_tool_calls", "thinking_budget", "response_format", "tools.function.strict")
    assert [request.said(name) for name in names] == [
        "stop_sequences",
        "metadata.user_id",
        "tool_choice.disable_parallel_tool_use",
        "thinking.budget_tokens",
        "output_config.format",
        "tools.strict",
    ]


@pytest.mark.parametrize(
    ("fields", "effort", "budget", "said"),
    [
        ({}, None, None, "thinking"),
        ({"thinking": {"type": "enabled", "budget_tokens": 1024}}, "low", 1024, "thinking"),
        ({"thinking": {"type": "enabled", "budget_tokens": 8192}}, "medium", 8192, "thinking"),
        ({"thinking": {"type": "enabled", "budget_tokens": 8193}}, "high", 8193, "thinking"),
        ({"thinking": {"type": "adaptive"}}, "high", None, "thinking"),
        ({"thinking": {"type": "disabled"}, "output_config": {"effort": "low"}}, "none", None, "thinking"),
        ({"output_config": {"effort": "max"}}, "max", None, "output_config.effort"),
        (
            {"thinking": {"type": "enabled", "budget_tokens": 2000}, "output_config": {"effort": "high"}},
            "high",
            2000,
            "output_config.effort",
        ),
    ],
)
def test_reasoning(fields: dict[str, Any], effort: str | None, budget: int | None, said: str) -> None:
    request = read(**fields)
    assert (request.reasoning_effort, request.thinking_budget) == (effort, budget)
    assert request.said("reasoning_effort") == said


def test_response_format() -> None:
    wanted = {"type": "json_schema", "schema": {"type": "object"}}
    expected = chat.ResponseFormat(kind="json_schema", schema={"type": "object"})
    assert read(output_config={"format": wanted}).response_format == expected
    old = read(output_format=wanted)
    assert (old.response_format, old.said("response_format")) == (expected, "output_format")


def test_what_is_lost_is_named() -> None:
    request = read(
        messages=[
            {
                "role": "user",
                "content": [
                    {"type": "text", "text": "x", "citations": [{}]},
                    {"type": "document", "source": {"type": "content", "content": []}, "cache_control": MARK},
                ],
            }
        ],
        tools=[TOOL | {"input_examples": [{}], "defer_loading": False, "allowed_callers": ["direct"]}],
        thinking={"type": "disabled", "display": "omitted"},
        output_config={"effort": "low", "task_budget": {}},
        metadata={"team": "x"},
        context_management={"edits": []},
        cache_control=MARK,
        betas=["b"],
        inference_geo=None,
    )
    lost = {
        "betas",
        "cache_control",
        "context_management",
        "messages.content.cache_control",
        "messages.content.citations",
        "metadata.team",
        "output_config.effort",
        "output_config.task_budget",
        "thinking.display",
        "tools.input_examples",
    }
    assert set(request.rest) == lost
    assert set(write_request(request, "claude-sonnet-4-5").dropped) == lost


def user(*blocks: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": list(blocks)}]}


def assistant(*blocks: Any) -> dict[str, Any]:
    return {"messages": [{"role": "assistant", "content": list(blocks)}]}


BLOCK = "messages[0].content[0]"


@pytest.mark.parametrize(
    ("fields", "code", "param"),
    [
        ({"mcp_servers": [{"type": "url"}]}, Code.UNSUPPORTED_PARAMETER, "mcp_servers"),
        ({"container": "c_1"}, Code.UNSUPPORTED_PARAMETER, "container"),
        (
            {"tools": [TOOL, {"type": "web_search_20250305", "name": "w", "input_schema": 3}]},
            Code.UNSUPPORTED_PARAMETER,
            "tools[1].type",
        ),
        ({"tools": [{"name": "f"}]}, Code.INVALID_REQUEST, "tools[0].input_schema"),
        ({"tools": [{"name": 3, "input_schema": {}}]}, Code.INVALID_REQUEST, "tools[0].name"),
        ({"tools": "x"}, Code.INVALID_REQUEST, "tools"),
        ({"tools": [TOOL], "tool_choice": {"type": "tool", "name": "g"}}, Code.INVALID_REQUEST, "tool_choice.name"),
        ({"tool_choice": {"type": "some"}}, Code.INVALID_REQUEST, "tool_choice.type"),
        ({"tool_choice": {}}, Code.INVALID_REQUEST, "tool_choice.type"),
        ({"temperature": 1.5}, Code.INVALID_REQUEST, "temperature"),
        ({"top_p": -1}, Code.INVALID_REQUEST, "top_p"),
        ({"top_k": -1}, Code.INVALID_REQUEST, "top_k"),
        ({"stop_sequences": "x"}, Code.INVALID_REQUEST, "stop_sequences"),
        ({"metadata": {"user_id": 3}}, Code.INVALID_REQUEST, "metadata.user_id"),
        ({"thinking": {"type": "enabled"}}, Code.INVALID_REQUEST, "thinking.budget_tokens"),
        ({"thinking": {"type": "enabled", "budget_tokens": 5}}, Code.INVALID_REQUEST, "thinking.budget_tokens"),
        ({"thinking": {"type": "between_tools"}}, Code.UNSUPPORTED_PARAMETER, "thinking.type"),
        ({"output_config": {"effort": "huge"}}, Code.INVALID_REQUEST, "output_config.effort"),
        ({"output_config": {"format": {"type": "json_schema"}}}, Code.INVALID_REQUEST, "output_config.format.schema"),
        ({"output_format": {"type": "xml"}}, Code.INVALID_REQUEST, "output_format.type"),
        ({"system": [{"type": "image"}]}, Code.INVALID_REQUEST, "system[0].type"),
        ({"messages": [{"role": "tool", "content": "x"}]}, Code.INVALID_REQUEST, "messages[0].role"),
        ({"messages": [{"role": "user"}]}, Code.INVALID_REQUEST, "messages[0].content"),
        (user({"type": "text"}), Code.INVALID_REQUEST, f"{BLOCK}.text"),
        (user({"type": "text", "text": 3}), Code.INVALID_REQUEST, f"{BLOCK}.text"),
        (user({"type": "image"}), Code.INVALID_REQUEST, f"{BLOCK}.source"),
        (user({"type": "image", "source": "x"}), Code.INVALID_REQUEST, f"{BLOCK}.source"),
        (user({"type": "image", "source": {"type": "base64"}}), Code.INVALID_REQUEST, f"{BLOCK}.source.media_type"),
        (user({"type": "image", "source": {"type": "text"}}), Code.INVALID_REQUEST, f"{BLOCK}.source.type"),
        (
            user({"type": "document", "source": {"type": "file", "file_id": "f"}}),
            Code.UNSUPPORTED_PARAMETER,
            f"{BLOCK}.source.file_id",
        ),
        (user({"type": "thinking", "thinking": "x"}), Code.INVALID_REQUEST, f"{BLOCK}.type"),
        (user({"type": "tool_result"}), Code.INVALID_REQUEST, f"{BLOCK}.tool_use_id"),
        (
            user({"type": "tool_result", "tool_use_id": "t", "content": [{"text": "x"}]}),
            Code.INVALID_REQUEST,
            f"{BLOCK}.content[0].type",
        ),
        (user({"type": "tool_result", "tool_use_id": "t", "content": 3}), Code.INVALID_REQUEST, f"{BLOCK}.content"),
        (assistant({"type": "server_tool_use", "input": 3}), Code.UNSUPPORTED_PARAMETER, f"{BLOCK}.type"),
        (assistant({"type": "tool_use", "id": "t", "name": "f"}), Code.INVALID_REQUEST, f"{BLOCK}.input"),
        (assistant({"type": "tool_use", "name": "f", "input": {}}), Code.INVALID_REQUEST, f"{BLOCK}.id"),
    ],
)
def test_errors_name_the_field(fields: dict[str, Any], code: Code, param: str) -> None:
    with pytest.raises(TollwayError) as caught:
        read(**fields)
    assert (caught.value.code, caught.value.param) == (code, param)


def test_the_head_of_a_count_serves_the_whole_request() -> None:
    raw = json.dumps({"model": "m", "messages": [{"role": "user", "content": "hi"}]}).encode()
    assert read_request(raw, read_head(raw, needs_max_tokens=False)).max_tokens is None
