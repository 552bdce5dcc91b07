"""Partial reading of Messages requests, and the URLs in them."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tollway.core.dialects.anthropic_messages import check_urls, read_head, splice
from tollway.core.errors import Code, TollwayError

MESSAGES = [{"role": "user", "content": "hi"}]
INSIDE = "http://169.254.169.254/latest"


def body(**fields: Any) -> bytes:
    return json.dumps({"model": "m", "max_tokens": 5, "messages": MESSAGES} | fields).encode()


def test_head_of_a_request() -> None:
    head = read_head(body(stream=True))
    assert (head.model, head.stream, head.include_usage, head.max_tokens, head.n) == ("m", True, True, 5, 1)
    assert head.parts == ()
    assert not read_head(body()).stream
    blocks = [{"role": "user", "content": "x"}, {"role": "user", "content": [{"type": "text", "text": "y"}]}]
    assert [index for index, _ in read_head(body(messages=blocks)).parts] == [1]


def test_requests_to_count_have_no_limit() -> None:
    raw = json.dumps({"model": "m", "messages": MESSAGES}).encode()
    assert read_head(raw, needs_max_tokens=False).max_tokens is None
    with pytest.raises(TollwayError) as caught:
        read_head(raw)
    assert (caught.value.code, caught.value.param) == (Code.INVALID_REQUEST, "max_tokens")


@pytest.mark.parametrize(
    ("raw", "code", "param"),
    [
        (b"{", Code.INVALID_JSON, None),
        (b"[]", Code.INVALID_REQUEST, None),
        (b'{"a":' + b"[" * 100_000, Code.INVALID_JSON, None),
        (body(model=None), Code.INVALID_REQUEST, "model"),
        (body(max_tokens=0), Code.INVALID_REQUEST, "max_tokens"),
        (body(max_tokens=1.5), Code.INVALID_REQUEST, "max_tokens"),
        (body(max_tokens="5"), Code.INVALID_REQUEST, "max_tokens"),
        (body(stream="yes"), Code.INVALID_REQUEST, "stream"),
        (body(messages=[]), Code.INVALID_REQUEST, "messages"),
        (body(messages="x"), Code.INVALID_REQUEST, "messages"),
        (body(messages=[{}, "Invalid content"]), Code.INVALID_REQUEST, "messages[1]"),
        (b'{"model":"m","max_tokens":1}', Code.INVALID_REQUEST, "messages"),
    ],
)
def test_bad_requests_name_the_field(raw: bytes, code: Code, param: str | None) -> None:
    with pytest.raises(TollwayError) as caught:
        read_head(raw)
    assert (caught.value.code, caught.value.param) == (code, param)


def test_pass_through_changes_the_model_alone() -> None:
    raw = body(metadata={"user_id": "é"}, context_management={"edits": []})
    spliced = json.loads(splice(read_head(raw), "claude-x"))
    assert spliced == json.loads(raw) | {"model": "claude-x"}


def user(*blocks: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": list(blocks)}]}


def image(url: str) -> dict[str, Any]:
    return {"type": "image", "source": {"type": "url", "url": url}}


RESULT = {"type": "tool_result", "tool_use_id": "t"}
DOCUMENT = {"type": "document", "source": {"type": "content", "content": [image(INSIDE)]}}


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        (user({"type": "text", "text": "x"}, image(INSIDE)), "messages[0].content[1].source.url"),
        (
            user({"type": "document", "source": {"url": "file:///etc"}}),
            "messages[0].content[0].source.url",
        ),
        (user(DOCUMENT), "messages[0].content[0].source.content[0].source.url"),
        (user(RESULT | {"content": [image(INSIDE)]}), "messages[0].content[0].content[0].source.url"),
        (user(RESULT | {"content": [DOCUMENT]}), "messages[0].content[0].content[0].source.content[0].source.url"),
        (user({"type": "image_url", "image_url": {"url": INSIDE}}), "messages[0].content[0].image_url.url"),
        (user(image(INSIDE), "no block"), "messages[0].content[0].source.url"),
        ({"messages": [{"role": "user", "content": image(INSIDE)}]}, "messages[0].content.source.url"),
        ({"system": [image("http://127.0.0.1/")]}, "system[0].source.url"),
        ({"mcp_servers": [{"type": "url", "name": "x", "url": "https://10.0.0.1/sse"}]}, "mcp_servers[0].url"),
        ({"tools": [{"name": "f", "input_schema": {}}, {"type": "fetch_1", "base_url": INSIDE}]}, "tools[1].base_url"),
        ({"tools": {"url": INSIDE}}, "tools.url"),
    ],
)
def test_urls_that_aim_at_our_network_are_refused(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(TollwayError) as caught:
        check_urls(read_head(body(**fields)))
    assert (caught.value.code, caught.value.param) == (Code.INVALID_REQUEST, param)


@pytest.mark.parametrize(
    "fields",
    [
        {},
        user(image("https://example.com/a.png"), {"type": "image", "source": {"type": "base64", "data": "AA"}}),
        user({"type": "search_result", "source": INSIDE, "title": "t", "content": [{"type": "text", "text": INSIDE}]}),
        {"messages": [{"role": "assistant", "content": [{"type": "tool_use", "input": {"url": INSIDE}}]}]},
        user({"type": "web_search_tool_result", "content": [{"type": "web_search_result", "url": INSIDE}]}),
        user(RESULT | {"content": INSIDE}),
        {"tools": [{"name": "f", "input_schema": {"properties": {"url": {}}, "default_url": INSIDE}}]},
        {"tools": [{"type": "web_search_20250305", "name": "web_search"}], "system": [{"type": "text", "text": "s"}]},
    ],
)
def test_urls_that_nobody_fetches_are_fine(fields: dict[str, Any]) -> None:
    check_urls(read_head(body(**fields)))


@pytest.mark.parametrize("thread", [{"type": "create"}, {"type": "continue", "previous_message_id": "msg_1"}, 7])
def test_a_conversation_is_not_held_by_a_provider(thread: Any) -> None:
    with pytest.raises(TollwayError) as refused:
        read_head(body(thread=thread))
    assert (refused.value.code, refused.value.param) == (Code.UNSUPPORTED_PARAMETER, "thread")
    assert refused.value.details == {"error_code": "thread_unsupported_request", "unsupported": ["thread"]}
    assert read_head(body(thread=None)).model == "m"
