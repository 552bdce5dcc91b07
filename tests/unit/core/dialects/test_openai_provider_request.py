"""Neutral requests as OpenAI chat bodies: what is said, what is dropped and named, what is refused."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from msgspec import Raw

from tollway.core import chat
from tollway.core.dialects.openai_chat import ChatHabits, habits_of, write_request
from tollway.core.errors import Code, TollwayError

OPENAI = habits_of("openai", "api.openai.com", "gpt-4o")
GPT_5 = habits_of("openai", "api.openai.com", "gpt-5")
OLLAMA = habits_of("openai_compatible", "localhost:11434", "llama3")
DEEPSEEK = habits_of("openai_compatible", "api.deepseek.com", "deepseek-chat")
MISTRAL = habits_of("openai_compatible", "api.mistral.ai", "mistral-small")
OPENROUTER = habits_of("openai_compatible", "openrouter.ai", "m")
VLLM = habits_of("vllm", "gpu", "m")

SYSTEM, USER, ASSISTANT, TOOL = chat.Role.SYSTEM, chat.Role.USER, chat.Role.ASSISTANT, chat.Role.TOOL
HI = chat.Message(role=USER, path="messages[0]", parts=(chat.Text("hi"),))
F = chat.Tool(name="f")


def message(role: chat.Role, *parts: chat.Part, **fields: Any) -> chat.Message:
    return chat.Message(role=role, path="messages[0]", parts=parts, **fields)


def written(habits: ChatHabits = OPENAI, /, *messages: chat.Message, **fields: Any) -> tuple[dict[str, Any], Any]:
    request = chat.Request(model="alias", messages=messages or (HI,), **fields)
    body, dropped = write_request(request, "m", habits)
    return json.loads(body), dropped


def turns(habits: ChatHabits, *messages: chat.Message) -> Any:
    return written(habits, *messages)[0]["messages"]


def test_everything_at_once() -> None:
    body, dropped = written(
        OPENAI,
        message(SYSTEM, chat.Text("a"), chat.Text("b")),
        HI,
        stream=True,
        tools=(chat.Tool(name="f", description="d", parameters={"properties": {"x": {}}}, strict=True), F),
        tool_choice=chat.ToolChoice(mode="named", name="f"),
        parallel_tool_calls=False,
        max_tokens=7,
        temperature=0.5,
        top_p=0.9,
        stop=("END",),
        response_format=chat.ResponseFormat(kind="json_schema", schema={"type": "object"}, strict=True),
        user="u",
        rest={"seed": Raw(b"3"), "logit_bias": Raw(b'{"1":2}'), "store": Raw(b"false")},
    )
    parameters = {"type": "object", "properties": {}}
    assert body == {
        "model": "m",
        "messages": [{"role": "system", "content": "a\n\nb"}, {"role": "user", "content": "hi"}],
        "stream": True,
        "stream_options": {"include_usage": True},
        "tools": [
            {
                "type": "function",
                "function": {
                    "name": "f",
                    "description": "d",
                    "parameters": {"type": "object", "properties": {"x": {}}},
                    "strict": True,
                },
            },
            {"type": "function", "function": {"name": "f", "parameters": parameters}},
        ],
        "tool_choice": {"type": "function", "function": {"name": "f"}},
        "parallel_tool_calls": False,
        "max_completion_tokens": 7,
        "temperature": 0.5,
        "top_p": 0.9,
        "stop": ["END"],
        "response_format": {
            "type": "json_schema",
            "json_schema": {"name": "response", "schema": {"type": "object"}, "strict": True},
        },
        "user": "u",
        "seed": 3,
        "logit_bias": {"1": 2},
    }
    assert dropped == ()


def test_parts_of_a_user_message() -> None:
    text = base64.b64encode(b"plain").decode()
    sound = chat.Audio("AA==", "wav", "p")
    parts = turns(
        OPENAI,
        message(
            USER,
            chat.Text("look", {"type": "ephemeral"}),
            chat.Image("https://example.com/a.png", "p", None, "low"),
            chat.File("p", "AA==", None, "a.pdf"),
            chat.File("p", "data:application/pdf;base64,AA=="),
            chat.File("p", f"data:text/plain;charset=utf-8;base64,{text}", None, "a.txt"),
            sound,
        ),
    )[0]["content"]
    assert parts == [
        {"type": "text", "text": "look"},
        {"type": "image_url", "image_url": {"url": "https://example.com/a.png", "detail": "low"}},
        {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,AA=="}},
        {"type": "file", "file": {"filename": "document.pdf", "file_data": "data:application/pdf;base64,AA=="}},
        {"type": "text", "text": "a.txt:\nplain"},
        {"type": "input_audio", "input_audio": {"data": "AA==", "format": "wav"}},
    ]


def test_assistant_messages() -> None:
    call = chat.ToolCall("c1", "f", " ")
    thought = chat.Thinking("hm", "sig")
    both = message(ASSISTANT, thought, chat.RedactedThinking("x"), chat.Text("a"), chat.Text("b"), tool_calls=(call,))
    function = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": "{}"}}
    assert turns(OPENAI, both) == [{"role": "assistant", "content": "ab", "tool_calls": [function]}]
    assert turns(DEEPSEEK, both)[0]["reasoning_content"] == "hm"
    assert turns(VLLM, both)[0]["reasoning"] == "hm"
    assert [written(habits, both)[1] for habits in (OPENAI, VLLM)] == [("messages.reasoning_content",), ()]
    lone = message(ASSISTANT, tool_calls=(call,))
    assert turns(OPENAI, lone)[0]["content"] is None
    assert turns(OPENAI, HI, message(ASSISTANT, thought)) == [{"role": "user", "content": "hi"}]
    refusal = message(ASSISTANT, chat.Refusal("no"))
    assert turns(OPENAI, refusal) == [{"role": "assistant", "content": None, "refusal": "no"}]
    assert turns(VLLM, refusal) == [{"role": "assistant", "content": "no"}]
    assert turns(OPENAI, message(ASSISTANT)) == [{"role": "assistant", "content": ""}]


def test_what_tools_return() -> None:
    picture = chat.Image("data:image/png;base64,AA==", "p")
    call = message(ASSISTANT, tool_calls=(chat.ToolCall("c1", "f", "{}"), chat.ToolCall("c2", "f", "{}")))
    results = (
        message(TOOL, chat.Text("x"), chat.Text("y"), picture, tool_call_id="c1"),
        message(TOOL, picture, tool_call_id="c2"),
    )
    pasted = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA=="}}
    carried = [
        {"type": "text", "text": "Content that the tool call c1 returned:"},
        pasted,
        {"type": "text", "text": "Content that the tool call c2 returned:"},
        pasted,
    ]
    told = [
        {"role": "tool", "tool_call_id": "c1", "content": "x\n\ny"},
        {
            "role": "tool",
            "tool_call_id": "c2",
            "content": "The content that this call returned follows in the next message.",
        },
    ]
    assert turns(OPENAI, call, *results)[1:] == [*told, {"role": "user", "content": carried}]
    with_text = [*carried, {"type": "text", "text": "hi"}]
    assert turns(OPENAI, call, *results, HI)[1:] == [*told, {"role": "user", "content": with_text}]
    between = turns(OPENAI, call, *results, message(ASSISTANT, chat.Text("ok")))
    assert [turn["role"] for turn in between] == ["assistant", "tool", "tool", "user", "assistant"]


def test_an_error_of_a_tool_is_named_as_dropped() -> None:
    failed = message(TOOL, chat.Text("boom"), tool_call_id="c", is_error=True)
    body, dropped = written(OPENAI, HI, failed, names={"messages.content.is_error": "is_error"})
    assert body["messages"][1] == {"role": "tool", "tool_call_id": "c", "content": "boom"}
    assert dropped == ("is_error",)


def test_ids_of_calls_that_began_elsewhere() -> None:
    def ids(habits: ChatHabits, call_id: str) -> tuple[str, str]:
        call = message(ASSISTANT, tool_calls=(chat.ToolCall(call_id, "f", "{}"),))
        sent = turns(habits, call, message(TOOL, chat.Text("x"), tool_call_id=call_id))
        return sent[0]["tool_calls"][0]["id"], sent[1]["tool_call_id"]

    long = "chatcmpl-tool-" + "a" * 32
    assert ids(OPENAI, "toolu_01") == ("toolu_01", "toolu_01")
    made, again = ids(OPENAI, long)
    assert made == again
    assert len(made) == 40
    assert ids(VLLM, long) == (long, long)
    assert ids(MISTRAL, "abcDEF123") == ("abcDEF123",) * 2
    made, again = ids(MISTRAL, "call_abcd")
    assert made == again
    assert made.isalnum()
    assert len(made) == 9
    assert ids(MISTRAL, "call_abce")[0] != made


def test_marks_for_caching_are_kept_where_they_are_understood() -> None:
    mark = {"type": "ephemeral"}
    marked = (message(SYSTEM, chat.Text("s", mark)), message(USER, chat.Text("u", mark)))
    assert turns(OPENAI, *marked) == [{"role": "system", "content": "s"}, {"role": "user", "content": "u"}]
    assert turns(OPENROUTER, *marked) == [
        {"role": "system", "content": [{"type": "text", "text": "s", "cache_control": mark}]},
        {"role": "user", "content": [{"type": "text", "text": "u", "cache_control": mark}]},
    ]
    body, dropped = written(OPENROUTER, tools=(chat.Tool(name="f", cache_control=mark),))
    assert body["tools"][0]["cache_control"] == mark
    assert written(OPENAI, tools=(chat.Tool(name="f", cache_control=mark),))[1] == dropped == ()


@pytest.mark.parametrize(
    ("habits", "effort", "budget", "sent", "dropped"),
    [
        (GPT_5, "minimal", None, "minimal", ()),
        (GPT_5, "max", None, "high", ()),
        (GPT_5, None, 2048, "low", ()),
        (GPT_5, None, 2049, "medium", ()),
        (GPT_5, None, 8193, "high", ()),
        (GPT_5, "low", 9999, "low", ()),
        (GPT_5, "none", None, None, ("reasoning_effort",)),
        (OPENAI, "high", None, None, ("reasoning_effort",)),
        (OPENAI, "none", None, None, ()),
        (OPENAI, None, 4000, None, ("thinking.budget_tokens",)),
        (OLLAMA, "none", None, "none", ()),
        (VLLM, "minimal", None, "low", ()),
    ],
)
def test_reasoning(habits: ChatHabits, effort: Any, budget: Any, sent: Any, dropped: Any) -> None:
    names = {"thinking_budget": "thinking.budget_tokens"}
    got, named = written(habits, reasoning_effort=effort, thinking_budget=budget, names=names)
    assert (got.get("reasoning_effort"), named) == (sent, dropped)


def test_sampling_of_models_that_reason() -> None:
    rest = {"seed": Raw(b"1"), "presence_penalty": Raw(b"1")}
    body, dropped = written(GPT_5, temperature=0.2, top_p=1.0, top_k=4, max_tokens=9, rest=rest)
    assert set(body) == {"model", "messages", "max_completion_tokens", "seed"}
    assert dropped == ("presence_penalty", "temperature", "top_k")
    idle = habits_of("openai", "api.openai.com", "gpt-5.1")
    assert written(idle, temperature=0.2)[0]["temperature"] == 0.2
    assert written(idle, temperature=0.2, reasoning_effort="none")[0]["temperature"] == 0.2
    assert written(idle, temperature=0.2, reasoning_effort="low")[1] == ("temperature",)


def test_habits_of_others() -> None:
    body, dropped = written(
        MISTRAL,
        message(USER, chat.Text("hi"), name="n"),
        stream=True,
        max_tokens=3,
        user="u",
        top_k=4,
        rest={"seed": Raw(b"1"), "verbosity": Raw(b'"low"'), "store": Raw(b"true"), "metadata": Raw(b"{}")},
    )
    assert body == {
        "model": "m",
        "messages": [{"role": "user", "content": "hi"}],
        "stream": True,
        "max_tokens": 3,
        "random_seed": 1,
        "metadata": {},
    }
    assert dropped == ("messages.name", "store", "top_k", "user", "verbosity")
    assert written(VLLM, top_k=4, rest={"min_p": Raw(b"0.1")})[0]["top_k"] == 4
    assert written(OPENAI, message(USER, chat.Text("hi"), name="n"))[0]["messages"][0]["name"] == "n"


def test_the_models_most_output_caps_the_clients() -> None:
    request = chat.Request(model="a", messages=(HI,), max_tokens=100)
    assert json.loads(write_request(request, "m", OPENAI, max_output_tokens=10).body)["max_completion_tokens"] == 10
    request = chat.Request(model="a", messages=(HI,))
    assert "max_completion_tokens" not in json.loads(write_request(request, "m", OPENAI, max_output_tokens=10).body)


def test_choosing_tools() -> None:
    def choice(habits: ChatHabits, mode: str, **fields: Any) -> Any:
        return written(habits, tools=(F,), tool_choice=chat.ToolChoice(mode=mode), **fields)

    assert choice(OPENAI, "required")[0]["tool_choice"] == "required"
    assert "tools" not in choice(OLLAMA, "none")[0]
    body, dropped = choice(OLLAMA, "auto", parallel_tool_calls=False)
    assert set(body) == {"model", "messages", "tools"}
    assert dropped == ("parallel_tool_calls",)
    assert choice(OLLAMA, "auto", parallel_tool_calls=True)[1] == ()
    with pytest.raises(TollwayError) as caught:
        choice(OLLAMA, "required", names={"tool_choice": "tool_choice.type"})
    assert (caught.value.code, caught.value.param) == (Code.UNSUPPORTED_PARAMETER, "tool_choice.type")
    assert set(written(OPENAI, tool_choice=chat.ToolChoice(mode="auto"), parallel_tool_calls=True)[0]) == {
        "model",
        "messages",
    }
    assert written(OLLAMA, tools=(chat.Tool(name="f", strict=True),))[1] == ("tools.function.strict",)


def test_formats() -> None:
    schema = chat.ResponseFormat(kind="json_schema", schema={"type": "object"}, name="n", description="d")
    described = {"name": "n", "schema": {"type": "object"}, "description": "d"}
    assert written(OPENAI, response_format=schema)[0]["response_format"]["json_schema"] == described
    body = written(DEEPSEEK, response_format=schema)[0]
    assert body["response_format"] == {"type": "json_object"}
    assert '{"type": "object"}' in body["messages"][0]["content"]
    assert "response_format" not in written(OPENAI, response_format=chat.ResponseFormat(kind="text"))[0]


@pytest.mark.parametrize(
    ("habits", "messages", "fields", "param"),
    [
        (OPENAI, (), {"n": 2}, "n"),
        (OPENAI, (), {"logprobs": True}, "logprobs"),
        (OPENAI, (), {"modalities": ("text", "audio")}, "modalities"),
        (OPENAI, (), {"rest": {"audio": Raw(b"{}")}}, "audio"),
        (OPENAI, (), {"rest": {"functions": Raw(b"[]")}}, "functions"),
        (OPENAI, (), {"stop": ("a",) * 5, "names": {"stop": "stop_sequences"}}, "stop_sequences"),
        (GPT_5, (), {"stop": ("a",)}, "stop"),
        (OPENAI, (message(USER, chat.File("p", None, "file-1")),), {}, "p.file_id"),
        (OPENAI, (message(USER, chat.File("p", "https://example.com/a.pdf")),), {}, "p.file_data"),
        (OLLAMA, (message(USER, chat.File("p", "AA==")),), {}, "p.file_data"),
    ],
)
def test_what_cannot_be_said_is_refused(habits: ChatHabits, messages: Any, fields: Any, param: str) -> None:
    with pytest.raises(TollwayError) as caught:
        written(habits, *messages, **fields)
    assert (caught.value.code, caught.value.param) == (Code.UNSUPPORTED_PARAMETER, param)
    assert caught.value.message.endswith(".")


@pytest.mark.parametrize(
    ("messages", "fields"),
    [
        ((message(SYSTEM, chat.Image("u", "p")),), {}),
        ((message(ASSISTANT, chat.Image("u", "p")),), {}),
        ((message(USER, chat.Thinking("x")),), {}),
        ((message(ASSISTANT, chat.Thinking("x")),), {}),
        ((message(USER, chat.File("p", "data:text/plain;base64,!!")),), {}),
        ((), {"reasoning_effort": "enormous"}),
        ((), {"user": "\ud800"}),
    ],
)
def test_what_makes_no_sense_is_refused(messages: Any, fields: Any) -> None:
    with pytest.raises(TollwayError) as caught:
        written(OPENAI, *messages, **fields)
    assert caught.value.code is Code.INVALID_REQUEST


def test_a_long_name_of_a_user_becomes_its_hash() -> None:
    body, _ = written(user="u" * 64)
    assert body["user"] == "u" * 64
    hashed = {written(user=name * 65)[0]["user"] for name in "uv"}
    assert [len(name) for name in hashed] == [64, 64]


def test_an_answer_that_the_client_has_begun_is_gone_on_with_where_that_can_be_said() -> None:
    begun = (message(chat.Role.USER, chat.Text("q")), message(chat.Role.ASSISTANT, chat.Text("{")))
    body, _ = written(habits_of("vllm", "127.0.0.1:8000", "m"), *begun)
    assert (body["continue_final_message"], body["add_generation_prompt"]) == (True, False)
    assert "continue_final_message" not in written(habits_of("vllm", "127.0.0.1:8000", "m"), begun[0])[0]
    assert "continue_final_message" not in written(OPENAI, *begun)[0]
