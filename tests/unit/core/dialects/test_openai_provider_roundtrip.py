"""Neutral requests of every kind: writing them raises nothing else than TollwayError, and what OpenAI's dialect can say
reads back as it was."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from msgspec import Raw

from tollway.core import chat
from tollway.core.dialects.openai_chat import habits_of, read_request, write_request
from tollway.core.errors import Code, TollwayError

SERVICES = [
    habits_of("openai", "api.openai.com", "gpt-4o"),
    habits_of("openai", "api.openai.com", "o3"),
    habits_of("vllm", "gpu", "m"),
    habits_of("openai_compatible", "localhost:11434", "m"),
    habits_of("openai_compatible", "api.mistral.ai", "m"),
    habits_of("openai_compatible", "api.deepseek.com", "m"),
    habits_of("openai_compatible", "openrouter.ai", "m"),
]
HABITS = SERVICES[0]

texts = st.text(max_size=6)
words = st.text("abcXYZ09_-", min_size=1, max_size=8)
marks = st.none() | st.just({"type": "ephemeral"})
schemas = st.none() | st.fixed_dictionaries({"type": st.just("object"), "properties": st.just({"x": {}})})
said = st.builds(chat.Text, texts)
images = st.builds(chat.Image, st.just("https://example.com/a.png"), st.just("p"))
calls = st.builds(chat.ToolCall, words, words, st.sampled_from(["{}", '{"x":1}']))
wild_parts = st.one_of(
    st.builds(chat.Text, texts, marks),
    images,
    st.builds(chat.File, st.just("p"), st.none() | texts, st.none() | texts, st.none() | texts, marks),
    st.builds(chat.Audio, texts, texts, st.just("p")),
    st.builds(chat.Thinking, texts, st.none() | texts),
    st.builds(chat.RedactedThinking, texts),
    st.builds(chat.Refusal, texts),
)
wild_messages = st.builds(
    chat.Message,
    role=st.sampled_from(chat.Role),
    path=st.just("messages[0]"),
    parts=st.lists(wild_parts, max_size=3).map(tuple),
    tool_calls=st.lists(st.builds(chat.ToolCall, texts, texts, texts), max_size=2).map(tuple),
    tool_call_id=st.none() | texts,
    name=st.none() | texts,
    is_error=st.booleans(),
)
tools = st.builds(
    chat.Tool,
    name=words,
    description=st.none() | texts,
    parameters=schemas,
    strict=st.none() | st.booleans(),
)
knobs = st.dictionaries(st.sampled_from(["seed", "store", "own", "metadata", "audio"]), st.just(Raw(b"1")), max_size=2)
wild_requests = st.builds(
    chat.Request,
    model=st.just("m"),
    messages=st.lists(wild_messages, max_size=4).map(tuple),
    stream=st.booleans(),
    tools=st.lists(tools, max_size=2).map(tuple),
    tool_choice=st.none()
    | st.builds(chat.ToolChoice, mode=st.sampled_from(["none", "auto", "required", "named"]), name=st.none() | words),
    parallel_tool_calls=st.none() | st.booleans(),
    max_tokens=st.none() | st.integers(1, 10**6),
    temperature=st.none() | st.floats(0, 2),
    top_k=st.none() | st.integers(1, 9),
    stop=st.lists(texts, max_size=6).map(tuple),
    n=st.integers(1, 2),
    reasoning_effort=st.none() | st.sampled_from(["none", "low", "max", "odd"]),
    thinking_budget=st.none() | st.integers(0, 10**5),
    response_format=st.none()
    | st.builds(chat.ResponseFormat, kind=st.sampled_from(["text", "json_object", "json_schema"]), schema=schemas),
    user=st.none() | texts,
    rest=knobs,
)


@given(wild_requests, st.sampled_from(SERVICES))
def test_every_request_is_written_or_refused_in_words(request: chat.Request, habits: Any) -> None:
    try:
        body, dropped = write_request(request, "m", habits)
    except TollwayError as error:
        refusal: TollwayError | None = error
    else:
        refusal = None
        assert json.loads(body)["messages"]
        assert list(dropped) == sorted(set(dropped))
    assert refusal is None or refusal.code in (Code.INVALID_REQUEST, Code.UNSUPPORTED_PARAMETER)


user_turns = st.one_of(st.tuples(said), st.tuples(said, images), st.tuples(images, said, images))
plain_messages = st.one_of(
    st.builds(chat.Message, role=st.just(chat.Role.SYSTEM), path=st.just(""), parts=st.tuples(said)),
    st.builds(chat.Message, role=st.just(chat.Role.USER), path=st.just(""), parts=user_turns, name=st.none() | words),
    st.builds(
        chat.Message,
        role=st.just(chat.Role.ASSISTANT),
        path=st.just(""),
        parts=st.tuples(said),
        tool_calls=st.lists(calls, max_size=2).map(tuple),
    ),
    st.builds(
        chat.Message,
        role=st.just(chat.Role.ASSISTANT),
        path=st.just(""),
        parts=st.builds(chat.Refusal, words).map(lambda part: (part,)),
    ),
    st.builds(chat.Message, role=st.just(chat.Role.TOOL), path=st.just(""), parts=st.tuples(said), tool_call_id=words),
)
named_schema = st.builds(
    chat.ResponseFormat,
    kind=st.just("json_schema"),
    schema=st.just({"type": "object"}),
    name=words,
    description=st.none() | texts,
    strict=st.none() | st.booleans(),
)
sayable = st.builds(
    chat.Request,
    model=st.just("m"),
    messages=st.lists(plain_messages, min_size=1, max_size=4).map(tuple),
    stream=st.booleans(),
    tools=st.lists(
        st.builds(chat.Tool, name=words, description=st.none() | texts, parameters=schemas, strict=st.booleans()),
        min_size=1,
        max_size=2,
    ).map(tuple),
    tool_choice=st.none() | st.builds(chat.ToolChoice, mode=st.sampled_from(["none", "auto", "required"])),
    parallel_tool_calls=st.none() | st.booleans(),
    max_tokens=st.none() | st.integers(1, 10**6),
    temperature=st.none() | st.floats(0, 2),
    top_p=st.none() | st.floats(0, 1),
    stop=st.lists(texts, max_size=4).map(tuple),
    response_format=st.none() | st.just(chat.ResponseFormat(kind="json_object")) | named_schema,
    user=st.none() | words,
    rest=st.dictionaries(st.sampled_from(["seed", "service_tier", "verbosity"]), st.just(Raw(b"1")), max_size=2),
)


def flat(request: chat.Request) -> dict[str, Any]:
    """The request as plain values, without what only names places in it."""
    messages = [
        (
            message.role,
            [(type(part), getattr(part, "text", None) or getattr(part, "url", "")) for part in message.parts],
            message.tool_calls,
            message.tool_call_id,
            message.name,
        )
        for message in request.messages
    ]
    kinds = [
        (tool.name, tool.description, tool.parameters or {"type": "object", "properties": {}}, tool.strict)
        for tool in request.tools
    ]
    names = ("stream", "tool_choice", "parallel_tool_calls", "max_tokens", "temperature", "top_p", "stop", "user")
    rest = {name: bytes(raw) for name, raw in request.rest.items()}
    values = {name: getattr(request, name) for name in names}
    return values | {"messages": messages, "tools": kinds, "format": request.response_format, "rest": rest}


@given(sayable)
def test_what_can_be_said_reads_back_as_it_was(request: chat.Request) -> None:
    body, dropped = write_request(request, "m", HABITS)
    assert dropped == ()
    assert flat(read_request(body)) == flat(request)
