"""A neutral chat request, written for Anthropic's Messages API.

Owns what can be said there and how. What would change the meaning of the answer and cannot be said is refused
(`unsupported_parameter`); tuning knobs that Anthropic has not are left out and named.
"""

from __future__ import annotations

import json
from typing import Any

import msgspec

from tollway.core import chat
from tollway.core.dialects.anthropic_content import has_unsigned_thinking, system_blocks, turns
from tollway.core.dialects.anthropic_models import Habits, habits_of
from tollway.core.dialects.anthropic_schema import enforceable
from tollway.core.dialects.ports import Written
from tollway.core.errors import Code, TollwayError

DEFAULT_MAX_TOKENS = 4096
MIN_THINKING_BUDGET = 1024

_BUDGETS = {"minimal": 1024, "low": 1024, "medium": 4096, "high": 16384, "xhigh": 24576, "max": 32768}
_EFFORTS = {"minimal": "low", "low": "low", "medium": "medium", "high": "high", "xhigh": "xhigh", "max": "max"}
_REFUSED = {
    "n": "This model gives one choice a request. Leave '{}' out and send several requests.",
    "logprobs": "Log probabilities are not available for this model. Leave '{}' out.",
    "modalities": "This model answers in text only. Leave '{}' out.",
    "audio": "Answers in audio are not available for this model. Leave '{}' out.",
    "web_search_options": "Web search is not available for this model. Leave '{}' out.",
    "functions": "Legacy function calling is not available for this model. Use 'tools' instead of '{}'.",
    "function_call": "Legacy function calling is not available for this model. Use 'tool_choice' instead of '{}'.",
}
_JSON_ONLY = "Answer with one valid JSON object and nothing else: no prose, no code fences."
_SCHEMA_ONLY = "Answer with one JSON object that is valid against this JSON Schema, and nothing else: "

_encode = msgspec.json.Encoder().encode


def write_request(request: chat.Request, model: str, *, max_output_tokens: int | None = None) -> Written:
    """The body for `POST /v1/messages`. `model` is the provider's name; `max_output_tokens` what the model can give.

    `max_tokens`, which Anthropic requires, is the client's, else `max_output_tokens`, else 4096. `temperature` above 1,
    Anthropic's end of the scale, becomes 1. Raises TollwayError(unsupported_parameter | invalid_request).
    """
    _refuse(request)
    habits = habits_of(model)
    dropped = [name for name in request.rest if name not in _REFUSED]
    if any(message.name for message in request.messages):
        dropped.append("messages.name")
    if has_unsigned_thinking(request.messages):
        dropped.append("messages.reasoning_content")
    max_tokens = request.max_tokens or max_output_tokens or DEFAULT_MAX_TOKENS
    if max_output_tokens is not None:
        max_tokens = min(max_tokens, max_output_tokens)
    body: dict[str, Any] = {"model": model, "max_tokens": max_tokens, "messages": turns(request.messages)}
    system = system_blocks(request.messages)
    _format(request, habits, body, system)
    if system:
        body["system"] = system
    if request.stream:
        body["stream"] = True
    if request.stop:
        body["stop_sequences"] = _stops(request)
    if request.user:
        body["metadata"] = {"user_id": request.user}
    _tools(request, habits, body, dropped)
    thinking = _thinking(request, habits, body, dropped)
    _sampling(request, habits, thinking, body, dropped)
    return Written(_encode(body), tuple(sorted({request.said(name) for name in dropped})))


def _unsupported(param: str, message: str) -> TollwayError:
    return TollwayError(Code.UNSUPPORTED_PARAMETER, message, param=param)


def _refuse(request: chat.Request) -> None:
    """What changes the meaning of the answer and cannot be said to Anthropic."""
    asked = {
        "n": request.n > 1,
        "logprobs": request.logprobs,
        "modalities": any(modality != "text" for modality in request.modalities),
    }
    for name, message in _REFUSED.items():
        if asked.get(name) or name in request.rest:
            field = request.said(name)
            raise _unsupported(field, message.format(field))


def _stops(request: chat.Request) -> list[str]:
    for stop in request.stop:
        if not stop.strip():
            message = "A stop sequence of white space alone is not available for this model."
            raise _unsupported(request.said("stop"), message)
    return list(request.stop)


def _format(request: chat.Request, habits: Habits, body: dict[str, Any], system: list[dict[str, Any]]) -> None:
    """`response_format`: as `output_config.format` where the model can enforce the schema, else as an instruction."""
    wanted = request.response_format
    if wanted is None or wanted.kind == "text":
        return
    if wanted.schema is None:
        system.append({"type": "text", "text": _JSON_ONLY})
    elif habits.structured_outputs and (schema := enforceable(wanted.schema)) is not None:
        body["output_config"] = {"format": {"type": "json_schema", "schema": schema}}
    else:
        system.append({"type": "text", "text": _SCHEMA_ONLY + json.dumps(wanted.schema)})


