"""A neutral chat request, written for a service that speaks OpenAI's chat completions.

Owns what can be said there and how; what one service does differently is data (`openai_habits`). What would change the
meaning of the answer and cannot be said is refused (`unsupported_parameter`); tuning knobs that the service has not are
left out and named.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any

import msgspec

from tollway.core import chat
from tollway.core.dialects.openai_habits import EFFORTS, ChatHabits
from tollway.core.dialects.openai_provider_messages import write_messages
from tollway.core.dialects.ports import Written
from tollway.core.errors import Code, TollwayError

LOW_BUDGET = 2048
MEDIUM_BUDGET = 8192
MAX_USER_LENGTH = 64
SCHEMA_NAME = "response"
"""What a schema is called when the client's dialect has no name for it."""

_REFUSED = {
    "audio": "Answers in audio are not available for this model. Leave '{}' out.",
    "functions": "Legacy function calling is not available for this model. Use 'tools' instead of '{}'.",
    "function_call": "Legacy function calling is not available for this model. Use 'tool_choice' instead of '{}'.",
}
_SCHEMA_ONLY = "Answer with one JSON object that is valid against this JSON Schema, and nothing else: "

_encode = msgspec.json.Encoder().encode


def write_request(
    request: chat.Request, model: str, habits: ChatHabits, *, max_output_tokens: int | None = None
) -> Written:
    """The body for `POST .../chat/completions`. `model` is the provider's name for it.

    The client's limit of output is sent, but no more than `max_output_tokens`, the most that the model can give; a
    client that set none gets the service's own. Streams ask for usage where the service knows how.
    Raises TollwayError(unsupported_parameter | invalid_request).
    """
    _refuse(request, habits)
    dropped: list[str] = []
    body: dict[str, Any] = {"model": model, "messages": write_messages(request.messages, habits)}
    _messages_dropped(request, habits, dropped)
    if request.stream:
        body["stream"] = True
        if habits.stream_options:
            body["stream_options"] = {"include_usage": True}
    if habits.prefill and _is_begun(request):
        body |= {"continue_final_message": True, "add_generation_prompt": False}
    if request.max_tokens is not None:
        limit = request.max_tokens if max_output_tokens is None else min(request.max_tokens, max_output_tokens)
        body[habits.max_tokens_field] = limit
    if request.stop:
        body["stop"] = list(request.stop)
    if request.user:
        _put(body, "user", _user(request.user), habits.user, request, dropped)
    _tools(request, habits, body, dropped)
    _format(request, habits, body)
    _reasoning(request, habits, body, dropped)
    _sampling(request, habits, body, dropped)
    _rest(request, habits, body, dropped)
    try:
        return Written(_encode(body), tuple(sorted(set(dropped))))
    except (UnicodeEncodeError, RecursionError):
        raise TollwayError(Code.INVALID_REQUEST, "The request is nested too deeply or not valid Unicode.") from None


def _is_begun(request: chat.Request) -> bool:
    """Whether the client has begun the answer itself, as Anthropic's clients do."""
    last = request.messages[-1] if request.messages else None
    return last is not None and last.role is chat.Role.ASSISTANT and not last.tool_calls and bool(last.parts)


def _user(name: str) -> str:
    """The end user's name; one that is longer than OpenAI takes becomes its hash, which tells users apart as well."""
    return name if len(name) <= MAX_USER_LENGTH else hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()


def _put(body: dict[str, Any], name: str, value: Any, known: bool, request: chat.Request, dropped: list[str]) -> None:
    """A tuning knob: sent where it is known, else named."""
    if known:
        body[name] = value
    else:
        dropped.append(request.said(name))


def _unsupported(param: str, message: str) -> TollwayError:
    return TollwayError(Code.UNSUPPORTED_PARAMETER, message, param=param)


def _refuse(request: chat.Request, habits: ChatHabits) -> None:
    """What changes the meaning of the answer and cannot be said, or whose answer the neutral chat cannot hold."""
    if request.n > 1:
        field = request.said("n")
        raise _unsupported(
            field, f"This model gives one choice a request. Leave '{field}' out and send several requests."
        )
    if request.logprobs:
        field = request.said("logprobs")
        raise _unsupported(field, f"Log probabilities are not available for this model. Leave '{field}' out.")
    if any(modality != "text" for modality in request.modalities):
        field = request.said("modalities")
        raise _unsupported(field, f"This model answers in text only. Leave '{field}' out.")
    for name, message in _REFUSED.items():
        if name in request.rest:
            field = request.said(name)
            raise _unsupported(field, message.format(field))
    if habits.stops is not None and len(request.stop) > habits.stops:
        field = request.said("stop")
        least = "no stop sequences" if habits.stops == 0 else f"at most {habits.stops} stop sequences"
        raise _unsupported(field, f"This model takes {least}. Shorten '{field}'.")


def _messages_dropped(request: chat.Request, habits: ChatHabits, dropped: list[str]) -> None:
    if any(message.is_error for message in request.messages):
        dropped.append(request.said("messages.content.is_error"))
    if habits.reasoning_field is None and any(_thought(message) for message in request.messages):
        dropped.append(request.said("messages.reasoning_content"))
    if not habits.names and any(message.name for message in request.messages):
        dropped.append(request.said("messages.name"))


