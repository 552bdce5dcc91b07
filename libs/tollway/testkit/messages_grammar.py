"""The grammar of an Anthropic event stream, as a check that tests apply to every stream that the product writes.

Source: https://docs.anthropic.com/en/docs/build-with-claude/streaming and the event types of Anthropic's API.
"""

from __future__ import annotations

import json
from typing import Any

from tollway.core.dialects import sse

STOP_REASONS = frozenset(
    {
        "end_turn",
        "max_tokens",
        "stop_sequence",
        "tool_use",
        "pause_turn",
        "refusal",
        "compaction",
        "model_context_window_exceeded",
    }
)
_DELTAS = {
    "text": {"text_delta": "text", "citations_delta": "citation"},
    "thinking": {"thinking_delta": "thinking", "signature_delta": "signature"},
    "tool_use": {"input_json_delta": "partial_json"},
    "server_tool_use": {"input_json_delta": "partial_json"},
    "mcp_tool_use": {"input_json_delta": "partial_json"},
}


def check_events(data: bytes, *, may_fail: bool = False, tool_json: bool = True) -> None:
    """Raise AssertionError with the reason unless `data` is one whole stream as Anthropic promises it.

    `may_fail`: an `error` event may end the stream in place of the rest. `tool_json`: the input of each tool must be
    JSON of an object, and the tool have a name; false for streams of a provider whose tool calls are broken.
    """
    parser = sse.Parser()
    checker = _Checker(tool_json)
    for event in parser.feed(data):
        checker.event(event)
    rest = parser.rest()
    assert rest is None, f"the last event is not terminated: {rest}"
    if checker.failed:
        assert may_fail, "the stream ends with an error event"
        return
    assert checker.started, "there is no message_start"
    assert checker.stopped, "there is no message_stop"


class _Checker:
    """State of one stream."""

    def __init__(self, tool_json: bool) -> None:
        self.started = self.stopped = self.failed = False
        self._tool_json = tool_json
        self._reason: str | None = None
        self._next = 0
        self._open: dict[str, Any] | None = None
        self._json = ""
        self._signed = False
        self._broken: list[str] = []

    def event(self, event: sse.Event) -> None:
        """The next event."""
        assert not event.junk, f"a line that belongs to no event stream: {event}"
        assert event.data is not None, "an event without data"
        body = json.loads(event.data)
        kind = body["type"]
        assert event.name == kind, f"event {event.name!r} carries the type {kind!r}"
        assert not self.stopped, f"{kind} after message_stop"
        assert not self.failed, f"{kind} after error"
        if kind == "ping":
            return
        if kind == "error":
            error = body["error"]
            assert isinstance(error["type"], str), f"the error has no type: {error}"
            assert isinstance(error["message"], str), f"the error has no message: {error}"
            self.failed = True
            return
        assert self.started or kind == "message_start", f"{kind} before message_start"
        handlers = {
            "message_start": self._message_start,
            "content_block_start": self._block_start,
            "content_block_delta": self._block_delta,
            "content_block_stop": self._block_stop,
            "message_delta": self._message_delta,
            "message_stop": self._message_stop,
        }
        assert kind in handlers, f"unknown event {kind!r}"
        assert self._reason is None or kind == "message_stop", f"{kind} after message_delta"
        handlers[kind](body)

    def _message_start(self, body: dict[str, Any]) -> None:
        assert not self.started, "a second message_start"
        message = body["message"]
        assert (message["type"], message["role"]) == ("message", "assistant"), f"no message: {message}"
        assert isinstance(message["id"], str), "the message's id is no string"
        assert message["id"], "the message's id is empty"
        assert isinstance(message["model"], str), "the message's model is no string"
        assert message["content"] == [], "the message starts with content"
        assert message["stop_reason"] is None, "the message starts with a stop_reason"
        _check_count(message["usage"], "input_tokens")
        _check_count(message["usage"], "output_tokens")
        self.started = True

    def _block_start(self, body: dict[str, Any]) -> None:
        assert self._open is None, f"block {body['index']} starts inside another"
        assert body["index"] == self._next, f"block {body['index']} starts where {self._next} is due"
        block = body["content_block"]
        match block["type"]:
            case "text":
                assert isinstance(block["text"], str), "a text block without text"
            case "thinking":
                assert isinstance(block["thinking"], str), "a thinking block without thinking"
                assert isinstance(block["signature"], str), "a thinking block without a signature"
            case "redacted_thinking":
                assert isinstance(block["data"], str), "a redacted block without data"
            case "tool_use":
                assert block["id"], "a tool_use block without an id"
                assert block["name"] or not self._tool_json, "a tool_use block without a name"
                assert isinstance(block["input"], dict), "a tool_use block whose input is no object"
        self._open, self._json, self._signed = block, "", False

    def _block_delta(self, body: dict[str, Any]) -> None:
        assert self._open is not None, "a delta outside any block"
        assert body["index"] == self._next, f"a delta for block {body['index']} while {self._next} is open"
        delta, kind = body["delta"], self._open["type"]
        known = {name for deltas in _DELTAS.values() for name in deltas}
        fields = _DELTAS.get(kind, {})
        assert delta["type"] in fields or (not fields and delta["type"] not in known), f"{delta['type']} in {kind}"
        if delta["type"] in fields and delta["type"] != "citations_delta":
            assert isinstance(delta[fields[delta["type"]]], str), f"a {delta['type']} without its text"
        assert not self._signed, f"{delta['type']} after the signature"
        self._signed = delta["type"] == "signature_delta"
        self._json += delta.get("partial_json", "")

    def _block_stop(self, body: dict[str, Any]) -> None:
        assert self._open is not None, "content_block_stop outside any block"
        assert body["index"] == self._next, f"block {body['index']} stops while {self._next} is open"
        if self._json.strip():
            try:
                whole = isinstance(json.loads(self._json), dict)
            except ValueError:
                whole = False
            if not whole:
                self._broken.append(self._json)
        self._open = None
        self._next += 1

    def _message_delta(self, body: dict[str, Any]) -> None:
        assert self._open is None, "message_delta inside a block"
        delta = body["delta"]
        self._reason = delta["stop_reason"]
        assert self._reason in STOP_REASONS, f"unknown stop_reason {self._reason!r}"
        sequence = delta.get("stop_sequence")
        assert sequence is None or self._reason == "stop_sequence", f"stop_sequence with {self._reason}"
        _check_count(body["usage"], "output_tokens")
        cut = self._reason in ("max_tokens", "model_context_window_exceeded", "refusal")
        broken = self._broken[:-1] if cut else self._broken
        assert not (self._tool_json and broken), f"the input of a tool is no JSON object: {broken}"

    def _message_stop(self, _body: dict[str, Any]) -> None:
        assert self._reason is not None, "message_stop without message_delta"
        self.stopped = True


def _check_count(usage: dict[str, Any], name: str) -> None:
    value = usage.get(name)
    assert type(value) is int, f"{name} is no count: {value!r}"
    assert value >= 0, f"{name} is negative"
