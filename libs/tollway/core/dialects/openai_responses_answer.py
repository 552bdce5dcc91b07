"""The OpenAI Responses view of an answer that another dialect gave: the response object and its output items.

Owns their shapes, and what a response repeats of its request. Sources: `Response` and `OutputItem` of OpenAI's API
description. Reasoning is shown as the text of a reasoning item; its signature travels in `encrypted_content`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
from msgspec import Raw

from tollway.core import chat
from tollway.core.dialects.openai_responses_sealed import seal_redacted, seal_signature
from tollway.core.dialects.openai_responses_usage import write_usage
from tollway.core.usage import Usage

OWN_ID = re.compile(r"(msg|fc|rs)_tw")
"""What ids of items that the gateway made begin with; no provider knows them."""

_encode = msgspec.json.Encoder().encode
_TOOLS = msgspec.json.Decoder(list[dict[str, Raw]])
_FIELDS = msgspec.json.Decoder(dict[str, Raw])
_PLAIN_TEXT = Raw(b'{"type":"text"}')
# What OpenAI says for a field that the client left out.
_DEFAULTS: Mapping[str, Any] = {
    "instructions": None,
    "max_output_tokens": None,
    "parallel_tool_calls": True,
    "previous_response_id": None,
    "reasoning": {"effort": None, "summary": None},
    "store": True,
    "temperature": 1.0,
    "tool_choice": "auto",
    "top_logprobs": 0,
    "top_p": 1.0,
    "truncation": "disabled",
    "metadata": {},
}
_ECHOED = (
    "max_tool_calls",
    "prompt_cache_key",
    "prompt_cache_retention",
    "safety_identifier",
    "service_tier",
    "user",
)
_REASONS = {chat.Finish.LENGTH: "max_output_tokens", chat.Finish.CONTENT_FILTER: "content_filter"}

Item = dict[str, Any]


def whole(text: str) -> str:
    """The text as UTF-8 can carry it: halves of surrogate pairs, which some providers let through, are replaced."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def item_id(kind: str, response_id: str, index: int) -> str:
    """The id of output item `index`; `kind` is `msg`, `fc` or `rs`."""
    return f"{kind}_tw{response_id.removeprefix('resp_')}_{index}"


def call_id(given: str, response_id: str, index: int) -> str:
    """The id that the tool's output will name; one is made where the provider gave none."""
    return whole(given) or f"call_tw{response_id.removeprefix('resp_')}_{index}"


def text_part(text: str) -> Item:
    """Text of a message."""
    return {"type": "output_text", "annotations": [], "logprobs": [], "text": text}


def reasoning_part(text: str) -> Item:
    """Reasoning as the model wrote it."""
    return {"type": "reasoning_text", "text": text}


def summary_part(text: str) -> Item:
    """Reasoning where the client asked for a summary: official clients show nothing else."""
    return {"type": "summary_text", "text": text}


def wants_summary(fields: Mapping[str, Raw]) -> bool:
    """Whether the request asks for a summary of the reasoning (`reasoning.summary`, once `generate_summary`)."""
    raw = fields.get("reasoning")
    if raw is None or bytes(raw) == b"null":
        return False
    asked = _FIELDS.decode(raw)
    return any(bytes(asked.get(name, b"null")) != b"null" for name in ("summary", "generate_summary"))


def refusal_part(text: str) -> Item:
    """A refusal in a message."""
    return {"type": "refusal", "refusal": text}


def message_item(name: str, content: list[Item], status: str) -> Item:
    """A message of the assistant; `status` is in_progress, completed or incomplete, here and below."""
    return {"id": name, "type": "message", "status": status, "role": "assistant", "content": content}


def reasoning_item(name: str, text: str, encrypted: str | None, *, summarised: bool) -> Item:
    """Reasoning; without text the model kept it to itself. `summarised`: it is shown as a summary, not as content."""
    item: Item = {"id": name, "type": "reasoning", "summary": []}
    if text and summarised:
        item["summary"] = [summary_part(text)]
    elif text:
        item["content"] = [reasoning_part(text)]
    if encrypted is not None:
        item["encrypted_content"] = encrypted
    return item


def call_item(name: str, call: chat.ToolCall, status: str) -> Item:
    """A call of a function, whose `id` is what the output is to name."""
    return {
        "id": name,
        "type": "function_call",
        "status": status,
        "arguments": call.arguments,
        "call_id": call.id,
        "name": call.name,
    }


