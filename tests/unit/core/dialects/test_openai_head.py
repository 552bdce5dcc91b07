"""Partial reading and rewriting of chat requests."""

from __future__ import annotations

import contextlib
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tollway.core.dialects.head import estimate_input_tokens
from tollway.core.dialects.openai_chat import check_urls, read_head, splice
from tollway.core.errors import Code, TollwayError

MESSAGES = [{"role": "user", "content": "hi"}]


def body(**fields: Any) -> bytes:
    return json.dumps({"model": "m", "messages": MESSAGES} | fields).encode()


def refusal(raw: bytes) -> TollwayError:
    with pytest.raises(TollwayError) as caught:
        read_head(raw)
    return caught.value


def test_head_of_a_request() -> None:
    head = read_head(
        body(stream=True, stream_options={"include_usage": True}, max_tokens=5, max_completion_tokens=9, n=2)
    )
    assert (head.model, head.stream, head.include_usage, head.max_tokens, head.n) == ("m", True, True, 9, 2)
    assert head.parts == ()
    plain = read_head(body(stream=None, n=None, max_tokens=None, stream_options=None, whatever={"deep": [1]}))
    assert (plain.stream, plain.include_usage, plain.max_tokens, plain.n) == (False, False, None, 1)
    image = {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}}
    assert [index for index, _ in read_head(body(messages=[{"role": "user", "content": [image]}])).parts] == [0]


@pytest.mark.parametrize(
    ("raw", "code", "param", "words"),
    [
        (b"", Code.INVALID_JSON, None, "could not parse"),
        (b"{", Code.INVALID_JSON, None, "could not parse"),
        (b'{"model": NaN}', Code.INVALID_JSON, None, "could not parse"),
        (b"\xff\xfe", Code.INVALID_JSON, None, "UTF-8"),
        (b'{"model":"m","messages":[{"role":"user","content":"\xff"}]}', Code.INVALID_JSON, None, "UTF-8"),
        (b"[" * 100_000, Code.INVALID_REQUEST, None, "JSON object"),
        (b'{"a":' + b"[" * 100_000, Code.INVALID_JSON, None, "parse"),
        (b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}", Code.INVALID_JSON, None, "nested too deeply"),
        (b"[]", Code.INVALID_REQUEST, None, "must be a JSON object"),
        (b'"x"', Code.INVALID_REQUEST, None, "must be a JSON object"),
        (b'{"messages":[{}]}', Code.INVALID_REQUEST, "model", "Missing required parameter: 'model'"),
        (body(model=None), Code.INVALID_REQUEST, "model", "Missing"),
        (body(model=3), Code.INVALID_REQUEST, "model", "expected a string, but got an integer"),
        (body(model=""), Code.INVALID_REQUEST, "model", "empty string"),
        (b'{"model":"m"}', Code.INVALID_REQUEST, "messages", "Missing required parameter: 'messages'"),
        (body(messages="x"), Code.INVALID_REQUEST, "messages", "expected an array of objects, but got a string"),
        (body(messages=None), Code.INVALID_REQUEST, "messages", "but got null"),
        (body(messages=[]), Code.INVALID_REQUEST, "messages", "empty array"),
        (body(messages=[{}, "x"]), Code.INVALID_REQUEST, "messages[1]", "expected an object"),
        (body(stream="yes"), Code.INVALID_REQUEST, "stream", "expected a boolean, but got a string"),
        (body(stream=1), Code.INVALID_REQUEST, "stream", "expected a boolean, but got an integer"),
        (body(n="2"), Code.INVALID_REQUEST, "n", "expected an integer"),
        (body(n=0), Code.INVALID_REQUEST, "n", ">= 1"),
        (body(n=129), Code.INVALID_REQUEST, "n", "<= 128"),
        (body(max_tokens=1.5), Code.INVALID_REQUEST, "max_tokens", "decimal"),
        (body(max_tokens=True), Code.INVALID_REQUEST, "max_tokens", "boolean"),
        (body(max_completion_tokens=-1), Code.INVALID_REQUEST, "max_completion_tokens", ">= 1"),
        (b'{"model":"m","messages":[{}],"n":' + b"9" * 6000 + b"}", Code.INVALID_REQUEST, "n", "above maximum"),
        (body(stream_options=3), Code.INVALID_REQUEST, "stream_options", "expected an object"),
        (body(stream_options={"include_usage": 1}), Code.INVALID_REQUEST, "stream_options.include_usage", "a boolean"),
    ],
)
def test_bad_requests_name_the_field(raw: bytes, code: Code, param: str | None, words: str) -> None:
    error = refusal(raw)
    assert (error.code, error.param) == (code, param)
    assert words in error.message


json_values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["model", "a", "stream", 'é"']), inner, max_size=3)
    ),
    max_leaves=8,
)


