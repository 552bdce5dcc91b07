"""Anthropic's Messages. Source: https://docs.anthropic.com/en/api/messages, /messages-streaming and /errors."""

# ruff: noqa: ARG002 - signatures are those of the port

from __future__ import annotations

import base64
from collections.abc import Iterator, Mapping
from hashlib import blake2b
from typing import Any

import msgspec
import orjson

from tollway.simulator.answer import (
    IMAGE_TOKENS,
    LONGEST,
    MESSAGE_TOKENS,
    Answer,
    Asked,
    Choice,
    Tool,
    count,
    pieces,
    structured,
)
from tollway.simulator.dialects.port import BadRequest, Event, Part, Reply, as_str, decode, named, waiting

STOP = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use", "filter": "refusal"}
THINKING_TOKENS = 16
"""So many tokens are thought where thinking is enabled and the model's behaviour says nothing of it."""
MIN_BUDGET = 1024
_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
    504: "timeout_error",
    529: "overloaded_error",
}
_MESSAGES = {
    401: "invalid x-api-key",
    429: "This request would exceed your account's rate limit. Please try again later.",
    500: "Internal server error",
    529: "Overloaded",
}
_RESET = "2030-01-01T00:00:00Z"
_LIMITS = {"requests": 4000, "input-tokens": 400_000, "output-tokens": 80_000, "tokens": 480_000}


class _Message(msgspec.Struct):
    role: str
    content: str | list[dict[str, Any]]


class _Tool(msgspec.Struct):
    name: str
    input_schema: Any = None
    type: str | None = None


class Request(msgspec.Struct):
    """The fields of a request that change the answer."""

    model: str
    messages: list[_Message]
    max_tokens: int | None = None
    system: str | list[dict[str, Any]] | None = None
    stream: bool | None = None
    stop_sequences: list[str] | None = None
    tools: list[_Tool] | None = None
    tool_choice: dict[str, Any] | None = None
    thinking: dict[str, Any] | None = None
    output_config: dict[str, Any] | None = None


class Anthropic:
    """api.anthropic.com."""

    name = "anthropic"
    id_in_errors = "request_id"

    def read(self, body: bytes, path_model: str, query: Mapping[str, str], headers: Mapping[str, str]) -> Asked:
        """As `Dialect.read`."""
        self.admit(path_model, query, headers)
        request = checked(body)
        if request.max_tokens is None:
            raise BadRequest("max_tokens: Field required")
        if request.max_tokens < 1:
            raise BadRequest("max_tokens: Input should be greater than or equal to 1")
        return _asked(request)

    def admit(self, path_model: str, query: Mapping[str, str], headers: Mapping[str, str]) -> None:
        """As `Provider.admit`: the API's version is wanted."""
        if not headers.get("anthropic-version"):
            raise BadRequest("anthropic-version: header is required")

    def headers(self, request_id: str, asked: Asked | None) -> dict[str, str]:
        """As `Dialect.headers`."""
        found = {"request-id": f"req_{request_id}", "anthropic-organization-id": "00000000-0000-0000-0000-000000000000"}
        if asked is not None:
            for name, limit in _LIMITS.items():
                found[f"anthropic-ratelimit-{name}-limit"] = str(limit)
                found[f"anthropic-ratelimit-{name}-remaining"] = str(limit - 1)
                found[f"anthropic-ratelimit-{name}-reset"] = _RESET
        return found

    def usage(self, answer: Answer, output: int, *, hour: bool) -> dict[str, Any]:
        """The usage object; input excludes what was read from or written to the cache."""
        return {
            "input_tokens": answer.prompt_tokens - answer.cached - answer.cache_write,
            "cache_creation_input_tokens": answer.cache_write,
            "cache_read_input_tokens": answer.cached,
            "cache_creation": {
                "ephemeral_5m_input_tokens": 0 if hour else answer.cache_write,
                "ephemeral_1h_input_tokens": answer.cache_write if hour else 0,
            },
            "output_tokens": output,
            "service_tier": "standard",
        }

    def whole(self, asked: Asked, answer: Answer, request_id: str, created: int, *, usage: bool) -> bytes:
        """As `Dialect.whole`."""
        choice = answer.choices[0]
        content: list[dict[str, Any]] = []
        if choice.reasoning:
            shown = "" if asked.hides_reasoning else choice.reasoning
            content.append({"type": "thinking", "thinking": shown, "signature": signature(choice.reasoning)})
        if choice.text:
            content.append({"type": "text", "text": choice.text})
        for at, call in enumerate(choice.calls):
            block = {"type": "tool_use", "id": f"toolu_{request_id}{at}", "name": call.name}
            content.append({**block, "input": _complete(call.arguments)})
        found = self._message(asked, request_id, content)
        found |= {"stop_reason": STOP.get(choice.finish, choice.finish), "stop_sequence": choice.stopped_by}
        if usage:
            found["usage"] = self.usage(answer, answer.completion_tokens, hour=asked.cache_hour)
        return msgspec.json.encode(found)

    def _message(self, asked: Asked, request_id: str, content: list[dict[str, Any]]) -> dict[str, Any]:
        return {
            "id": f"msg_{request_id}",
            "type": "message",
            "role": "assistant",
            "model": asked.model,
            "content": content,
            "stop_reason": None,
            "stop_sequence": None,
        }

    def events(
        self, asked: Asked, answer: Answer, request_id: str, created: int, *, usage: bool, chunk: int
    ) -> Iterator[Event]:
        """As `Dialect.events`: message_start, the blocks, message_delta with cumulative usage, message_stop."""
        choice = answer.choices[0]
        message = self._message(asked, request_id, [])
        if usage:
            message["usage"] = self.usage(answer, min(1, answer.completion_tokens), hour=asked.cache_hour)
        yield _event({"type": "message_start", "message": message}, 0, Part.HEAD)
        yield from _blocks(choice, request_id, chunk, hidden=asked.hides_reasoning)
        delta = {"stop_reason": STOP.get(choice.finish, choice.finish), "stop_sequence": choice.stopped_by}
        ended: dict[str, Any] = {"type": "message_delta", "delta": delta}
        if usage:
            ended["usage"] = self.usage(answer, answer.completion_tokens, hour=asked.cache_hour)
        yield _event(ended, 0, Part.FINISH)
        yield _event({"type": "message_stop"}, 0, Part.DONE)

    def error(
        self,
        status: int,
        message: str = "",
        *,
        param: str | None = None,
        code: str | None = None,
        retry_after: float = 0,
    ) -> Reply:
        """As `Dialect.error`."""
        return Reply(status, waiting(status, retry_after), _error(status, message))

    def quota(self) -> Reply:
        """As `Dialect.quota`."""
        return self.error(
            400, "Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing."
        )

    def error_event(self, number: int) -> bytes:
        """As `Provider.error_event`."""
        return _event(_error(529, ""), 0, Part.CONTENT).data


