"""The grammar checker itself: what it accepts, and that each rule can fail."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tollway.testkit.messages_grammar import check_events

START: dict[str, Any] = {
    "type": "message_start",
    "message": {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "m",
        "content": [],
        "stop_reason": None,
        "usage": {"input_tokens": 1, "output_tokens": 1},
    },
}
END: dict[str, Any] = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 3}}
STOP = {"type": "message_stop"}
ERROR = {"type": "error", "error": {"type": "api_error", "message": "x"}}


def block(index: int, kind: str, **fields: Any) -> dict[str, Any]:
    return {"type": "content_block_start", "index": index, "content_block": {"type": kind} | fields}


def text(index: int = 0) -> dict[str, Any]:
    return block(index, "text", text="")


def thinking() -> dict[str, Any]:
    return block(0, "thinking", thinking="", signature="")


def tool() -> dict[str, Any]:
    return block(0, "tool_use", id="t", name="f", input={})


def delta(kind: str, index: int = 0, **fields: Any) -> dict[str, Any]:
    return {"type": "content_block_delta", "index": index, "delta": {"type": kind} | fields}


def over(index: int = 0) -> dict[str, Any]:
    return {"type": "content_block_stop", "index": index}


def cut(reason: str) -> dict[str, Any]:
    return END | {"delta": {"stop_reason": reason}}


SIGNED = delta("signature_delta", signature="s")
WORD = delta("text_delta", text="a")


def stream(*events: dict[str, Any]) -> bytes:
    return b"".join(f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode() for event in events)


@pytest.mark.parametrize(
    "events",
    [
        (START, END, STOP),
        (START, {"type": "ping"}, text(), WORD, over(), text(1), over(1), END, STOP),
        (START, thinking(), delta("thinking_delta", thinking="x"), SIGNED, over(), END, STOP),
        (START, tool(), delta("input_json_delta", partial_json='{"a":1}'), over(), END, STOP),
        (START, tool(), delta("input_json_delta", partial_json=""), over(), END, STOP),
        (START, tool(), delta("input_json_delta", partial_json='{"a'), over(), cut("max_tokens"), STOP),
        (START, block(0, "compaction", content=None), delta("compaction_delta", content="x"), over(), END, STOP),
    ],
)
def test_good_streams(events: tuple[dict[str, Any], ...]) -> None:
    check_events(stream(*events))


@pytest.mark.parametrize(
    ("events", "words"),
    [
        ((), "no message_start"),
        ((START, END), "no message_stop"),
        ((text(), START, END, STOP), "before message_start"),
        ((START, START, END, STOP), "second message_start"),
        ((START, text(1), over(1), END, STOP), "where 0 is due"),
        ((START, text(), text(1), END, STOP), "inside another"),
        ((START, text(), END, STOP), "inside a block"),
        ((START, WORD, END, STOP), "outside any block"),
        ((START, text(), delta("text_delta", 1, text="a"), over(), END, STOP), "while 0 is open"),
        ((START, text(), over(1), END, STOP), "while 0 is open"),
        ((START, over(), END, STOP), "outside any block"),
        ((START, text(), delta("thinking_delta", thinking="a"), over(), END, STOP), "thinking_delta in text"),
        ((START, thinking(), SIGNED, delta("thinking_delta", thinking="a"), over(), END, STOP), "after the signature"),
        ((START, block(0, "thinking", thinking="", signature=None), over(), END, STOP), "without a signature"),
        ((START, tool(), delta("input_json_delta", partial_json='{"a'), over(), END, STOP), "no JSON object"),
        ((START, tool(), delta("input_json_delta", partial_json="[]"), over(), END, STOP), "no JSON object"),
        ((START, END, END, STOP), "after message_delta"),
        ((START, STOP), "without message_delta"),
        ((START, cut("bored"), STOP), "unknown stop_reason"),
        ((START, END | {"usage": {}}, STOP), "output_tokens is no count"),
        ((START, END, STOP, {"type": "ping"}), "after message_stop"),
        ((START, {"type": "novel"}, END, STOP), "unknown event"),
        ((START, ERROR), "ends with an error"),
        ((START, ERROR, STOP), "after error"),
    ],
)
def test_broken_streams(events: tuple[dict[str, Any], ...], words: str) -> None:
    with pytest.raises(AssertionError, match=words):
        check_events(stream(*events))


def test_framing_and_options() -> None:
    good = stream(START, END, STOP)
    with pytest.raises(AssertionError, match="not terminated"):
        check_events(good + b"event: ping")
    with pytest.raises(AssertionError, match="carries the type"):
        check_events(good.replace(b"event: message_stop", b"event: stop"))
    check_events(stream(START, ERROR), may_fail=True)
    broken = delta("input_json_delta", partial_json='{"a')
    check_events(stream(START, tool(), broken, over(), END, STOP), tool_json=False)