@given(
    st.dictionaries(
        st.sampled_from(["tools", "x", "seed", "stream_options2", "mod el", 'mo"del', "metadata"]), json_values
    ),
    st.booleans(),
    st.booleans(),
    st.none() | st.dictionaries(st.sampled_from(["a", "include_obfuscation"]), json_values, max_size=2),
    st.text(min_size=1, max_size=12),
    st.sampled_from([None, 1, 3]),
    st.booleans(),
)
def test_splice_changes_what_it_should_and_nothing_else(
    others: dict[str, Any],
    stream: bool,
    want: bool,
    options: dict[str, Any] | None,
    model: str,
    indent: int | None,
    ascii_: bool,
) -> None:
    fields = others | {"model": "was", "messages": MESSAGES, "stream": stream}
    if options is not None:
        fields["stream_options"] = options
    raw = json.dumps(fields, indent=indent, ensure_ascii=ascii_).encode("utf-8", "surrogatepass")
    expected = fields | {"model": model}
    if stream and want:
        expected["stream_options"] = (options or {}) | {"include_usage": True}
    assert json.loads(splice(read_head(raw), model, want_usage=want)) == expected


def test_splice_keeps_values_byte_for_byte_and_settles_repeated_keys() -> None:
    raw = (
        b'{"m\\u006fdel":"first", "messages" : [{"role":"user","content":"a \\u00e9 1.50"}],'
        b'"seed":1.500, "model":"last","n":1}'
    )
    out = splice(read_head(raw), "target", want_usage=True)
    assert b'[{"role":"user","content":"a \\u00e9 1.50"}]' in out
    assert b"1.500" in out
    assert out.count(b'"target"') == 1
    assert b"first" not in out
    assert b"last" not in out


def test_splice_leaves_out_what_a_provider_refuses() -> None:
    head = read_head(body(stream=True, stream_options={"include_usage": True}))
    assert "stream_options" not in json.loads(splice(head, "x", want_usage=False, without=("stream_options",)))


def with_part(part: dict[str, Any]) -> bytes:
    return body(
        messages=[
            {"role": "system", "content": "s"},
            {"role": "user", "content": [{"type": "text", "text": "t"}, part]},
        ]
    )


@pytest.mark.parametrize(
    ("part", "param"),
    [
        (
            {"type": "image_url", "image_url": {"url": "http://169.254.169.254/latest"}},
            "messages[1].content[1].image_url.url",
        ),
        ({"type": "image_url", "image_url": "http://10.0.0.1/x"}, "messages[1].content[1].image_url"),
        ({"type": "video_url", "video_url": {"url": "file:///etc/passwd"}}, "messages[1].content[1].video_url.url"),
        ({"type": "audio_url", "audio_url": {"url": "http://localhost:8000"}}, "messages[1].content[1].audio_url.url"),
        ({"type": "file", "file": {"file_data": "http://127.0.0.1/a.pdf"}}, "messages[1].content[1].file.file_data"),
    ],
)
def test_urls_into_our_network_are_refused(part: dict[str, Any], param: str) -> None:
    raw = with_part(part)
    with pytest.raises(TollwayError) as caught:
        check_urls(read_head(raw))
    assert (caught.value.code, caught.value.param) == (Code.INVALID_REQUEST, param)


def test_escaped_keys_hide_no_url() -> None:
    raw = with_part({"type": "image_url", "image_url": {"url": "http://10.0.0.1/"}}).replace(
        b'"url"', b'"\\u0075r\\u006c"'
    )
    with pytest.raises(TollwayError):
        check_urls(read_head(raw))


def test_a_hosted_tool_names_no_internal_server_but_a_schema_may_have_any_words() -> None:
    raw = body(tools=[{"type": "mcp", "server_url": "http://192.168.0.1/mcp"}])
    with pytest.raises(TollwayError) as caught:
        check_urls(read_head(raw))
    assert caught.value.param == "tools[0].server_url"
    fine = body(
        tools=[{"type": "function", "function": {"name": "f", "parameters": {"default_url": "http://10.0.0.1"}}}]
    )
    check_urls(read_head(fine))


@pytest.mark.parametrize("url", ["data:image/png;base64,AAAA", "DATA:text/plain,hi", "https://example.com/a.png"])
def test_public_and_data_urls_pass(url: str) -> None:
    raw = with_part({"type": "image_url", "image_url": {"url": url}})
    check_urls(read_head(raw))


@given(st.binary(max_size=300))
def test_no_bytes_make_it_raise_anything_else(raw: bytes) -> None:
    for candidate in (
        raw,
        b'{"model":"m","messages":' + raw + b"}",
        b'{"model":"m","messages":[{"content":[' + raw + b"]}]}",
    ):
        with contextlib.suppress(TollwayError):
            head = read_head(candidate)
            check_urls(head)
            json.loads(splice(head, "x", want_usage=True))


def test_the_estimate_counts_every_four_bytes() -> None:
    assert [estimate_input_tokens(n) for n in (0, 1, 4, 5, 4000)] == [0, 1, 1, 2, 1000]
