"""Messages of a chat as those of OpenAI's chat completions, for services of that dialect.

Owns the shapes that all such services take: plain strings wherever there is only text, results of tools as text, and
what else a tool returned in a user message behind the run of results.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from typing import Any

from tollway.core import chat
from tollway.core.dialects.openai_habits import ChatHabits
from tollway.core.errors import Code, TollwayError

_TEXT_URL = re.compile(r"data:text/[\w.+-]+(?:;[^;,]*)*?(;base64)?,", re.IGNORECASE)
_ALPHANUMERIC = re.compile(r"[a-zA-Z0-9]+")
_BETWEEN = "\n\n"

Written = list[dict[str, Any]]


def _invalid(param: str, message: str) -> TollwayError:
    return TollwayError(Code.INVALID_REQUEST, message, param=param)


def _unsupported(param: str, message: str) -> TollwayError:
    return TollwayError(Code.UNSUPPORTED_PARAMETER, message, param=param)


def write_messages(messages: tuple[chat.Message, ...], habits: ChatHabits) -> Written:
    """All messages. Raises TollwayError(invalid_request | unsupported_parameter) that names the field."""
    written: Written = []
    carried: Written = []  # parts that tools returned and that a tool's message cannot hold
    for message in messages:
        if message.role is chat.Role.TOOL:
            written.append(_tool_result(message, habits, carried))
            continue
        user = message.role is chat.Role.USER
        if carried and not user:
            written.append({"role": "user", "content": carried})
            carried = []
        if user:
            written.append(_user(message, habits, carried))
            carried = []
        elif message.role is chat.Role.SYSTEM:
            written.append(_named(message, {"role": "system", "content": _texts_alone(message, habits)}, habits))
        else:
            written.extend(_assistant(message, habits))
    if carried:
        written.append({"role": "user", "content": carried})
    if not written:
        raise _invalid("messages", "This model needs at least one message that is not empty.")
    return written


def _named(message: chat.Message, written: dict[str, Any], habits: ChatHabits) -> dict[str, Any]:
    if message.name and habits.names:
        written["name"] = message.name
    return written


def _user(message: chat.Message, habits: ChatHabits, before: Written) -> dict[str, Any]:
    """`before` are parts to put first, so that no two user messages follow each other."""
    plain = all(isinstance(part, chat.Text) for part in message.parts)
    if plain and not before and not _marked_parts(message, habits):
        return _named(message, {"role": "user", "content": _joined(message.parts)}, habits)
    parts = [*before, *(_part(part, message.path, habits) for part in message.parts)]
    return _named(message, {"role": "user", "content": parts}, habits)


def _marked_parts(message: chat.Message, habits: ChatHabits) -> bool:
    """Whether a mark for caching is to be kept, which only parts can bear."""
    return habits.cache_control and any(getattr(part, "cache_control", None) for part in message.parts)


def _joined(parts: tuple[chat.Part, ...], between: str = _BETWEEN) -> str:
    return between.join(part.text for part in parts if isinstance(part, chat.Text))


def _texts_alone(message: chat.Message, habits: ChatHabits) -> str | Written:
    """The content of a system message."""
    for part in message.parts:
        if not isinstance(part, chat.Text):
            raise _invalid(f"{message.path}.content", "A system message holds text only.")
    if _marked_parts(message, habits):
        return [_part(part, message.path, habits) for part in message.parts]
    return _joined(message.parts)


def _assistant(message: chat.Message, habits: ChatHabits) -> Written:
    """No message when nothing is left of it: reasoning that the service does not take back, say."""
    texts: list[str] = []
    refusals: list[str] = []
    thoughts: list[str] = []
    for part in message.parts:
        match part:
            case chat.Text(text):
                texts.append(text)
            case chat.Refusal(text):
                (refusals if habits.refusals else texts).append(text)
            case chat.Thinking(text):
                thoughts.append(text)
            case chat.RedactedThinking():
                continue  # another provider's secret
            case _:
                raise _invalid(f"{message.path}.content", "An assistant message holds text and tool calls only.")
    reasoning = "".join(thoughts) if habits.reasoning_field else ""
    if message.parts and not (texts or refusals or reasoning or message.tool_calls):
        return []
    content: str | None = "".join(texts) if texts or not (message.tool_calls or refusals) else None
    written = _named(message, {"role": "assistant", "content": content}, habits)
    if refusals:
        written["refusal"] = "".join(refusals)
    if reasoning and habits.reasoning_field:
        written[habits.reasoning_field] = reasoning
    if message.tool_calls:
        written["tool_calls"] = [_call(call, habits) for call in message.tool_calls]
    return [written]


def _call(call: chat.ToolCall, habits: ChatHabits) -> dict[str, Any]:
    arguments = call.arguments if call.arguments.strip() else "{}"
    function = {"name": call.name, "arguments": arguments}
    return {"id": _call_id(call.id, habits), "type": "function", "function": function}


def _call_id(call_id: str, habits: ChatHabits) -> str:
    """The id, or one made from it where the service takes no such ids: a chat may have begun at another provider."""
    length = habits.call_id_length
    if length is None:
        return call_id
    if habits.call_id_exact:
        fits = len(call_id) == length and _ALPHANUMERIC.fullmatch(call_id) is not None
    else:
        fits = len(call_id) <= length
    return call_id if fits else hashlib.sha256(call_id.encode("utf-8", "replace")).hexdigest()[:length]


def _tool_result(message: chat.Message, habits: ChatHabits, carried: Written) -> dict[str, Any]:
    """The result as text; images and documents are added to `carried`, headed by the call that they answer."""
    call_id = _call_id(message.tool_call_id or "", habits)
    other = [
        _part(part, message.path, habits) for part in message.parts if not isinstance(part, chat.Text | chat.Refusal)
    ]
    text = _BETWEEN.join(part.text for part in message.parts if isinstance(part, chat.Text | chat.Refusal))
    if other:
        carried.append({"type": "text", "text": f"Content that the tool call {call_id} returned:"})
        carried.extend(other)
        text = text or "The content that this call returned follows in the next message."
    return {"role": "tool", "tool_call_id": call_id, "content": text}


def _part(part: chat.Part, path: str, habits: ChatHabits) -> dict[str, Any]:
    written: dict[str, Any]
    match part:
        case chat.Text(text):
            written = {"type": "text", "text": text}
        case chat.Image():
            image: dict[str, Any] = {"url": part.url}
            if part.detail is not None:
                image["detail"] = part.detail
            written = {"type": "image_url", "image_url": image}
        case chat.File():
            written = _document(part, habits)
        case chat.Audio():
            return {"type": "input_audio", "input_audio": {"data": part.data, "format": part.format}}
        case _:
            raise _invalid(f"{path}.content", "Reasoning and refusals are parts of assistant messages only.")
    if habits.cache_control and part.cache_control is not None:
        written["cache_control"] = part.cache_control
    return written


def _document(part: chat.File, habits: ChatHabits) -> dict[str, Any]:
    """A document of text becomes text, which every model reads; others are file parts where the service knows them."""
    param = f"{part.path}.file_data"
    if part.data is None:
        message = "Files kept by a provider are not available for this model. Send the file's content in 'file_data'."
        raise _unsupported(f"{part.path}.file_id", message)
    found = _TEXT_URL.match(part.data[:256])
    if found and found[1]:
        try:
            text = base64.b64decode(part.data[found.end() :], validate=True).decode("utf-8")
        except (binascii.Error, ValueError):
            raise _invalid(param, f"Invalid '{param}': not UTF-8 text in base64.") from None
        return {"type": "text", "text": f"{part.filename}:\n{text}" if part.filename else text}
    if part.data[:8].lower().startswith(("http://", "https://")):
        message = "Documents by URL are not available for this model. Send the document's content as a data: URL."
        raise _unsupported(param, message)
    if not habits.files:
        message = "Documents other than text are not available for this model. Send their text or images of the pages."
        raise _unsupported(param, message)
    data = part.data if part.data[:5].lower() == "data:" else f"data:application/pdf;base64,{part.data}"
    return {"type": "file", "file": {"filename": part.filename or "document.pdf", "file_data": data}}
