"""An OpenAI chat request, read in full into the neutral model, for providers of another dialect.

Owns types and shapes of the request's fields; whether a provider can do what is asked is for its own dialect to say.
Source: `CreateChatCompletionRequest` of OpenAI's API description.
"""

from __future__ import annotations

import re
from typing import Any

import msgspec
from msgspec import Raw

from tollway.core import chat
from tollway.core.dialects.head import Head, invalid
from tollway.core.dialects.openai_head import read_head
from tollway.core.errors import Code, TollwayError

_WHERE = re.compile(r"(.*) - at `(?:key in )?\$\.?(.*)`$", re.DOTALL)
_BAD_FUNCTION = "Legacy function calling is not available for this model. Use 'tools' and 'tool_choice' instead."


class _ImageUrl(msgspec.Struct):
    url: str
    detail: str | None = None


class _File(msgspec.Struct):
    file_data: str | None = None
    file_id: str | None = None
    filename: str | None = None


class _InputAudio(msgspec.Struct):
    data: str
    format: str = ""


class _Part(msgspec.Struct):
    type: str
    text: str | None = None
    image_url: _ImageUrl | str | None = None
    file: _File | None = None
    input_audio: _InputAudio | None = None
    refusal: str | None = None
    cache_control: dict[str, Any] | None = None


class _CalledFunction(msgspec.Struct):
    name: str
    arguments: str | None = None


class _ToolCall(msgspec.Struct):
    id: str
    type: str = "function"
    function: _CalledFunction | None = None


class _Message(msgspec.Struct):
    role: str
    content: str | list[_Part] | None = None
    tool_calls: list[_ToolCall] | None = None
    tool_call_id: str | None = None
    name: str | None = None
    refusal: str | None = None
    reasoning_content: Any = None
    reasoning: Any = None
    function_call: Any = None
    audio: Any = None
    cache_control: dict[str, Any] | None = None


class _Function(msgspec.Struct):
    name: str
    description: str | None = None
    parameters: dict[str, Any] | None = None
    strict: bool | None = None


class _Tool(msgspec.Struct):
    type: str
    function: _Function | None = None
    cache_control: dict[str, Any] | None = None


class _Named(msgspec.Struct):
    name: str


class _Reference(msgspec.Struct):
    type: str = "function"
    function: _Named | None = None


class _AllowedTools(msgspec.Struct):
    mode: str
    tools: list[_Reference]


class _ToolChoice(msgspec.Struct):
    type: str
    function: _Named | None = None
    allowed_tools: _AllowedTools | None = None


class _JsonSchema(msgspec.Struct):
    schema: dict[str, Any] | None = None
    name: str | None = None
    description: str | None = None
    strict: bool | None = None


class _ResponseFormat(msgspec.Struct):
    type: str
    json_schema: _JsonSchema | None = None


class _Body(msgspec.Struct):
    """The modelled fields. `model`, `stream`, `stream_options`, `n` and the token limits come from the head."""

    messages: list[_Message]
    tools: list[_Tool] | None = None
    tool_choice: str | _ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    stop: str | list[str] | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    modalities: list[str] | None = None
    reasoning_effort: str | None = None
    response_format: _ResponseFormat | None = None
    user: str | None = None
    safety_identifier: str | None = None


_DECODER = msgspec.json.Decoder(_Body)
# `top_logprobs` is read for its type and copied: `logprobs` alone says whether any are wanted.
_MODELLED = frozenset(_Body.__struct_fields__) - {"top_logprobs"} | {
    "model",
    "stream",
    "stream_options",
    "n",
    "max_tokens",
    "max_completion_tokens",
}
_ROLES = {
    "system": chat.Role.SYSTEM,
    "developer": chat.Role.SYSTEM,
    "user": chat.Role.USER,
    "assistant": chat.Role.ASSISTANT,
    "tool": chat.Role.TOOL,
}


