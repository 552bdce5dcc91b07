"""OpenAI's chat completions as a provider speaks them: requests are held to its rules, replies told in its form.

Source: https://platform.openai.com/docs/api-reference/chat. Shares no code with the product's translation.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from tollway.testkit.clever_mind import Offer, Question, Reply, Schema, pieces

Body = dict[str, Any]
FIELDS = frozenset(
    [
        "messages",
        "model",
        "audio",
        "frequency_penalty",
        "function_call",
        "functions",
        "logit_bias",
        "logprobs",
        "max_completion_tokens",
        "max_tokens",
        "metadata",
        "modalities",
        "moderation",
        "n",
        "parallel_tool_calls",
        "prediction",
        "presence_penalty",
        "prompt_cache_key",
        "prompt_cache_retention",
        "reasoning_effort",
        "response_format",
        "safety_identifier",
        "seed",
        "service_tier",
        "stop",
        "store",
        "stream",
        "stream_options",
        "temperature",
        "tool_choice",
        "tools",
        "top_logprobs",
        "top_p",
        "user",
        "verbosity",
        "web_search_options",
    ]
)
_NAME = re.compile(r"^[a-zA-Z0-9_-]{1,64}$")
_PARTS = {
    "system": {"text"},
    "developer": {"text"},
    "user": {"text", "image_url", "input_audio", "file"},
    "assistant": {"text", "refusal"},
    "tool": {"text"},
}
_SEEN = {"image_url": "image", "input_audio": "sound", "file": "document"}


class Refused(Exception):
    """The request breaks a rule of the API; the message is for the client."""


def need(condition: object, message: str) -> None:
    """Refuses the request with the message unless the condition holds."""
    if not condition:
        raise Refused(message)


def question_of(body: Body) -> Question:
    """Reads and checks a request. Raises Refused."""
    unknown = sorted(set(body) - FIELDS)
    need(not unknown, f"Unrecognized request argument supplied: {', '.join(unknown)}")
    messages = body.get("messages")
    need(isinstance(messages, list) and messages, "'messages' must not be empty")
    assert isinstance(messages, list)
    need(body.get("stream") or not body.get("stream_options"), "'stream_options' needs 'stream'")
    stop = body.get("stop") or []
    stop = [stop] if isinstance(stop, str) else stop
    need(len(stop) <= 4, "At most 4 stop sequences")
    need("max_tokens" not in body or "max_completion_tokens" not in body, "Only one of the two limits may be set")
    seen = _check_messages(messages)
    offers = tuple(_offer(tool) for tool in body.get("tools") or [])
    need(offers or not {"tool_choice", "parallel_tool_calls"} & set(body), "'tool_choice' needs 'tools'")
    said, results, called = _latest(messages)
    schema, json_only = _format(body.get("response_format"), messages)
    return Question(
        said=said,
        prompt=json.dumps([messages, body.get("tools")], ensure_ascii=False),
        results=results,
        called=called,
        offers=offers,
        choice=_choice(body.get("tool_choice"), offers),
        parallel=body.get("parallel_tool_calls") is not False,
        schema=schema,
        json_only=json_only,
        stop=tuple(stop),
        limit=body.get("max_completion_tokens") or body.get("max_tokens"),
        seen=seen,
        thinks=body.get("reasoning_effort") not in (None, "none"),
    )


def text_of(content: Any) -> str:
    """The text of a message's content."""
    if isinstance(content, list):
        return " ".join(part["text"] for part in content if part["type"] == "text")
    return content or ""


