"""Whatever a client sends as a Messages request is read, or refused with our own error."""

from __future__ import annotations

import contextlib
import copy
import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tollway.core.dialects.anthropic_messages import check_urls, estimate_count, read_head, read_request, write_request
from tollway.core.errors import Code, TollwayError

IMAGE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA=="}}
BODY: dict[str, Any] = {
    "model": "m",
    "max_tokens": 5000,
    "system": [{"type": "text", "text": "s", "cache_control": {"type": "ephemeral"}}],
    "messages": [
        {"role": "user", "content": [IMAGE, {"type": "document", "source": {"type": "content", "content": [IMAGE]}}]},
        {
            "role": "assistant",
            "content": [
                {"type": "thinking", "thinking": "x", "signature": "s"},
                {"type": "tool_use", "id": "t", "name": "f", "input": {"a": 1}},
            ],
        },
        {
            "role": "user",
            "content": [{"type": "tool_result", "tool_use_id": "t", "content": [IMAGE], "is_error": True}],
        },
    ],
    "tools": [{"name": "f", "input_schema": {"type": "object"}}],
    "tool_choice": {"type": "tool", "name": "f"},
    "thinking": {"type": "enabled", "budget_tokens": 1024},
    "output_config": {"effort": "low", "format": {"type": "json_schema", "schema": {}}},
    "metadata": {"user_id": "u"},
    "stop_sequences": ["x"],
}


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Where something can be replaced."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [place for key, item in items for place in [(*path, key), *places(item, (*path, key))]]


PLACES = places(BODY)
junk = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(2**70), 2**70),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(["", "x", "text", "tool_result", "file", "enabled", "disabled", "http://10.0.0.1/"]),
    st.sampled_from([[], {}, [[]], [{}], [None], {"type": "text"}, {"type": 3}, {"type": "base64", "url": "x"}]),
)


@settings(max_examples=150)
@given(st.lists(st.tuples(st.sampled_from(PLACES), junk), min_size=1, max_size=3))
def test_changed_requests_raise_nothing_but_our_error(changes: list[tuple[tuple[Any, ...], Any]]) -> None:
    body = copy.deepcopy(BODY)
    for path, value in changes:
        holder: Any = body
        with contextlib.suppress(KeyError, IndexError, TypeError):
            for key in path[:-1]:
                holder = holder[key]
            holder[path[-1]] = copy.deepcopy(value)  # a value put into itself would be no JSON
    raw = json.dumps(body).encode()
    with contextlib.suppress(TollwayError):
        head = read_head(raw)
        request = read_request(raw, head)
        assert estimate_count(request) > 0
        written = write_request(request, "claude-sonnet-4-5")
        assert json.loads(written.body)["model"] == "claude-sonnet-4-5"
    with contextlib.suppress(TollwayError):
        check_urls(read_head(raw))


@pytest.mark.parametrize(
    "deep",
    [
        b'{"role":"user","content":' + b"[" * 50_000 + b"]" * 50_000 + b"}",
        b'{"role":"assistant","content":[{"type":"tool_use","id":"t","name":"f","input":'
        + b'{"a":' * 50_000
        + b"1"
        + b"}" * 50_000
        + b"}]}",
    ],
)
def test_deep_nesting_is_refused(deep: bytes) -> None:
    with pytest.raises(TollwayError) as caught:
        read_request(b'{"model":"m","max_tokens":1,"messages":[' + deep + b"]}")
    assert caught.value.code is Code.INVALID_JSON
