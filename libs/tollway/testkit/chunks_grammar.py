"""The grammar of a stream of chat completion or legacy completion chunks, as a check on every stream that is written.

Source: `CreateChatCompletionStreamResponse` and `CreateCompletionResponse` of OpenAI's API description.
"""

from __future__ import annotations

import json
from typing import Any

from tollway.core.dialects import sse

_FINISHES = frozenset({"stop", "length", "tool_calls", "content_filter"})
_OBJECTS = frozenset({"chat.completion.chunk", "text_completion"})


def check_chunks(data: bytes, *, may_fail: bool = False) -> None:
    """Raise AssertionError with the reason unless `data` is one whole stream as OpenAI promises it.

    `may_fail`: an error event may end the stream in place of the rest.
    """
    parser = sse.Parser()
    checker = _Checker()
    for event in parser.feed(data):
        checker.event(event)
    assert parser.rest() is None, "the last event is not terminated"
    if checker.failed:
        assert may_fail, "the stream ends with an error event"
        return
    assert checker.finish is not None, "there is no finish_reason"
    assert checker.done, "there is no [DONE]"


class _Checker:
    """State of one stream."""

    def __init__(self) -> None:
        self.done = self.failed = False
        self.finish: str | None = None
        self._frame: tuple[Any, ...] | None = None
        self._counted = False
        self._calls: set[int] = set()

    def event(self, event: sse.Event) -> None:
        """The next event."""
        assert not event.junk, f"a line that belongs to no event stream: {event}"
        assert not event.name, f"an event with a name: {event}"
        assert event.data is not None, "an event without data"
        assert not self.done, "an event after [DONE]"
        assert not self.failed, "an event after the error"
        if event.data == b"[DONE]":
            self.done = True
            return
        body = json.loads(event.data)
        if "error" in body:
            assert isinstance(body["error"]["message"], str), f"the error has no message: {body}"
            self.failed = True
            return
        self._chunk(body)

    def _chunk(self, body: dict[str, Any]) -> None:
        frame = (body["id"], body["object"], body["created"], body["model"])
        assert frame[1] in _OBJECTS, f"unknown object {frame[1]!r}"
        assert [type(value) for value in frame] == [str, str, int, str], f"no frame of a chunk: {frame}"
        assert self._frame in (None, frame), f"the frame changes from {self._frame} to {frame}"
        first, self._frame = self._frame is None, frame
        assert not self._counted, "a chunk after the usage"
        if not body["choices"]:
            assert type(body["usage"]["total_tokens"]) is int, f"a chunk of nothing: {body}"
            assert self.finish is not None, "the usage precedes the finish"
            self._counted = True
            return
        (choice,) = body["choices"]
        assert choice["index"] == 0, f"choice {choice['index']} was never asked for"
        assert self.finish is None, "a choice after its finish"
        if frame[1] == "text_completion":
            assert isinstance(choice["text"], str), "a choice without text"
        else:
            self._delta(choice["delta"], first=first)
        self.finish = choice["finish_reason"]
        assert self.finish is None or self.finish in _FINISHES, f"unknown finish_reason {self.finish!r}"

    def _delta(self, delta: dict[str, Any], *, first: bool) -> None:
        assert (delta.get("role") == "assistant") is first, f"the role is told once, at first: {delta}"
        for name in ("content", "refusal", "reasoning_content"):
            assert isinstance(delta.get(name, ""), str), f"{name} is no text: {delta}"
        for call in delta.get("tool_calls", ()):
            index = call["index"]
            assert isinstance(call["function"]["arguments"], str), f"a call without arguments: {call}"
            if index in self._calls:
                assert "id" not in call, f"call {index} begins twice"
                continue
            assert index == len(self._calls), f"call {index} begins where {len(self._calls)} is due"
            assert call["type"] == "function", f"a call that is no function: {call}"
            assert isinstance(call["id"], str), f"a call without an id: {call}"
            assert isinstance(call["function"]["name"], str), f"a call without a name: {call}"
            self._calls.add(index)
