"""Answers of services that speak OpenAI's chat completions, read whole into the neutral model.

Owns what the many services make of the shape: where reasoning is, what a tool call lacks, why a model stopped. Fields
have no type that all keep to, so anything else than what is meant counts as absent. The first choice alone is read.
"""

from __future__ import annotations

from typing import Any

import msgspec

from tollway.core import chat
from tollway.core.dialects import lenient_json
from tollway.core.dialects.openai_answer import encoded
from tollway.core.dialects.openai_usage import read_usage
from tollway.core.dialects.ports import ErrorEvent, garbage

_FINISH = {
    "stop": chat.Finish.STOP,
    "length": chat.Finish.LENGTH,
    "max_tokens": chat.Finish.LENGTH,
    "model_length": chat.Finish.LENGTH,  # Mistral: the context is full
    "insufficient_system_resource": chat.Finish.LENGTH,  # DeepSeek broke off
    "tool_calls": chat.Finish.TOOL_CALLS,
    "function_call": chat.Finish.TOOL_CALLS,
    "content_filter": chat.Finish.CONTENT_FILTER,
}
_IN_ID = 24
_MAX_NAME = 256
_DEPTH = 4


class Content(msgspec.Struct):
    """A message or a delta."""

    content: Any = None
    reasoning_content: Any = None
    reasoning: Any = None
    refusal: Any = None
    tool_calls: Any = None
    function_call: Any = None


class Choice(msgspec.Struct):
    """One choice. `stop_reason` is vLLM's: the stop sequence, or a token's number."""

    index: Any = None
    message: Content | None = None
    delta: Content | None = None
    finish_reason: Any = None
    stop_reason: Any = None
    error: Any = None


class Chunk(msgspec.Struct):
    """A whole answer, or one chunk of a stream. `choices` None: the field was absent."""

    id: Any = None
    object: Any = None
    model: Any = None
    created: Any = None
    choices: list[Choice] | None = None
    usage: Any = None
    error: Any = None


DECODER = msgspec.json.Decoder(Chunk)


def string(value: Any) -> str:
    """A text field; anything else counts as empty."""
    return value if isinstance(value, str) else ""


def name(value: Any) -> str:
    """An id or a model's name, bounded: clients are told it again with every chunk."""
    return string(value)[:_MAX_NAME]


def finish_of(reason: Any, *, called: bool) -> chat.Finish:
    """`finish_reason` in neutral words; unknown ones are an ordinary end. `called`: there are tool calls.

    Some services say `stop` when the model wants a tool called; a length or a filter that ended the call counts.
    """
    word = string(reason).lower()
    finish = _FINISH.get(word)
    if finish is None:
        # Gemini writes "content_filter: SAFETY".
        finish = chat.Finish.CONTENT_FILTER if word.startswith("content_filter") else chat.Finish.STOP
    return chat.Finish.TOOL_CALLS if called and finish is chat.Finish.STOP else finish


def stop_sequence_of(choice: Choice) -> str | None:
    """The stop sequence that ended the answer, where the service tells."""
    return choice.stop_reason or None if isinstance(choice.stop_reason, str) else None


def error_of(chunk: Chunk, data: bytes) -> ErrorEvent | None:
    """The error that an answer or a chunk consists of or holds, else None. `data` is what `chunk` was read from."""
    if chunk.error:
        return ErrorEvent(chunk.error)
    if chunk.object == "error":  # older vLLM and Mistral: the error's fields are at the top
        return ErrorEvent(whole(data))
    for choice in chunk.choices or ():
        if choice.error:
            return ErrorEvent(choice.error)
    return None


def whole(data: bytes) -> Any:
    """The decoded JSON; None when it is nested so deeply that only parts of it can be read."""
    try:
        return lenient_json.loads(data)
    except ValueError:
        return None


def made_up_id(answer_id: str, index: int) -> str:
    """An id for a tool call that came without one: the same for the same answer, another for another one."""
    return f"call_{answer_id[-_IN_ID:]}_{index}" if answer_id else f"call_{index}"


def arguments_text(value: Any) -> str:
    """JSON text of arguments that are JSON text, or, at some services, the object itself. None is empty.

    Raises TollwayError(provider_error) when the object is nested too deeply.
    """
    if isinstance(value, str):
        return value
    try:
        return "" if value is None else encoded(value).decode()
    except RecursionError:
        raise garbage("the arguments of a tool call are nested too deeply") from None


