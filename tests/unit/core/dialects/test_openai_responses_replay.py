"""The request for a provider of the same dialect: nothing stored there, the history in the input, the rest as is."""

from __future__ import annotations

import json
from typing import Any

import pytest
from msgspec import Raw

from tollway.core.dialects.openai_responses import input_items, outgoing, read_head
from tollway.core.dialects.openai_responses_sealed import seal_signature
from tollway.core.errors import Code, TollwayError

THOUGHT = {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": "gAAAA"}
LOST = {"type": "reasoning", "id": "rs_2", "summary": []}
SAID = {"type": "message", "id": "msg_1", "role": "assistant", "content": [{"type": "output_text", "text": "a"}]}
CALLED = {"type": "function_call", "id": "fc_1", "call_id": "c", "name": "f", "arguments": "{}"}


def raw(*items: Any) -> list[Raw]:
    return [Raw(json.dumps(item).encode()) for item in items]


def without_id(item: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in item.items() if name != "id"}


def sent(body: bytes, model: str = "gpt-5", **options: Any) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(outgoing(read_head(body), model, **options))
    return told


def encoded(**fields: Any) -> bytes:
    return json.dumps({"model": "m", "input": "hi"} | fields).encode()


def test_nothing_is_stored_there() -> None:
    body = sent(encoded(store=True, previous_response_id="resp_1", temperature=0.5))
    assert body == {
        "model": "gpt-5",
        "input": "hi",
        "store": False,
        "temperature": 0.5,
        "include": ["reasoning.encrypted_content"],
    }


def test_what_is_not_changed_is_copied_byte_for_byte() -> None:
    body = b'{"model":"m","input": [ {"role":"user", "content":"\\u0041"} ],"metadata":{ "a" :1e2},"include":[]}'
    told = outgoing(read_head(body), "gpt-5")
    assert b'"input":[ {"role":"user", "content":"\\u0041"} ]' in told
    assert b'"metadata":{ "a" :1e2}' in told


@pytest.mark.parametrize(
    ("given", "model", "expected"),
    [
        (None, "o3", ["reasoning.encrypted_content"]),
        (["a"], "gpt-5-mini", ["a", "reasoning.encrypted_content"]),
        (["reasoning.encrypted_content", "a"], "gpt-5", ["reasoning.encrypted_content", "a"]),
        (["a"], "gpt-4o-mini", ["a"]),
        (None, "ft:gpt-4.1:acme", None),
        (None, "gpt-5-chat-latest", None),
    ],
)
def test_encrypted_reasoning_is_asked_of_models_that_reason(given: Any, model: str, expected: Any) -> None:
    assert sent(encoded(include=given), model).get("include") == expected


def test_a_wrong_include_is_named() -> None:
    with pytest.raises(TollwayError) as caught:
        sent(encoded(include=[1]))
    assert caught.value.param == "include[0]"


def test_earlier_items_come_before_the_input() -> None:
    first = {"role": "user", "content": "first"}
    body = sent(encoded(), earlier=raw(first, THOUGHT, SAID))
    assert body["input"] == [first, THOUGHT, SAID, {"type": "message", "role": "user", "content": "hi"}]


def test_reasoning_that_is_lost_takes_the_ids_of_its_turn_along() -> None:
    body = sent(encoded(input=[LOST, CALLED, {"type": "function_call_output", "call_id": "c", "output": "x"}]))
    assert [item["type"] for item in body["input"]] == ["function_call", "function_call_output"]
    assert "id" not in body["input"][0]
    body = sent(encoded(), earlier=raw(THOUGHT, LOST, SAID))
    assert body["input"][:2] == [THOUGHT, without_id(SAID)]


def test_what_the_gateway_made_is_not_told() -> None:
    ours = SAID | {"id": "msg_twabc_1"}
    signed = LOST | {"encrypted_content": seal_signature("sig")}
    assert sent(encoded(), earlier=raw(ours))["input"][0] == without_id(SAID)
    assert sent(encoded(input=[signed, ours]))["input"] == [without_id(SAID)]


def test_references_are_resolved() -> None:
    body = encoded(input=[{"type": "item_reference", "id": "msg_1"}, {"role": "user", "content": "q"}])
    known = dict(zip(["msg_1"], raw(SAID), strict=True))
    assert sent(body, known=known)["input"] == [SAID, {"role": "user", "content": "q"}]
    assert json.loads(bytes(input_items(read_head(body), known)[0])) == SAID
    with pytest.raises(TollwayError) as caught:
        sent(body)
    assert (caught.value.code, caught.value.param) == (Code.UNSUPPORTED_PARAMETER, "input[0]")


def test_changes_of_the_caller() -> None:
    body = sent(encoded(user="u"), changes={"max_output_tokens": Raw(b"5")}, without=("user",))
    assert body["max_output_tokens"] == 5
    assert "user" not in body


def test_a_string_is_kept_as_a_message() -> None:
    (item,) = input_items(read_head(encoded()))
    assert json.loads(bytes(item)) == {"type": "message", "role": "user", "content": "hi"}


@pytest.mark.parametrize(
    ("model", "fields", "asked"),
    [
        ("prod-4o", {}, False),
        ("prod", {"reasoning": {"effort": "low"}}, True),
        ("o4-mini", {}, True),
        ("gpt-5-mini", {}, True),
        ("gpt-5-chat", {}, False),
        ("gpt-5.1-chat-latest", {}, False),
        ("computer-use-preview", {}, False),
    ],
)
def test_a_model_is_asked_for_its_reasoning_when_it_is_known_to_reason(model: str, fields: Any, asked: bool) -> None:
    head = read_head(json.dumps({"model": "m", "input": "q", **fields}).encode())
    assert ("include" in json.loads(outgoing(head, model))) is asked
