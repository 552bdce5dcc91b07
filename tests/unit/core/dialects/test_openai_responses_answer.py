"""The response object that is written for another dialect's answer: shapes, echoes, usage, the way back."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types.responses import Response

from tollway.core import chat
from tollway.core.dialects.openai_responses import read_head, read_request, read_usage, write_answer, write_usage
from tollway.core.dialects.openai_responses_sealed import seal_redacted, seal_signature, unseal
from tollway.core.usage import Usage

FIXTURES = Path(__file__).parents[3] / "fixtures" / "openai"
FIELDS = {
    "model": "m",
    "input": "hi",
    "instructions": "Be brief.",
    "tools": [{"type": "function", "name": "f"}, {"type": "function", "name": "g", "parameters": {}, "strict": True}],
    "tool_choice": {"type": "function", "name": "f"},
    "temperature": 0.25,
    "top_p": None,
    "text": {"verbosity": "low"},
    "reasoning": {"effort": "high", "summary": "auto"},
    "metadata": {"a": "b"},
    "parallel_tool_calls": False,
    "max_output_tokens": 99,
    "max_tool_calls": 2,
    "previous_response_id": "resp_0",
    "store": False,
    "user": "u",
    "service_tier": "auto",
    "truncation": "auto",
}
USAGE = Usage(input=10, cached_input=4, cache_write_5m=2, cache_write_1h=1, output=5, reasoning=3)


def written(*blocks: chat.Block, fields: dict[str, Any] | None = None, **answer: Any) -> dict[str, Any]:
    head = read_head(json.dumps(fields or {"model": "m", "input": "hi"}).encode())
    given: dict[str, Any] = {"id": "x", "model": "claude", "created": 3, "finish": chat.Finish.STOP, "blocks": blocks}
    whole = chat.Answer(**given | answer)
    body: dict[str, Any] = json.loads(write_answer(whole, head.fields, response_id="resp_abc", created=17))
    described = json.loads((FIXTURES / "openai_schemas.json").read_text())
    soft = json.loads((FIXTURES / "soft.json").read_text())["Response"]
    validator = jsonschema.Draft202012Validator({**described, "$ref": "#/components/schemas/Response"})
    breaks = [f"{'/'.join(map(str, e.absolute_path))}: {e.message}" for e in validator.iter_errors(body)]
    assert [b for b in breaks if not any(re.search(known, b) for known in soft)] == []
    assert Response.model_validate(body).id == "resp_abc"
    return body


def test_a_plain_answer() -> None:
    body = written(chat.Text("Hel"), chat.Text("lo"), usage=USAGE)
    assert body["output"] == [
        {
            "id": "msg_twabc_0",
            "type": "message",
            "status": "completed",
            "role": "assistant",
            "content": [{"type": "output_text", "annotations": [], "logprobs": [], "text": "Hello"}],
        }
    ]
    assert (body["status"], body["model"], body["created_at"]) == ("completed", "claude", 17)
    assert Response.model_validate(body).output_text == "Hello"
    assert body["usage"] == {
        "input_tokens": 10,
        "input_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 3},
        "output_tokens": 5,
        "output_tokens_details": {"reasoning_tokens": 3},
        "total_tokens": 15,
    }


def test_what_the_client_left_out_is_said_as_openai_says_it() -> None:
    body = written()
    shown = {name: body[name] for name in ("temperature", "top_p", "tools", "tool_choice", "text", "store", "metadata")}
    assert shown == {
        "temperature": 1.0,
        "top_p": 1.0,
        "tools": [],
        "tool_choice": "auto",
        "text": {"format": {"type": "text"}},
        "store": True,
        "metadata": {},
    }
    assert (body["output"], body["instructions"], body["truncation"]) == ([], None, "disabled")
    assert "usage" not in body


def test_what_the_client_said_is_repeated() -> None:
    body = written(fields=FIELDS)
    same = set(FIELDS) - {"model", "input", "tools", "text", "top_p"}
    assert {name: body[name] for name in same} == {name: FIELDS[name] for name in same}
    assert body["tools"] == [
        {"type": "function", "name": "f", "strict": False, "parameters": None},
        {"type": "function", "name": "g", "parameters": {}, "strict": True},
    ]
    assert body["text"] == {"format": {"type": "text"}, "verbosity": "low"}
    assert body["top_p"] == 1.0


def test_a_structured_format_is_repeated() -> None:
    wanted = {"type": "json_schema", "name": "n", "schema": {"type": "object"}, "strict": True}
    assert written(fields={"model": "m", "input": "x", "text": {"format": wanted}})["text"] == {"format": wanted}


def test_all_kinds_of_blocks() -> None:
    body = written(
        chat.Thinking("a"),
        chat.Thinking("b", "sig"),
        chat.Thinking("c"),
        chat.RedactedThinking("opaque"),
        chat.Thinking("", "sig2"),
        chat.Text(""),
        chat.Text("one"),
        chat.Refusal("no"),
        chat.Refusal("pe"),
        chat.ToolCall("call_1", "f", '{"x":1}'),
        chat.ToolCall("", "g", ""),
        chat.Text("two"),
        finish=chat.Finish.TOOL_CALLS,
    )
    output = body["output"]
    assert [(item["type"], item["id"]) for item in output] == [
        ("reasoning", "rs_twabc_0"),
        ("reasoning", "rs_twabc_1"),
        ("reasoning", "rs_twabc_2"),
        ("reasoning", "rs_twabc_3"),
        ("message", "msg_twabc_4"),
        ("function_call", "fc_twabc_5"),
        ("function_call", "fc_twabc_6"),
        ("message", "msg_twabc_7"),
    ]
    assert [item.get("content", [{}])[0].get("text") for item in output[:4]] == ["ab", "c", None, None]
    assert ["encrypted_content" in item for item in output[:4]] == [True, False, True, True]
    assert [part.get("text", part.get("refusal")) for part in output[4]["content"]] == ["one", "nope"]
    assert [(item["call_id"], item["name"], item["arguments"]) for item in output[5:7]] == [
        ("call_1", "f", '{"x":1}'),
        ("call_twabc_6", "g", "{}"),
    ]
    assert Response.model_validate(body).output_text == "onetwo"


@pytest.mark.parametrize(
    ("finish", "reason"),
    [(chat.Finish.LENGTH, "max_output_tokens"), (chat.Finish.CONTENT_FILTER, "content_filter")],
)
def test_an_incomplete_answer(finish: chat.Finish, reason: str) -> None:
    body = written(chat.ToolCall("c", "f", "{}"), chat.Text("cut"), finish=finish)
    assert (body["status"], body["incomplete_details"]) == ("incomplete", {"reason": reason})
    assert [item["status"] for item in body["output"]] == ["completed", "incomplete"]
    thought = written(chat.Thinking("used up"), finish=finish)
    assert [item["type"] for item in thought["output"]] == ["reasoning"]


def test_halves_of_surrogate_pairs_do_no_harm() -> None:
    body = written(chat.Text("a\ud83d"), chat.ToolCall("c\ud83d", "f\ud83d", '"\ud83d"'), chat.Thinking("\ud83d"))
    assert body["output"][0]["content"][0]["text"] == "a�"
    assert body["output"][1]["call_id"] == "c�"


def test_an_answer_sent_back_is_what_the_model_said() -> None:
    blocks = (
        chat.Thinking("hm", "c2lnbmF0dXJl+/=="),
        chat.RedactedThinking("opaque"),
        chat.Text("calling"),
        chat.ToolCall("call_1", "f", '{"x":1}'),
    )
    output = written(*blocks, finish=chat.Finish.TOOL_CALLS)["output"]
    told = [*output, {"type": "function_call_output", "call_id": "call_1", "output": "42"}]
    turn, result = read_request(json.dumps({"model": "m", "input": told}).encode()).messages
    assert (*turn.parts, *turn.tool_calls) == blocks
    assert (result.tool_call_id, result.parts) == ("call_1", (chat.Text("42"),))


@given(st.text(), st.text())
def test_any_signature_survives(signature: str, data: str) -> None:
    sealed, redacted = seal_signature(signature), seal_redacted(data)
    assert (unseal("t", sealed), unseal("", redacted)) == (chat.Thinking("t", signature), chat.RedactedThinking(data))
    assert re.fullmatch(r"tw1\.[\w=-]+", sealed, re.ASCII)


def test_a_client_may_send_back_nothing_but_the_seal() -> None:
    """Some clients know of summaries alone, and leave the text of the reasoning out."""
    item = written(chat.Thinking("hm, \U0001f914", "sig"), chat.Text("a"))["output"][0]
    (turn,) = read_request(
        json.dumps(
            {
                "model": "m",
                "input": [{"type": "reasoning", "summary": [], "encrypted_content": item["encrypted_content"]}],
            }
        ).encode()
    ).messages
    assert turn.parts == (chat.Thinking("hm, \U0001f914", "sig"),)
    assert unseal("what the client made of it", seal_signature("sig", "hm")) == chat.Thinking("hm", "sig")


def test_a_signature_that_is_no_text_does_no_harm() -> None:
    assert unseal("t", seal_signature("\ud83d")) == chat.Thinking("t")


def test_usage_there_and_back() -> None:
    seen = read_usage(write_usage(USAGE))
    assert seen == Usage(input=10, cached_input=4, cache_write_5m=3, output=5, reasoning=3)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (None, None),
        ({}, None),
        ({"input_tokens": True}, None),
        ({"input_tokens": 3, "output_tokens": 0}, Usage(input=3)),
        ({"input_tokens": 3, "total_tokens": 8}, Usage(input=3, output=5)),
        ({"input_tokens": 3, "output_tokens": -1, "input_tokens_details": None}, Usage(input=3)),
        (
            {"input_tokens": 3, "output_tokens": 2, "input_tokens_details": {"cached_tokens": 9}},
            Usage(input=3, cached_input=3, output=2),
        ),
    ],
)
def test_usage_as_services_write_it(value: Any, expected: Usage | None) -> None:
    assert read_usage(value) == expected
