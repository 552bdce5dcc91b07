"""The grammar of a stream of OpenAI's Responses API, as a check that tests apply to every stream that is written.

Source: `ResponseStreamEvent` of OpenAI's API description. Every item and part that is added is done before the response
ends, in the texts that its deltas gave.
"""

from __future__ import annotations

import json
from typing import Any

from tollway.core.dialects import sse

_ENDS = frozenset({"response.completed", "response.incomplete"})
_PARTS = {
    "response.output_text": ("content", "output_text", "text"),
    "response.refusal": ("content", "refusal", "refusal"),
    "response.reasoning_text": ("content", "reasoning_text", "text"),
    "response.reasoning_summary_text": ("summary", "summary_text", "text"),
}
_CALL = "response.function_call_arguments"


def check_response_events(data: bytes, *, may_fail: bool = False) -> None:
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
    assert checker.over, "the response has no end"


class _Open:
    """An item that has been added and is not done."""

    def __init__(self, item: dict[str, Any]) -> None:
        self.item = item
        self.parts: list[dict[str, Any]] = []
        self.part: str | None = None
        self.pieces: list[str] = []
        self.told: str | None = None


class _Checker:
    """State of one stream."""

    def __init__(self) -> None:
        self.over = self.failed = False
        self._sequence = 0
        self._count = 0
        self._open: dict[int, _Open] = {}
        self._done: dict[int, dict[str, Any]] = {}
        self._response: dict[str, Any] | None = None

    def event(self, event: sse.Event) -> None:
        """The next event."""
        assert not event.junk, f"a line that belongs to no event stream: {event}"
        assert event.data is not None, "an event without data"
        body = json.loads(event.data)
        kind = body["type"]
        assert event.name == kind, f"event {event.name!r} carries the type {kind!r}"
        assert body["sequence_number"] == self._sequence, f"{body['sequence_number']} is not {self._sequence}"
        self._sequence += 1
        assert not self.over, f"{kind} after the end"
        assert not self.failed, f"{kind} after the error"
        if kind == "error":
            assert isinstance(body["message"], str), f"the error has no message: {body}"
            self.failed = True
        elif self._sequence == 1:
            assert kind == "response.created", f"{kind} is the first event"
            self._response = self._begun(body["response"])
        elif self._sequence == 2:
            assert kind == "response.in_progress", f"{kind} is the second event"
            assert self._begun(body["response"]) == self._response, "the response changes before it begins"
        elif kind in _ENDS:
            self._end(kind.removeprefix("response."), body["response"])
        else:
            self._within(kind, body)

    def _begun(self, response: dict[str, Any]) -> dict[str, Any]:
        assert (response["status"], response["output"]) == ("in_progress", []), f"no beginning: {response}"
        return response

    def _within(self, kind: str, body: dict[str, Any]) -> None:
        index = body.get("output_index")
        assert isinstance(index, int), f"{kind} belongs to no item"
        if kind == "response.output_item.added":
            assert index == self._count, f"item {index} is added where {self._count} is due"
            self._count += 1
            self._open[index] = _Open(body["item"])
            return
        assert index in self._open, f"{kind} of item {index}, which is not open"
        item = self._open[index]
        if kind == "response.output_item.done":
            self._item_done(index, item, body["item"])
            return
        assert body["item_id"] == item.item["id"], f"{kind} names another item: {body}"
        name, _, step = kind.rpartition(".")
        if name == _CALL:
            self._arguments(item, step, body)
        elif name in _PARTS:
            self._text(item, name, step, body)
        else:
            self._part(item, name, step, body)

    def _part(self, item: _Open, name: str, step: str, body: dict[str, Any]) -> None:
        holders = {"response.content_part": "content", "response.reasoning_summary_part": "summary"}
        assert name in holders, f"unknown event {name}.{step}"
        assert body[f"{holders[name]}_index"] == len(item.parts), f"another part is due: {body}"
        if step == "added":
            assert item.part is None, f"a part inside another: {body}"
            item.part, item.pieces, item.told = body["part"]["type"], [], None
            return
        assert body["part"]["type"] == item.part, f"another part ends than began: {body}"
        text = body["part"].get("text", body["part"].get("refusal"))
        assert text == item.told, f"a part ends before its text: {body}"
        item.parts.append(body["part"])
        item.part = None

    def _text(self, item: _Open, name: str, step: str, body: dict[str, Any]) -> None:
        holder, part, key = _PARTS[name]
        assert item.part == part, f"{name} outside its part: {body}"
        assert body[f"{holder}_index"] == len(item.parts), f"another part is open: {body}"
        assert item.told is None, f"{step} after the text is done"
        if step == "delta":
            item.pieces.append(body["delta"])
            return
        item.told = "".join(item.pieces)
        assert body[key] == item.told, f"the text is not that of its deltas: {body}"

    def _arguments(self, item: _Open, step: str, body: dict[str, Any]) -> None:
        assert item.item["type"] == "function_call", f"arguments of what is no call: {body}"
        assert item.told is None, f"{step} after the arguments are done"
        if step == "delta":
            item.pieces.append(body["delta"])
            return
        item.told = "".join(item.pieces)
        assert body["arguments"] == item.told, f"the arguments are not those of the deltas: {body}"
        assert body["name"] == item.item["name"], f"the name changes: {body}"

    def _item_done(self, index: int, item: _Open, told: dict[str, Any]) -> None:
        assert item.part is None, f"item {index} ends inside a part"
        began = item.item
        assert (told["id"], told["type"]) == (began["id"], began["type"]), f"item {index} changes: {told}"
        if told["type"] == "function_call":
            assert told["arguments"] == item.told, f"the arguments are not those told: {told}"
            assert (told["call_id"], told["name"]) == (began["call_id"], began["name"]), f"the call changes: {told}"
        elif told["type"] == "message":
            assert told["content"] == item.parts, f"the parts are not those told: {told}"
        else:
            texts = [part["text"] for part in (*told.get("content", ()), *told["summary"])]
            assert texts == [part["text"] for part in item.parts], f"the reasoning is not as told: {told}"
        self._done[index] = told
        del self._open[index]

    def _end(self, status: str, response: dict[str, Any]) -> None:
        assert not self._open, f"items {sorted(self._open)} are not done"
        assert response["status"] == status, f"{status} tells of {response['status']}"
        assert (response["incomplete_details"] is None) == (status == "completed"), f"no reason: {response}"
        assert response["output"] == [self._done[index] for index in sorted(self._done)], "the output is not as told"
        assert self._response is not None, "the response never began"
        assert response["id"] == self._response["id"], "the response's id changes"
        self.over = True
