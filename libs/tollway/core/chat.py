"""A chat in no provider's words: where client dialects and provider dialects meet.

This module owns the neutral request, the neutral answer and the neutral stream events. It knows no wire format. What a
dialect cannot say in these terms, it refuses or names as dropped; it never loses it silently.
"""

from __future__ import annotations

from enum import StrEnum
from typing import Any

import msgspec

from tollway.core.usage import Usage


class Role(StrEnum):
    """Who speaks. `SYSTEM` covers OpenAI's `system` and `developer`."""

    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"
    TOOL = "tool"


class Finish(StrEnum):
    """Why the model stopped, in the words that OpenAI's clients know."""

    STOP = "stop"
    LENGTH = "length"
    TOOL_CALLS = "tool_calls"
    CONTENT_FILTER = "content_filter"


class Text(msgspec.Struct, frozen=True):
    """Text. `cache_control` is the client's prompt-caching mark, an extension that Anthropic's models understand."""

    text: str
    cache_control: dict[str, Any] | None = None


class Image(msgspec.Struct, frozen=True):
    """An image: `url` is a data URL or an http(s) URL. `path` names the field in the client's request.

    `detail` says how closely the model is to look (`low`, `high`, `auto`), where the client's dialect says.
    """

    url: str
    path: str
    cache_control: dict[str, Any] | None = None
    detail: str | None = None


class File(msgspec.Struct, frozen=True):
    """A document: `data` is a data URL, an http(s) URL or bare base64; `file_id` a file kept by a provider."""

    path: str
    data: str | None = None
    file_id: str | None = None
    filename: str | None = None
    cache_control: dict[str, Any] | None = None


class Audio(msgspec.Struct, frozen=True):
    """Sound that the user sent. `data` is base64, `format` is `wav` or `mp3`."""

    data: str
    format: str
    path: str


class Thinking(msgspec.Struct, frozen=True):
    """Reasoning that the model showed. `signature` is opaque; the provider that made it wants both back unchanged."""

    text: str
    signature: str | None = None


class RedactedThinking(msgspec.Struct, frozen=True):
    """Reasoning that the provider keeps to itself: `data` is opaque and is sent back unchanged."""

    data: str


class Refusal(msgspec.Struct, frozen=True):
    """The model's words for why it does not answer."""

    text: str


Part = Text | Image | File | Audio | Thinking | RedactedThinking | Refusal


class ToolCall(msgspec.Struct, frozen=True):
    """A tool that the model wants called; `arguments` is JSON text of an object."""

    id: str
    name: str
    arguments: str


class Message(msgspec.Struct, frozen=True, kw_only=True):
    """One turn. `path` is its place in the client's request (`messages[3]`), for errors that name a field.

    `name` tells speakers of one role apart. A tool's message answers the call `tool_call_id`; `is_error`: the tool says
    that it failed. The parts of an assistant's message precede its tool calls.
    """

    role: Role
    path: str
    parts: tuple[Part, ...] = ()
    tool_calls: tuple[ToolCall, ...] = ()
    tool_call_id: str | None = None
    name: str | None = None
    is_error: bool = False


class Tool(msgspec.Struct, frozen=True, kw_only=True):
    """A function that the client offers; `parameters` is a JSON Schema, None: it takes no arguments."""

    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None
    cache_control: dict[str, Any] | None = None


class ToolChoice(msgspec.Struct, frozen=True, kw_only=True):
    """`mode` is `none`, `auto`, `required` or `named` (then `name` is the tool)."""

    mode: str
    name: str | None = None


