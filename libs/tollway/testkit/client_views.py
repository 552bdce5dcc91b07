"""What a client of each dialect is told, read from the bytes that it gets.

Owns the reading of answers and streams as a client reads them, into one form that can be compared with what the
provider said. It uses no code of the product.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from tollway.testkit.recorded_truth import Call, Truth, data_of

CHAT = "/v1/chat/completions"
COMPLETIONS = "/v1/completions"
RESPONSES = "/v1/responses"
MESSAGES = "/v1/messages"
PATHS = (CHAT, COMPLETIONS, RESPONSES, MESSAGES)

_STOP = {"end_turn": "stop", "stop_sequence": "stop", "max_tokens": "length", "tool_use": "tool_calls"}
_INCOMPLETE = {"max_output_tokens": "length", "content_filter": "content_filter"}


@dataclass
class Told:
    """One answer as the client has it; the fields are those of `Truth`, as far as the dialect has a place for them.

    `counts` are the tokens: input, of them cached and written to a cache, output, of them reasoning; None: not told.
    """

    id: str = ""
    model: str = ""
    text: str = ""
    refusal: str = ""
    thoughts: list[tuple[str, str]] = field(default_factory=list)
    sealed: list[str] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    finish: str = ""
    stop_sequence: str | None = None
    counts: tuple[int, int, int, int, int] | None = None

    @property
    def reasoning(self) -> str:
        """The visible reasoning, joined."""
        return "".join(text for text, _ in self.thoughts)


def request(path: str, model: str, *, stream: bool) -> dict[str, Any]:
    """A small request in the dialect of `path`; a stream is asked for its usage."""
    body: dict[str, Any] = {"model": model}
    match path:
        case "/v1/chat/completions":
            body["messages"] = [{"role": "user", "content": "hi"}]
        case "/v1/completions":
            body["prompt"] = "hi"
        case "/v1/responses":
            body["input"] = "hi"
        case _:
            body |= {"max_tokens": 100, "messages": [{"role": "user", "content": "hi"}]}
    if stream:
        body["stream"] = True
        if path in (CHAT, COMPLETIONS):
            body["stream_options"] = {"include_usage": True}
    return body


def told(path: str, body: bytes, *, stream: bool) -> Told:
    """What a client that asked `path` is told."""
    match path:
        case "/v1/chat/completions":
            return _completion(chat_of(body) if stream else json.loads(body))
        case "/v1/completions":
            return _text(data_of(body) if stream else [json.loads(body)])
        case "/v1/responses":
            return _response(response_of(body) if stream else json.loads(body))
        case _:
            return _message(message_of(body) if stream else json.loads(body))


def counts_of(truth: Truth) -> tuple[int, int, int, int, int] | None:
    """The counts that a client is to be told."""
    usage = truth.usage
    if usage is None:
        return None
    written = usage.cache_write_5m + usage.cache_write_1h
    return usage.input, usage.cached_input, written, usage.output, usage.reasoning


def chat_of(body: bytes) -> dict[str, Any]:
    """A stream of chat completion chunks as one completion. Asserts its order: usage behind the end, then `[DONE]`."""
    assert body.endswith(b"data: [DONE]\n\n"), body[-200:]
    answer: dict[str, Any] = {}
    message: dict[str, Any] = {"content": "", "refusal": "", "reasoning_content": ""}
    calls: dict[int, dict[str, Any]] = {}
    finish = None
    for chunk in data_of(body):
        answer |= {name: chunk[name] for name in ("id", "model", "usage") if chunk.get(name)}
        for choice in chunk["choices"]:
            assert finish is None, "content after the finish reason"
            finish = choice["finish_reason"]
            for name in message:
                message[name] += choice["delta"].get(name) or ""
            for piece in choice["delta"].get("tool_calls") or ():
                call = calls.setdefault(
                    piece["index"], {"id": piece.get("id"), "function": {"name": "", "arguments": ""}}
                )
                for name, value in piece["function"].items():
                    call["function"][name] += value
    message["tool_calls"] = [calls[index] for index in sorted(calls)]
    return answer | {"choices": [{"message": message, "finish_reason": finish}]}


def response_of(body: bytes) -> dict[str, Any]:
    """A stream of a response as the response. Asserts that its deltas amount to what its end repeats."""
    events = data_of(body)
    assert [event["sequence_number"] for event in events] == list(range(len(events)))
    assert [event["type"] for event in events[:2]] == ["response.created", "response.in_progress"]
    last: dict[str, Any] = events[-1]["response"]
    assert events[-1]["type"] == f"response.{last['status']}"
    added = [event["item"]["id"] for event in events if event["type"] == "response.output_item.added"]
    done = [event["item"] for event in events if event["type"] == "response.output_item.done"]
    assert added == [item["id"] for item in last["output"]]
    assert sorted(done, key=lambda item: added.index(item["id"])) == last["output"]
    for item in last["output"]:
        deltas = "".join(e["delta"] for e in events if e["type"].endswith(".delta") and e["item_id"] == item["id"])
        parts = item.get("content") or []
        kept = "".join(part.get("text", part.get("refusal", "")) for part in parts) + item.get("arguments", "")
        assert deltas == kept, item
    return last


def message_of(body: bytes) -> dict[str, Any]:
    """A stream of a message as the message; its grammar is another's to check."""
    message: dict[str, Any] = {}
    for event in data_of(body):
        match event["type"]:
            case "message_start":
                message = {**event["message"], "content": []}
            case "content_block_start":
                message["content"].append({**event["content_block"], "json": ""})
            case "content_block_delta":
                block, delta = message["content"][event["index"]], event["delta"]
                block["json"] += delta.get("partial_json", "")
                for name in ("text", "thinking", "signature"):
                    if name in delta:
                        block[name] = block.get(name, "") + delta[name]
            case "message_delta":
                message |= event["delta"]
                message["usage"] = message["usage"] | event["usage"]
    for block in message["content"]:
        text = block.pop("json")
        if text:
            block["input"] = json.loads(text)
    return message


