"""OpenAI's chat completions. Source: https://platform.openai.com/docs/api-reference/chat and /guides/error-codes.

Azure and Hugging Face speak the same with their own additions: they are subclasses in their own files.
"""

# ruff: noqa: ARG002 - signatures are those of the port

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec
import orjson

from tollway.simulator.answer import (
    IMAGE_TOKENS,
    LONGEST,
    MESSAGE_TOKENS,
    Answer,
    Asked,
    Call,
    Choice,
    Tool,
    count,
    pieces,
    structured,
)
from tollway.simulator.dialects.port import BadRequest, Event, Part, Reply, decode, sse, waiting, within

FINISH = {"stop_sequence": "stop", "filter": "content_filter"}
MAX_CHOICES = 128
_REQUESTS, _TOKENS = 10_000, 2_000_000
_TYPES = {401: "invalid_request_error", 429: "requests", 500: "server_error", 502: "server_error", 503: "server_error"}
_CODES = {401: "invalid_api_key", 404: "model_not_found", 429: "rate_limit_exceeded"}
_MESSAGES = {
    401: "Incorrect API key provided: sk-****. You can find your API key at https://platform.openai.com/account/api-keys.",
    404: "The model does not exist or you do not have access to it.",
    429: "Rate limit reached for requests per min (RPM): Limit 3, Used 3, Requested 1. Please try again in 20s.",
    500: "The server had an error while processing your request. Sorry about that!",
    503: "The engine is currently overloaded, please try again later.",
}


class _Function(msgspec.Struct):
    name: str
    parameters: Any = None


class _Tool(msgspec.Struct):
    type: str = "function"
    function: _Function | None = None


class _Message(msgspec.Struct):
    role: str
    content: str | list[dict[str, Any]] | None = None
    tool_calls: list[dict[str, Any]] | None = None


class _StreamOptions(msgspec.Struct):
    include_usage: bool | None = None


class Request(msgspec.Struct):
    """The fields of a request that change the answer."""

    messages: list[_Message]
    model: str = ""
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    n: int | None = None
    stop: str | list[str] | None = None
    tools: list[_Tool] | None = None
    tool_choice: str | dict[str, Any] | None = None
    parallel_tool_calls: bool | None = None
    response_format: dict[str, Any] | None = None


