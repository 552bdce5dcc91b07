"""What a request of either dialect holds, whatever its words: texts, images, tools, calls and results.

Owns the reading alone, so that what a client asked and what arrived at a provider can be compared. It uses no code of
the product.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any

_STEP = re.compile(r"[^.\[\]]+")


@dataclass
class Contents:
    """`texts` are in the order of the request, results of tools among them. `tools` are parameters by name, `calls`
    names with arguments, `answered` ids of calls by what was returned. Images are URLs; `schema` is the answer's.
    """

    texts: list[str] = field(default_factory=list)
    images: list[str] = field(default_factory=list)
    tools: dict[str, dict[str, Any]] = field(default_factory=dict)
    descriptions: dict[str, str] = field(default_factory=dict)
    calls: list[tuple[str, str, Any]] = field(default_factory=list)
    results: list[str] = field(default_factory=list)
    schema: dict[str, Any] | None = None


def contents_of_messages(body: dict[str, Any]) -> Contents:
    """Of a request of Anthropic's."""
    found = Contents()
    _blocks(body.get("system") or [], found)
    for turn in body["messages"]:
        _blocks(turn["content"], found)
    for tool in body.get("tools") or ():
        found.tools[tool["name"]] = tool["input_schema"]
        found.descriptions[tool["name"]] = tool.get("description") or ""
    found.schema = ((body.get("output_config") or {}).get("format") or {}).get("schema")
    return found


def _blocks(content: Any, found: Contents) -> None:
    for block in _listed(content):
        match block["type"]:
            case "text":
                found.texts.append(block["text"])
            case "image":
                source = block["source"]
                url = source.get("url") or f"data:{source['media_type']};base64,{source['data']}"
                found.images.append(url)
            case "tool_use":
                found.calls.append((block["id"], block["name"], block["input"]))
            case "tool_result":
                found.results.append(block["tool_use_id"])
                _blocks(block.get("content") or [], found)


def _listed(content: Any) -> list[dict[str, Any]]:
    """The parts of a content that is text or parts."""
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def contents_of_chat(body: dict[str, Any]) -> Contents:
    """Of a request of OpenAI's chat completions."""
    found = Contents()
    for message in body["messages"]:
        if message["role"] == "tool":
            found.results.append(message["tool_call_id"])
        for part in _listed(message.get("content") or []):
            if part["type"] == "text":
                found.texts.append(part["text"])
            elif part["type"] == "image_url":
                found.images.append(part["image_url"]["url"])
        for call in message.get("tool_calls") or ():
            function = call["function"]
            found.calls.append((call["id"], function["name"], json.loads(function["arguments"])))
    for tool in body.get("tools") or ():
        function = tool["function"]
        found.tools[function["name"]] = function["parameters"]
        found.descriptions[function["name"]] = function.get("description") or ""
    found.schema = ((body.get("response_format") or {}).get("json_schema") or {}).get("schema")
    return found


def has_field(body: Any, path: str) -> bool:
    """Whether the request has a field of this path (`messages[0].content`); a list without an index is any item."""
    steps: list[str] = _STEP.findall(path)
    return _has(body, steps)


def _has(value: Any, steps: list[str]) -> bool:
    if not steps:
        return True
    step, rest = steps[0], steps[1:]
    if isinstance(value, list):
        if step.isdigit():
            return int(step) < len(value) and _has(value[int(step)], rest)
        return any(_has(item, steps) for item in value)
    return isinstance(value, dict) and step in value and _has(value[step], rest)