def checked(body: bytes) -> Request:
    """A request that a message could be made for. Raises BadRequest."""
    request: Request = decode(body, Request)
    if not request.messages:
        raise BadRequest("messages: at least one message is required")
    wrong = next((m.role for m in request.messages if m.role not in ("user", "assistant")), None)
    if wrong is not None:
        raise BadRequest(f'messages: Unexpected role {wrong!r}. Allowed roles are "user" or "assistant".')
    for at, message in enumerate(request.messages):
        for number, part in enumerate(message.content if isinstance(message.content, list) else ()):
            if part.get("type") == "thinking" and not as_str(part.get("signature")):
                raise BadRequest(f"messages.{at}.content.{number}.thinking.signature: Field required")
    return request


def signature(thinking: str) -> str:
    """What the provider would sign a thinking block with: other text, other signature."""
    return base64.b64encode(blake2b(thinking.encode("utf-8", "surrogatepass"), digest_size=24).digest()).decode()


def _thinks(request: Request) -> int:
    """The tokens of the thinking that the client asked for. Raises BadRequest."""
    thinking = request.thinking or {}
    kind = thinking.get("type", "disabled")
    if kind not in ("enabled", "adaptive", "disabled"):
        raise BadRequest("thinking.type: Input should be 'enabled', 'adaptive' or 'disabled'")
    if kind == "enabled":
        budget = thinking.get("budget_tokens")
        if type(budget) is not int or budget < MIN_BUDGET:
            raise BadRequest(f"thinking.enabled.budget_tokens: Input should be greater than or equal to {MIN_BUDGET}")
        if request.max_tokens is not None and budget >= request.max_tokens:
            raise BadRequest("`max_tokens` must be greater than `thinking.budget_tokens`.")
        if (request.tool_choice or {}).get("type") in ("any", "tool"):
            raise BadRequest("Thinking may not be enabled when tool_choice forces tool use.")
    return 0 if kind == "disabled" else THINKING_TOKENS


def _cache_hour(request: Request) -> bool:
    """Whether a cache breakpoint of the prompt has an hour as its time to live."""
    blocks = [content for content in (request.system, *(m.content for m in request.messages)) if content]
    controls = [part.get("cache_control") for content in blocks if isinstance(content, list) for part in content]
    return any(isinstance(control, dict) and control.get("ttl") == "1h" for control in controls)


def _structured(request: Request) -> str | None:
    """What is said where the client wants JSON: an object after its schema."""
    wanted = (request.output_config or {}).get("format")
    if not isinstance(wanted, dict) or wanted.get("type") != "json_schema":
        return None
    return structured(wanted.get("schema"))


def prompt_tokens(request: Request) -> int:
    """The prompt's tokens, cached or not."""
    total = _parts_tokens(request.system) if request.system else 0
    total += sum(MESSAGE_TOKENS + _parts_tokens(message.content) for message in request.messages)
    return total + (count(msgspec.json.encode(request.tools).decode()) if request.tools else 0)


