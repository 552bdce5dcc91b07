"""The events of OpenAI's Responses. Source: https://platform.openai.com/docs/api-reference/responses-streaming

Each item of the finished response is added, filled by deltas, and done; every event has its number.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import msgspec

from tollway.simulator.answer import count, pieces
from tollway.simulator.dialects.port import Event, Part


class _Numbered:
    """Makes events, numbered from 0."""

    def __init__(self) -> None:
        self._number = 0

    def event(self, kind: str, fields: dict[str, Any], tokens: int = 0, part: Part = Part.CONTENT) -> Event:
        """One event."""
        value = {"type": kind, "sequence_number": self._number, **fields}
        self._number += 1
        data = b"event: " + kind.encode() + b"\ndata: " + msgspec.json.encode(value) + b"\n\n"
        return Event(data, tokens, part)


def stream(opened: dict[str, Any], ended: dict[str, Any], reasoning: str, *, chunk: int) -> Iterator[Event]:
    """The events that lead from the response as it opens to the one that has ended.

    Reasoning that is not shown takes its time as events without bytes. A response that ended incomplete says so in its
    last event.
    """
    numbered = _Numbered()
    yield numbered.event("response.created", {"response": opened}, part=Part.HEAD)
    yield numbered.event("response.in_progress", {"response": opened}, part=Part.HEAD)
    for index, item in enumerate(ended["output"]):
        added = {**item, "status": "in_progress"} if "status" in item else {**item}
        match item["type"]:
            case "reasoning":
                inner = _reasoning(numbered, index, item, reasoning, chunk)
                added |= {"summary": []}
            case "message":
                inner = _message(numbered, index, item, chunk)
                added |= {"content": []}
            case _:
                inner = _call(numbered, index, item, chunk)
                added |= {"arguments": ""}
        tokens = count(item["name"]) if item["type"] == "function_call" else 0
        part = Part.CONTENT if tokens else Part.HEAD
        yield numbered.event("response.output_item.added", {"output_index": index, "item": added}, tokens, part)
        yield from inner
        yield numbered.event("response.output_item.done", {"output_index": index, "item": item})
    yield numbered.event(f"response.{ended['status']}", {"response": ended}, part=Part.DONE)


def _reasoning(numbered: _Numbered, index: int, item: dict[str, Any], text: str, chunk: int) -> Iterator[Event]:
    if not item["summary"]:
        for piece in pieces(text, chunk):
            yield Event(b"", count(piece), Part.CONTENT)
        return
    place = {"item_id": item["id"], "output_index": index, "summary_index": 0}
    kind = "response.reasoning_summary"
    empty = {"type": "summary_text", "text": ""}
    yield numbered.event(f"{kind}_part.added", {**place, "part": empty}, part=Part.HEAD)
    for piece in pieces(text, chunk):
        yield numbered.event(f"{kind}_text.delta", {**place, "delta": piece}, count(piece))
    yield numbered.event(f"{kind}_text.done", {**place, "text": text})
    yield numbered.event(f"{kind}_part.done", {**place, "part": item["summary"][0]})


def _message(numbered: _Numbered, index: int, item: dict[str, Any], chunk: int) -> Iterator[Event]:
    place = {"item_id": item["id"], "output_index": index, "content_index": 0}
    (part,) = item["content"]
    yield numbered.event("response.content_part.added", {**place, "part": {**part, "text": ""}}, part=Part.HEAD)
    for piece in pieces(part["text"], chunk):
        yield numbered.event("response.output_text.delta", {**place, "delta": piece, "logprobs": []}, count(piece))
    yield numbered.event("response.output_text.done", {**place, "text": part["text"], "logprobs": []})
    yield numbered.event("response.content_part.done", {**place, "part": part})


def _call(numbered: _Numbered, index: int, item: dict[str, Any], chunk: int) -> Iterator[Event]:
    place = {"item_id": item["id"], "output_index": index}
    for piece in pieces(item["arguments"], chunk):
        yield numbered.event("response.function_call_arguments.delta", {**place, "delta": piece}, count(piece))
    done = {"arguments": item["arguments"], "name": item["name"]}
    yield numbered.event("response.function_call_arguments.done", {**place, **done})
