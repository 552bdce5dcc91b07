"""Bodies keep their form when they are masked; what is split over the events of a stream does not stay either."""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tollway.core.masking_bodies import mask_events, mask_json, mask_text

SECRETS = {
    "ann@example.com": "[EMAIL]",
    "4111 1111 1111 1111": "[CARD]",
    "+49 30 1234567": "[PHONE]",
    "DE89370400440532013000": "[IBAN]",
    "sk-abcdefghij1234567890": "[API_KEY]",
}
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(10**12), 10**12) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


def chunk(text: str, **more: Any) -> dict[str, Any]:
    """An event of a chat stream."""
    return {
        "id": "c-1",
        "object": "chat.completion.chunk",
        "choices": [{"index": 0, "delta": {"content": text}}],
        **more,
    }


def anthropic(text: str) -> dict[str, Any]:
    """An event of a stream of messages."""
    return {"type": "content_block_delta", "index": 1, "delta": {"type": "text_delta", "text": text}}


def response(text: str) -> dict[str, Any]:
    """An event of a stream of a response."""
    return {"type": "response.output_text.delta", "item_id": "i", "output_index": 0, "content_index": 0, "delta": text}


def call(text: str) -> dict[str, Any]:
    """An event of a stream with the arguments of a tool."""
    delta = {"tool_calls": [{"index": 0, "function": {"arguments": text}}]}
    return {"choices": [{"index": 0, "delta": delta}]}


SHAPES: list[Callable[[str], dict[str, Any]]] = [chunk, anthropic, response, call]


def test_only_what_is_found_changes() -> None:
    body = '{ "model" : "m", "n": 1.50, "text":"a\\u00e9 ann@example.com\\n", "x":[1e5, true] }'
    masked = '{ "model" : "m", "n": 1.50, "text":"aé [EMAIL]\\n", "x":[1e5, true] }'
    assert mask_json(body) == masked


@pytest.mark.parametrize(
    ("body", "masked"),
    [
        ('{"card":4111111111111111}', '{"card":"[CARD]"}'),
        ('{"ann@example.com":1}', '{"[EMAIL]":1}'),
        ('{"a":"ann\\u0040example.com"}', '{"a":"[EMAIL]"}'),
        ('{"a":"Bearer ab12\\/cd34\\/ef56\\/gh78"}', '{"a":"Bearer [TOKEN]"}'),
        ('{"a":"x\\nann@example.com"}', '{"a":"x\\n[EMAIL]"}'),
        ('{"a":"1","a":"ann@example.com","a":"2"}', '{"a":"1","a":"[EMAIL]","a":"2"}'),
        ('{"a":"\\ud800 ann@example.com é"}', '{"a":"\\ud800 [EMAIL] \\u00e9"}'),
        ('{"cut":"to ann@example.com', '{"cut":"to [EMAIL]'),
        ('{"cut":"to ann@example.com\\', '{"cut":"to [EMAIL]'),
        ("{broken ann@example.com", '{broken "[EMAIL]"'),
        ('{"bad":"\\x ann@example.com"}', '{"bad":"  [EMAIL]"}'),
    ],
)
def test_json_of_every_kind(body: str, masked: str) -> None:
    assert mask_json(body) == masked


def test_json_in_strings_of_json_stays_json() -> None:
    inner = json.dumps({"to": "ann@example.com", "card": 4111111111111111, "note": "a\nb"})
    masked = json.loads(mask_json(json.dumps({"arguments": inner})))
    assert json.loads(masked["arguments"]) == {"to": "[EMAIL]", "card": "[CARD]", "note": "a\nb"}


@given(JSON, st.sampled_from(list(SECRETS)), st.booleans())
def test_json_stays_json_and_tells_nothing(value: Any, secret: str, ascii_only: bool) -> None:
    body = json.dumps({"a": value, "b": [f"to {secret}!"], secret: value}, ensure_ascii=ascii_only)
    masked = mask_json(body)
    found = json.loads(masked)
    assert secret not in masked
    assert found["b"] == [f"to {SECRETS[secret]}!"]
    assert "a" in found


