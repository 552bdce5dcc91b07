"""What a recorded answer says, worked out from the recording alone.

Owns the conventions by which an answer is shown to clients of any dialect. It uses no code of the product's
translators: it is what they are held against.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from tollway.core.usage import Usage
from tollway.testkit.replay import Exchange

_FINISH = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "pause_turn": "stop",
    "max_tokens": "length",
    "model_context_window_exceeded": "length",
    "tool_use": "tool_calls",
    "refusal": "content_filter",
    "function_call": "tool_calls",
}


@dataclass(frozen=True)
class Call:
    """A tool that the model wants called; `id` None: the provider gave none."""

    id: str | None
    name: str
    arguments: Any


@dataclass
class Truth:
    """One answer. `finish` is OpenAI's word. `thoughts` are pairs of reasoning and its signature, `sealed` the opaque
    data of redacted reasoning, `usage` None: the provider told none.
    """

    id: str = ""
    model: str = ""
    text: str = ""
    refusal: str = ""
    thoughts: list[tuple[str, str]] = field(default_factory=list)
    sealed: list[str] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    finish: str = "stop"
    stop_sequence: str | None = None
    usage: Usage | None = None

    @property
    def reasoning(self) -> str:
        """The visible reasoning, joined."""
        return "".join(text for text, _ in self.thoughts)


def is_answer(exchange: Exchange) -> bool:
    """Whether the exchange is a turn of a conversation that was answered to its end."""
    body = exchange.body
    answered = b'"choices"' in body or b"message_stop" in body or b'"role"' in body
    return exchange.status == 200 and answered and b"event: error" not in body


def data_of(body: bytes) -> list[Any]:
    """The JSON of every data line of an event stream, but for `[DONE]`."""
    lines = [line[5:].strip() for line in body.decode().splitlines() if line.startswith("data:")]
    return [json.loads(line) for line in lines if line and line != "[DONE]"]


def whole_of(exchange: Exchange) -> dict[str, Any]:
    """The answer as one object in the provider's own dialect: a stream is folded, event by event."""
    if not exchange.stream:
        found: dict[str, Any] = json.loads(exchange.body)
        return found
    events = data_of(exchange.body)
    return _folded_message(events) if exchange.provider == "anthropic" else _folded_completion(events)


def truth_of(exchange: Exchange) -> Truth:
    """What the recording says."""
    answer = whole_of(exchange)
    return _of_message(answer) if exchange.provider == "anthropic" else _of_completion(answer)


def _folded_message(events: list[Any]) -> dict[str, Any]:
    message: dict[str, Any] = {}
    blocks: dict[int, dict[str, Any]] = {}
    pieces: dict[int, str] = {}
    for event in events:
        match event["type"]:
            case "message_start":
                message = {**event["message"]}
            case "content_block_start":
                blocks[event["index"]] = {**event["content_block"]}
                pieces[event["index"]] = ""
            case "content_block_delta" if event["index"] in blocks:
                delta, block = event["delta"], blocks[event["index"]]
                pieces[event["index"]] += delta.get("partial_json", "")
                for name in ("text", "thinking", "signature"):
                    if name in delta:
                        block[name] = block.get(name, "") + delta[name]
            case "message_delta":
                message |= {name: value for name, value in event["delta"].items() if value is not None}
                told = {name: value for name, value in event["usage"].items() if value is not None}
                message["usage"] = message["usage"] | told
    for index, text in pieces.items():
        if text:
            blocks[index]["input"] = json.loads(text)
    return message | {"content": [blocks[index] for index in sorted(blocks)]}


