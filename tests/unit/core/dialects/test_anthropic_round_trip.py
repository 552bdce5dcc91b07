"""A Messages request read into the neutral chat and written for Anthropic again asks for the same."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tollway.core import chat
from tollway.core.dialects.anthropic_messages import read_request, write_request
from tollway.core.dialects.openai_chat import read_request as read_openai
from tollway.core.errors import TollwayError

MODEL = "claude-sonnet-4-5"
NAMES = [f"anthropic-{n:02}" for n in range(1, 39, 2)] + ["anthropic-41"]
SIGNED = {"type": "thinking", "thinking": "hm", "signature": "sig"}
TEXT = {"type": "text", "text": "a"}
SEALED = {"type": "redacted_thinking", "data": "xx"}
CALL = {"type": "tool_use", "id": "t", "name": "f", "input": {"a": 1}}
RESULT = {"type": "tool_result", "tool_use_id": "t", "content": [{"type": "text", "text": "r"}]}


def round_trip(body: dict[str, Any], model: str = MODEL) -> tuple[dict[str, Any], tuple[str, ...]]:
    written = write_request(read_request(json.dumps(body).encode()), model)
    return json.loads(written.body), written.dropped


def body(*turns: tuple[str, Any], **fields: Any) -> dict[str, Any]:
    messages = [{"role": role, "content": content} for role, content in turns]
    return {"model": MODEL, "max_tokens": 9000, "messages": messages or [{"role": "user", "content": "q"}]} | fields


def plain(request: dict[str, Any]) -> dict[str, Any]:
    """A request with every shorthand written out and defaults left out."""

    def blocks(content: Any) -> Any:
        return [{"type": "text", "text": content}] if isinstance(content, str) else content

    out = dict(request)
    out["messages"] = []
    for turn in request["messages"]:
        content = []
        for block in blocks(turn["content"]):
            if block["type"] == "tool_result":
                block = {name: value for name, value in block.items() if value is not False}
                block |= {"content": blocks(block["content"])} if "content" in block else {}
            content.append(block)
        if out["messages"] and out["messages"][-1]["role"] == turn["role"]:
            out["messages"][-1]["content"] += content  # neighbours of one role are one turn to the API
        else:
            out["messages"].append({"role": turn["role"], "content": content})
    if "system" in out:
        out["system"] = blocks(out["system"])
    if not out.get("stream"):
        out.pop("stream", None)
    return out


CLOSED = {"type": "object", "properties": {}, "additionalProperties": False}
MARK = {"type": "ephemeral", "ttl": "1h"}


@pytest.mark.parametrize(
    "request_",
    [
        body(),
        body(system="s", stream=True, stop_sequences=["a"], temperature=0.5, top_k=3, metadata={"user_id": "u"}),
        body(("user", [{"type": "text", "text": "x", "cache_control": MARK}]), system=[{"type": "text", "text": "s"}]),
        body(("user", [{"type": "image", "source": {"type": "url", "url": "https://e.org/a.png"}}])),
        body(
            (
                "user",
                [
                    {
                        "type": "document",
                        "title": "t.pdf",
                        "source": {"type": "base64", "media_type": "application/pdf", "data": "AA=="},
                    },
                    {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA=="}},
                ],
            )
        ),
        body(("user", "q"), ("assistant", [SIGNED, SEALED, TEXT, CALL]), ("user", [RESULT])),
        body(("user", "q"), ("assistant", [CALL]), ("user", [RESULT | {"is_error": True}, TEXT])),
        body(("user", "q"), ("assistant", "The answer is")),
        body(
            tools=[{"name": "f", "description": "d", "input_schema": {"type": "object"}, "cache_control": MARK}],
            tool_choice={"type": "any", "disable_parallel_tool_use": True},
        ),
        body(tools=[{"name": "f", "input_schema": {"type": "object"}}], tool_choice={"type": "tool", "name": "f"}),
        body(thinking={"type": "enabled", "budget_tokens": 5000}),
        body(
            ("user", "q"),
            ("assistant", [SIGNED, CALL]),
            ("user", [RESULT]),
            thinking={"type": "enabled", "budget_tokens": 1024},
        ),
        body(output_config={"format": {"type": "json_schema", "schema": CLOSED}}),
    ],
)
def test_nothing_is_changed(request_: dict[str, Any]) -> None:
    written, dropped = round_trip(request_)
    assert (plain(written), dropped) == (plain(request_), ())


def test_adaptive_thinking_and_effort() -> None:
    asked = body(thinking={"type": "adaptive"}, output_config={"effort": "medium"})
    for model in ("claude-opus-4-6", "claude-opus-4-7"):
        assert round_trip(asked, model) == (plain(asked) | {"model": model}, ())
    assert round_trip(body(thinking={"type": "adaptive"}), "claude-opus-4-7")[0]["output_config"] == {"effort": "high"}


def test_budgets_where_the_model_has_other_habits() -> None:
    asked = body(thinking={"type": "enabled", "budget_tokens": 2000})
    assert round_trip(asked, "claude-opus-4-6")[0]["thinking"] == {"type": "enabled", "budget_tokens": 2000}
    new, dropped = round_trip(asked, "claude-opus-4-7")
    assert (new["thinking"], new["output_config"]) == ({"type": "adaptive"}, {"effort": "low"})
    assert dropped == ("thinking.budget_tokens",)
    assert round_trip(asked, "claude-3-haiku")[1] == ("thinking",)
    over = round_trip(asked | {"max_tokens": 1500})[0]
    assert over["thinking"] == {"type": "enabled", "budget_tokens": 1499}
    small, dropped = round_trip(asked | {"max_tokens": 1024})
    assert ("thinking" in small, dropped) == (False, ("thinking",))
    request = chat.Request(
        model="m",
        messages=(chat.Message(role=chat.Role.USER, path="messages[0]", parts=(chat.Text("x"),)),),
        max_tokens=9000,
        thinking_budget=5000,
    )
    assert json.loads(write_request(request, "claude-opus-4-7").body)["output_config"] == {"effort": "medium"}
    assert write_request(request, "claude-3-haiku").dropped == ("thinking_budget",)


def test_no_thinking_after_a_call_whose_thinking_is_missing() -> None:
    turns = (("user", "q"), ("assistant", [CALL]), ("user", [RESULT]))
    written, dropped = round_trip(body(*turns, thinking={"type": "enabled", "budget_tokens": 2000}))
    assert ("thinking" in written, dropped) == (False, ("thinking",))


def test_reasoning_opens_its_turn_and_needs_a_signature() -> None:
    unsigned = {"type": "thinking", "thinking": "mine", "signature": ""}
    written, dropped = round_trip(
        body(("user", "q"), ("assistant", [unsigned, TEXT, SIGNED, CALL]), ("user", [RESULT]))
    )
    assert written["messages"][1]["content"] == [SIGNED, TEXT, CALL]
    assert dropped == ("messages.content.thinking",)


def test_what_cannot_be_said_is_named_in_the_clients_words() -> None:
    tool = {"name": "f", "input_schema": {}, "strict": True}
    dropped = round_trip(body(tools=[tool], temperature=0.5, top_p=0.9), "claude-opus-4-0")[1]
    assert dropped == ("tools.strict",)
    with pytest.raises(TollwayError) as caught:
        round_trip(body(stop_sequences=[" "]))
    assert caught.value.param == "stop_sequences"
    raw = json.dumps({"model": "m", "n": 2, "messages": [{"role": "user", "content": "x"}]}).encode()
    with pytest.raises(TollwayError) as caught:
        write_request(read_openai(raw), MODEL)
    assert caught.value.param == "n"


def test_refusals_of_earlier_turns_are_text() -> None:
    parts = (chat.Refusal("no"), chat.Thinking("x", None), chat.Refusal(""))
    user = chat.Message(role=chat.Role.USER, path="messages[0]", parts=(chat.Text("q"),))
    turn = chat.Message(role=chat.Role.ASSISTANT, path="messages[1]", parts=parts)
    written = json.loads(write_request(chat.Request(model="m", messages=(user, turn, user)), MODEL).body)
    assert written["messages"][1]["content"] == [{"type": "text", "text": "no"}]


@pytest.mark.parametrize("name", NAMES)
def test_recorded_requests(name: str, recorded: Any) -> None:
    sent = recorded(name)["request"]
    hosted = any(tool.get("type", "custom") != "custom" for tool in sent.get("tools", ()))
    if hosted:
        with pytest.raises(TollwayError) as caught:
            round_trip(sent, sent["model"])
        assert caught.value.param == "tools[0].type"
        return
    written, dropped = round_trip(sent, sent["model"])
    lost = {"cache_control", "context_management"} & sent.keys()
    expected = {name: value for name, value in plain(sent).items() if name not in lost}
    if sent.get("thinking") == {"type": "adaptive"}:
        expected["output_config"] = {"effort": "high"}
    if "thinking" in written and written.get("temperature") is None:
        expected.pop("temperature", None)
    assert set(dropped) - {"temperature"} == lost
    assert plain(written) == expected


words = st.text(alphabet='ab é"\n', min_size=1, max_size=4).filter(str.strip)
text_block = st.builds(lambda text: {"type": "text", "text": text}, words)
user_block = text_block | st.just({"type": "image", "source": {"type": "url", "url": "https://e.org/a"}})
value = st.integers(-5, 2**70) | words | st.lists(st.booleans(), max_size=2)
call = st.builds(lambda given: CALL | {"input": given}, st.dictionaries(words, value))
thought = st.sampled_from([SIGNED, SEALED])
calls = st.lists(call, min_size=1, max_size=2)
answer = st.tuples(st.lists(thought, max_size=2), st.lists(text_block, max_size=2), calls)
result = st.builds(lambda bad: RESULT | ({"is_error": True} if bad else {}), st.booleans())
question = st.tuples(st.lists(result, max_size=2), st.lists(user_block, min_size=1, max_size=2))


@settings(max_examples=60)
@given(st.lists(st.tuples(question, answer), max_size=3), question)
def test_any_conversation_survives(exchanges: list[Any], last: Any) -> None:
    turns: list[tuple[str, Any]] = []
    for asked, given_ in exchanges:
        turns += [("user", [*asked[0], *asked[1]]), ("assistant", [*given_[0], *given_[1], *given_[2]])]
    request = body(*turns, ("user", [*last[0], *last[1]]))
    written, dropped = round_trip(request)
    assert (plain(written), dropped) == (plain(request), ())