class ResponseFormat(msgspec.Struct, frozen=True, kw_only=True):
    """`kind` is `text`, `json_object` or `json_schema` (`schema`, called `name`)."""

    kind: str
    schema: dict[str, Any] | None = None
    name: str | None = None
    description: str | None = None
    strict: bool | None = None


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """What a client asks of a model. None: not said.

    `thinking_budget` is the tokens that the client grants for reasoning, where its dialect says it so; it may come with
    a `reasoning_effort` that says the same in words. `rest` holds the top-level fields that are not modelled, as JSON:
    what OpenAI's chat completions has too under its name there (`seed`, `metadata`), anything else under its own.
    `names` maps fields to what the client's dialect calls them, where that differs.
    """

    model: str
    messages: tuple[Message, ...]
    stream: bool = False
    include_usage: bool = False
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    max_tokens: int | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stop: tuple[str, ...] = ()
    n: int = 1
    logprobs: bool = False
    modalities: tuple[str, ...] = ()
    reasoning_effort: str | None = None
    thinking_budget: int | None = None
    response_format: ResponseFormat | None = None
    user: str | None = None
    rest: dict[str, msgspec.Raw] = {}
    names: dict[str, str] = {}

    def said(self, field: str) -> str:
        """What the client's dialect calls a field of this request, for errors and for the list of dropped fields."""
        return self.names.get(field, field)


Block = Text | Thinking | RedactedThinking | Refusal | ToolCall


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """A whole answer: its blocks in the order in which the model wrote them. `created` is Unix seconds.

    `stop_sequence` is the one that ended it, where the provider tells.
    """

    id: str
    model: str
    created: int
    finish: Finish
    blocks: tuple[Block, ...] = ()
    stop_sequence: str | None = None
    usage: Usage | None = None

    @property
    def text(self) -> str | None:
        """The text, joined without a separator; None: the model wrote none."""
        texts = [block.text for block in self.blocks if isinstance(block, Text)]
        return "".join(texts) if texts else None

    @property
    def reasoning(self) -> str:
        """The visible reasoning, joined."""
        return "".join(block.text for block in self.blocks if isinstance(block, Thinking))

    @property
    def refusal(self) -> str | None:
        """The refusal, joined; None: there is none."""
        texts = [block.text for block in self.blocks if isinstance(block, Refusal)]
        return "".join(texts) if texts else None

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        """The tools that the model wants called."""
        return tuple(block for block in self.blocks if isinstance(block, ToolCall))

    @property
    def chars(self) -> int:
        """Characters of text, reasoning, refusal and tool arguments: what an estimate of the output rests on."""
        total = 0
        for block in self.blocks:
            if isinstance(block, ToolCall):
                total += len(block.arguments)
            elif not isinstance(block, RedactedThinking):
                total += len(block.text)
        return total


class Opened(msgspec.Struct, frozen=True):
    """The first event of a stream; carries no content."""

    id: str
    model: str


class TextDelta(msgspec.Struct, frozen=True):
    """More text of the answer."""

    text: str


class ReasoningDelta(msgspec.Struct, frozen=True):
    """More of the model's visible reasoning."""

    text: str


class ThinkingSigned(msgspec.Struct, frozen=True):
    """The reasoning so far is over and bears this signature; further reasoning is a block of its own."""

    signature: str


class ThinkingRedacted(msgspec.Struct, frozen=True):
    """A whole block of reasoning that the provider keeps to itself."""

    data: str


class RefusalDelta(msgspec.Struct, frozen=True):
    """More of the model's words for why it does not answer."""

    text: str


class ToolStarted(msgspec.Struct, frozen=True):
    """A tool call begins; `index` counts tool calls from 0."""

    index: int
    id: str
    name: str


class ToolDelta(msgspec.Struct, frozen=True):
    """More of the JSON text of the arguments of tool call `index`."""

    index: int
    arguments: str


class Closed(msgspec.Struct, frozen=True):
    """The last event of a stream that ended as its dialect promises."""

    finish: Finish
    usage: Usage | None = None
    stop_sequence: str | None = None


Event = (
    Opened
    | TextDelta
    | ReasoningDelta
    | ThinkingSigned
    | ThinkingRedacted
    | RefusalDelta
    | ToolStarted
    | ToolDelta
    | Closed
)
