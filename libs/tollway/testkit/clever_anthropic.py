"""Anthropic's Messages API as a provider speaks it: requests are held to its rules, replies told in its form.

Source: https://docs.anthropic.com/en/api/messages. Shares no code with the product's translation.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from tollway.testkit.clever_mind import Offer, Question, Reply, Schema, pieces, tokens
from tollway.testkit.clever_openai import Refused, need

Body = dict[str, Any]
FIELDS = frozenset(
    [
        "max_tokens",
        "messages",
        "model",
        "cache_control",
        "container",
        "metadata",
        "output_config",
        "service_tier",
        "stop_sequences",
        "system",
        "thinking",
        "tool_choice",
        "tools",
        "stream",
        "temperature",
        "top_k",
        "top_p",
    ]
)
_ID = re.compile(r"^[a-zA-Z0-9_-]+$")
_NAME = re.compile(r"^[a-zA-Z0-9_-]{1,128}$")
_BLOCKS = {
    "user": {"text", "image", "document", "tool_result"},
    "assistant": {"text", "thinking", "redacted_thinking", "tool_use"},
    "system": {"text"},
}
_IMAGES = ("image/png", "image/jpeg", "image/gif", "image/webp")
_SIGNED = "clever-"
LEAST_BUDGET = 1024
_TOLD_LAST = ("input_tokens", "cache_creation_input_tokens", "cache_read_input_tokens", "output_tokens")


def signature_of(thinking: str) -> str:
    """What this provider signs its thinking with, and wants back with it."""
    return _SIGNED + hashlib.sha256(thinking.encode()).hexdigest()


def question_of(body: Body, headers: Mapping[str, str], *, counting: bool = False) -> Question:
    """Reads and checks a request. Raises Refused."""
    need("anthropic-version" in headers, "anthropic-version: header is required")
    unknown = sorted(set(body) - FIELDS)
    need(not unknown, f"{', '.join(unknown)}: Extra inputs are not permitted")
    need(counting or isinstance(body.get("max_tokens"), int), "max_tokens: Field required")
    messages = [{**message, "content": _blocks(message.get("content"))} for message in body.get("messages") or []]
    need(messages, "messages: at least one message is required")
    seen = _check_messages(messages)
    system = _blocks(body.get("system", []))
    need(all(block.get("text", "").strip() for block in system), "system: text content blocks must be non-empty")
    offers = tuple(_offer(tool) for tool in body.get("tools") or [])
    choice, parallel = _choice(body.get("tool_choice"), offers)
    thinks = _thinks(body, choice, messages, counting)
    said, results, called = _latest(messages)
    return Question(
        said=said,
        prompt=json.dumps([system, messages, body.get("tools")], ensure_ascii=False),
        results=results,
        called=called,
        offers=offers,
        choice=choice,
        parallel=parallel,
        schema=_schema(body) or _schema_said(system),
        json_only=any("JSON object" in block["text"] for block in system),
        stop=tuple(body.get("stop_sequences") or ()),
        limit=body.get("max_tokens"),
        seen=seen,
        thinks=thinks,
    )


def _blocks(content: Any) -> list[Body]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else list(content or [])


def _check_messages(messages: list[Body]) -> dict[str, int]:
    waiting: list[str] = []
    seen: dict[str, int] = {}
    need(messages[0]["role"] == "user", "messages: first message must use the user role")
    for index, message in enumerate(messages):
        role, place = message["role"], f"messages.{index}"
        need(role in _BLOCKS, f"{place}: unexpected role {role!r}")
        need(set(message) == {"role", "content"}, f"{place}: Extra inputs are not permitted")
        need(message["content"] or index == len(messages) - 1, f"{place}: all messages must have non-empty content")
        answered = [block["tool_use_id"] for block in message["content"] if block["type"] == "tool_result"]
        need(set(waiting) <= set(answered), f"{place}: tool_use ids were found without tool_result blocks: {waiting}")
        need(set(answered) <= set(waiting), f"{place}: unexpected tool_use_id in tool_result blocks: {answered}")
        heads = [block["type"] == "tool_result" for block in message["content"]]
        need(heads == sorted(heads, reverse=True), f"{place}: tool_result blocks must come first")
        waiting = [block["id"] for block in message["content"] if block["type"] == "tool_use"]
        need(len(waiting) == len(set(waiting)), f"{place}: tool_use ids must be unique")
        seen = {} if role == "user" and not answered else seen
        for block in message["content"]:
            need(block["type"] in _BLOCKS[role], f"{place}: invalid block {block['type']!r} for role {role}")
            _check_block(block, place, seen)
    need(not waiting, "messages: the last tool_use ids have no tool_result blocks")
    return seen


def _check_block(block: Body, place: str, seen: dict[str, int]) -> None:
    match block["type"]:
        case "text":
            need(block["text"].strip(), f"{place}: text content blocks must be non-empty")
        case "image" | "document":
            _check_source(block, place)
            seen[block["type"]] = seen.get(block["type"], 0) + 1
        case "thinking":
            need(block.get("signature"), f"{place}: thinking.signature: Field required")
            ours = not block["signature"].startswith(_SIGNED) or block["signature"] == signature_of(block["thinking"])
            need(ours, f"{place}: Invalid `signature` in `thinking` block")
        case "tool_use":
            need(_ID.match(block["id"]), f"{place}: tool_use.id: String should match pattern")
            need(isinstance(block["input"], dict), f"{place}: tool_use.input: Input should be a valid dictionary")
        case "tool_result":
            for inner in _blocks(block.get("content")):
                need(inner["type"] in ("text", "image", "document"), f"{place}: invalid block in tool_result")
                _check_block(inner, place, seen)


def _check_source(block: Body, place: str) -> None:
    source = block["source"]
    match source["type"]:
        case "base64":
            known = _IMAGES if block["type"] == "image" else ("application/pdf",)
            need(source["media_type"] in known, f"{place}: invalid media_type {source['media_type']!r}")
            need(re.match(r"^[\w+/]+=*$", source["data"]), f"{place}: invalid base64")
        case "url":
            need(source["url"].startswith(("https://", "http://")), f"{place}: invalid url")
        case other:
            need(block["type"] == "document" and other == "text" and source["data"], f"{place}: invalid source")


def _offer(tool: Body) -> Offer:
    known = {"name", "description", "input_schema", "cache_control", "strict", "type", "eager_input_streaming"}
    need(set(tool) <= known, f"tools: Extra inputs are not permitted: {sorted(set(tool) - known)}")
    need(_NAME.match(tool["name"]), "tools.name: String should match pattern")
    need(tool["input_schema"].get("type") == "object", "tools.input_schema.type: Field required")
    if tool.get("strict"):
        _check_closed(tool["input_schema"])
    return Offer(tool["name"], tool.get("description") or "", tool["input_schema"])


def _choice(choice: Any, offers: tuple[Offer, ...]) -> tuple[str, bool]:
    if choice is None:
        return "auto", True
    need(offers, "tool_choice: may only be specified while providing tools")
    kinds = {"auto": "auto", "any": "required", "none": "none", "tool": choice.get("name")}
    need(kinds.get(choice["type"]), "tool_choice: invalid")
    need(choice["type"] != "tool" or any(o.name == choice["name"] for o in offers), "tool_choice: no such tool")
    return str(kinds[choice["type"]]), not choice.get("disable_parallel_tool_use", False)


def _thinks(body: Body, choice: str, messages: list[Body], counting: bool) -> bool:
    thinking = body.get("thinking") or {"type": "disabled"}
    if thinking["type"] == "disabled":
        return False
    need(choice in ("auto", "none"), "Thinking may not be enabled when tool_choice forces tool use.")
    need(body.get("temperature", 1) == 1, "`temperature` may only be set to 1 when thinking is enabled.")
    need("top_k" not in body, "`top_k` must be unset when thinking is enabled.")
    if thinking["type"] == "enabled":
        budget = thinking["budget_tokens"]
        need(budget >= LEAST_BUDGET, "thinking.budget_tokens: Input should be greater than or equal to 1024")
        need(counting or budget < body["max_tokens"], "`max_tokens` must be greater than `thinking.budget_tokens`.")
        if any(block["type"] == "tool_result" for block in messages[-1]["content"]):
            first = messages[-2]["content"][0]["type"]
            need(first in ("thinking", "redacted_thinking"), f"Expected `thinking`, but found `{first}`.")
    return True


def _schema(body: Body) -> Schema | None:
    wanted = (body.get("output_config") or {}).get("format")
    if wanted is None:
        return None
    need(wanted.get("type") == "json_schema", "output_config.format.type: invalid")
    _check_closed(wanted["schema"])
    return dict(wanted["schema"])


def _schema_said(system: list[Body]) -> Schema | None:
    """A schema that the model is told in words."""
    for block in system:
        _, said, rest = block["text"].partition("JSON Schema")
        if said and "{" in rest:
            return dict(json.loads(rest[rest.index("{") :]))
    return None


def _check_closed(schema: Any) -> None:
    if isinstance(schema, dict):
        closed = schema.get("type") != "object" or schema.get("additionalProperties") is False
        need(closed, "output_config.format.schema: For 'object' type, 'additionalProperties' must be explicitly false")
        for name in ("minimum", "maximum", "multipleOf", "minLength", "maxLength", "maxItems", "oneOf"):
            told = schema.get(name)
            need(not isinstance(told, int | float | list), f"output_config.format.schema: {name} is not supported")
        schema = list(schema.values())
    if isinstance(schema, list):
        for value in schema:
            _check_closed(value)


def _text(content: Any) -> str:
    return " ".join(block["text"] for block in _blocks(content) if block["type"] == "text")


def _latest(messages: list[Body]) -> tuple[str, tuple[str, ...], tuple[str, ...]]:
    said = ""
    results: list[str] = []
    called: list[str] = []
    for message in messages:
        answered = [_text(block.get("content")) for block in message["content"] if block["type"] == "tool_result"]
        if message["role"] == "user" and (text := _text(message["content"])):
            said, results, called = text, [], []
        results += answered
        called += [block["name"] for block in message["content"] if block["type"] == "tool_use"]
    return said, tuple(results), tuple(called)


# -- answers ----------------------------------------------------------------------------------------------------------


def usage(reply: Reply, body: Body, known: bool) -> Body:
    """Anthropic's `usage`: what is marked for caching is apart from `input_tokens`, written first and read later."""
    marked = tokens(json.dumps(body.get("messages"))) if '"cache_control"' in json.dumps(body) else 0
    marked = min(marked, reply.input_tokens - 1)
    return {
        "input_tokens": reply.input_tokens - marked,
        "cache_creation_input_tokens": 0 if known else marked,
        "cache_read_input_tokens": marked if known else 0,
        "output_tokens": reply.output_tokens,
        "service_tier": "standard",
    }