def frame(fields: Mapping[str, Raw], *, response_id: str, created: int, model: str) -> dict[str, Any]:
    """A response object in progress, which repeats the fields of its request as OpenAI does."""
    given = {name: raw for name, raw in fields.items() if bytes(raw) != b"null"}
    body: dict[str, Any] = {
        "id": response_id,
        "object": "response",
        "created_at": created,
        "status": "in_progress",
        "background": False,
        "error": None,
        "incomplete_details": None,
        "model": whole(model),
        "output": [],
    }
    body |= {name: given.get(name, default) for name, default in _DEFAULTS.items()}
    body |= {name: given[name] for name in _ECHOED if name in given}
    text = _FIELDS.decode(given["text"]) if "text" in given else {}
    body["text"] = {"format": _PLAIN_TEXT} | {name: raw for name, raw in text.items() if bytes(raw) != b"null"}
    tools = _TOOLS.decode(given["tools"]) if "tools" in given else []
    body["tools"] = [{"strict": False, "parameters": None} | tool for tool in tools]
    return body


def finished(started: dict[str, Any], finish: chat.Finish, output: list[Any], usage: Usage | None) -> dict[str, Any]:
    """The response object at its end; without a usage object when the provider told no usage."""
    reason = _REASONS.get(finish)
    body = started | {"status": "incomplete" if reason else "completed", "output": output}
    if reason:
        body["incomplete_details"] = {"reason": reason}
    if usage is not None:
        body["usage"] = write_usage(usage)
    return body


def last_status(finish: chat.Finish) -> str:
    """The status of the last item: the one that was cut short, if any was."""
    return "incomplete" if finish in _REASONS else "completed"


def _runs(blocks: tuple[chat.Block, ...]) -> Iterator[chat.Block]:
    """The blocks without empty ones; texts in a row are one, so are refusals, and reasoning up to its signature."""
    pieces: list[str] = []
    open_kind: type[chat.Text | chat.Refusal | chat.Thinking] | None = None
    for block in blocks:
        if isinstance(block, chat.ToolCall | chat.RedactedThinking):
            kind, signature = None, None
        else:
            kind, signature = type(block), block.signature if isinstance(block, chat.Thinking) else None
            if not block.text and not signature:
                continue
        if open_kind is not None and kind is not open_kind:
            yield open_kind("".join(pieces))
            pieces = []
        open_kind = kind
        if isinstance(block, chat.ToolCall | chat.RedactedThinking):
            yield block
            continue
        pieces.append(whole(block.text))
        if signature:
            yield chat.Thinking("".join(pieces), signature)
            pieces, open_kind = [], None
    if open_kind is not None:
        yield open_kind("".join(pieces))


def output_items(
    blocks: tuple[chat.Block, ...], finish: chat.Finish, response_id: str, *, summarised: bool = False
) -> list[Item]:
    """The output items: text and refusals in a row are one message, reasoning up to its signature is one item."""
    items: list[Item] = []
    for block in _runs(blocks):
        index = len(items)
        match block:
            case chat.Thinking(text, signature):
                encrypted = seal_signature(signature, text) if signature else None
                name = item_id("rs", response_id, index)
                items.append(reasoning_item(name, text, encrypted, summarised=summarised))
            case chat.RedactedThinking(data):
                name = item_id("rs", response_id, index)
                items.append(reasoning_item(name, "", seal_redacted(data), summarised=summarised))
            case chat.ToolCall(given, called, arguments):
                call = chat.ToolCall(call_id(given, response_id, index), whole(called), whole(arguments) or "{}")
                items.append(call_item(item_id("fc", response_id, index), call, "completed"))
            case chat.Text(text) | chat.Refusal(text):
                if not items or items[-1]["type"] != "message":
                    items.append(message_item(item_id("msg", response_id, index), [], "completed"))
                part = text_part(text) if isinstance(block, chat.Text) else refusal_part(text)
                items[-1]["content"].append(part)
    if items and "status" in items[-1]:
        items[-1]["status"] = last_status(finish)
    return items


def write_answer(answer: chat.Answer, fields: Mapping[str, Raw], *, response_id: str, created: int) -> bytes:
    """A whole response object for the request with these top-level `fields`; `created` is Unix seconds.

    The request must have been read by `read_request`, which vouches for the shapes of its fields.
    """
    started = frame(fields, response_id=response_id, created=created, model=answer.model)
    output = output_items(answer.blocks, answer.finish, response_id, summarised=wants_summary(fields))
    return _encode(finished(started, answer.finish, output, answer.usage))