def _asked(request: Request) -> Asked:
    choice = request.tool_choice or {}
    kind = choice.get("type")
    users = [message for message in request.messages if message.role == "user"]
    last = request.messages[-1]
    results = isinstance(last.content, list) and any(part.get("type") == "tool_result" for part in last.content)
    tools = [] if kind == "none" else request.tools or []
    return Asked(
        model=request.model,
        stream=bool(request.stream),
        prompt_tokens=prompt_tokens(request),
        last_user=_text(users[-1].content)[:LONGEST] if users else "",
        may_call=last.role == "user" and not results,
        # A tool of the provider's own has a type of its own, and the client is never asked to run it.
        tools=tuple(Tool(tool.name, tool.input_schema) for tool in tools if tool.type in (None, "custom")),
        forced={"any": "*", "tool": as_str(choice.get("name"))}.get(as_str(kind), ""),
        parallel=choice.get("disable_parallel_tool_use") is not True,
        limit=request.max_tokens,
        stop=tuple(request.stop_sequences or ()),
        preface=True,
        include_usage=True,
        thinks=_thinks(request),
        cache_hour=_cache_hour(request),
        says=_structured(request),
        hides_reasoning=(request.thinking or {}).get("display") == "omitted",
    )


def _text(content: str | list[dict[str, Any]]) -> str:
    if isinstance(content, str):
        return content
    return "".join(as_str(part.get("text")) for part in content if part.get("type") == "text")


def _parts_tokens(content: str | list[dict[str, Any]]) -> int:
    if isinstance(content, str):
        return count(content)
    total = 0
    for part in content:
        match part.get("type"):
            case "text":
                total += count(as_str(part.get("text")))
            case "tool_result" if isinstance(part.get("content"), str | list):
                total += _parts_tokens(part["content"])
            case "tool_use":
                total += count(as_str(part.get("name"))) + count(msgspec.json.encode(part.get("input")).decode())
            case "thinking":
                total += count(as_str(part.get("thinking")))
            case "image" | "document":
                total += IMAGE_TOKENS
    return total


def _complete(arguments: str) -> msgspec.Raw:
    """The arguments as an object; those that were cut off are not shown, as a whole answer cannot show half a value."""
    try:
        orjson.loads(arguments)
    except ValueError:
        return msgspec.Raw(b"{}")
    return msgspec.Raw(arguments.encode())


def _blocks(choice: Choice, request_id: str, chunk: int, *, hidden: bool) -> Iterator[Event]:
    """The content blocks, each opened, filled and closed. A ping comes in the first."""
    started: list[tuple[dict[str, Any], int, str, str, str]] = []
    opened: dict[str, Any]
    if choice.reasoning:
        opened = {"type": "thinking", "thinking": "", "signature": ""}
        started.append((opened, 0, choice.reasoning, "thinking_delta", "thinking"))
    if choice.text:
        started.append(({"type": "text", "text": ""}, 0, choice.text, "text_delta", "text"))
    for at, call in enumerate(choice.calls):
        opened = {"type": "tool_use", "id": f"toolu_{request_id}{at}", "name": call.name, "input": {}}
        arguments = "" if call.arguments == "{}" else call.arguments
        started.append(
            (
                opened,
                count(call.name) + count(call.arguments) - count(arguments),
                arguments,
                "input_json_delta",
                "partial_json",
            )
        )
    for index, (opened, tokens, text, kind, field) in enumerate(started):
        start = {"type": "content_block_start", "index": index, "content_block": opened}
        yield _event(start, tokens, Part.CONTENT if tokens else Part.HEAD)
        if not index:
            yield _event({"type": "ping"}, 0, Part.HEAD)
        if kind == "input_json_delta":
            yield _delta(index, {"type": kind, field: ""}, 0)
        for piece in pieces(text, chunk):
            event = _delta(index, {"type": kind, field: piece}, count(piece))
            yield event._replace(data=b"") if hidden and kind == "thinking_delta" else event
        if kind == "thinking_delta":
            yield _delta(index, {"type": "signature_delta", "signature": signature(text)}, 0)
        yield _event({"type": "content_block_stop", "index": index}, 0, Part.CONTENT)


def _delta(index: int, delta: dict[str, Any], tokens: int) -> Event:
    return _event({"type": "content_block_delta", "index": index, "delta": delta}, tokens, Part.CONTENT)


def _event(value: dict[str, Any], tokens: int, part: Part) -> Event:
    return Event(named(value), tokens, part)


def _error(status: int, message: str) -> dict[str, Any]:
    kind = _TYPES.get(status, "api_error" if status >= 500 else "invalid_request_error")
    return {
        "type": "error",
        "error": {"type": kind, "message": message or _MESSAGES.get(status, f"Simulated {status}")},
    }
