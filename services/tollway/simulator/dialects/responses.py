"""OpenAI's Responses: the request, and the answer that is not streamed; the stream is in `responses_stream.py`.

Source: https://platform.openai.com/docs/api-reference/responses. Nothing is stored, whatever `store` says: no
`previous_response_id` is known. Reasoning is an item where the model's behaviour has reasoning: with a summary where
the request asks for one, with encrypted content where it is to be included.
"""

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from tollway.simulator.answer import (
    IMAGE_TOKENS,
    LONGEST,
    MESSAGE_TOKENS,
    Answer,
    Asked,
    Tool,
    count,
    structured,
)
from tollway.simulator.dialects.endpoint import Endpoint
from tollway.simulator.dialects.openai import model_of
from tollway.simulator.dialects.port import BadRequest, Event, as_str, decode, named, within
from tollway.simulator.dialects.responses_stream import stream

MIN_LIMIT = 16
ROLES = ("user", "assistant", "system", "developer")
ENCRYPTED = "reasoning.encrypted_content"
_FIXED = {
    "background": False,
    "max_tool_calls": None,
    "service_tier": "default",
    "top_logprobs": 0,
    "truncation": "disabled",
    "previous_response_id": None,
    "error": None,
}


class Request(msgspec.Struct):
    """The fields of a request that change the answer, or that it repeats."""

    model: str = ""
    input: str | list[dict[str, Any]] | None = None
    instructions: str | None = None
    stream: bool | None = None
    max_output_tokens: int | None = None
    tools: list[dict[str, Any]] | None = None
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    reasoning: dict[str, Any] | None = None
    text: dict[str, Any] | None = None
    include: list[str] | None = None
    previous_response_id: str | None = None
    metadata: dict[str, str] | None = None
    temperature: float | None = None
    top_p: float | None = None
    store: bool | None = None


class _Wanted(msgspec.Struct, frozen=True):
    """What `detail` is here."""

    echo: dict[str, msgspec.Raw]
    """What the answer repeats of the request, as JSON."""
    summary: bool
    encrypted: bool


class Responses(Endpoint):
    """`/responses`."""

    def read(self, body: bytes, path_model: str, query: Mapping[str, str], headers: Mapping[str, str]) -> Asked:
        """As `Dialect.read`."""
        self.admit(path_model, query, headers)
        request: Request = decode(body, Request)
        model = model_of(path_model, request.model)
        within("max_output_tokens", request.max_output_tokens, MIN_LIMIT, 1 << 31)
        if (unknown := request.previous_response_id) is not None:
            said = f"Previous response with id '{unknown[:100]}' not found."
            raise BadRequest(said, param="previous_response_id", code="previous_response_not_found")
        items = _items(request.input)
        users = [item for item in items if item.get("role") == "user"]
        tools = [tool for tool in request.tools or [] if tool.get("type") == "function"]
        if any(not as_str(tool.get("name")) for tool in tools):
            raise BadRequest("Missing required parameter: 'tools[0].name'.", param="tools")
        summary = (request.reasoning or {}).get("summary") is not None
        return Asked(
            model=model,
            stream=bool(request.stream),
            prompt_tokens=_prompt_tokens(request, items),
            last_user=_text(users[-1].get("content"))[:LONGEST] if users else "",
            may_call=items[-1].get("role") == "user",
            tools=()
            if request.tool_choice == "none"
            else tuple(Tool(as_str(tool.get("name")), tool.get("parameters")) for tool in tools),
            forced=_forced(request.tool_choice),
            parallel=request.parallel_tool_calls is not False,
            limit=request.max_output_tokens,
            include_usage=True,
            says=_structured(request.text),
            hides_reasoning=not summary,
            detail=_Wanted(_echo(request), summary, ENCRYPTED in (request.include or ())),
        )

    def whole(self, asked: Asked, answer: Answer, request_id: str, created: int, *, usage: bool) -> bytes:
        """As `Dialect.whole`."""
        return msgspec.json.encode(_ended(asked, answer, request_id, created, usage=usage))

    def events(
        self, asked: Asked, answer: Answer, request_id: str, created: int, *, usage: bool, chunk: int
    ) -> Iterator[Event]:
        """As `Dialect.events`."""
        opened = _frame(asked, request_id, created) | {
            "status": "in_progress",
            "output": [],
            "incomplete_details": None,
        }
        ended = _ended(asked, answer, request_id, created, usage=usage)
        reasoning = answer.choices[0].reasoning
        return stream(opened, ended, reasoning, chunk=chunk)

    def error_event(self, number: int) -> bytes:
        """As `Provider.error_event`: with its number, and without an object around it."""
        said = "The server had an error while processing your request. Sorry about that!"
        event = {"type": "error", "code": "server_error", "message": said, "param": None, "sequence_number": number}
        return named(event)


def _items(given: str | list[dict[str, Any]] | None) -> list[dict[str, Any]]:
    """The input as items. Raises BadRequest for what is none."""
    items = [{"role": "user", "content": given}] if isinstance(given, str) else given or []
    if not items:
        raise BadRequest("Missing required parameter: 'input'.", param="input", code="missing_required_parameter")
    for at, item in enumerate(items):
        kind = item.get("type", "message")
        if not isinstance(kind, str):
            raise BadRequest(f"Invalid type for 'input[{at}].type'.", param=f"input[{at}].type")
        if kind == "message" and item.get("role") not in ROLES:
            raise BadRequest(f"Invalid value for 'input[{at}].role'.", param=f"input[{at}].role", code="invalid_value")
        if kind in ("function_call", "function_call_output") and not as_str(item.get("call_id")):
            place = f"input[{at}].call_id"
            raise BadRequest(f"Missing required parameter: '{place}'.", param=place, code="missing_required_parameter")
    return items