def _completion(answer: dict[str, Any]) -> Told:
    (choice,) = answer["choices"]
    message = choice["message"]
    reasoning = message.get("reasoning_content")
    calls = [
        Call(call["id"], call["function"]["name"], json.loads(call["function"]["arguments"]))
        for call in message.get("tool_calls") or ()
    ]
    return Told(
        id=answer["id"],
        model=answer["model"],
        text=message["content"] or "",
        refusal=message.get("refusal") or "",
        thoughts=[(reasoning, "")] if reasoning else [],
        calls=calls,
        finish=choice["finish_reason"],
        counts=_chat_counts(answer.get("usage")),
    )


def _chat_counts(usage: dict[str, Any] | None) -> tuple[int, int, int, int, int] | None:
    if usage is None:
        return None
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    details = usage.get("prompt_tokens_details") or {}
    cached, written = details.get("cached_tokens", 0), details.get("cache_write_tokens", 0)
    reasoning = (usage.get("completion_tokens_details") or {}).get("reasoning_tokens", 0)
    return usage["prompt_tokens"], cached, written, usage["completion_tokens"], reasoning


def _text(chunks: list[dict[str, Any]]) -> Told:
    choices = [choice for chunk in chunks for choice in chunk["choices"]]
    usage = next((chunk["usage"] for chunk in chunks if chunk.get("usage")), None)
    return Told(
        id=chunks[-1]["id"],
        model=chunks[-1]["model"],
        text="".join(choice["text"] for choice in choices),
        finish=choices[-1]["finish_reason"],
        counts=_chat_counts(usage),
    )


def _response(answer: dict[str, Any]) -> Told:
    found = Told(id=answer["id"], model=answer["model"])
    for item in answer["output"]:
        match item["type"]:
            case "message":
                found.text += "".join(part["text"] for part in item["content"] if part["type"] == "output_text")
                found.refusal += "".join(part["refusal"] for part in item["content"] if part["type"] == "refusal")
            case "function_call":
                found.calls.append(Call(item["call_id"], item["name"], json.loads(item["arguments"])))
            case "reasoning":
                text = "".join(part["text"] for part in item.get("content") or ())
                found.thoughts.append((text, item.get("encrypted_content") or ""))
    if answer["status"] == "incomplete":
        found.finish = _INCOMPLETE[answer["incomplete_details"]["reason"]]
    else:
        assert (answer["status"], answer["incomplete_details"]) == ("completed", None)
        found.finish = "tool_calls" if found.calls else "stop"
    usage = answer.get("usage")
    if usage is not None:
        assert usage["total_tokens"] == usage["input_tokens"] + usage["output_tokens"]
        details = usage["input_tokens_details"]
        reasoning = usage["output_tokens_details"]["reasoning_tokens"]
        sizes = (details["cached_tokens"], details["cache_write_tokens"], usage["output_tokens"], reasoning)
        found.counts = (usage["input_tokens"], *sizes)
    return found


def _message(answer: dict[str, Any]) -> Told:
    found = Told(id=answer["id"], model=answer["model"], stop_sequence=answer["stop_sequence"])
    found.finish = _STOP.get(answer["stop_reason"], "content_filter")
    for block in answer["content"]:
        match block["type"]:
            case "text":
                found.text += block["text"]
            case "thinking":
                found.thoughts.append((block["thinking"], block["signature"]))
            case "redacted_thinking":
                found.sealed.append(block["data"])
            case "tool_use":
                found.calls.append(Call(block["id"], block["name"], block["input"]))
    usage = answer["usage"]
    read, written = usage.get("cache_read_input_tokens") or 0, usage.get("cache_creation_input_tokens") or 0
    reasoning = (usage.get("output_tokens_details") or {}).get("thinking_tokens", 0)
    found.counts = (usage["input_tokens"] + read + written, read, written, usage["output_tokens"], reasoning)
    return found
