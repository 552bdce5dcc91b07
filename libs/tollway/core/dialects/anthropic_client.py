"""A Messages request, read in full into the neutral chat, for providers of another dialect.

Owns types and shapes of the request's fields; whether a provider can do what is asked is for its own dialect to say.
Source: `MessageCreateParams` of Anthropic's API (https://docs.anthropic.com/en/api/messages).
"""

from __future__ import annotations

from typing import Any

import msgspec
from msgspec import Raw

from tollway.core import chat
from tollway.core.dialects.anthropic_client_content import Block, Message, Turns, unsupported, wrong_type
from tollway.core.dialects.anthropic_head import read_head
from tollway.core.dialects.head import Head, decoded, invalid, not_json

MIN_THINKING_BUDGET = 1024
LOW_BUDGET = 2048
MEDIUM_BUDGET = 8192
"""The largest budgets of thinking that still count as a low and as a medium effort."""

EFFORTS = ("low", "medium", "high", "xhigh", "max")

_NAMES = {
    "max_completion_tokens": "max_tokens",
    "messages.reasoning_content": "messages.content.thinking",
    "parallel_tool_calls": "tool_choice.disable_parallel_tool_use",
    "reasoning_effort": "thinking",
    "response_format": "output_config.format",
    "stop": "stop_sequences",
    "thinking_budget": "thinking.budget_tokens",
    "tools.function.strict": "tools.strict",
    "user": "metadata.user_id",
}
_TRUE = Raw(b"true")
_TIERS = {b'"auto"': Raw(b'"auto"'), b'"standard_only"': Raw(b'"default"')}


class _Tool(msgspec.Struct):
    name: str
    type: str | None = None
    description: str | None = None
    input_schema: dict[str, Any] | None = None
    cache_control: dict[str, Any] | None = None
    strict: bool | None = None
    allowed_callers: list[str] | None = None
    defer_loading: bool | None = None
    eager_input_streaming: bool | None = None
    input_examples: Any = None


class _ToolKind(msgspec.Struct):
    """A tool that Anthropic knows itself may have other fields, or fields of other types."""

    type: str | None = None


class _ToolChoice(msgspec.Struct):
    type: str
    name: str | None = None
    disable_parallel_tool_use: bool | None = None


class _Thinking(msgspec.Struct):
    type: str
    budget_tokens: int | None = None
    display: str | None = None


class _Format(msgspec.Struct):
    type: str
    schema: dict[str, Any] | None = None


class _OutputConfig(msgspec.Struct):
    effort: str | None = None
    format: _Format | None = None


class _Body(msgspec.Struct):
    """The modelled fields. `model`, `stream` and `max_tokens` come from the head."""

    messages: list[Message]
    system: str | list[Block] | None = None
    tools: Raw = Raw(b"null")
    tool_choice: _ToolChoice | None = None
    stop_sequences: list[str] | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    thinking: _Thinking | None = None
    output_config: _OutputConfig | None = None
    output_format: _Format | None = None
    metadata: dict[str, Any] | None = None


_DECODER = msgspec.json.Decoder(_Body)
_TOOLS_DECODER = msgspec.json.Decoder(list[_Tool])
_KINDS_DECODER = msgspec.json.Decoder(list[_ToolKind])
_MODELLED = frozenset(_Body.__struct_fields__) | {"model", "stream", "max_tokens"}
_REFUSED = {
    "mcp_servers": "MCP servers are not called for this model. Offer their tools in 'tools'.",
}
_LOST_OF_TOOLS = {
    "allowed_callers": (None, ["direct"]),
    "defer_loading": (None, False),
    "eager_input_streaming": (None, False),
    "input_examples": (None, []),
}