def _text(content: Any) -> str:
    if not isinstance(content, list):
        return as_str(content)
    return "".join(as_str(part.get("text")) for part in content if isinstance(part, dict))


def _prompt_tokens(request: Request, items: list[dict[str, Any]]) -> int:
    """The prompt's tokens: instructions, messages, calls and their results, shown reasoning, and the tools as JSON."""
    total = MESSAGE_TOKENS + count(request.instructions) if request.instructions else 0
    for item in items:
        match item.get("type", "message"):
            case "message":
                total += MESSAGE_TOKENS + _content_tokens(item.get("content"))
            case "function_call":
                total += count(as_str(item.get("name"))) + count(as_str(item.get("arguments")))
            case "function_call_output":
                total += MESSAGE_TOKENS + _content_tokens(item.get("output"))
            case "reasoning":
                total += _content_tokens(item.get("summary"))
    return total + (count(msgspec.json.encode(request.tools).decode()) if request.tools else 0)


def _content_tokens(content: Any) -> int:
    if isinstance(content, str):
        return count(content)
    parts = [part for part in content if isinstance(part, dict)] if isinstance(content, list) else []
    return sum(count(part["text"]) if isinstance(part.get("text"), str) else IMAGE_TOKENS for part in parts)


def _forced(choice: str | dict[str, Any] | None) -> str:
    if isinstance(choice, dict):
        if choice.get("type") == "function":
            return as_str(choice.get("name")) or "*"
        return "*" if choice.get("mode") == "required" else ""
    return "*" if choice == "required" else ""


def _structured(text: dict[str, Any] | None) -> str | None:
    """What is said where the client wants JSON: an object after its schema."""
    wanted = (text or {}).get("format")
    if not isinstance(wanted, dict) or wanted.get("type") not in ("json_schema", "json_object"):
        return None
    return structured(wanted.get("schema", {}))


def _echo(request: Request) -> dict[str, msgspec.Raw]:
    """What the answer repeats of the request, with the defaults that the service fills in."""
    reasoning = request.reasoning or {}
    text = request.text or {}
    tools = [
        {"description": None, "parameters": {}, "strict": True, **tool} if tool.get("type") == "function" else tool
        for tool in request.tools or []
    ]
    found = {
        "instructions": request.instructions,
        "max_output_tokens": request.max_output_tokens,
        "metadata": request.metadata or {},
        "parallel_tool_calls": request.parallel_tool_calls is not False,
        "reasoning": {"effort": reasoning.get("effort"), "summary": reasoning.get("summary")},
        "store": request.store is not False,
        "temperature": 1.0 if request.temperature is None else request.temperature,
        "text": {"format": {"type": "text"}, "verbosity": "medium", **text},
        "tool_choice": "auto" if request.tool_choice is None else request.tool_choice,
        "tools": tools,
        "top_p": 1.0 if request.top_p is None else request.top_p,
    }
    return {name: msgspec.Raw(msgspec.json.encode(value)) for name, value in found.items()}


def _frame(asked: Asked, request_id: str, created: int) -> dict[str, Any]:
    wanted: _Wanted = asked.detail
    start = {"id": f"resp_{request_id}", "object": "response", "created_at": created, "model": asked.model}
    return {**start, **_FIXED, **wanted.echo}


def _ended(asked: Asked, answer: Answer, request_id: str, created: int, *, usage: bool) -> dict[str, Any]:
    """The response when all is said."""
    choice = answer.choices[0]
    reason = {"length": "max_output_tokens", "filter": "content_filter"}.get(choice.finish)
    status = "completed" if reason is None else "incomplete"
    told = {
        "input_tokens": answer.prompt_tokens,
        "input_tokens_details": {"cached_tokens": answer.cached, "cache_write_tokens": 0},
        "output_tokens": answer.completion_tokens,
        "output_tokens_details": {"reasoning_tokens": answer.reasoning_tokens},
        "total_tokens": answer.prompt_tokens + answer.completion_tokens,
    }
    return {
        **_frame(asked, request_id, created),
        "status": status,
        "completed_at": created if reason is None else None,
        "incomplete_details": None if reason is None else {"reason": reason},
        "output": _output(asked, answer, request_id, status),
        "usage": told if usage else None,
    }


def _output(asked: Asked, answer: Answer, request_id: str, status: str) -> list[dict[str, Any]]:
    """The items: reasoning, the message, the calls. Only the last of them can be incomplete."""
    choice, wanted = answer.choices[0], asked.detail
    items: list[dict[str, Any]] = []
    if choice.reasoning:
        summary = [{"type": "summary_text", "text": choice.reasoning}] if wanted.summary else []
        items.append({"id": f"rs_{request_id}", "type": "reasoning", "summary": summary})
        if wanted.encrypted:
            sealed = base64.b64encode(choice.reasoning.encode("utf-8", "surrogatepass")).decode()
            items[-1]["encrypted_content"] = sealed
    if choice.text or not choice.calls:
        part = {"type": "output_text", "annotations": [], "logprobs": [], "text": choice.text}
        items.append({"id": f"msg_{request_id}", "type": "message", "role": "assistant", "content": [part]})
    for at, call in enumerate(choice.calls):
        call_id = {"id": f"fc_{request_id}{at}", "type": "function_call", "call_id": f"call_{request_id}{at}"}
        items.append({**call_id, "name": call.name, "arguments": call.arguments})
    shown = [item for item in items if item["type"] != "reasoning"]
    for item in shown:
        item["status"] = status if item is shown[-1] else "completed"
    return items