def read_request(body: bytes, head: Head | None = None) -> chat.Request:
    """The whole request. `head`: what `read_head` made of the same body, where the caller has it.

    Raises TollwayError(invalid_json | invalid_request | unsupported_parameter) that names the field.
    """
    head = head or read_head(body)
    try:
        parsed = _DECODER.decode(body)
    except msgspec.ValidationError as error:
        raise wrong_type(str(error)) from None
    except msgspec.DecodeError as error:
        raise TollwayError(Code.INVALID_JSON, f"We could not parse the JSON body of your request: {error}.") from None
    except RecursionError:
        raise TollwayError(Code.INVALID_JSON, "The JSON body of your request is nested too deeply.") from None
    tools, choice = _tools(parsed)
    stop = (parsed.stop,) if isinstance(parsed.stop, str) else tuple(parsed.stop or ())
    return chat.Request(
        model=head.model,
        messages=tuple(_message(message, f"messages[{i}]") for i, message in enumerate(parsed.messages)),
        stream=head.stream,
        include_usage=head.include_usage,
        tools=tools,
        tool_choice=choice,
        parallel_tool_calls=parsed.parallel_tool_calls,
        max_tokens=head.max_tokens,
        temperature=between(parsed.temperature, "temperature", 2.0),
        top_p=between(parsed.top_p, "top_p", 1.0),
        top_k=parsed.top_k,
        stop=stop,
        n=head.n,
        logprobs=bool(parsed.logprobs or parsed.top_logprobs),
        modalities=tuple(parsed.modalities or ()),
        reasoning_effort=parsed.reasoning_effort,
        response_format=_response_format(parsed.response_format),
        user=parsed.safety_identifier or parsed.user,
        rest=_rest(head.fields),
    )


def _rest(fields: dict[str, Raw]) -> dict[str, Raw]:
    return {name: raw for name, raw in fields.items() if name not in _MODELLED and bytes(raw) != b"null"}


def wrong_type(text: str) -> TollwayError:
    """msgspec's "Expected `str`, got `int` - at `$.messages[0].content`" in words that name the field."""
    found = _WHERE.match(text)
    what, path = (found[1], found[2]) if found else (text, "")
    missing = re.match(r"Object missing required field `(.*)`", what)
    if missing:
        param = f"{path}.{missing[1]}" if path else missing[1]
        return invalid(f"Missing required parameter: '{param}'.", param)
    what = what[:1].lower() + what[1:]
    return invalid(f"Invalid value for '{path}': {what}.", path or None)


def between(value: float | None, name: str, most: float) -> float | None:
    """`value`, which is from 0 to `most` or absent. Raises TollwayError(invalid_request)."""
    if value is not None and not 0 <= value <= most:
        raise invalid(f"Invalid '{name}': expected a value between 0 and {most:g}, but got {value:g}.", name)
    return value


def _message(message: _Message, path: str) -> chat.Message:
    if message.role == "function" or message.function_call is not None:
        raise TollwayError(Code.UNSUPPORTED_PARAMETER, _BAD_FUNCTION, param=path)
    if message.audio is not None:
        told = "An earlier answer in audio is kept by its provider, and not available here. Send its transcript."
        raise TollwayError(Code.UNSUPPORTED_PARAMETER, told, param=f"{path}.audio")
    role = _ROLES.get(message.role)
    if role is None:
        known = ", ".join(_ROLES)
        raise invalid(
            f"Invalid value for '{path}.role': '{message.role}'. Supported values are: {known}.", f"{path}.role"
        )
    if role is chat.Role.TOOL and not message.tool_call_id:
        raise invalid(f"Missing required parameter: '{path}.tool_call_id'.", f"{path}.tool_call_id")
    if role is not chat.Role.ASSISTANT and message.content is None:
        raise invalid(f"Missing required parameter: '{path}.content'.", f"{path}.content")
    parts: list[chat.Part] = []
    thought = message.reasoning_content or message.reasoning
    if role is chat.Role.ASSISTANT and isinstance(thought, str) and thought:
        parts.append(chat.Thinking(thought))
    if isinstance(message.content, str):
        parts.append(chat.Text(message.content, message.cache_control))
    for index, part in enumerate(message.content if isinstance(message.content, list) else ()):
        parts.append(_part(part, f"{path}.content[{index}]"))
    if message.refusal:
        parts.append(chat.Refusal(message.refusal))
    calls = [_call(call, f"{path}.tool_calls[{i}]") for i, call in enumerate(message.tool_calls or ())]
    return chat.Message(
        role=role,
        path=path,
        parts=tuple(parts),
        tool_calls=tuple(calls),
        tool_call_id=message.tool_call_id,
        name=message.name if role is not chat.Role.TOOL else None,
    )


