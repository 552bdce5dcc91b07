"""Turns and content blocks of a Messages request, read into the neutral chat.

Owns what each kind of block means to a provider that has no such block: a document of plain text and a search result
are text, a tool's result is a message of its own. What only Anthropic can act on (files it keeps, tools it runs) is
refused; what is lost without changing the meaning is listed in `Turns.lost`.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec

from tollway.core import chat
from tollway.core.dialects.head import invalid, kind_of
from tollway.core.errors import Code, TollwayError

_WHERE = re.compile(r"(.*) - at `(?:key in )?\$\.?(.*)`$", re.DOTALL)
_HOSTED = "Blocks of type '{}' belong to tools that Anthropic runs and are not available for this model."
_KEPT = "Files kept by a provider are not available for this model. Send the file's content as base64."

_encode = msgspec.json.Encoder().encode


class Block(msgspec.Struct):
    """A content block of any kind; which fields it must have is for its kind to say."""

    type: str
    text: str | None = None
    source: Any = None
    title: str | None = None
    context: str | None = None
    citations: Any = None
    content: Any = None
    thinking: str | None = None
    signature: str | None = None
    data: str | None = None
    id: str | None = None
    name: str | None = None
    input: Any = None
    tool_use_id: str | None = None
    is_error: bool | None = None
    cache_control: dict[str, Any] | None = None


class Message(msgspec.Struct):
    """One turn."""

    role: str
    content: str | list[Block]


class _Source(msgspec.Struct):
    type: str
    media_type: str | None = None
    data: str | None = None
    url: str | None = None
    content: Any = None


def wrong_type(error: msgspec.ValidationError, prefix: str = "") -> TollwayError:
    """msgspec's "Expected `str`, got `int` - at `$.messages[0].content`" in words that name the field."""
    found = _WHERE.match(str(error))
    what, path = (found[1], found[2]) if found else (str(error), "")
    path = prefix + (path if path.startswith("[") or not prefix or not path else f".{path}")
    missing = re.match(r"Object missing required field `(.*)`", what)
    if missing:
        param = f"{path}.{missing[1]}" if path else missing[1]
        return invalid(f"Missing required parameter: '{param}'.", param)
    what = what[:1].lower() + what[1:]
    return invalid(f"Invalid value for '{path}': {what}.", path or None)


def unsupported(param: str, message: str) -> TollwayError:
    """The model's provider has no way to do what the field asks."""
    return TollwayError(Code.UNSUPPORTED_PARAMETER, message, param=param)


def _needed(value: str | None, path: str) -> str:
    if value is None:
        raise invalid(f"Missing required parameter: '{path}'.", path)
    return value


def _blocks(value: Any, path: str) -> list[Block]:
    """The blocks inside another block. Raises TollwayError(invalid_request)."""
    try:
        return msgspec.convert(value, list[Block])
    except msgspec.ValidationError as error:
        raise wrong_type(error, path) from None


