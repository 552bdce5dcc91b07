"""What the events of a streamed answer amount to as text, for people. Pure; it knows the streams of every dialect."""

from __future__ import annotations

import json
from typing import Any


def told(body: str) -> str:
    """The text that a stream of server-sent events said; of calls of tools their names and arguments.

    Empty when nothing of it is known.
    """
    return "".join(_said(event) for event in _events(body))


def _events(body: str) -> list[dict[str, Any]]:
    found = []
    for line in body.splitlines():
        if not line.startswith("data:"):
            continue
        try:
            event = json.loads(line.removeprefix("data:"))
        except ValueError:
            continue  # "[DONE]", or an event that was cut
        if isinstance(event, dict):
            found.append(event)
    return found


def _said(event: dict[str, Any]) -> str:
    kind = event.get("type")
    if kind == "content_block_start" and isinstance(block := event.get("content_block"), dict):
        return f"\n[{block['name']}] " if isinstance(block.get("name"), str) else ""
    if kind == "content_block_delta" and isinstance(delta := event.get("delta"), dict):
        return _first(delta, "text", "partial_json", "thinking")
    if kind in ("response.output_text.delta", "response.refusal.delta", "response.function_call_arguments.delta"):
        return _first(event, "delta")
    if isinstance(error := event.get("error"), dict):
        return f"\n[error] {error.get('message', '')}"
    choices = event.get("choices")
    return "".join(_choice(choice) for choice in choices) if isinstance(choices, list) else ""


def _choice(choice: Any) -> str:
    if not isinstance(choice, dict):
        return ""
    delta = choice.get("delta")
    if not isinstance(delta, dict):
        return _first(choice, "text")
    calls = delta.get("tool_calls")
    said = [_first(delta, "content", "refusal", "reasoning_content")]
    for call in calls if isinstance(calls, list) else []:
        function = call.get("function") if isinstance(call, dict) else None
        if isinstance(function, dict):
            name = function.get("name")
            said.append((f"\n[{name}] " if name else "") + _first(function, "arguments"))
    return "".join(said)


def _first(holder: dict[str, Any], *names: str) -> str:
    return next((value for name in names if isinstance(value := holder.get(name), str)), "")