def _part(part: _Part, path: str) -> chat.Part:
    cached = part.cache_control
    match part.type:
        case "text":
            if part.text is not None:
                return chat.Text(part.text, cached)
        case "refusal":
            if part.refusal is not None:
                return chat.Refusal(part.refusal)
        case "image_url":
            image = _ImageUrl(part.image_url) if isinstance(part.image_url, str) else part.image_url
            if image is not None and image.url:
                return chat.Image(image.url, f"{path}.image_url.url", cached, image.detail)
        case "file":
            file = part.file
            if file is not None and (file.file_data or file.file_id):
                return chat.File(f"{path}.file", file.file_data, file.file_id, file.filename, cached)
        case "input_audio":
            if part.input_audio is not None:
                return chat.Audio(part.input_audio.data, part.input_audio.format, path)
        case _:
            message = (
                f"Content parts of type '{part.type}' are not available for this model. Use text, image_url or file."
            )
            raise TollwayError(Code.UNSUPPORTED_PARAMETER, message, param=f"{path}.type")
    raise invalid(f"Missing required parameter: '{path}.{part.type}'.", f"{path}.{part.type}")


def _call(call: _ToolCall, path: str) -> chat.ToolCall:
    if call.function is None:
        if call.type != "function":
            message = f"Tool calls of type '{call.type}' are not available for this model. Use type 'function'."
            raise TollwayError(Code.UNSUPPORTED_PARAMETER, message, param=f"{path}.type")
        raise invalid(f"Missing required parameter: '{path}.function'.", f"{path}.function")
    return chat.ToolCall(call.id, call.function.name, call.function.arguments or "")


def _tools(body: _Body) -> tuple[tuple[chat.Tool, ...], chat.ToolChoice | None]:
    """The tools and how to choose among them; a list of allowed tools narrows the tools."""
    tools: list[chat.Tool] = []
    for index, tool in enumerate(body.tools or ()):
        path = f"tools[{index}]"
        if tool.type != "function":
            message = f"Tools of type '{tool.type}' are not available for this model. Use type 'function'."
            raise TollwayError(Code.UNSUPPORTED_PARAMETER, message, param=f"{path}.type")
        function = tool.function
        if function is None:
            raise invalid(f"Missing required parameter: '{path}.function'.", f"{path}.function")
        tools.append(
            chat.Tool(
                name=function.name,
                description=function.description,
                parameters=function.parameters,
                strict=function.strict,
                cache_control=tool.cache_control,
            )
        )
    choice = body.tool_choice
    if choice is None or isinstance(choice, str):
        return tuple(tools), _mode(choice, "tool_choice")
    names = {tool.name for tool in tools}
    if choice.type == "allowed_tools" and choice.allowed_tools is not None:
        allowed = {reference.function.name for reference in choice.allowed_tools.tools if reference.function}
        mode = _mode(choice.allowed_tools.mode, "tool_choice.allowed_tools.mode")
        return tuple(tool for tool in tools if tool.name in allowed), mode
    if choice.type != "function" or choice.function is None:
        message = f"Tool choice of type '{choice.type}' is not available for this model. Use type 'function'."
        raise TollwayError(Code.UNSUPPORTED_PARAMETER, message, param="tool_choice.type")
    if choice.function.name not in names:
        param = "tool_choice.function.name"
        raise invalid(f"Invalid value for '{param}': no tool '{choice.function.name}' is in 'tools'.", param)
    return tuple(tools), chat.ToolChoice(mode="named", name=choice.function.name)


def _mode(mode: str | None, param: str) -> chat.ToolChoice | None:
    if mode is None:
        return None
    if mode not in ("none", "auto", "required"):
        raise invalid(f"Invalid value for '{param}': '{mode}'. Supported values are: none, auto, required.", param)
    return chat.ToolChoice(mode=mode)


def _response_format(value: _ResponseFormat | None) -> chat.ResponseFormat | None:
    if value is None:
        return None
    if value.type not in ("text", "json_object", "json_schema"):
        param = "response_format.type"
        message = f"Invalid value for '{param}': '{value.type}'. Supported values are: text, json_object, json_schema."
        raise invalid(message, param)
    if value.type == "json_schema" and value.json_schema is None:
        param = "response_format.json_schema"
        raise invalid(f"Missing required parameter: '{param}'.", param)
    described = value.json_schema
    if value.type != "json_schema" or described is None:
        return chat.ResponseFormat(kind=value.type)
    return chat.ResponseFormat(
        kind=value.type,
        schema=described.schema,
        name=described.name,
        description=described.description,
        strict=described.strict,
    )
