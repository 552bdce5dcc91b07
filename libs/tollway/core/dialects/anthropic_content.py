"""Messages and content parts of a chat as Anthropic's turns and content blocks.

Owns the rules of Anthropic's turns: system text is no turn, tool results open a user turn, neighbours of one role are
one turn, blocks are never empty, reasoning opens its turn and is sent back with its signature or not at all.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Any

import msgspec

from tollway.core import chat
from tollway.core.errors import Code, TollwayError

_DATA_URL = re.compile(r"data:([\w.+-]+/[\w.+-]+)?((?:;[^;,]*)*),", re.IGNORECASE)
_IMAGE_TYPES = ("image/jpeg", "image/png", "image/gif", "image/webp")
_NOT_IN_ID = re.compile(r"[^a-zA-Z0-9_-]")

Blocks = list[dict[str, Any]]


def _invalid(param: str, message: str) -> TollwayError:
    return TollwayError(Code.INVALID_REQUEST, message, param=param)


def _unsupported(param: str, message: str) -> TollwayError:
    return TollwayError(Code.UNSUPPORTED_PARAMETER, message, param=param)


def system_blocks(messages: tuple[chat.Message, ...]) -> Blocks:
    """The text of all system messages, in order: Anthropic keeps them beside the turns."""
    blocks: Blocks = []
    for message in messages:
        if message.role is chat.Role.SYSTEM:
            for part in message.parts:
                if not isinstance(part, chat.Text):
                    raise _invalid(f"{message.path}.content", "A system message holds text only.")
            blocks.extend(content_blocks(message))
    return blocks


def turns(messages: tuple[chat.Message, ...]) -> list[dict[str, Any]]:
    """The user and assistant turns. Raises TollwayError(invalid_request) when nothing is left to answer."""
    written: list[dict[str, Any]] = []
    for message in messages:
        if message.role is chat.Role.SYSTEM:
            continue
        role = "assistant" if message.role is chat.Role.ASSISTANT else "user"
        blocks = _tool_result(message) if message.role is chat.Role.TOOL else content_blocks(message)
        blocks += [_tool_use(call) for call in message.tool_calls]
        if not blocks:
            continue
        if written and written[-1]["role"] == role:
            written[-1]["content"] += blocks
        else:
            written.append({"role": role, "content": blocks})
    if not written:
        raise _invalid("messages", "This model needs at least one user message that is not empty.")
    for turn in written:
        # Results answer the calls of the turn before; the API wants them ahead of any text. The sort is stable.
        turn["content"].sort(key=lambda block: block["type"] != "tool_result")
    last = written[-1]
    if last["role"] == "assistant" and last["content"][-1]["type"] == "text":
        _trim_prefill(last["content"])
    return written


def _trim_prefill(blocks: Blocks) -> None:
    """Anthropic refuses a prefilled answer that ends in white space, and an empty text block."""
    text = blocks[-1]["text"].rstrip()
    if text:
        blocks[-1]["text"] = text
    elif len(blocks) > 1:
        blocks.pop()
    else:
        raise _invalid("messages", "The last message is an empty assistant message. Leave it out.")


def has_unsigned_thinking(messages: tuple[chat.Message, ...]) -> bool:
    """Whether there is reasoning that Anthropic did not sign and so does not take back."""
    return any(
        isinstance(part, chat.Thinking) and not part.signature and bool(part.text)
        for message in messages
        for part in message.parts
    )


def _thoughts(message: chat.Message) -> Blocks:
    """The reasoning that Anthropic signed or sealed, as it gave it."""
    if message.role is not chat.Role.ASSISTANT:
        return []
    blocks: Blocks = []
    for part in message.parts:
        if isinstance(part, chat.Thinking) and part.signature:
            blocks.append({"type": "thinking", "thinking": part.text, "signature": part.signature})
        elif isinstance(part, chat.RedactedThinking):
            blocks.append({"type": "redacted_thinking", "data": part.data})
    return blocks


def content_blocks(message: chat.Message) -> Blocks:
    """The content of one message; empty text, which the API refuses, is left out."""
    blocks = _thoughts(message)
    for part in message.parts:
        match part:
            case chat.Text():
                if part.text:
                    blocks.append(_marked({"type": "text", "text": part.text}, part.cache_control))
            case chat.Refusal():
                if part.text:
                    blocks.append({"type": "text", "text": part.text})
            case chat.Image():
                blocks.append(_marked({"type": "image", "source": _image(part)}, part.cache_control))
            case chat.File():
                blocks.append(_marked(_document(part), part.cache_control))
            case chat.Audio():
                raise _unsupported(part.path, "This model takes no audio. Send text, images or documents.")
    return blocks


def _marked(block: dict[str, Any], cache_control: dict[str, Any] | None) -> dict[str, Any]:
    if cache_control is not None:
        block["cache_control"] = cache_control
    return block


def _identifier(call_id: str) -> str:
    """Anthropic takes letters, digits, - and _ alone; ids of other providers, in a chat that moved here, have more."""
    return _NOT_IN_ID.sub("_", call_id)


def _tool_use(call: chat.ToolCall) -> dict[str, Any]:
    """A call; arguments that are no JSON object (a model was cut short) travel as text, as in the other direction."""
    try:
        arguments = msgspec.json.decode(call.arguments) if call.arguments.strip() else {}
    except (ValueError, RecursionError):
        arguments = None
    if not isinstance(arguments, dict):
        arguments = {"_invalid_arguments": call.arguments}
    return {"type": "tool_use", "id": _identifier(call.id), "name": call.name, "input": arguments}


def _tool_result(message: chat.Message) -> Blocks:
    result: dict[str, Any] = {"type": "tool_result", "tool_use_id": _identifier(message.tool_call_id or "")}
    blocks = content_blocks(message)
    if blocks:
        result["content"] = blocks
    if message.is_error:
        result["is_error"] = True
    return [result]


def _split_data_url(url: str, param: str) -> tuple[str, str, bool]:
    """(media type in lower case, data, whether it is base64) of a data URL (RFC 2397)."""
    found = _DATA_URL.match(url)
    if found is None:
        raise _invalid(param, f"Invalid '{param}': not a valid data URL. Write data:<media type>;base64,<data>.")
    return (found[1] or "text/plain").lower(), url[found.end() :], ";base64" in found[2].lower()


def _image(part: chat.Image) -> dict[str, Any]:
    if part.url[:5].lower() != "data:":
        return {"type": "url", "url": part.url}
    media_type, data, encoded = _split_data_url(part.url, part.path)
    media_type = "image/jpeg" if media_type == "image/jpg" else media_type
    if media_type not in _IMAGE_TYPES or not encoded:
        known = ", ".join(_IMAGE_TYPES)
        raise _invalid(part.path, f"Invalid '{part.path}': expected a base64 data URL of one of {known}.")
    return {"type": "base64", "media_type": media_type, "data": data}


def _document(part: chat.File) -> dict[str, Any]:
    if part.data is None:
        message = "Files kept by a provider are not available for this model. Send the file's content in 'file_data'."
        raise _unsupported(f"{part.path}.file_id", message)
    param = f"{part.path}.file_data"
    if part.data[:8].lower().startswith(("http://", "https://")):
        source = {"type": "url", "url": part.data}
    elif part.data[:5].lower() == "data:":
        source = _document_source(*_split_data_url(part.data, param), param)
    else:
        source = {"type": "base64", "media_type": "application/pdf", "data": part.data}
    document: dict[str, Any] = {"type": "document", "source": source}
    if part.filename:
        document["title"] = part.filename
    return document


def _document_source(media_type: str, data: str, encoded: bool, param: str) -> dict[str, Any]:
    if media_type == "application/pdf" and encoded:
        return {"type": "base64", "media_type": media_type, "data": data}
    if not media_type.startswith("text/") or not encoded:
        message = f"Invalid '{param}': expected a base64 data URL of application/pdf or a text type, got {media_type}."
        raise _invalid(param, message)
    try:
        text = base64.b64decode(data, validate=True).decode("utf-8")
    except (binascii.Error, ValueError):
        raise _invalid(param, f"Invalid '{param}': not UTF-8 text in base64.") from None
    return {"type": "text", "media_type": "text/plain", "data": text}
