"""Input items of OpenAI's Responses API as messages of the neutral chat.

Owns types and shapes of items and content parts, and the rule that makes one turn of the items that a model wrote in a
row. Source: `InputItem` of OpenAI's API description.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
from msgspec import Raw

from tollway.core import chat
from tollway.core.dialects.head import invalid
from tollway.core.dialects.openai_responses_head import decode_at
from tollway.core.dialects.openai_responses_sealed import unseal
from tollway.core.errors import Code, TollwayError

_FILE_ID = "Files kept by a provider are not available. Send the content itself"


class _Kind(msgspec.Struct):
    type: str | None = None
    role: Any = None


class _InputAudio(msgspec.Struct):
    data: str
    format: str = ""


class _Part(msgspec.Struct):
    type: str
    text: str | None = None
    refusal: str | None = None
    image_url: str | None = None
    detail: str | None = None
    file_id: str | None = None
    file_data: str | None = None
    file_url: str | None = None
    filename: str | None = None
    input_audio: _InputAudio | None = None
    cache_control: dict[str, Any] | None = None


class _Message(msgspec.Struct):
    role: str
    content: str | list[_Part]


class _Call(msgspec.Struct):
    call_id: str
    name: str
    arguments: str = ""


class _CallOutput(msgspec.Struct):
    call_id: str
    output: str | list[_Part]


class _Thought(msgspec.Struct):
    text: str = ""


class _Reasoning(msgspec.Struct):
    summary: list[_Thought] | None = None
    content: list[_Thought] | None = None
    encrypted_content: str | None = None


_KIND = msgspec.json.Decoder(_Kind)
_MESSAGE = msgspec.json.Decoder(_Message)
_CALL = msgspec.json.Decoder(_Call)
_CALL_OUTPUT = msgspec.json.Decoder(_CallOutput)
_REASONING = msgspec.json.Decoder(_Reasoning)
_ROLES = {
    "system": chat.Role.SYSTEM,
    "developer": chat.Role.SYSTEM,
    "user": chat.Role.USER,
    "assistant": chat.Role.ASSISTANT,
}


def _unsupported(param: str, message: str) -> TollwayError:
    return TollwayError(Code.UNSUPPORTED_PARAMETER, message, param=param)


class _Turns:
    """The messages so far, and the assistant's turn that is being gathered: what it wrote in a row is one message."""

    def __init__(self) -> None:
        self.messages: list[chat.Message] = []
        self._path: str | None = None
        self._parts: list[chat.Part] = []
        self._calls: list[chat.ToolCall] = []
        self._spoken = False

    def add(self, message: chat.Message) -> None:
        """A message of somebody else, which ends the turn."""
        self.end()
        self.messages.append(message)

    def think(self, thought: list[chat.Part], path: str) -> None:
        """Reasoning opens a message of its own after words, but never between calls, whose outputs must follow."""
        if self._spoken and not self._calls:
            self.end()
        self._path = self._path or path
        self._parts += thought

    def speak(self, words: tuple[chat.Part, ...], path: str) -> None:
        """Words of the assistant; two messages in a row stay two."""
        self.think(list(words), path)
        self._spoken = True

    def call(self, call: chat.ToolCall, path: str) -> None:
        """A call joins the message before it."""
        self._path = self._path or path
        self._calls.append(call)

    def end(self) -> None:
        """The turn is over; one of nothing but reasoning that cannot be used leaves no message."""
        if self._path is not None and (self._parts or self._calls or self._spoken):
            parts, calls = tuple(self._parts), tuple(self._calls)
            message = chat.Message(role=chat.Role.ASSISTANT, path=self._path, parts=parts, tool_calls=calls)
            self.messages.append(message)
        self._path, self._parts, self._calls, self._spoken = None, [], [], False


def read_items(items: Sequence[tuple[Raw, str]]) -> list[chat.Message]:
    """The messages that the items amount to; each item comes with the name of its place in the request.

    Raises TollwayError(invalid_request | unsupported_parameter) naming the field.
    """
    turns = _Turns()
    for raw, path in items:
        kind = decode_at(_KIND, raw, path)
        match kind.type or ("message" if kind.role is not None else "item_reference"):
            case "message":
                message = _message(decode_at(_MESSAGE, raw, path), path)
                if message.role is chat.Role.ASSISTANT:
                    turns.speak(message.parts, path)
                else:
                    turns.add(message)
            case "reasoning":
                turns.think(_reasoning(decode_at(_REASONING, raw, path)), path)
            case "function_call":
                call = decode_at(_CALL, raw, path)
                turns.call(chat.ToolCall(call.call_id, call.name, call.arguments), path)
            case "function_call_output":
                turns.add(_tool_message(decode_at(_CALL_OUTPUT, raw, path), path))
            case other:
                raise _unsupported(
                    f"{path}.type",
                    f"Input items of type '{other}' are not available for this model. "
                    "Use message, reasoning, function_call or function_call_output.",
                )
    turns.end()
    return turns.messages


def _reasoning(item: _Reasoning) -> list[chat.Part]:
    """The text that the model thought, else its summary; what only its own provider can decrypt is left out."""
    text = "".join(thought.text for thought in item.content or item.summary or ())
    thinking = unseal(text, item.encrypted_content)
    return [] if thinking is None else [thinking]


def _message(item: _Message, path: str) -> chat.Message:
    role = _ROLES.get(item.role)
    if role is None:
        known = ", ".join(_ROLES)
        param = f"{path}.role"
        raise invalid(f"Invalid value for '{param}': '{item.role}'. Supported values are: {known}.", param)
    return chat.Message(role=role, path=path, parts=_parts(item.content, f"{path}.content"))


def _tool_message(item: _CallOutput, path: str) -> chat.Message:
    parts = _parts(item.output, f"{path}.output")
    return chat.Message(role=chat.Role.TOOL, path=path, parts=parts, tool_call_id=item.call_id)


def _parts(content: str | list[_Part], path: str) -> tuple[chat.Part, ...]:
    if isinstance(content, str):
        return (chat.Text(content),)
    return tuple(_part(part, f"{path}[{index}]") for index, part in enumerate(content))


def _part(part: _Part, path: str) -> chat.Part:
    cached = part.cache_control
    wanted = part.type
    match part.type:
        case "input_text" | "output_text" | "text":
            wanted = "text"
            if part.text is not None:
                return chat.Text(part.text, cached)
        case "refusal":
            if part.refusal is not None:
                return chat.Refusal(part.refusal)
        case "input_image":
            wanted = "image_url"
            if part.image_url:
                return chat.Image(part.image_url, f"{path}.image_url", cached, part.detail)
            if part.file_id:
                raise _unsupported(f"{path}.file_id", f"{_FILE_ID} in 'image_url'.")
        case "input_file":
            wanted = "file_data"
            data = part.file_data or part.file_url
            if data:
                return chat.File(path, data, None, part.filename, cached)
            if part.file_id:
                raise _unsupported(f"{path}.file_id", f"{_FILE_ID} in 'file_data'.")
        case "input_audio":
            if part.input_audio is not None:
                return chat.Audio(part.input_audio.data, part.input_audio.format, path)
        case _:
            message = f"Content of type '{part.type}' is not available. Use input_text, input_image or input_file."
            raise _unsupported(f"{path}.type", message)
    raise invalid(f"Missing required parameter: '{path}.{wanted}'.", f"{path}.{wanted}")