class OpenAI:
    """api.openai.com."""

    name = "openai"
    id_in_errors = ""
    reasoning_field = ""
    """The field of message and delta that shows reasoning; empty where it is hidden."""

    def read(self, body: bytes, path_model: str, query: Mapping[str, str], headers: Mapping[str, str]) -> Asked:
        """As `Dialect.read`."""
        self.admit(path_model, query, headers)
        request: Request = decode(body, Request)
        model = model_of(path_model, request.model)
        self.refuse(request, query)
        limit = request.max_completion_tokens if request.max_completion_tokens is not None else request.max_tokens
        n = 1 if request.n is None else request.n
        within("max_tokens", limit, 1, 1 << 31)
        within("n", n, 1, MAX_CHOICES)
        if request.stream_options is not None and not request.stream:
            raise BadRequest("The 'stream_options' parameter is only allowed when 'stream' is enabled.")
        users = [message for message in request.messages if message.role == "user"]
        stop = [request.stop] if isinstance(request.stop, str) else request.stop or []
        tools = [] if request.tool_choice == "none" else request.tools or []
        return Asked(
            model=model,
            stream=bool(request.stream),
            prompt_tokens=prompt_tokens(request),
            last_user=_text(users[-1])[:LONGEST] if users else "",
            may_call=request.messages[-1].role == "user",
            tools=tuple(Tool(t.function.name, t.function.parameters) for t in tools if t.function is not None),
            forced=_forced(request.tool_choice),
            parallel=request.parallel_tool_calls is not False,
            limit=limit,
            stop=tuple(stop),
            n=n,
            include_usage=bool(request.stream_options and request.stream_options.include_usage),
            says=_structured(request.response_format),
            hides_reasoning=not self.reasoning_field,
        )

    def admit(self, path_model: str, query: Mapping[str, str], headers: Mapping[str, str]) -> None:
        """As `Provider.admit`: nothing is."""

    def refuse(self, request: Request, query: Mapping[str, str]) -> None:
        """Raises BadRequest for what this provider does not take."""
        if not request.messages:
            raise BadRequest(
                "Invalid 'messages': empty array. Expected an array with minimum length 1, but got an empty array "
                "instead.",
                param="messages",
                code="empty_array",
            )

    def headers(self, request_id: str, asked: Asked | None) -> dict[str, str]:
        """As `Dialect.headers`."""
        found = {"x-request-id": f"req_{request_id}", "openai-version": "2020-10-01", "openai-processing-ms": "1"}
        if asked is not None:
            found |= {
                "x-ratelimit-limit-requests": str(_REQUESTS),
                "x-ratelimit-limit-tokens": str(_TOKENS),
                "x-ratelimit-remaining-requests": str(_REQUESTS - 1),
                "x-ratelimit-remaining-tokens": str(max(0, _TOKENS - asked.prompt_tokens)),
                "x-ratelimit-reset-requests": "6ms",
                "x-ratelimit-reset-tokens": "12ms",
            }
        return found

    def usage(self, answer: Answer) -> dict[str, Any]:
        """The usage object."""
        return {
            "prompt_tokens": answer.prompt_tokens,
            "completion_tokens": answer.completion_tokens,
            "total_tokens": answer.prompt_tokens + answer.completion_tokens,
            "prompt_tokens_details": {"cached_tokens": answer.cached, "audio_tokens": 0},
            "completion_tokens_details": {
                "reasoning_tokens": answer.reasoning_tokens,
                "audio_tokens": 0,
                "accepted_prediction_tokens": 0,
                "rejected_prediction_tokens": 0,
            },
        }

    def whole(self, asked: Asked, answer: Answer, request_id: str, created: int, *, usage: bool) -> bytes:
        """As `Dialect.whole`."""
        found = {
            **self._frame(asked, request_id, created, "chat.completion"),
            "choices": [self.choice(choice, index, request_id) for index, choice in enumerate(answer.choices)],
        }
        if usage:
            found["usage"] = self.usage(answer)
        return orjson.dumps(self.finished(found))

    def finished(self, found: dict[str, Any]) -> dict[str, Any]:
        """The whole answer with the provider's additions."""
        return {**found, "service_tier": "default"}

    def prompt_filters(self) -> dict[str, Any]:
        """What a content filter says of the prompt; nothing without one."""
        return {}

    def filters(self, finish: str) -> dict[str, Any]:
        """What a content filter says of a choice that ended so; nothing without one."""
        return {}

    def choice(self, choice: Choice, index: int, request_id: str) -> dict[str, Any]:
        """One choice of a whole answer."""
        message: dict[str, Any] = {
            "role": "assistant",
            "content": choice.text if choice.text or not choice.calls else None,
            "refusal": None,
            "annotations": [],
        }
        if choice.reasoning and self.reasoning_field:
            message[self.reasoning_field] = choice.reasoning
        if choice.calls:
            message["tool_calls"] = [_call(call, at, index, request_id) for at, call in enumerate(choice.calls)]
        finish = FINISH.get(choice.finish, choice.finish)
        return {"index": index, "message": message, "logprobs": None, "finish_reason": finish}

    def events(
        self, asked: Asked, answer: Answer, request_id: str, created: int, *, usage: bool, chunk: int
    ) -> Iterator[Event]:
        """As `Dialect.events`; several choices take turns."""
        shown = usage and asked.include_usage
        frame = self._frame(asked, request_id, created, "chat.completion.chunk")
        tail = b',"usage":null}\n\n' if shown else b"}\n\n"
        # What stays the same in every event is encoded once.
        head = b"data: " + orjson.dumps(frame)[:-1] + b',"choices":['

        def event(choice: dict[str, Any], tokens: int, part: Part) -> Event:
            return Event(head + orjson.dumps(choice) + b"]" + tail, tokens, part)

        yield from self.opening()
        turns = [self._deltas(choice, index, request_id, chunk) for index, choice in enumerate(answer.choices)]
        while turns:
            going = []
            for turn in turns:
                for delta, tokens, part in turn:
                    yield Event(b"", tokens, part) if delta is None else event(delta, tokens, part)
                    going.append(turn)
                    break
            turns = going
        if shown:
            yield Event(sse({**frame, "choices": [], "usage": self.usage(answer)}), 0, Part.FINISH)
        yield Event(b"data: [DONE]\n\n", 0, Part.DONE)

    def opening(self) -> Iterator[Event]:
        """Events before the first choice."""
        return iter(())

    def delta(self, index: int, delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
        """One choice of a chunk."""
        return {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish}

    def _deltas(
        self, choice: Choice, index: int, request_id: str, chunk: int
    ) -> Iterator[tuple[dict[str, Any] | None, int, Part]]:
        content = None if choice.calls and not choice.text else ""
        first = {"role": "assistant", "content": content, "refusal": None}
        yield self.delta(index, first), 0, Part.HEAD
        for piece in pieces(choice.reasoning, chunk):
            shown = self.delta(index, {self.reasoning_field: piece}) if self.reasoning_field else None
            yield shown, count(piece), Part.CONTENT
        for piece in pieces(choice.text, chunk):
            yield self.delta(index, {"content": piece}), count(piece), Part.CONTENT
        for at, call in enumerate(choice.calls):
            opened = {**_call(Call(call.name, ""), at, index, request_id), "index": at}
            yield self.delta(index, {"tool_calls": [opened]}), count(call.name), Part.CONTENT
            for piece in pieces(call.arguments, chunk):
                more = {"index": at, "function": {"arguments": piece}}
                yield self.delta(index, {"tool_calls": [more]}), count(piece), Part.CONTENT
        yield self.delta(index, {}, FINISH.get(choice.finish, choice.finish)), 0, Part.FINISH

    def _frame(self, asked: Asked, request_id: str, created: int, kind: str) -> dict[str, Any]:
        return {
            "id": f"chatcmpl-{request_id}",
            "object": kind,
            "created": created,
            "model": asked.model,
            "system_fingerprint": "fp_simulated",
        }

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
        error = {
            "message": message or _MESSAGES.get(status, f"Simulated error {status}."),
            "type": _TYPES.get(status, "server_error" if status >= 500 else "invalid_request_error"),
            "param": param,
            "code": code or _CODES.get(status),
        }
        return Reply(status, waiting(status, retry_after), {"error": error})

    def quota(self) -> Reply:
        """As `Dialect.quota`."""
        error = {
            "message": "You exceeded your current quota, please check your plan and billing details.",
            "type": "insufficient_quota",
            "param": None,
            "code": "insufficient_quota",
        }
        return Reply(429, {"x-should-retry": "false"}, {"error": error})

    def error_event(self, number: int) -> bytes:
        """As `Provider.error_event`."""
        return sse({"error": {"message": _MESSAGES[500], "type": "server_error", "param": None, "code": None}})


def model_of(path_model: str, body_model: str | None) -> str:
    """The model of a request, by its path or else its body. Raises BadRequest without one."""
    model = path_model or body_model
    if not model:
        raise BadRequest("you must provide a model parameter")
    return model


def prompt_tokens(request: Request) -> int:
    """The prompt's tokens."""
    total = 0
    for message in request.messages:
        total += MESSAGE_TOKENS
        if isinstance(message.content, str):
            total += count(message.content)
        for part in message.content if isinstance(message.content, list) else ():
            total += count(part["text"]) if isinstance(part.get("text"), str) else IMAGE_TOKENS
        if message.tool_calls:
            total += count(msgspec.json.encode(message.tool_calls).decode())
    if request.tools:
        total += count(msgspec.json.encode(request.tools).decode())
    return total


def _text(message: _Message) -> str:
    if isinstance(message.content, list):
        return "".join(part["text"] for part in message.content if isinstance(part.get("text"), str))
    return message.content or ""


def _structured(wanted: dict[str, Any] | None) -> str | None:
    """What is said where the client wants JSON: an object after its schema."""
    kind = (wanted or {}).get("type")
    if wanted is None or kind not in ("json_schema", "json_object"):
        return None
    described = wanted.get("json_schema")
    return structured(described.get("schema") if isinstance(described, dict) else {})


def _forced(choice: str | dict[str, Any] | None) -> str:
    if isinstance(choice, dict):
        function = choice.get("function")
        return str(function.get("name", "*")) if isinstance(function, dict) else "*"
    return "*" if choice == "required" else ""


def _call(call: Call, at: int, index: int, request_id: str) -> dict[str, Any]:
    function = {"name": call.name, "arguments": call.arguments}
    return {"id": f"call_{request_id}{index}{at}", "type": "function", "function": function}
