"""Embeddings in OpenAI's words by Hugging Face's feature extraction."""

from __future__ import annotations

import json
import struct
from base64 import b64decode
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollway.core.dialects.hf_features import write_answer, write_request
from tollway.core.dialects.openai_embeddings import EMBEDDINGS
from tollway.core.dialects.ports import ErrorEvent
from tollway.core.errors import Code, TollwayError
from tollway.testkit.sdk_requests import exchange

SCHEMAS = Path(__file__).parents[3] / "fixtures" / "openai" / "openai_schemas.json"
JSON = "application/json"


def head_of(**fields: Any) -> Any:
    return EMBEDDINGS.read_head(json.dumps({"model": "e", "input": "hi", **fields}).encode(), JSON)


@pytest.mark.parametrize(("value", "inputs"), [("hi", ["hi"]), (["a", "é"], ["a", "é"])])
def test_the_request_is_a_list_of_texts(value: Any, inputs: list[str]) -> None:
    written = write_request(head_of(input=value, encoding_format="base64"))
    assert (json.loads(written.body), written.dropped) == ({"inputs": inputs}, ())


def test_what_the_server_knows_is_kept_and_the_rest_is_named() -> None:
    head = head_of(user="me", normalize=True, truncate=False, seed=None)
    written = write_request(head)
    assert json.loads(written.body) == {"inputs": ["hi"], "normalize": True, "truncate": False}
    assert written.dropped == ("user",)
    assert json.loads(write_request(head, ("truncate",)).body) == {"inputs": ["hi"], "normalize": True}


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"dimensions": 3}, "dimensions"),
        ({"input": [1, 2]}, "input"),
        ({"input": [[1], [2]]}, "input"),
        ({"input": [{"text": "a"}]}, "input"),
    ],
)
def test_what_cannot_be_asked_for(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(TollwayError) as caught:
        write_request(head_of(**fields))
    assert (caught.value.code, caught.value.param) == (Code.UNSUPPORTED_PARAMETER, param)


def test_messages_are_no_texts() -> None:
    head = EMBEDDINGS.read_head(b'{"model":"e","messages":[]}', JSON)
    with pytest.raises(TollwayError) as caught:
        write_request(head)
    assert caught.value.param == "input"


def test_the_answer_fits_the_official_description() -> None:
    body = write_answer(head_of(input=["a", "b"]), b" [[0.10, 2],[3e-1 , 4]]", "mine", input_tokens=4)
    answer = json.loads(body)
    assert [item["embedding"] for item in answer["data"]] == [[0.1, 2], [0.3, 4]]
    assert [item["index"] for item in answer["data"]] == [0, 1]
    assert (answer["model"], answer["usage"]) == ("mine", {"prompt_tokens": 4, "total_tokens": 4})
    assert b"[0.10, 2]" in body
    schema = {**json.loads(SCHEMAS.read_text()), "$ref": "#/components/schemas/CreateEmbeddingResponse"}
    jsonschema.Draft202012Validator(schema).validate(answer)


def test_the_official_client_reads_it() -> None:
    def ask(client: Any) -> Any:
        return client.embeddings.create(model="m", input="a")

    head = EMBEDDINGS.read_head(exchange(ask, write_answer(head_of(), b"[[1]]", "m")).body, JSON)
    body = write_answer(head, b"[[0.5,-1.25]]", "m")
    assert isinstance(json.loads(body)["data"][0]["embedding"], str)
    assert exchange(ask, body).result.data[0].embedding == [0.5, -1.25]


def test_one_text_may_be_answered_by_one_vector() -> None:
    assert json.loads(write_answer(head_of(), b"[1,2,3]", "m"))["data"][0]["embedding"] == [1, 2, 3]


@pytest.mark.parametrize("body", [b"[[[0.1,0.2],[0.3,0.4]]]", b" [ [ [1] ] ] "])
def test_token_vectors_are_explained(body: bytes) -> None:
    with pytest.raises(TollwayError, match="a vector for each token") as caught:
        write_answer(head_of(), body, "m")
    assert caught.value.code is Code.PROVIDER_ERROR


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "not an array"),
        (b"{}", "not an array"),
        (b"[]", "0 embeddings for 1 inputs"),
        (b"[[1],[2]]", "2 embeddings for 1 inputs"),
        (b"[[]]", "empty"),
        (b'[["a"]]', "not an array of numbers"),
        (b'["a"]', "not an array of numbers"),
        (b"[[null]]", "not an array of numbers"),
        (b"[[1,", "not an array"),
        (b"[[NaN]]", "not an array"),
    ],
)
def test_garbage(body: bytes, why: str) -> None:
    with pytest.raises(TollwayError, match=why) as caught:
        write_answer(head_of(), body, "m")
    assert caught.value.code is Code.PROVIDER_ERROR


def test_an_error_in_a_success() -> None:
    with pytest.raises(ErrorEvent) as caught:
        write_answer(head_of(), b'{"error":"Model is loading"}', "m")
    assert caught.value.error == "Model is loading"


numbers = st.floats(width=32, allow_nan=False, allow_infinity=False)
vectors = st.lists(st.lists(numbers, min_size=1, max_size=5), min_size=1, max_size=4)


@given(vectors)
def test_vectors_arrive_as_they_are_in_both_encodings(sent: list[list[float]]) -> None:
    body = json.dumps(sent).encode()
    texts = ["x"] * len(sent)
    floats = json.loads(write_answer(head_of(input=texts), body, "m"))["data"]
    assert [item["embedding"] for item in floats] == sent
    encoded = json.loads(write_answer(head_of(input=texts, encoding_format="base64"), body, "m"))["data"]
    packed = [b64decode(item["embedding"]) for item in encoded]
    assert [list(struct.unpack(f"<{len(p) // 4}f", p)) for p in packed] == sent


def written_or_code(head: Any, body: bytes) -> bytes | Code:
    """What is written, or the code of what is raised."""
    try:
        return write_answer(head, body, "m")
    except TollwayError as error:
        return error.code


@given(
    st.lists(st.sampled_from([b"[", b"]", b"1", b",", b" ", b'"', b"{", b"null", b"\xff"]), max_size=9).map(b"".join)
)
def test_no_bytes_break_it(body: bytes) -> None:
    plain, encoded = (written_or_code(head_of(encoding_format=name), body) for name in ("float", "base64"))
    if isinstance(plain, Code):
        assert plain is encoded is Code.PROVIDER_ERROR
    else:
        assert isinstance(encoded, bytes)
        assert len(json.loads(plain)["data"]) == len(json.loads(encoded)["data"]) == 1
