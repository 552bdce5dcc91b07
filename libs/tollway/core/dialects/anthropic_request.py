"""A neutral chat request, written for Anthropic's Messages API.

Owns what can be said there and how. What would change the meaning of the answer and cannot be said is refused
(`unsupported_parameter`); tuning knobs that Anthropic has not are left out and named.
"""

from __future__ import annotations

import json
from typing import Any

import msgspec

from tollway.core import chat
from tollway.core.dialects.anthropic_content import system_blocks, turns
from tollway.core.dialects.anthropic_models import Habits, habits_of
from tollway.core.dialects.ports import Written
from tollway.core.errors import Code, TollwayError

DEFAULT_MAX_TOKENS = 4096
MIN_THINKING_BUDGET = 1024

_BUDGETS = {"minimal": 1024, "low": 1024, "medium": 4096, "high": 16384, "xhigh": 24576, "max": 32768}
_EFFORTS = {"minimal": "low", "low": "low", "medium": "medium", "high": "high", "xhigh": "xhigh", "max": "max"}
_REFUSED = {
    "audio": "Answers in audio are not available for this model. Leave 'audio' out.",
    "web_search_options": "Web search is not available for this model. Leave 'web_search_options' out.",
    "functions": "Legacy function calling is not available for this model. Use 'tools' instead.",
    "function_call": "Legacy function calling is not available for this model. Use 'tool_choice' instead.",
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
        body["stop_sequences"] = _stops(request.stop)
    if request.user:
        body["metadata"] = {"user_id": request.user}
    _tools(request, habits, body, dropped)
    thinking = _thinking(request, habits, body, dropped)
    _sampling(request, habits, thinking, body, dropped)
    return Written(_encode(body), tuple(sorted(dropped)))


def _unsupported(param: str, message: str) -> TollwayError:
    return TollwayError(Code.UNSUPPORTED_PARAMETER, message, param=param)


def _refuse(request: chat.Request) -> None:
    """What changes the meaning of the answer and cannot be said to Anthropic."""
    if request.n > 1:
        raise _unsupported("n", "This model gives one choice a request. Leave 'n' out and send several requests.")
    if request.logprobs:
        raise _unsupported("logprobs", "Log probabilities are not available for this model. Leave 'logprobs' out.")
    if any(modality != "text" for modality in request.modalities):
        raise _unsupported("modalities", "This model answers in text only. Leave 'modalities' out.")
    for name, message in _REFUSED.items():
        if name in request.rest:
            raise _unsupported(name, message)


def _stops(stops: tuple[str, ...]) -> list[str]:
    for stop in stops:
        if not stop.strip():
            raise _unsupported("stop", "A stop sequence of white space alone is not available for this model.")
    return list(stops)


def _format(request: chat.Request, habits: Habits, body: dict[str, Any], system: list[dict[str, Any]]) -> None:
    """`response_format`: as `output_config.format` where the model enforces schemas, else as an instruction."""
    wanted = request.response_format
    if wanted is None or wanted.kind == "text":
        return
    if wanted.schema is None:
        system.append({"type": "text", "text": _JSON_ONLY})
    elif habits.structured_outputs:
        body["output_config"] = {"format": {"type": "json_schema", "schema": wanted.schema}}
    else:
        system.append({"type": "text", "text": _SCHEMA_ONLY + json.dumps(wanted.schema)})


def _tools(request: chat.Request, habits: Habits, body: dict[str, Any], dropped: list[str]) -> None:
    if not request.tools:
        return
    body["tools"] = [_tool(tool, habits) for tool in request.tools]
    if not habits.structured_outputs and any(tool.strict for tool in request.tools):
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
    if tool.strict and habits.structured_outputs:
        written["strict"] = True
    if tool.cache_control is not None:
        written["cache_control"] = tool.cache_control
    return written


def _thinking(request: chat.Request, habits: Habits, body: dict[str, Any], dropped: list[str]) -> bool:
    """`reasoning_effort`: an effort where the model thinks adaptively, else a budget inside `max_tokens`.

    Says whether the model is to think. Anthropic refuses thinking with a forced tool and, with a budget, after a tool
    call whose thinking is not sent back (this dialect cannot) or with the answer's beginning prefilled; then, and where
    `max_tokens` has no room for the least budget, the effort is dropped and named.
    """
    effort = request.reasoning_effort
    if effort is None or effort == "none":
        return False
    if effort not in _EFFORTS:
        known = ", ".join(("none", *_EFFORTS))
        message = f"Invalid value for 'reasoning_effort': '{effort}'. Supported values are: {known}."
        raise TollwayError(Code.INVALID_REQUEST, message, param="reasoning_effort")
    forced = request.tool_choice is not None and request.tool_choice.mode in ("required", "named")
    if habits.thinking == "adaptive" and not forced:
        level = _EFFORTS[effort] if _EFFORTS[effort] in habits.efforts else "high"
        body["thinking"] = {"type": "adaptive"}
        body.setdefault("output_config", {})["effort"] = level
        return True
    turns_written = body["messages"]
    budget = min(_BUDGETS[effort], body["max_tokens"] // 2)
    open_call = any(block["type"] == "tool_result" for block in turns_written[-1]["content"])
    prefilled = turns_written[-1]["role"] == "assistant"
    if habits.thinking != "budget" or forced or open_call or prefilled or budget < MIN_THINKING_BUDGET:
        dropped.append("reasoning_effort")
        return False
    body["thinking"] = {"type": "enabled", "budget_tokens": budget}
    return True


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
