"""What a gateway must know of the answers and chunks of an OpenAI-shaped provider; the bytes themselves pass through.

Owns partial reading: usage, errors, whether there is content yet, and how much. Reading a chunk with most fields
skipped costs less (about 0.5 us) than searching it for the words that would make reading necessary, so each is read.
"""

from __future__ import annotations

from typing import Any

import msgspec

from tollway.core.dialects import lenient_json

_TEXT_KEYS = frozenset(
    {"arguments", "audio", "content", "custom", "function", "input", "reasoning", "text", "thinking", "transcript"}
)

_DEPTH = 16


class Content(msgspec.Struct):
    """A message or a delta. Nothing here has a type that all services keep to."""

    content: Any = None
    reasoning_content: Any = None
    reasoning: Any = None
    refusal: Any = None
    tool_calls: Any = None
    function_call: Any = None
    audio: Any = None

    def chars(self) -> int:
        """Characters of text, reasoning and tool arguments."""
        content = self.content
        total = len(content) if type(content) is str else _chars(content)
        for value in (self.reasoning_content or self.reasoning, self.tool_calls, self.refusal, self.function_call):
            if value:
                total += _chars(value)
        return total + _chars(self.audio) if self.audio else total

    def bears(self) -> bool:
        """Whether there is anything for the client to see."""
        return bool(
            self.content
            or self.tool_calls
            or self.reasoning_content
            or self.reasoning
            or self.refusal
            or self.function_call
            or self.audio
        )


class Choice(msgspec.Struct):
    """One choice of an answer or a chunk. Azure's may have no message when filtered; legacy completions have `text`."""

    message: Content | None = None
    delta: Content | None = None
    text: Any = None
    finish_reason: Any = None


class Received(msgspec.Struct):
    """A whole answer or one chunk. `choices` None: the field was absent."""

    choices: list[Choice] | None = None
    usage: Any = None
    error: Any = None
    object: Any = None

    def chars(self) -> int:
        """Characters of text, reasoning and tool arguments in all choices."""
        total = 0
        for choice in self.choices or ():
            part = choice.delta or choice.message
            if part is not None:
                total += part.chars()
            elif type(choice.text) is str:  # beside a delta, as some services write it, it says the same again
                total += len(choice.text)
        return total

    def bears(self) -> bool:
        """Whether a client would see content or an end in it."""
        for choice in self.choices or ():
            part = choice.delta or choice.message
            if choice.finish_reason or (choice.text if part is None else part.bears()):
                return True
        return False


_DECODER = msgspec.json.Decoder(Received)


def read_received(data: bytes) -> Received:
    """A chunk's or an answer's JSON. Raises ValueError when it is not JSON or has not this shape."""
    return lenient_json.decode(_DECODER, Received, data)


def _chars(value: Any, depth: int = _DEPTH) -> int:
    """Characters of the texts in `value`: a string, or parts and calls that hold strings under known names.

    No service nests them more than `depth` deep: what is below counts as nothing.
    """
    if value is None:
        return 0
    if isinstance(value, str):
        return len(value)
    if not depth:
        return 0
    if isinstance(value, list):
        return sum([_chars(item, depth - 1) for item in value])
    if isinstance(value, dict):
        return sum([_chars(value[key], depth - 1) for key in _TEXT_KEYS if key in value])
    return 0
