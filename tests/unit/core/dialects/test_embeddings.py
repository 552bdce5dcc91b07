"""OpenAI's embeddings: requests read in part and sent on, answers read in part, base64 for those who asked for it."""

from __future__ import annotations

import json
import struct
from base64 import b64decode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollway.core.dialects.openai_embeddings import EMBEDDINGS, as_base64, wants_base64
from tollway.core.dialects.passthrough import AnswerKind, Passthrough
from tollway.core.dialects.ports import ErrorEvent
from tollway.core.errors import Code, TollwayError
from tollway.core.usage import Usage
from tollway.testkit.sdk_requests import exchange

SCHEMAS = Path(__file__).parents[3] / "fixtures" / "openai" / "openai_schemas.json"
JSON = "application/json"
FLOATS = (
    b'{"object": "list", "data": [{"object": "embedding", "index": 0, "embedding": [0.5, -1, 1e-3], "extra": [1]}],'
    b' "model": "e", "usage": {"prompt_tokens": 3, "total_tokens": 3}, "x": 1.10}'
)


def head_of(**fields: Any) -> Any:
    return EMBEDDINGS.read_head(json.dumps({"model": "e", "input": "hi", **fields}).encode(), JSON)


@pytest.mark.parametrize(
    "value", ["hi", ["a", "b"], [1, 2, 3], [[1, 2], [3]], [{"text": "a"}], ["x"] * 4096, [7] * 9000]
)
def test_inputs(value: Any) -> None:
    head = head_of(input=value)
    assert (head.model, head.stream, head.n) == ("e", False, 1)


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"input": None}, "input"),
        ({"input": ""}, "input"),
        ({"input": []}, "input"),
        ({"input": 5}, "input"),
        ({"input": ["a", None]}, "input[1]"),
        ({"input": ["a", 1]}, "input[1]"),
        ({"input": [1, "a"]}, "input"),
        ({"input": [1.5]}, "input"),
        ({"input": ["x"] * 4097}, "input"),
        ({"model": ""}, "model"),
        ({"model": 1}, "model"),
        ({"dimensions": 0}, "dimensions"),
        ({"dimensions": "3"}, "dimensions"),
        ({"encoding_format": "hex"}, "encoding_format"),
        ({"encoding_format": 1}, "encoding_format"),
    ],
)
def test_wrong_fields_are_named(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(TollwayError) as caught:
        head_of(**fields)
    assert (caught.value.code, caught.value.param) == (Code.INVALID_REQUEST, param)


def test_messages_may_stand_in_for_input() -> None:
    body = b'{"model":"e","messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"%s"}}]}]}'
    EMBEDDINGS.check_urls(EMBEDDINGS.read_head(body % b"https://example.com/a.png", JSON))
    with pytest.raises(TollwayError, match="public") as caught:
        EMBEDDINGS.check_urls(EMBEDDINGS.read_head(body % b"http://10.0.0.1/a.png", JSON))
    assert caught.value.param == "messages[0].content[0].image_url.url"


@pytest.mark.parametrize("item", [{"image": "http://127.0.0.1/x"}, {"image_url": "file:///etc/passwd"}])
def test_urls_of_multimodal_inputs(item: dict[str, str]) -> None:
    with pytest.raises(TollwayError):
        EMBEDDINGS.check_urls(head_of(input=[item]))
    EMBEDDINGS.check_urls(head_of(input=["{http://127.0.0.1/x}", "http://127.0.0.1"]))


def test_the_official_client() -> None:
    made = exchange(lambda c: c.embeddings.create(model="mine", input=["a", "b"], dimensions=3), as_base64(FLOATS))
    head = EMBEDDINGS.read_head(made.body, made.content_type)
    assert (head.model, wants_base64(head), EMBEDDINGS.accept(head)) == ("mine", True, "application/json")
    assert made.result.data[0].embedding == pytest.approx([0.5, -1.0, 1e-3])
    sent = EMBEDDINGS.outgoing(head, made.body, made.content_type, "theirs")
    assert json.loads(sent.body) == json.loads(made.body) | {"model": "theirs"}
    assert sent.content_type == JSON
    without = EMBEDDINGS.outgoing(head, made.body, made.content_type, "theirs", ("dimensions",))
    assert "dimensions" not in json.loads(without.body)


def test_it_is_a_passthrough_without_streams() -> None:
    call: Passthrough = EMBEDDINGS
    head = head_of()
    assert (call.view(head), call.kind(head, "text/event-stream")) == (None, AnswerKind.JSON)


@pytest.mark.parametrize(
    ("usage", "told"),
    [
        ({"prompt_tokens": 3, "total_tokens": 3}, Usage(input=3)),
        ({"prompt_tokens": 0, "total_tokens": 0}, Usage()),
        ({"total_tokens": 9}, Usage(input=9)),
        ({"prompt_tokens": "3"}, None),
        (None, None),
        ({}, None),
    ],
)
def test_usage(usage: Any, told: Usage | None) -> None:
    body = json.dumps({"data": [{"embedding": [1]}], "usage": usage}).encode()
    assert EMBEDDINGS.finished(head_of(), JSON, body) == (told, 0)


@pytest.mark.parametrize(
    "body", [b"", b"{}", b"[]", b'{"data": 1}', b'{"data": [1]}', b"<html>", b'{"data":[{]}', b"\xff"]
)
def test_garbage(body: bytes) -> None:
    with pytest.raises(TollwayError) as caught:
        EMBEDDINGS.finished(head_of(), JSON, body)
    assert caught.value.code is Code.PROVIDER_ERROR
    assert not isinstance(caught.value, ErrorEvent)


@pytest.mark.parametrize(
    ("body", "error"),
    [
        (b'{"error": {"message": "no"}}', {"message": "no"}),
        (b'{"error": "no", "data": 5}', "no"),
        (b'{"object": "error", "message": "no"}', {"object": "error", "message": "no"}),
    ],
)
def test_an_error_in_a_success(body: bytes, error: Any) -> None:
    with pytest.raises(ErrorEvent) as caught:
        EMBEDDINGS.finished(head_of(), JSON, body)
    assert caught.value.error == error


def test_base64_keeps_everything_else() -> None:
    body = as_base64(FLOATS)
    value = json.loads(body)
    encoded = value["data"][0].pop("embedding")
    assert struct.unpack("<3f", b64decode(encoded)) == pytest.approx((0.5, -1, 1e-3))
    before = json.loads(FLOATS)
    del before["data"][0]["embedding"]
    assert value == before
    assert b'"x":1.10' in body
    assert as_base64(body) == body


@pytest.mark.parametrize("embedding", ["AAAA", [[1, 2], [3, 4]], ["a"], None, {"a": 1}])
def test_what_is_no_array_of_numbers_stays(embedding: Any) -> None:
    body = json.dumps({"data": [{"embedding": embedding}]}).encode()
    assert as_base64(body) == body


def test_base64_answers_fit_the_official_client_and_floats_the_description() -> None:
    schema = {**json.loads(SCHEMAS.read_text()), "$ref": "#/components/schemas/CreateEmbeddingResponse"}
    jsonschema.Draft202012Validator(schema).validate(json.loads(FLOATS))
    made = exchange(lambda c: c.embeddings.create(model="m", input="a"), FLOATS)
    assert made.result.data[0].embedding == [0.5, -1, 1e-3]


@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), max_size=20))
def test_base64_is_exact(floats: list[float]) -> None:
    value = json.loads(as_base64(json.dumps({"data": [{"embedding": floats}]}).encode()))
    assert list(struct.unpack(f"<{len(floats)}f", b64decode(value["data"][0]["embedding"]))) == floats


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


objects = st.fixed_dictionaries(
    {}, optional=dict.fromkeys(("input", "messages", "data", "usage", "error"), json_values)
)


def code_of(step: Callable[[], object]) -> Code | None:
    """The code of what a step raises."""
    try:
        step()
    except TollwayError as error:
        return error.code
    return None


@given(objects)
def test_no_object_breaks_it(value: dict[str, Any]) -> None:
    body = json.dumps({"model": "e", **value}).encode()
    refused = code_of(lambda: EMBEDDINGS.check_urls(EMBEDDINGS.read_head(body, JSON)))
    assert refused in (None, Code.INVALID_REQUEST, Code.INVALID_JSON)
    assert code_of(lambda: EMBEDDINGS.finished(head_of(), JSON, body)) in (None, Code.PROVIDER_ERROR)
    assert as_base64(body) == body


@given(st.binary(max_size=60))
def test_no_bytes_break_it(body: bytes) -> None:
    for step in (lambda: EMBEDDINGS.read_head(body, JSON), lambda: EMBEDDINGS.finished(head_of(), JSON, body)):
        with pytest.raises(TollwayError):
            step()
    assert as_base64(body) == body
