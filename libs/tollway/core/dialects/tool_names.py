"""Names of tools that are longer than a provider takes: shortened on the way out, and given back their length.

Owns the names alone. A short name is the beginning of the long one and a hash of all of it, so that two stay two and
each turn of a conversation uses the same one.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import msgspec

from tollway.core import chat

_HASH_CHARS = 9


def _short(name: str, most: int) -> str:
    if len(name) <= most:
        return name
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[: _HASH_CHARS - 1]
    return f"{name[: most - _HASH_CHARS]}_{digest}"


def shortened(request: chat.Request, most: int | None) -> tuple[chat.Request, Mapping[str, str]]:
    """The request with names of at most `most` characters, and what each shortened one stands for."""
    if most is None or all(len(tool.name) <= most for tool in request.tools):
        return request, {}
    long = {_short(tool.name, most): tool.name for tool in request.tools if len(tool.name) > most}
    choice = request.tool_choice
    if choice is not None and choice.name is not None:
        choice = msgspec.structs.replace(choice, name=_short(choice.name, most))
    tools = tuple(msgspec.structs.replace(tool, name=_short(tool.name, most)) for tool in request.tools)
    messages = tuple(
        msgspec.structs.replace(
            message,
            tool_calls=tuple(
                msgspec.structs.replace(call, name=_short(call.name, most)) for call in message.tool_calls
            ),
        )
        if message.tool_calls
        else message
        for message in request.messages
    )
    return msgspec.structs.replace(request, tools=tools, tool_choice=choice, messages=messages), long


def lengthened(answer: chat.Answer, long: Mapping[str, str]) -> chat.Answer:
    """The answer with the names that the client knows."""
    if not long:
        return answer
    blocks = tuple(
        msgspec.structs.replace(block, name=long.get(block.name, block.name))
        if isinstance(block, chat.ToolCall)
        else block
        for block in answer.blocks
    )
    return msgspec.structs.replace(answer, blocks=blocks)