def _thought(message: chat.Message) -> bool:
    return any(isinstance(part, chat.Thinking) and part.text for part in message.parts)


def _tools(request: chat.Request, habits: ChatHabits, body: dict[str, Any], dropped: list[str]) -> None:
    """Tools and how to choose among them. Without tools nothing of it is sent: services refuse a choice of none."""
    if not request.tools:
        return
    choice = request.tool_choice
    if not habits.tool_choice and choice is not None and choice.mode != "auto":
        if choice.mode == "none":
            return  # this service calls no tool that it does not know of
        field = request.said("tool_choice")
        raise _unsupported(field, f"This model cannot be made to call a tool. Leave '{field}' out, or say auto.")
    body["tools"] = [_tool(tool, habits) for tool in request.tools]
    if not habits.strict_tools and any(tool.strict for tool in request.tools):
        dropped.append(request.said("tools.function.strict"))
    if choice is not None and habits.tool_choice:
        named = choice.mode == "named"
        body["tool_choice"] = {"type": "function", "function": {"name": choice.name}} if named else choice.mode
    parallel = request.parallel_tool_calls
    if parallel is not None and (habits.parallel_tool_calls or not parallel):
        # Where the field is unknown, True is what the service does anyway.
        _put(body, "parallel_tool_calls", parallel, habits.parallel_tool_calls, request, dropped)


def _tool(tool: chat.Tool, habits: ChatHabits) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "object", "properties": {}}
    if tool.parameters is not None:
        # OpenAI answers an object's schema without properties with 400.
        schema = {"type": "object"} | tool.parameters
        if schema["type"] == "object":
            schema.setdefault("properties", {})
    function: dict[str, Any] = {"name": tool.name, "parameters": schema}
    if tool.description is not None:
        function["description"] = tool.description
    if tool.strict is not None and habits.strict_tools:
        function["strict"] = tool.strict
    written: dict[str, Any] = {"type": "function", "function": function}
    if tool.cache_control is not None and habits.cache_control:
        written["cache_control"] = tool.cache_control
    return written


def _format(request: chat.Request, habits: ChatHabits, body: dict[str, Any]) -> None:
    """`response_format`; where schemas are not enforced, as JSON of any kind with the schema as an instruction."""
    wanted = request.response_format
    if wanted is None or wanted.kind == "text":
        return
    if wanted.kind != "json_schema" or wanted.schema is None:
        body["response_format"] = {"type": "json_object"}
    elif habits.json_schema:
        schema: dict[str, Any] = {"name": wanted.name or SCHEMA_NAME, "schema": wanted.schema}
        if wanted.description is not None:
            schema["description"] = wanted.description
        if wanted.strict is not None:
            schema["strict"] = wanted.strict
        body["response_format"] = {"type": "json_schema", "json_schema": schema}
    else:
        body["response_format"] = {"type": "json_object"}
        body["messages"].insert(0, {"role": "system", "content": _SCHEMA_ONLY + json.dumps(wanted.schema)})


def _reasoning(request: chat.Request, habits: ChatHabits, body: dict[str, Any], dropped: list[str]) -> None:
    """An effort, or the one that a budget of tokens amounts to; the nearest that the service knows."""
    effort, field = request.reasoning_effort, "reasoning_effort"
    if effort is None and request.thinking_budget is not None:
        field = "thinking_budget"
        if request.thinking_budget <= LOW_BUDGET:
            effort = "low"
        else:
            effort = "medium" if request.thinking_budget <= MEDIUM_BUDGET else "high"
    if effort is None:
        return
    if effort not in EFFORTS:
        param = request.said(field)
        known = ", ".join(EFFORTS)
        message = f"Invalid value for '{param}': '{effort}'. Supported values are: {known}."
        raise TollwayError(Code.INVALID_REQUEST, message, param=param)
    if effort in habits.efforts:
        body["reasoning_effort"] = effort
        return
    efforts = [known for known in habits.efforts if known != "none"]
    if effort == "none" or not efforts:
        if effort != "none" or habits.efforts:
            dropped.append(request.said(field))  # a model that does not reason does as it is told
        return
    wanted = EFFORTS.index(effort)
    body["reasoning_effort"] = min(efforts, key=lambda known: abs(EFFORTS.index(known) - wanted))


def _sampling(request: chat.Request, habits: ChatHabits, body: dict[str, Any], dropped: list[str]) -> None:
    """Temperature, top_p and top_k. A value that is the default anyway is left out without a word."""
    idle = habits.sampling_idle and body.get("reasoning_effort", "none") == "none"
    for name, value in (("temperature", request.temperature), ("top_p", request.top_p)):
        if value is None or (value == 1 and not (habits.sampling or idle)):
            continue
        _put(body, name, value, habits.sampling or idle, request, dropped)
    if request.top_k is not None:
        _put(body, "top_k", request.top_k, habits.top_k, request, dropped)


def _rest(request: chat.Request, habits: ChatHabits, body: dict[str, Any], dropped: list[str]) -> None:
    """Knobs that are copied as they are. `store` never is: what a provider kept could be asked for by its id."""
    for name, raw in request.rest.items():
        if name == "store" and bytes(raw) in (b"false", b"null"):
            continue
        if name in habits.knobs:
            body[habits.renamed.get(name, name)] = raw
        else:
            dropped.append(request.said(name))
