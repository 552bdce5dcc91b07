"""An OpenAI Responses request, read in full into the neutral model, for providers of another dialect.

Owns types and shapes of the request's fields; whether a provider can do what is asked is for its own dialect to say.
Source: `CreateResponse` of OpenAI's API description.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from msgspec import Raw

from tollway.core import chat
from tollway.core.dialects.head import Head, invalid
from tollway.core.dialects.openai_request import between
from tollway.core.dialects.openai_responses_head import decode_at, read_head
from tollway.core.dialects.openai_responses_items import read_items
from tollway.core.dialects.openai_responses_replay import input_items
from tollway.core.errors import Code, TollwayError

_NAMES = {
    "max_tokens": "max_output_tokens",
    "messages": "input",
    "reasoning_effort": "reasoning.effort",
    "response_format": "text.format",
    "thinking_budget": "reasoning.effort",
    "tools.function.strict": "tools.strict",
    "verbosity": "text.verbosity",
}


class _Tool(msgspec.Struct):
    type: str
    name: str | None = None
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None
    cache_control: dict[str, Any] | None = None


class _Reference(msgspec.Struct):
    type: str = "function"
    name: str | None = None


class _ToolChoice(msgspec.Struct):
    type: str
    name: str | None = None
    mode: str | None = None
    tools: list[_Reference] | None = None


class _Format(msgspec.Struct):
    type: str
    name: str | None = None
    description: str | None = None
    schema: dict[str, Any] | None = None
    strict: bool | None = None


class _Text(msgspec.Struct):
    format: _Format | None = None
    verbosity: Raw = Raw(b"null")


class _Reasoning(msgspec.Struct):
    """How to show it (`summary`) and what of it to replay (`context`) do not change what is asked."""

    effort: str | None = None
    mode: str | None = None


class _Body(msgspec.Struct):
    """The modelled fields. `model`, `stream`, `input`, `max_output_tokens` and storage are read elsewhere."""

    instructions: str | None = None
    tools: list[_Tool] | None = None
    tool_choice: str | _ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_logprobs: int | None = None
    text: _Text | None = None
    reasoning: _Reasoning | None = None
    include: list[str] | None = None
    user: str | None = None
    safety_identifier: str | None = None
    truncation: str | None = None


_DECODER = msgspec.json.Decoder(_Body)
_MODELLED = frozenset(_Body.__struct_fields__) | {
    "background",
    "conversation",
    "input",
    "max_output_tokens",
    "model",
    "previous_response_id",
    "prompt",
    "store",
    "stream",
    "stream_options",
}


def _unsupported(param: str, message: str) -> TollwayError:
    return TollwayError(Code.UNSUPPORTED_PARAMETER, message, param=param)


def read_request(
    body: bytes, head: Head | None = None, earlier: Sequence[Raw] = (), known: Mapping[str, Raw] | None = None
) -> chat.Request:
    """The whole request. `head`: what `read_head` made of the same body, where the caller has it.

    `earlier`: the input and output items of the responses that this one goes on from, oldest first; `known`: items that
    `item_reference` may name, by id. Raises TollwayError(invalid_json | invalid_request | unsupported_parameter) that
    names the field.
    """
    head = head or read_head(body)
    parsed = decode_at(_DECODER, body, "")
    _refuse(parsed)
    tools, choice = _tools(parsed)
    return chat.Request(
        model=head.model,
        messages=_messages(head, parsed, earlier, known),
        stream=head.stream,
        include_usage=True,
        tools=tools,
        tool_choice=choice,
        parallel_tool_calls=parsed.parallel_tool_calls,
        max_tokens=head.max_tokens,
        temperature=between(parsed.temperature, "temperature", 2.0),
        top_p=between(parsed.top_p, "top_p", 1.0),
        reasoning_effort=parsed.reasoning.effort if parsed.reasoning else None,
        response_format=_response_format(parsed.text.format if parsed.text else None),
        user=parsed.safety_identifier or parsed.user,
        rest=_rest(head.fields, parsed),
        names=_NAMES,
    )


def _messages(
    head: Head, body: _Body, earlier: Sequence[Raw], known: Mapping[str, Raw] | None
) -> tuple[chat.Message, ...]:
    own = input_items(head, known)
    plain = memoryview(head.fields["input"])[0] == ord('"')
    items = [(raw, "previous_response_id") for raw in earlier]
    items += [(raw, "input" if plain else f"input[{index}]") for index, raw in enumerate(own)]
    messages = read_items(items)
    if body.instructions:
        system = chat.Message(role=chat.Role.SYSTEM, path="instructions", parts=(chat.Text(body.instructions),))
        messages.insert(0, system)
    return tuple(messages)


def _refuse(body: _Body) -> None:
    """What changes the answer in a way that no provider of another dialect can follow."""
    if body.top_logprobs or "message.output_text.logprobs" in (body.include or ()):
        param = "top_logprobs" if body.top_logprobs else "include"
        raise _unsupported(param, f"Log probabilities are not available for this model. Leave them out of '{param}'.")
    mode = body.reasoning.mode if body.reasoning else None
    if mode not in (None, "standard"):
        message = f"The reasoning mode '{mode}' is not available for this model. Leave 'reasoning.mode' out."
        raise _unsupported("reasoning.mode", message)


def _rest(fields: dict[str, Raw], body: _Body) -> dict[str, Raw]:
    rest = {name: raw for name, raw in fields.items() if name not in _MODELLED and bytes(raw) != b"null"}
    if body.text is not None and bytes(body.text.verbosity) != b"null":
        rest["verbosity"] = body.text.verbosity
    if body.truncation not in (None, "disabled"):
        rest["truncation"] = fields["truncation"]
    return rest


def _tools(body: _Body) -> tuple[tuple[chat.Tool, ...], chat.ToolChoice | None]:
    """The tools and how to choose among them; a list of allowed tools narrows the tools."""
    tools = tuple(_tool(tool, f"tools[{index}]") for index, tool in enumerate(body.tools or ()))
    choice = body.tool_choice
    if choice is None or isinstance(choice, str):
        return tools, _mode(choice, "tool_choice")
    if choice.type == "allowed_tools":
        allowed = {tool.name for tool in choice.tools or () if tool.type == "function"}
        return tuple(tool for tool in tools if tool.name in allowed), _mode(choice.mode, "tool_choice.mode")
    if choice.type != "function":
        message = f"Tool choice of type '{choice.type}' is not available for this model. Use type 'function'."
        raise _unsupported("tool_choice.type", message)
    if choice.name not in {tool.name for tool in tools}:
        param = "tool_choice.name"
        raise invalid(f"Invalid value for '{param}': no tool '{choice.name}' is in 'tools'.", param)
    return tools, chat.ToolChoice(mode="named", name=choice.name)


def _tool(tool: _Tool, path: str) -> chat.Tool:
    if tool.type != "function":
        message = f"Tools of type '{tool.type}' are not available for this model. Use type 'function'."
        raise _unsupported(f"{path}.type", message)
    if not tool.name:
        raise invalid(f"Missing required parameter: '{path}.name'.", f"{path}.name")
    return chat.Tool(
        name=tool.name,
        description=tool.description,
        parameters=tool.parameters,
        strict=tool.strict,
        cache_control=tool.cache_control,
    )


def _mode(mode: str | None, param: str) -> chat.ToolChoice | None:
    if mode is None:
        return None
    if mode not in ("none", "auto", "required"):
        raise invalid(f"Invalid value for '{param}': '{mode}'. Supported values are: none, auto, required.", param)
    return chat.ToolChoice(mode=mode)


def _response_format(value: _Format | None) -> chat.ResponseFormat | None:
    if value is None:
        return None
    if value.type not in ("text", "json_object", "json_schema"):
        param = "text.format.type"
        message = f"Invalid value for '{param}': '{value.type}'. Supported values are: text, json_object, json_schema."
        raise invalid(message, param)
    if value.type != "json_schema":
        return chat.ResponseFormat(kind=value.type)
    for name, given in (("schema", value.schema), ("name", value.name)):
        if given is None:
            raise invalid(f"Missing required parameter: 'text.format.{name}'.", f"text.format.{name}")
    return chat.ResponseFormat(
        kind=value.type, schema=value.schema, name=value.name, description=value.description, strict=value.strict
    )