def _check_messages(messages: list[Body]) -> dict[str, int]:
    """Roles, parts and the order of calls and results. Counts what the last user message shows besides text."""
    waiting: set[str] = set()
    seen: dict[str, int] = {}
    for index, message in enumerate(messages):
        role, place = message.get("role"), f"messages[{index}]"
        need(role in _PARTS, f"Invalid role at {place}")
        assert isinstance(role, str)
        need(role == "tool" or not waiting, f"tool_calls before {place} lack the tool messages of {sorted(waiting)}")
        content, calls = message.get("content"), message.get("tool_calls")
        need(content is not None or (role == "assistant" and (calls or message.get("refusal"))), f"{place} is empty")
        need(isinstance(content, str | list | None), f"{place}.content has the wrong type")
        if role == "user":
            seen = {}
        for part in content if isinstance(content, list) else ():
            need(part.get("type") in _PARTS[role], f"{place}: invalid part {part.get('type')!r} for role {role}")
            if part["type"] in _SEEN:
                _check_media(part, place)
                seen[_SEEN[part["type"]]] = seen.get(_SEEN[part["type"]], 0) + 1
        if role == "tool":
            need(message.get("tool_call_id") in waiting, f"{place}: tool_call_id answers no call")
            waiting.discard(message["tool_call_id"])
        need(calls is None or calls, f"{place}.tool_calls must not be empty")
        for call in calls or ():
            need(len(call["id"]) <= 40, f"{place}: the call's id is too long")
            need(call.get("type") == "function", f"{place}: a call needs its type")
            need(isinstance(json.loads(call["function"]["arguments"]), dict), f"{place}: arguments are no object")
            waiting.add(call["id"])
    need(not waiting, f"The last tool_calls lack the tool messages of {sorted(waiting)}")
    return seen


def _check_media(part: Body, place: str) -> None:
    kind = part["type"]
    if kind == "image_url":
        url = part["image_url"]["url"]
        need(re.match(r"data:image/(png|jpeg|gif|webp);base64,[\w+/=]+$|https?://", url), f"{place}: invalid image")
    elif kind == "input_audio":
        need(part["input_audio"].get("format") in ("wav", "mp3"), f"{place}: invalid sound")
        need(part["input_audio"].get("data"), f"{place}: empty sound")
    else:
        file = part["file"]
        need(file.get("file_id") or file.get("file_data", "").startswith("data:"), f"{place}: invalid file")
        need(file.get("file_id") or file.get("filename"), f"{place}: a file needs its filename")


def _offer(tool: Body) -> Offer:
    need(tool.get("type") == "function", "Only functions are served")
    function = tool["function"]
    need(set(function) <= {"name", "description", "parameters", "strict"}, "Unknown field of a function")
    need(_NAME.match(function["name"]), "Invalid function name")
    schema = function.get("parameters") or {"type": "object", "properties": {}}
    need(schema.get("type") == "object", f"Invalid schema for function {function['name']!r}: type is not 'object'")
    if function.get("strict"):
        check_strict(schema)
    return Offer(function["name"], function.get("description") or "", schema)


def check_strict(schema: Any) -> None:
    """Objects of a strict schema name all their properties as required and allow no others."""
    if isinstance(schema, dict):
        if schema.get("type") == "object":
            need(schema.get("additionalProperties") is False, "'additionalProperties' must be false in a strict schema")
            need(set(schema.get("properties") or {}) == set(schema.get("required") or []), "'required' must name all")
        for value in schema.values():
            check_strict(value)
    elif isinstance(schema, list):
        for value in schema:
            check_strict(value)


def _choice(choice: Any, offers: tuple[Offer, ...]) -> str:
    if isinstance(choice, dict):
        need(choice.get("type") == "function", "Invalid tool_choice")
        name = str(choice["function"]["name"])
        need(any(offer.name == name for offer in offers), "tool_choice names a tool that is not there")
        return name
    need(choice in (None, "auto", "none", "required"), f"Invalid tool_choice {choice!r}")
    return choice or "auto"


def _format(wanted: Any, messages: list[Body]) -> tuple[Schema | None, bool]:
    kind = (wanted or {}).get("type", "text")
    if kind == "json_schema":
        named = wanted["json_schema"]
        need(_NAME.match(named.get("name", "")), "Invalid response_format: it needs a name")
        if named.get("strict"):
            check_strict(named["schema"])
        return named["schema"], False
    if kind == "json_object":
        words = json.dumps(messages).lower()
        need("json" in words, "'messages' must contain the word 'json' to use 'response_format' of type 'json_object'")
    return None, kind == "json_object"