@given(st.text(max_size=300))
def test_nothing_raises(text: str) -> None:
    for masked in (mask_json(text), mask_events(text), mask_text(text), mask_events("data: " + text)):
        assert isinstance(masked, str)


@pytest.mark.parametrize("shape", SHAPES)
@given(secret=st.sampled_from(list(SECRETS)), cuts=st.sets(st.integers(1, 40), max_size=8), crlf=st.booleans())
@settings(max_examples=40)
def test_what_is_split_over_events_goes(
    shape: Callable[[str], dict[str, Any]], secret: str, cuts: set[int], crlf: bool
) -> None:
    text = f"Send it to {secret}, please."
    edges = [0, *sorted(cut for cut in cuts if cut < len(text)), len(text)]
    pieces = [text[a:b] for a, b in pairwise(edges)]
    ending = "\r\n" if crlf else "\n"
    body = "".join(f"data: {json.dumps(shape(piece))}{ending}{ending}" for piece in pieces) + f"data: [DONE]{ending}"
    masked = mask_events(body)
    events = [json.loads(line[6:]) for line in masked.split(ending) if line.startswith("data: {")]
    assert len(events) == len(pieces)
    assert "".join(text_of(event) for event in events) == f"Send it to {SECRETS[secret]}, please."
    assert masked.endswith(f"data: [DONE]{ending}")


def text_of(event: dict[str, Any]) -> str:
    """The text of an event of any of the shapes."""
    if "choices" not in event:
        delta = event["delta"]
        return str(delta if isinstance(delta, str) else delta["text"])
    delta = event["choices"][0]["delta"]
    return str(delta["content"] if "content" in delta else delta["tool_calls"][0]["function"]["arguments"])


def test_channels_are_kept_apart() -> None:
    left, right = "ann@exa", "mple.com"
    one = {"choices": [{"index": 0, "delta": {"content": left}}]}
    other = {"choices": [{"index": 1, "delta": {"content": right}}]}
    body = "".join(f"data: {json.dumps(event)}\n\n" for event in (one, other))
    assert mask_events(body) == body


def test_events_without_anything_stay_byte_for_byte() -> None:
    body = "".join(f": ping\n\nevent: x\ndata: {json.dumps(chunk(f'w{n} '))}\n\n" for n in range(20))
    assert mask_events(body) == body


def test_arguments_in_pieces_stay_json() -> None:
    text = json.dumps({"to": "ann@example.com", "card": 4111111111111111, "n": "a\nann@example.com"})
    pieces = [text[at : at + 5] for at in range(0, len(text), 5)]
    masked = mask_events("".join(f"data: {json.dumps(call(piece))}\n\n" for piece in pieces))
    events = [json.loads(line[6:]) for line in masked.split("\n") if line]
    assert json.loads("".join(map(text_of, events))) == {"to": "[EMAIL]", "card": "[CARD]", "n": "a\n[EMAIL]"}


HOSTILE = [
    '"',
    '\\"',
    '"\\',
    "\\u0040",
    '"a@b.cc",',
    '"\\u0061",',
    "{",
    "[",
    'data: {"a":"b@c.de"}\n',
    "data: [\n",
    "[" * 50 + "\n",
]


def test_its_time_is_linear_whatever_the_body() -> None:
    slow = []
    for unit in HOSTILE:
        times = []
        for size in (2_000, 32_000):
            text = (unit * size)[:size]
            started = time.thread_time()
            mask_json(text)
            mask_events(text)
            times.append(time.thread_time() - started)
        if times[1] > 16 * 6 * max(times[0], 0.001):
            slow.append((unit, times))
    assert slow == []


def test_random_cuts_of_a_body_never_show_a_whole_secret() -> None:
    body = json.dumps({"m": [f"x {secret} y" for secret in SECRETS] * 3, "n": 'Ω\n"q"'})
    draw = random.Random(3)
    for _ in range(300):
        masked = mask_json(body[: draw.randrange(len(body))])
        assert [secret for secret in SECRETS if secret in masked] == []