def texts_of(value: Any, depth: int = _DEPTH) -> str:
    """The text of a string, or of parts that hold it: reasoning has several shapes, `depth` deep at most."""
    if isinstance(value, str):
        return value
    if depth and isinstance(value, list):
        return "".join([texts_of(item, depth - 1) for item in value])
    if depth and isinstance(value, dict):
        for name in ("text", "thinking", "summary"):
            if isinstance(value.get(name), str | list):
                return texts_of(value[name], depth - 1)
    return ""


def parts_of(content: Any) -> list[chat.Text | chat.Thinking | chat.Refusal]:
    """The non-empty text, reasoning and refusals of a content that is a string or a list of parts."""
    if isinstance(content, str):
        return [chat.Text(content)] if content else []
    found: list[chat.Text | chat.Thinking | chat.Refusal] = []
    for part in content if isinstance(content, list) else ():
        if isinstance(part, str) and part:
            found.append(chat.Text(part))
        elif isinstance(part, dict):
            kind = part.get("type")
            if kind in ("thinking", "reasoning") and (thought := texts_of(part)):
                found.append(chat.Thinking(thought))
            elif kind == "refusal" and (refusal := string(part.get("refusal"))):
                found.append(chat.Refusal(refusal))
            elif kind in ("text", "output_text", None) and (text := string(part.get("text"))):
                found.append(chat.Text(text))
    return found


def reasoning_of(content: Content) -> str:
    """The reasoning beside the content; where a service writes it under both names, it counts once."""
    return texts_of(content.reasoning_content) or texts_of(content.reasoning)


def called_function(call: Any) -> tuple[str, Any] | None:
    """Name and arguments of an entry of `tool_calls`; None: it has no such shape. A custom tool's input is wrapped."""
    if not isinstance(call, dict):
        return None
    function = call.get("function")
    if isinstance(function, dict):
        return string(function.get("name")), function.get("arguments")
    custom = call.get("custom")
    if isinstance(custom, dict):
        return string(custom.get("name")), {"input": string(custom.get("input"))}
    return None


def read_answer(body: bytes, created: int = 0) -> chat.Answer:
    """A whole answer. `created` is Unix seconds, for services that do not say.

    Raises ErrorEvent when the body is an error, TollwayError(provider_error) when it is no chat completion.
    """
    try:
        answer = lenient_json.decode(DECODER, Chunk, body)
    except ValueError:
        raise garbage("the body is not a chat completion") from None
    error = error_of(answer, body)
    if error is not None:
        raise error
    if answer.choices is None:
        raise garbage("the body is not a chat completion")
    choice = answer.choices[0] if answer.choices else Choice()
    blocks = _blocks(choice.message or choice.delta or Content(), name(answer.id))
    called = any(isinstance(block, chat.ToolCall) for block in blocks)
    known = isinstance(answer.created, int) and not isinstance(answer.created, bool) and 0 < answer.created < 2**53
    return chat.Answer(
        id=name(answer.id),
        model=name(answer.model),
        created=answer.created if known else created,
        finish=finish_of(choice.finish_reason, called=called),
        blocks=tuple(blocks),
        stop_sequence=stop_sequence_of(choice),
        usage=read_usage(answer.usage),
    )


def _blocks(message: Content, answer_id: str) -> list[chat.Block]:
    blocks: list[chat.Block] = []
    reasoning = reasoning_of(message)
    if reasoning:
        blocks.append(chat.Thinking(reasoning))
    parts = parts_of(message.content)
    blocks.extend(parts)
    if not parts and message.content == "":
        blocks.append(chat.Text(""))
    refusal = string(message.refusal)
    if refusal:
        blocks.append(chat.Refusal(refusal))
    calls = message.tool_calls if isinstance(message.tool_calls, list) else []
    if not calls and isinstance(message.function_call, dict):
        calls = [{"function": message.function_call}]
    count = 0
    for call in calls:
        called = called_function(call)
        if called is None:
            continue
        name, arguments = called
        text = arguments_text(arguments)
        call_id = string(call.get("id")) or made_up_id(answer_id, count)
        blocks.append(chat.ToolCall(call_id, name, text if text.strip() else "{}"))
        count += 1
    return blocks