class Turns:
    """The turns of one request as neutral messages. `lost` are the fields that had to be left behind."""

    def __init__(self) -> None:
        """A reader serves one request."""
        self.messages: list[chat.Message] = []
        self.lost: set[str] = set()

    def system(self, content: str | list[Block]) -> None:
        """The `system` field."""
        parts = self._text_only(content, "system")
        if parts:
            self.messages.append(chat.Message(role=chat.Role.SYSTEM, path="system", parts=parts))

    def turn(self, message: Message, path: str) -> None:
        """One of `messages`. Raises TollwayError(invalid_request | unsupported_parameter) naming the field."""
        match message.role:
            case "user":
                self._user(message.content, path)
            case "assistant":
                self._assistant(message.content, path)
            case "system":
                parts = self._text_only(message.content, f"{path}.content")
                self.messages.append(chat.Message(role=chat.Role.SYSTEM, path=path, parts=parts))
            case role:
                known = "user, assistant, system"
                message_text = f"Invalid value for '{path}.role': '{role}'. Supported values are: {known}."
                raise invalid(message_text, f"{path}.role")

    def _text_only(self, content: str | list[Block], path: str) -> tuple[chat.Part, ...]:
        if isinstance(content, str):
            return (chat.Text(content),) if content else ()
        parts: list[chat.Part] = []
        for index, block in enumerate(content):
            place = f"{path}[{index}]"
            if block.type != "text":
                raise invalid(f"Invalid value for '{place}.type': '{block.type}'. Expected text.", f"{place}.type")
            self._part(block, place, parts)
        return tuple(parts)

    def _user(self, content: str | list[Block], path: str) -> None:
        """Results of tools answer the turn before, so they come first; the rest is the user's own message."""
        if isinstance(content, str):
            text = chat.Text(content)
            self.messages.append(chat.Message(role=chat.Role.USER, path=path, parts=(text,)))
            return
        parts: list[chat.Part] = []
        results = 0
        for index, block in enumerate(content):
            place = f"{path}.content[{index}]"
            if block.type == "tool_result":
                self.messages.append(self._tool_result(block, place))
                results += 1
            else:
                self._part(block, place, parts)
        if parts or not results:
            self.messages.append(chat.Message(role=chat.Role.USER, path=path, parts=tuple(parts)))

    def _tool_result(self, block: Block, path: str) -> chat.Message:
        parts: list[chat.Part] = []
        if isinstance(block.content, str):
            parts.append(chat.Text(block.content))
        elif block.content is not None:
            for index, inner in enumerate(_blocks(block.content, f"{path}.content")):
                self._part(inner, f"{path}.content[{index}]", parts)
        if block.cache_control is not None:
            self._mark_last(parts, block.cache_control)
        return chat.Message(
            role=chat.Role.TOOL,
            path=path,
            parts=tuple(parts),
            tool_call_id=_needed(block.tool_use_id, f"{path}.tool_use_id"),
            is_error=bool(block.is_error),
        )

    def _mark_last(self, parts: list[chat.Part], mark: dict[str, Any]) -> None:
        """A mark on a group of parts ends the cached prefix after the last of them."""
        last = parts[-1] if parts else None
        if isinstance(last, chat.Text | chat.Image | chat.File):
            parts[-1] = msgspec.structs.replace(last, cache_control=last.cache_control or mark)
        else:
            self.lost.add("messages.content.cache_control")

    def _assistant(self, content: str | list[Block], path: str) -> None:
        """In the neutral chat the calls of a turn follow its other parts; among themselves all keep their order."""
        parts: list[chat.Part] = []
        calls: list[chat.ToolCall] = []
        if isinstance(content, str):
            parts.append(chat.Text(content))
            content = []
        for index, block in enumerate(content):
            place = f"{path}.content[{index}]"
            if block.type == "tool_use":
                calls.append(self._tool_use(block, place))
            elif block.type == "thinking":
                parts.append(chat.Thinking(_needed(block.thinking, f"{place}.thinking"), block.signature or None))
            elif block.type == "redacted_thinking":
                parts.append(chat.RedactedThinking(_needed(block.data, f"{place}.data")))
            else:
                self._part(block, place, parts)
        message = chat.Message(role=chat.Role.ASSISTANT, path=path, parts=tuple(parts), tool_calls=tuple(calls))
        self.messages.append(message)

    def _tool_use(self, block: Block, path: str) -> chat.ToolCall:
        if block.cache_control is not None:
            self.lost.add("messages.content.cache_control")
        call_id, name = _needed(block.id, f"{path}.id"), _needed(block.name, f"{path}.name")
        if not isinstance(block.input, dict):
            kind = kind_of(_encode(block.input))
            raise invalid(
                f"Invalid type for '{path}.input': expected an object, but got {kind} instead.", f"{path}.input"
            )
        return chat.ToolCall(call_id, name, _encode(block.input).decode())

    def _part(self, block: Block, path: str, parts: list[chat.Part]) -> None:
        """The neutral form of a block that may stand in any turn; a document of blocks is several parts."""
        mark = block.cache_control
        match block.type:
            case "text":
                if block.citations:
                    self.lost.add("messages.content.citations")
                parts.append(chat.Text(_needed(block.text, f"{path}.text"), mark))
            case "image":
                parts.append(chat.Image(self._image(block, path), f"{path}.source", mark))
            case "document":
                self._document(block, path, parts)
            case "search_result":
                texts = [_needed(inner.text, f"{path}.content") for inner in _blocks(block.content, f"{path}.content")]
                heading = [text for text in (block.title, block.source) if isinstance(text, str) and text]
                self._lose_citations(block)
                parts.append(chat.Text("\n".join([*heading, *texts]), mark))
            case "tool_use" | "tool_result" | "thinking" | "redacted_thinking":
                message = f"Invalid value for '{path}.type': a '{block.type}' block cannot stand here."
                raise invalid(message, f"{path}.type")
            case _:
                raise unsupported(f"{path}.type", _HOSTED.format(block.type))

    def _lose_citations(self, block: Block) -> None:
        if isinstance(block.citations, dict) and block.citations.get("enabled"):
            self.lost.add("messages.content.citations")

    def _source(self, block: Block, path: str) -> _Source:
        path = f"{path}.source"
        if block.source is None:
            raise invalid(f"Missing required parameter: '{path}'.", path)
        try:
            source = msgspec.convert(block.source, _Source)
        except msgspec.ValidationError as error:
            raise wrong_type(error, path) from None
        if source.type == "file":
            raise unsupported(f"{path}.file_id", _KEPT)
        return source

    def _image(self, block: Block, path: str) -> str:
        source = self._source(block, path)
        return _url_of(source, f"{path}.source", ("base64", "url"))

    def _document(self, block: Block, path: str, parts: list[chat.Part]) -> None:
        """A PDF is a file. Text is text, headed by its title and context, because few providers take files of text."""
        source = self._source(block, path)
        self._lose_citations(block)
        headings = [text for text in (block.title, block.context) if text]
        if source.type == "text":
            text = _needed(source.data, f"{path}.source.data")
            parts.append(chat.Text("\n".join([*headings, text]), block.cache_control))
            return
        if source.type == "content":
            inner: list[chat.Part] = [chat.Text(heading) for heading in headings]
            if isinstance(source.content, str):
                inner.append(chat.Text(source.content))
            else:
                place = f"{path}.source.content"
                for index, part in enumerate(_blocks(source.content, place)):
                    self._part(part, f"{place}[{index}]", inner)
            if block.cache_control is not None:
                self._mark_last(inner, block.cache_control)
            parts.extend(inner)
            return
        if block.context:
            parts.append(chat.Text(block.context))
        url = _url_of(source, f"{path}.source", ("base64", "content", "text", "url"))
        parts.append(chat.File(f"{path}.source", url, None, block.title, block.cache_control))


def _url_of(source: _Source, path: str, known: tuple[str, ...]) -> str:
    """The URL of a source that is one, or the data URL of one in base64."""
    if source.type == "url":
        return _needed(source.url, f"{path}.url")
    if source.type == "base64":
        media_type = _needed(source.media_type, f"{path}.media_type")
        return f"data:{media_type};base64,{_needed(source.data, f'{path}.data')}"
    names = ", ".join(known)
    raise invalid(f"Invalid value for '{path}.type': '{source.type}'. Supported values are: {names}.", f"{path}.type")
