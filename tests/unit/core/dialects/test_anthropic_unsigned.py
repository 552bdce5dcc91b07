"""Unsigned thinking does not reach Anthropic; signed thinking and everything else does, byte for byte."""

from __future__ import annotations

import json
from typing import Any

from tollway.core.dialects.anthropic_messages import read_head, signed_messages

HI = {"role": "user", "content": "hi"}
TEXT = {"type": "text", "text": "about thinking"}
SIGNED = {"type": "thinking", "thinking": "hm", "signature": "abc="}
UNSIGNED = {"type": "thinking", "thinking": "hm", "signature": ""}


def kept(*messages: Any) -> Any:
    raw = signed_messages(read_head(json.dumps({"model": "m", "max_tokens": 9, "messages": messages}).encode()))
    return None if raw is None else json.loads(bytes(raw))


def test_nothing_to_do_is_told() -> None:
    assert kept(HI) is None
    assert kept(HI, {"role": "assistant", "content": [SIGNED, TEXT]}) is None
    assert kept(HI, {"role": "assistant", "content": "my thinking"}) is None
    assert kept({"role": "user", "content": [{"type": 7}, "thinking"]}) is None


def test_unsigned_thinking_is_left_out() -> None:
    told = [HI, {"role": "assistant", "content": [UNSIGNED, SIGNED, TEXT]}, HI]
    assert kept(*told) == [HI, {"role": "assistant", "content": [SIGNED, TEXT]}, HI]
    bare = {"type": "thinking", "thinking": "hm"}
    assert kept(HI, {"role": "assistant", "content": [bare, TEXT]}) == [HI, {"role": "assistant", "content": [TEXT]}]


def test_a_message_of_nothing_else_goes() -> None:
    assert kept(HI, {"role": "assistant", "content": [UNSIGNED]}, HI) == [HI, HI]


def test_bytes_of_the_rest_stay() -> None:
    odd = b'{ "type":"text",  "text":"1.50" , "x": 1.50}'
    body = b'{"model":"m","max_tokens":9,"messages":[{"role":"assistant","content":[{"type":"thinking"},%b]}]}' % odd
    raw = signed_messages(read_head(body))
    assert raw is not None
    assert odd in bytes(raw)