def read_request(body: bytes, head: Head | None = None) -> chat.Request:
    """The whole request. `head`: what `read_head` made of the same body, where the caller has it.

    `rest` holds, besides top-level fields, the dotted names of fields inside others that the neutral chat has no place
    for, so that a provider's dialect names them as dropped: they have no value there.
    Raises TollwayError(invalid_json | invalid_request | unsupported_parameter) that names the field.
    """
    head = head or read_head(body)
    try:
        parsed = _DECODER.decode(body)
        for name, message in _REFUSED.items():
            if bytes(head.fields.get(name, b"null")) not in (b"null", b"[]"):
                raise unsupported(name, message)
        turns = _turns(parsed)
        tools = _tools(parsed.tools, turns.lost)
    except msgspec.ValidationError as error:
        raise wrong_type(error) from None
    except msgspec.DecodeError as error:
        raise not_json(str(error)) from None
    except RecursionError:
        raise not_json("it is nested too deeply") from None
    choice, parallel = _tool_choice(parsed.tool_choice, tools)
    names = dict(_NAMES)
    effort, budget = _reasoning(parsed, names, turns.lost)
    if parsed.output_config is not None:
        given = decoded(head.fields["output_config"])
        turns.lost.update(f"output_config.{name}" for name in given if name not in _OutputConfig.__struct_fields__)
    return chat.Request(
        model=head.model,
        messages=tuple(turns.messages),
        stream=head.stream,
        include_usage=head.include_usage,
        tools=tools,
        tool_choice=choice,
        parallel_tool_calls=parallel,
        max_tokens=head.max_tokens,
        temperature=_between(parsed.temperature, "temperature"),
        top_p=_between(parsed.top_p, "top_p"),
        top_k=_top_k(parsed.top_k),
        stop=tuple(parsed.stop_sequences or ()),
        reasoning_effort=effort,
        thinking_budget=budget,
        response_format=_response_format(parsed, names),
        user=_user(parsed.metadata, turns.lost),
        rest=_rest(head.fields, turns.lost),
        names=names,
    )


def _turns(parsed: _Body) -> Turns:
    turns = Turns()
    if parsed.system:
        turns.system(parsed.system)
    for index, message in enumerate(parsed.messages):
        turns.turn(message, f"messages[{index}]")
    return turns


def _rest(fields: dict[str, Raw], lost: set[str]) -> dict[str, Raw]:
    """Fields that are not modelled; the tier of service in OpenAI's words, whose name it shares."""
    rest = {name: raw for name, raw in fields.items() if name not in _MODELLED and bytes(raw) not in (b"null", b"[]")}
    if "service_tier" in rest:
        rest["service_tier"] = _TIERS.get(bytes(rest["service_tier"]), rest["service_tier"])
    return rest | dict.fromkeys(sorted(lost), _TRUE)


def _between(value: float | None, name: str) -> float | None:
    if value is not None and not 0 <= value <= 1:
        raise invalid(f"Invalid '{name}': expected a value between 0 and 1, but got {value:g}.", name)
    return value


def _top_k(value: int | None) -> int | None:
    if value is not None and value < 0:
        raise invalid("Invalid 'top_k': integer below minimum value. Expected a value >= 0.", "top_k")
    return value


def _user(metadata: dict[str, Any] | None, lost: set[str]) -> str | None:
    if metadata is None:
        return None
    lost.update(f"metadata.{name}" for name in metadata if name != "user_id")
    user = metadata.get("user_id")
    if user is not None and not isinstance(user, str):
        raise invalid("Invalid type for 'metadata.user_id': expected a string.", "metadata.user_id")
    return user or None


def _tools(raw: Raw, lost: set[str]) -> tuple[chat.Tool, ...]:
    if bytes(raw) == b"null":
        return ()
    try:
        for index, kind in enumerate(_KINDS_DECODER.decode(raw)):
            if kind.type not in (None, "custom"):
                message = f"Tools of type '{kind.type}' run at Anthropic and are not available for this model."
                raise unsupported(f"tools[{index}].type", message)
        given = _TOOLS_DECODER.decode(raw)
    except msgspec.ValidationError as error:
        raise wrong_type(error, "tools") from None
    tools = []
    for index, tool in enumerate(given):
        if tool.input_schema is None:
            param = f"tools[{index}].input_schema"
            raise invalid(f"Missing required parameter: '{param}'.", param)
        lost.update(f"tools.{name}" for name, idle in _LOST_OF_TOOLS.items() if getattr(tool, name) not in idle)
        tools.append(
            chat.Tool(
                name=tool.name,
                description=tool.description,
                parameters=tool.input_schema,
                strict=tool.strict,
                cache_control=tool.cache_control,
            )
        )
    return tuple(tools)


