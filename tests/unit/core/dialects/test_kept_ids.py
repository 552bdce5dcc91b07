"""Ids of what a provider keeps do not reach it: all projects share the gateway's account there (decision 23)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tollway.core.errors import Code, TollwayError
from tollway.dataplane.endpoints.port import JSON
from tollway.dataplane.endpoints.table import ENDPOINTS


def user(*parts: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": [{"type": "text", "text": "read"}, *parts]}]}


@pytest.mark.parametrize(
    ("path", "fields", "param"),
    [
        (
            "/v1/chat/completions",
            user({"type": "file", "file": {"file_id": "file-1"}}),
            "messages[0].content[1].file.file_id",
        ),
        (
            "/v1/messages",
            user({"type": "document", "source": {"type": "file", "file_id": "file_1"}}) | {"max_tokens": 9},
            "messages[0].content[1].source.file_id",
        ),
        (
            "/v1/responses",
            {"input": [{"role": "user", "content": [{"type": "input_file", "file_id": "file-1"}]}]},
            "input[0].content[0].file_id",
        ),
        (
            "/v1/responses",
            {"input": "q", "tools": [{"type": "file_search", "vector_store_ids": ["vs_1"]}]},
            "tools[0].vector_store_ids",
        ),
        (
            "/v1/responses",
            {"input": "q", "tools": [{"type": "file_search", "vector_store_ids": [None, "vs_1"]}]},
            "tools[0].vector_store_ids",
        ),
    ],
)
def test_they_are_refused(path: str, fields: dict[str, Any], param: str) -> None:
    with pytest.raises(TollwayError) as refused:
        ENDPOINTS[path].read(json.dumps({"model": "m", **fields}).encode(), JSON)
    assert (refused.value.code, refused.value.param) == (Code.UNSUPPORTED_PARAMETER, param)


def test_what_a_client_calls_so_itself_is_its_own() -> None:
    tool = {
        "type": "function",
        "function": {"name": "f", "parameters": {"properties": {"file_id": {"type": "string"}}}},
    }
    call = {"id": "c", "type": "function", "function": {"name": "f", "arguments": '{"file_id": "x"}'}}
    messages = [{"role": "user", "content": "q"}, {"role": "assistant", "tool_calls": [call]}]
    body = {"model": "m", "messages": messages, "tools": [tool], "file_id": None}
    assert ENDPOINTS["/v1/chat/completions"].read(json.dumps(body).encode(), JSON).model == "m"