def _stop_reason(reply: Reply) -> str:
    kinds = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use", "stop_sequence": "stop_sequence"}
    return kinds[reply.finish]


def _content(reply: Reply, number: int) -> list[Body]:
    blocks: list[Body] = []
    if reply.thinking:
        blocks.append(
            {"type": "thinking", "thinking": reply.thinking, "signature": signature_of(reply.thinking)},
        )
    if reply.text:
        blocks.append({"type": "text", "text": reply.text, "citations": None})
    for index, (name, arguments) in enumerate(reply.calls):
        blocks.append({"type": "tool_use", "id": f"toolu_{number:08d}{index:04d}", "name": name, "input": arguments})
    return blocks


def answer(reply: Reply, model: str, number: int, told: Body) -> Body:
    """The whole answer; `told` is its usage."""
    return {
        "id": f"msg_{number:08d}",
        "type": "message",
        "role": "assistant",
        "model": model,
        "content": _content(reply, number),
        "stop_reason": _stop_reason(reply),
        "stop_sequence": reply.stop_sequence,
        "usage": told,
    }


def events(reply: Reply, model: str, number: int, told: Body) -> Iterator[bytes]:
    """The answer as a stream."""

    def event(kind: str, **fields: Any) -> bytes:
        return f"event: {kind}\ndata: {json.dumps({'type': kind, **fields})}\n\n".encode()

    whole = answer(reply, model, number, told)
    start = {**whole, "content": [], "stop_reason": None, "stop_sequence": None}
    yield event("message_start", message={**start, "usage": {**told, "output_tokens": 1}})
    yield event("ping")
    for index, block in enumerate(whole["content"]):
        shown, deltas = _pieces_of(block)
        yield event("content_block_start", index=index, content_block=shown)
        for delta in deltas:
            yield event("content_block_delta", index=index, delta=delta)
        yield event("content_block_stop", index=index)
    ending = {"stop_reason": whole["stop_reason"], "stop_sequence": reply.stop_sequence}
    yield event("message_delta", delta=ending, usage={k: told[k] for k in _TOLD_LAST})
    yield event("message_stop")


def _pieces_of(block: Body) -> tuple[Body, list[Body]]:
    """A block as a stream opens it, and its deltas."""
    match block["type"]:
        case "thinking":
            deltas = [{"type": "thinking_delta", "thinking": piece} for piece in pieces(block["thinking"])]
            deltas.append({"type": "signature_delta", "signature": block["signature"]})
            return {**block, "thinking": "", "signature": ""}, deltas
        case "text":
            deltas = [{"type": "text_delta", "text": piece} for piece in pieces(block["text"])]
            return {"type": "text", "text": ""}, deltas
    written = json.dumps(block["input"]) if block["input"] else ""
    parts = ["", *pieces(written)]
    return {**block, "input": {}}, [{"type": "input_json_delta", "partial_json": part} for part in parts]


def error(message: str) -> Body:
    """The body of a refusal with status 400."""
    detail = {"type": "invalid_request_error", "message": message}
    return {"type": "error", "error": detail, "request_id": "req_clever"}


__all__ = ["Refused", "answer", "error", "events", "question_of", "usage"]