def _tools(request: chat.Request, habits: Habits, body: dict[str, Any], dropped: list[str]) -> None:
    if not request.tools:
        return
    body["tools"] = [_tool(tool, habits) for tool in request.tools]
    if sum(tool.strict is True for tool in request.tools) > sum("strict" in tool for tool in body["tools"]):
        dropped.append("tools.function.strict")
    choice: dict[str, Any] = {"type": "auto"}
    if request.tool_choice is not None:
        kinds = {"none": "none", "auto": "auto", "required": "any", "named": "tool"}
        choice = {"type": kinds[request.tool_choice.mode]}
        if request.tool_choice.name is not None:
            choice["name"] = request.tool_choice.name
    if request.parallel_tool_calls is False and choice["type"] != "none":
        choice["disable_parallel_tool_use"] = True
    if request.tool_choice is not None or len(choice) > 1:
        body["tool_choice"] = choice


def _tool(tool: chat.Tool, habits: Habits) -> dict[str, Any]:
    schema = {"type": "object", "properties": {}} if tool.parameters is None else {"type": "object"} | tool.parameters
    written: dict[str, Any] = {"name": tool.name, "input_schema": schema}
    if tool.description is not None:
        written["description"] = tool.description
    if tool.strict and habits.structured_outputs and (closed := enforceable(schema)) is not None:
        written |= {"input_schema": closed, "strict": True}
    if tool.cache_control is not None:
        written["cache_control"] = tool.cache_control
    return written


def _thinking(request: chat.Request, habits: Habits, body: dict[str, Any], dropped: list[str]) -> bool:
    """How much the model is to think: the client's budget where the model takes one, else an effort where it thinks
    adaptively, else a budget for the effort; budgets are kept inside `max_tokens`. Says whether it is to think.

    Anthropic refuses thinking with a forced tool and, with a budget, after a tool call whose thinking is not sent back
    or with the answer's beginning prefilled; then, and where `max_tokens` has no room for the least budget, what the
    client asked for is dropped and named. A budget that only an effort stands for is named too.
    """
    effort, granted = request.reasoning_effort, request.thinking_budget
    if effort == "none" or (effort is None and granted is None):
        return False
    asked = "thinking_budget" if effort is None else "reasoning_effort"
    if effort is None:
        effort = _effort_of(granted or 0)
    elif effort not in _EFFORTS:
        field, known = request.said("reasoning_effort"), ", ".join(("none", *_EFFORTS))
        message = f"Invalid value for '{field}': '{effort}'. Supported values are: {known}."
        raise TollwayError(Code.INVALID_REQUEST, message, param=field)
    forced = request.tool_choice is not None and request.tool_choice.mode in ("required", "named")
    if not forced and granted is not None and habits.budgets and _budget_fits(body):
        budget = min(granted, body["max_tokens"] - 1)
        if budget >= MIN_THINKING_BUDGET:
            body["thinking"] = {"type": "enabled", "budget_tokens": budget}
            return True
    if habits.thinking == "adaptive" and not forced:
        level = _EFFORTS[effort] if _EFFORTS[effort] in habits.efforts else "high"
        body["thinking"] = {"type": "adaptive"}
        body.setdefault("output_config", {})["effort"] = level
        if granted is not None:
            dropped.append("thinking_budget")
        return True
    budget = min(_BUDGETS[effort], body["max_tokens"] // 2)
    if habits.thinking != "budget" or forced or budget < MIN_THINKING_BUDGET or not _budget_fits(body):
        dropped.append(asked)
        return False
    body["thinking"] = {"type": "enabled", "budget_tokens": budget}
    return True


def _effort_of(budget: int) -> str:
    """The greatest effort that stands for no more tokens than the budget."""
    fitting = [effort for effort, tokens in _BUDGETS.items() if tokens <= budget]
    return fitting[-1] if fitting else "low"


def _budget_fits(body: dict[str, Any]) -> bool:
    """Whether the turns allow thinking with a budget: no prefilled answer, no open tool call without its thinking."""
    turns_written = body["messages"]
    if turns_written[-1]["role"] == "assistant":
        return False
    if all(block["type"] != "tool_result" for block in turns_written[-1]["content"]):
        return True
    calling = turns_written[-2]["content"][0]["type"] if len(turns_written) > 1 else ""
    return calling in ("thinking", "redacted_thinking")


def _sampling(request: chat.Request, habits: Habits, thinking: bool, body: dict[str, Any], dropped: list[str]) -> None:
    """Temperature, top_p and top_k, as far as the model and thinking allow them."""
    given = {"temperature": request.temperature, "top_p": request.top_p, "top_k": request.top_k}
    if given["temperature"] is not None and given["temperature"] > 1:
        given["temperature"] = 1.0
    for name, value in given.items():
        if value is None:
            continue
        fits = habits.sampling and not (name == "top_p" and "temperature" in body and not habits.both_sampling)
        if thinking:
            # A thinking model takes temperature 1 alone, top_p from 0.95 on, and no top_k.
            fits = fits and ((name == "temperature" and value == 1) or (name == "top_p" and value >= 0.95))
        if fits:
            body[name] = value
        else:
            dropped.append(name)