def _tool_choice(
    choice: _ToolChoice | None, tools: tuple[chat.Tool, ...]
) -> tuple[chat.ToolChoice | None, bool | None]:
    """How to choose among the tools, and whether several may be called at once."""
    if choice is None:
        return None, None
    modes = {"auto": "auto", "any": "required", "tool": "named", "none": "none"}
    mode = modes.get(choice.type)
    if mode is None:
        known = ", ".join(modes)
        message = f"Invalid value for 'tool_choice.type': '{choice.type}'. Supported values are: {known}."
        raise invalid(message, "tool_choice.type")
    name = choice.name if mode == "named" else None
    if mode == "named" and name not in {tool.name for tool in tools}:
        raise invalid(f"Invalid value for 'tool_choice.name': no tool '{name}' is in 'tools'.", "tool_choice.name")
    single = choice.disable_parallel_tool_use
    return chat.ToolChoice(mode=mode, name=name), None if single is None else not single


def _reasoning(parsed: _Body, names: dict[str, str], lost: set[str]) -> tuple[str | None, int | None]:
    """The effort and the budget of tokens that the client grants for reasoning.

    An effort that is named counts; else the budget is put in words; adaptive thinking alone is a high effort, which is
    Anthropic's own default. Thinking that is turned off is the effort `none`, whatever else is said.
    """
    thinking = parsed.thinking
    effort = parsed.output_config.effort if parsed.output_config else None
    if effort is not None:
        if effort not in EFFORTS:
            param, known = "output_config.effort", ", ".join(EFFORTS)
            raise invalid(f"Invalid value for '{param}': '{effort}'. Supported values are: {known}.", param)
        names["reasoning_effort"] = "output_config.effort"
    if thinking is None:
        return effort, None
    if thinking.display == "omitted":
        lost.add("thinking.display")
    match thinking.type:
        case "disabled":
            names["reasoning_effort"] = "thinking"
            if effort is not None:
                lost.add("output_config.effort")
            return "none", None
        case "adaptive":
            return effort or "high", None
        case "enabled":
            budget = thinking.budget_tokens
            param = "thinking.budget_tokens"
            if budget is None:
                raise invalid(f"Missing required parameter: '{param}'.", param)
            if budget < MIN_THINKING_BUDGET:
                raise invalid(f"Invalid '{param}': expected a value >= {MIN_THINKING_BUDGET}.", param)
            words = "low" if budget <= LOW_BUDGET else "medium" if budget <= MEDIUM_BUDGET else "high"
            return effort or words, budget
    message = f"Thinking of type '{thinking.type}' is not available for this model. Use enabled, adaptive or disabled."
    raise unsupported("thinking.type", message)


def _response_format(parsed: _Body, names: dict[str, str]) -> chat.ResponseFormat | None:
    """`output_config.format`, or `output_format`, as the field was called while it was a beta."""
    wanted = parsed.output_config.format if parsed.output_config else None
    if wanted is None:
        wanted = parsed.output_format
        if wanted is None:
            return None
        names["response_format"] = "output_format"
    field = names["response_format"]
    if wanted.type != "json_schema":
        param = f"{field}.type"
        raise invalid(f"Invalid value for '{param}': '{wanted.type}'. Supported values are: json_schema.", param)
    if wanted.schema is None:
        raise invalid(f"Missing required parameter: '{field}.schema'.", f"{field}.schema")
    return chat.ResponseFormat(kind="json_schema", schema=wanted.schema)