def _latest(messages: list[Body]) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
    """The user's last text, and the results and the calls since."""
    said = ""
    results: list[str] = []
    called: list[str] = []
    for message in messages:
        if message["role"] == "user":
            said, results, called = text_of(message["content"]), [], []
        elif message["role"] == "tool":
            results.append(text_of(message["content"]))
        called += [call["function"]["name"] for call in message.get("tool_calls") or ()]
    return said, tuple(results), tuple(called)


# -- answers ----------------------------------------------------------------------------------------------------------


def usage(reply: Reply, cached: int) -> Body:
    """OpenAI's `usage`: what was cached and what was reasoned are parts of the sums."""
    return {
        "prompt_tokens": reply.input_tokens,
        "completion_tokens": reply.output_tokens,
        "total_tokens": reply.input_tokens + reply.output_tokens,
        "prompt_tokens_details": {"cached_tokens": cached, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": reply.thinking_tokens,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def _finish(reply: Reply) -> str:
    return "stop" if reply.finish == "stop_sequence" else reply.finish


def _head(model: str, number: int, kind: str) -> Body:
    return {"id": f"chatcmpl-{number}", "object": kind, "created": 1_760_000_000, "model": model}


def call_id(number: int, index: int) -> str:
    """The id of a call of the answer with this number."""
    return f"call_{number:08d}{index:04d}"


def _shows_reasoning(model: str) -> bool:
    """Services of open models show the reasoning, in a field that OpenAI does not have."""
    return model.startswith("open")


def answer(reply: Reply, model: str, number: int, cached: int) -> Body:
    """The whole answer."""
    message: Body = {"role": "assistant", "content": reply.text or None, "refusal": None, "annotations": []}
    if reply.thinking and _shows_reasoning(model):
        message["reasoning_content"] = reply.thinking
    if reply.calls:
        message["tool_calls"] = [
            {"id": call_id(number, i), "type": "function", "function": {"name": n, "arguments": json.dumps(a)}}
            for i, (n, a) in enumerate(reply.calls)
        ]
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": _finish(reply)}
    told = {"choices": [choice], "usage": usage(reply, cached), "service_tier": "default"}
    return {**_head(model, number, "chat.completion"), **told}


def events(reply: Reply, model: str, number: int, cached: int, include_usage: bool) -> Iterator[bytes]:
    """The answer as a stream."""

    def chunk(delta: Body | None, finish: str | None = None, told: Body | None = None) -> bytes:
        choices = [] if delta is None else [{"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}]
        body = {**_head(model, number, "chat.completion.chunk"), "service_tier": "default", "choices": choices}
        if include_usage:
            body["usage"] = told
        return b"data: " + json.dumps(body).encode() + b"\n\n"

    yield chunk({"role": "assistant", "content": None if reply.calls else "", "refusal": None})
    for piece in pieces(reply.thinking) if _shows_reasoning(model) else ():
        yield chunk({"reasoning_content": piece})
    for piece in pieces(reply.text):
        yield chunk({"content": piece})
    for index, (name, arguments) in enumerate(reply.calls):
        function = {"name": name, "arguments": ""}
        call = {"index": index, "id": call_id(number, index), "type": "function", "function": function}
        yield chunk({"tool_calls": [call]})
        for piece in pieces(json.dumps(arguments)):
            yield chunk({"tool_calls": [{"index": index, "function": {"arguments": piece}}]})
    yield chunk({}, _finish(reply))
    if include_usage:
        yield chunk(None, told=usage(reply, cached))
    yield b"data: [DONE]\n\n"


def error(message: str) -> Body:
    """The body of a refusal with status 400."""
    return {"error": {"message": message, "type": "invalid_request_error", "param": None, "code": None}}
