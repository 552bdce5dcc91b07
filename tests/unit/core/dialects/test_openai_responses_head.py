"""What is read of a Responses request in part: shapes, refusals that name the field, storage, URLs."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest

from tollway.core.dialects.openai_responses import check_urls, read_head, read_storage, references
from tollway.core.errors import Code, TollwayError

PRIVATE = "http://10.0.0.1/x"


def encoded(**fields: Any) -> bytes:
    return json.dumps({"model": "m", "input": "hi"} | fields).encode()


def refused(body: bytes) -> TollwayError:
    with pytest.raises(TollwayError) as caught:
        check_urls(read_head(body))
    return caught.value


def test_a_head() -> None:
    head = read_head(encoded(stream=True, max_output_tokens=7, tools=[]))
    assert (head.model, head.stream, head.max_tokens, head.n, head.include_usage) == ("m", True, 7, 1, True)
    assert bytes(head.fields["tools"]) == b"[]"
    plain = read_head(encoded(input=[{"role": "user", "content": "hi"}]))
    assert (plain.stream, plain.max_tokens, plain.parts) == (False, None, ())


@pytest.mark.parametrize(
    ("body", "code", "param"),
    [
        (b"[]", Code.INVALID_REQUEST, None),
        (b'{"model":"m"', Code.INVALID_JSON, None),
        (b'{"input":"x"}', Code.INVALID_REQUEST, "model"),
        (b'{"model":"m"}', Code.INVALID_REQUEST, "input"),
        (encoded(input=None), Code.INVALID_REQUEST, "input"),
        (encoded(input=[]), Code.INVALID_REQUEST, "input"),
        (encoded(input={"role": "user"}), Code.INVALID_REQUEST, "input"),
        (encoded(input=[{"role": "user", "content": ""}, 3]), Code.INVALID_REQUEST, "input[1]"),
        (encoded(stream="yes"), Code.INVALID_REQUEST, "stream"),
        (encoded(max_output_tokens=0), Code.INVALID_REQUEST, "max_output_tokens"),
        (encoded(background=True), Code.UNSUPPORTED_PARAMETER, "background"),
        (encoded(conversation="conv_1"), Code.UNSUPPORTED_PARAMETER, "conversation"),
        (encoded(prompt={"id": "pmpt_1"}), Code.UNSUPPORTED_PARAMETER, "prompt"),
    ],
)
def test_refusals_name_the_field(body: bytes, code: Code, param: str | None) -> None:
    error = refused(body)
    assert (error.code, error.param) == (code, param)


def test_nothing_is_refused_that_says_nothing() -> None:
    assert read_head(encoded(background=False, conversation=None, prompt=None)).model == "m"


def test_storage() -> None:
    assert read_storage(read_head(encoded())) == (True, None)
    assert read_storage(read_head(encoded(store=None))) == (True, None)
    assert read_storage(read_head(encoded(store=False, previous_response_id="resp_1"))) == (False, "resp_1")
    for fields, param in (({"store": 1}, "store"), ({"previous_response_id": ""}, "previous_response_id")):
        with pytest.raises(TollwayError) as caught:
            read_storage(read_head(encoded(**fields)))
        assert caught.value.param == param
    with pytest.raises(TollwayError, match="expected `str`, got `int`"):
        read_storage(read_head(encoded(previous_response_id=3)))


def test_references() -> None:
    items = [{"role": "user", "content": "a"}, {"type": "item_reference", "id": "rs_1"}, {"id": "msg_2"}]
    assert references(read_head(encoded(input=items))) == ((1, "rs_1"), (2, "msg_2"))
    assert references(read_head(encoded())) == ()


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        (
            {
                "input": [
                    {"role": "user", "content": "x"},
                    {"role": "user", "content": [{"type": "input_image", "image_url": PRIVATE}]},
                ]
            },
            "input[1].content[0].image_url",
        ),
        (
            {"input": [{"role": "user", "content": [{"type": "input_file", "file_url": PRIVATE}]}]},
            "input[0].content[0].file_url",
        ),
        (
            {
                "input": [
                    {
                        "type": "function_call_output",
                        "call_id": "c",
                        "output": [{"type": "input_image", "image_url": PRIVATE}],
                    }
                ]
            },
            "input[0].output[0].image_url",
        ),
        (
            {"input": [{"type": "computer_call_output", "call_id": "c", "output": {"image_url": PRIVATE}}]},
            "input[0].output.image_url",
        ),
        (
            {"input": [{"type": "additional_tools", "tools": [{"type": "mcp", "server_url": PRIVATE}]}]},
            "input[0].tools[0].server_url",
        ),
        ({"tools": [{"type": "function", "name": "f"}, {"type": "mcp", "server_url": PRIVATE}]}, "tools[1].server_url"),
    ],
)
def test_urls_into_our_network_are_refused(fields: dict[str, Any], param: str) -> None:
    error = refused(encoded(**fields))
    assert (error.code, error.param) == (Code.INVALID_REQUEST, param)


def test_other_urls_pass() -> None:
    content = [
        {"type": "input_image", "image_url": "data:image/png;base64,AA=="},
        {"type": "input_file", "file_url": "https://example.com/a.pdf"},
        {"type": "input_text", "text": PRIVATE},
    ]
    tools = [{"type": "function", "name": "f", "parameters": {"url": PRIVATE}}]
    head = read_head(encoded(input=[{"role": "user", "content": content}], tools=tools))
    check_urls(head)
    assert [index for index, _ in head.parts] == [0]
    check_urls(read_head(encoded(tools="none")))


SCHEMA = {"properties": {"file_id": {"type": "string"}}}
CITED = {"type": "output_text", "text": "x", "annotations": [{"file_id": "file-1", "url": "http://10.0.0.1/"}]}


@pytest.mark.parametrize(
    "item",
    [
        {"type": "code_interpreter_call", "id": "ci_1", "container_id": "cntr_1", "code": "1", "outputs": []},
        {"type": "mcp_list_tools", "id": "m", "tools": [{"input_schema": SCHEMA}]},
        {"type": "web_search_call", "id": "ws", "action": {"type": "open_page", "url": "http://10.0.0.1/"}},
        {"role": "assistant", "content": [CITED]},
    ],
)
def test_what_was_answered_comes_back_as_it_was(item: Any) -> None:
    check_urls(read_head(json.dumps({"model": "m", "input": [item, {"role": "user", "content": "q"}]}).encode()))


@pytest.mark.parametrize(("container", "fine"), [({"type": "auto"}, True), ("cntr_1", False)])
def test_a_container_of_somebody_is_refused(container: Any, fine: bool) -> None:
    tool = {"type": "code_interpreter", "container": container}
    head = read_head(json.dumps({"model": "m", "input": "q", "tools": [tool]}).encode())
    with contextlib.nullcontext() if fine else pytest.raises(TollwayError):
        check_urls(head)
