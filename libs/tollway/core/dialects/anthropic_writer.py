"""The Anthropic view of an answer that another dialect gave: a whole message.

Owns what both views, whole and streamed (`anthropic_stream_writer`), have in common: ids, stop reasons, JSON. Shape:
`Message` of Anthropic's API. Visible reasoning is a thinking block; without a signature of the provider it has an empty
one, as the field is required.
"""

from __future__ import annotations

import json
from typing import Any

import msgspec

from tollway.core import chat
from tollway.core.dialects.anthropic_usage import write_usage

INVALID_ARGUMENTS = "_invalid_arguments"
"""The field of a tool's input that holds, as text, arguments of a whole answer that are no JSON object."""

_REASONS = {
    chat.Finish.STOP: "end_turn",
    chat.Finish.LENGTH: "max_tokens",
    chat.Finish.TOOL_CALLS: "tool_use",
    chat.Finish.CONTENT_FILTER: "refusal",
}
_PREFIX = "msg_"
_encode = msgspec.json.Encoder().encode


def _loads(raw: msgspec.Raw) -> Any:
    return json.loads(bytes(raw))


def json_of(value: Any) -> bytes:
    """JSON text without line ends. Lone surrogates, which JSON can escape but UTF-8 cannot hold, stay escaped."""
    try:
        return _encode(value)
    except UnicodeEncodeError:
        return json.dumps(value, separators=(",", ":"), default=_loads).encode()


def message_id(given: str) -> str:
    """The id of a message: the provider's, with the prefix by which Anthropic's clients know one."""
    return given if given.startswith(_PREFIX) else _PREFIX + given


def call_id(given: str, message: str, index: int) -> str:
    """The id of tool call `index` of a message; a provider that gave none has one made from the message's."""
    return given or f"toolu_{message.removeprefix(_PREFIX)}_{index}"


def stop_reason(finish: chat.Finish, stop_sequence: str | None, *, called: bool, refused: bool) -> str:
    """Why the answer ended, in Anthropic's words; `called`: it has tool calls, `refused`: it has a refusal.

    OpenAI's `stop` stands beside tool calls when the client named the tool, and beside refusals; Anthropic's clients
    go by the reason alone.
    """
    if finish is chat.Finish.STOP:
        if refused:
            return "refusal"
        if called:
            return "tool_use"
        if stop_sequence is not None:
            return "stop_sequence"
    return _REASONS[finish]


def write_answer(answer: chat.Answer) -> bytes:
    """A whole `message` body.

    A refusal is a text block. Arguments of a tool call that are no JSON object, as of an answer that was cut short, are
    given as text in the field `_invalid_arguments` of the input, so that nothing is lost.
    """
    name = message_id(answer.id)
    content: list[dict[str, Any]] = []
    calls = 0
    for block in answer.blocks:
        match block:
            case chat.Text(text) | chat.Refusal(text):
                content.append({"type": "text", "text": text})
            case chat.Thinking(text, signature):
                content.append({"type": "thinking", "thinking": text, "signature": signature or ""})
            case chat.RedactedThinking(data):
                content.append({"type": "redacted_thinking", "data": data})
            case chat.ToolCall():
                identifier = call_id(block.id, name, calls)
                calls += 1
                content.append(
                    {"type": "tool_use", "id": identifier, "name": block.name, "input": _input(block.arguments)}
                )
    refused = any(isinstance(block, chat.Refusal) for block in answer.blocks)
    reason = stop_reason(answer.finish, answer.stop_sequence, called=calls > 0, refused=refused)
    return json_of(
        {
            "id": name,
            "type": "message",
            "role": "assistant",
            "model": answer.model,
            "content": content,
            "stop_reason": reason,
            "stop_sequence": answer.stop_sequence if reason == "stop_sequence" else None,
            "usage": write_usage(answer.usage),
        }
    )


def _input(arguments: str) -> msgspec.Raw | dict[str, str]:
    """The input of a tool: the text of the arguments where it is JSON, so that numbers stay as they were written."""
    if not arguments.strip():
        return {}
    try:
        text = arguments.encode()
        value = msgspec.json.decode(text)
    except (ValueError, RecursionError):  # the errors of msgspec and of encoding are ValueErrors
        value = None
    return msgspec.Raw(text) if isinstance(value, dict) else {INVALID_ARGUMENTS: arguments}