def _folded_completion(events: list[Any]) -> dict[str, Any]:
    answer: dict[str, Any] = {"object": "chat.completion"}
    message: dict[str, Any] = {"role": "assistant", "content": None}
    calls: dict[int, dict[str, Any]] = {}
    finish = None
    for chunk in events:
        answer |= {name: chunk[name] for name in ("id", "model", "created", "usage") if chunk.get(name)}
        for choice in chunk["choices"]:
            delta, finish = choice["delta"], choice["finish_reason"] or finish
            if delta.get("content") is not None:
                message["content"] = (message["content"] or "") + delta["content"]
            for piece in delta.get("tool_calls") or ():
                made = {"id": piece.get("id"), "type": "function", "function": {"name": "", "arguments": ""}}
                call = calls.setdefault(piece["index"], made)
                for name in ("name", "arguments"):
                    call["function"][name] += piece["function"].get(name) or ""
    if calls:
        message["tool_calls"] = [calls[index] for index in sorted(calls)]
    return answer | {"choices": [{"index": 0, "message": message, "finish_reason": finish}]}


def _of_message(answer: dict[str, Any]) -> Truth:
    truth = Truth(id=answer["id"], model=answer["model"], finish=_FINISH[answer["stop_reason"]])
    truth.stop_sequence = answer.get("stop_sequence")
    for block in answer["content"]:
        match block["type"]:
            case "text":
                truth.text += block["text"]
            case "thinking":
                truth.thoughts.append((block["thinking"], block["signature"]))
            case "redacted_thinking":
                truth.sealed.append(block["data"])
            case "tool_use":
                truth.calls.append(Call(block["id"], block["name"], block["input"]))
    usage = answer["usage"]
    # The top level leaves out turns that are billed all the same.
    turns = [_message_usage(turn) for turn in usage.get("iterations") or (usage,)]
    names = Usage.__struct_fields__
    truth.usage = Usage(**{name: sum(getattr(turn, name) for turn in turns) for name in names})
    return truth


def _message_usage(usage: dict[str, Any]) -> Usage:
    read, written = (usage.get(f"cache_{name}_input_tokens") or 0 for name in ("read", "creation"))
    long = (usage.get("cache_creation") or {}).get("ephemeral_1h_input_tokens") or 0
    return Usage(
        input=usage["input_tokens"] + read + written,
        cached_input=read,
        cache_write_5m=written - long,
        cache_write_1h=long,
        output=usage["output_tokens"],
        searches=(usage.get("server_tool_use") or {}).get("web_search_requests") or 0,
    )


def _of_completion(answer: dict[str, Any]) -> Truth:
    choice = answer["choices"][0]
    message, reason = choice["message"], choice["finish_reason"]
    truth = Truth(id=answer["id"], model=answer["model"], finish=_FINISH.get(reason, reason))
    truth.text, truth.refusal = message.get("content") or "", message.get("refusal") or ""
    thought = message.get("reasoning_content") or message.get("reasoning")
    truth.thoughts = [(thought, "")] if thought else []
    calls = message.get("tool_calls") or []
    if message.get("function_call"):
        calls = [{"id": None, "function": message["function_call"]}]
    for call in calls:
        if "custom" in call:  # free text, which other dialects can only hold as a field of an object
            truth.calls.append(Call(call["id"], call["custom"]["name"], {"input": call["custom"]["input"]}))
        else:
            function = call["function"]
            truth.calls.append(Call(call["id"], function["name"], json.loads(function["arguments"] or "{}")))
    if answer.get("usage"):
        truth.usage = _completion_usage(answer["usage"])
    return truth


def _completion_usage(usage: dict[str, Any]) -> Usage:
    details_in = usage.get("prompt_tokens_details") or {}
    details_out = usage.get("completion_tokens_details") or {}
    return Usage(
        input=usage["prompt_tokens"],
        cached_input=details_in.get("cached_tokens") or usage.get("cached_tokens") or 0,
        cache_write_5m=details_in.get("cache_write_tokens") or 0,
        audio_input=details_in.get("audio_tokens") or 0,
        image_input=details_in.get("image_tokens") or 0,
        output=usage["completion_tokens"],
        reasoning=details_out.get("reasoning_tokens") or 0,
        audio_output=details_out.get("audio_tokens") or 0,
        prediction_accepted=details_out.get("accepted_prediction_tokens") or 0,
        prediction_rejected=details_out.get("rejected_prediction_tokens") or 0,
    )
