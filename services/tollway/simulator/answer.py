"""What the simulator answers: a pure function of the request and the model's behaviour, the same streamed or not.

A token is four characters (Unicode code points) of a text, the last of a text may be shorter. The prompt counts each
text on its own, 4 tokens for each message, 85 for each image, and the tools as the JSON that was sent.

The text repeats the last user message (its first 4,000 characters), or has the number of tokens that the behaviour
says. Tools: where the last message is the user's and says `call NAME` for a tool that was given, the answer is that
call, with the JSON object that follows the name as arguments, else with a value made up from the tool's JSON Schema;
several calls where it says so several times. Answers that are no text (vectors, images, audio) have a number of tokens
and nothing else here: their dialects make them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any
from zlib import crc32

import msgspec
import orjson

from tollway.simulator.behaviour import Behaviour

CHARACTERS = 4
MESSAGE_TOKENS = 4
IMAGE_TOKENS = 85
LONGEST = 4000
"""So many characters of the last user message are looked at and repeated."""
MAX_CALLS = 32
_WORDS = (
    "the toll is paid at the gate and the road goes on over the hill past the mill by the river where boats wait for "
    "the tide and carts for their turn while clerks write each coin in the book so that at night the sum is right "
)
_DECODER = json.JSONDecoder()


def count(text: str) -> int:
    """The tokens of a text."""
    return -(-len(text) // CHARACTERS)


def pieces(text: str, tokens: int) -> Iterator[str]:
    """The text in pieces of so many tokens."""
    size = tokens * CHARACTERS
    for start in range(0, len(text), size):
        yield text[start : start + size]


class Tool(msgspec.Struct, frozen=True):
    """A function that the model may call."""

    name: str
    schema: Any


class Asked(msgspec.Struct, frozen=True, kw_only=True):
    """A request, whatever dialect it came in."""

    model: str
    stream: bool
    prompt_tokens: int
    last_user: str
    """Text of the last message where it is the user's, else of the last that is; empty without one."""
    may_call: bool
    """Whether the last message is the user's, so that tools are not called again and again."""
    tools: tuple[Tool, ...] = ()
    forced: str = ""
    """A tool's name, or `*` for any: the answer must be a call."""
    parallel: bool = True
    limit: int | None = None
    stop: tuple[str, ...] = ()
    n: int = 1
    include_usage: bool = False
    preface: bool = False
    """Whether a call comes with a sentence before it, as Anthropic's models do."""
    users: tuple[str, ...] = ()
    """What each choice answers, where they differ; then `last_user` is the longest of them."""
    says: str | None = None
    """The answer's text, where it is not the echo."""
    natural: int | None = None
    """Where the answer is no text: the tokens of each of its `n` parts, 0 where such answers have none."""
    thinks: int = 0
    """Reasoning tokens where the behaviour says none."""
    hides_reasoning: bool = False
    """Whether the answer tells how much was reasoned, but not what."""
    cache_hour: bool = False
    """Whether what is written to the cache is to stay for an hour, not five minutes."""
    media: str = ""
    """Content type of the answer, where it is neither JSON nor an event stream."""
    unmetered: bool = False
    """Whether such an answer never tells its usage."""
    detail: Any = None
    """What only the dialect that read the request understands."""


class Call(msgspec.Struct, frozen=True):
    """A tool call; the arguments are JSON, but cut where the answer was too long."""

    name: str
    arguments: str


class Choice(msgspec.Struct, frozen=True, kw_only=True):
    """One answer. `finish` is stop, stop_sequence, length, tool_calls or filter; tokens include the reasoning's."""

    text: str
    reasoning: str
    calls: tuple[Call, ...]
    finish: str
    stopped_by: str | None
    tokens: int


class Answer(msgspec.Struct, frozen=True, kw_only=True):
    """All choices with their usage; `cached` and `cache_write` are parts of `prompt_tokens`."""

    choices: tuple[Choice, ...]
    prompt_tokens: int
    cached: int
    cache_write: int
    completion_tokens: int
    reasoning_tokens: int


def longest(asked: Asked, behaviour: Behaviour) -> int:
    """At most so many tokens are in the answer, all choices together."""
    if asked.natural is not None:
        return _measured(asked, behaviour)
    echo = count(asked.last_user if asked.says is None else asked.says) + 8
    each = (echo if behaviour.tokens is None else behaviour.tokens) + _reasoning(asked, behaviour)
    return asked.n * (each if asked.limit is None else min(each, asked.limit))


def compose(asked: Asked, behaviour: Behaviour) -> Answer:
    """The answer to a request."""
    choices = tuple(_choice(asked, behaviour, index) for index in range(asked.n)) if asked.natural is None else ()
    cached = min(behaviour.cached, asked.prompt_tokens)
    return Answer(
        choices=choices,
        prompt_tokens=asked.prompt_tokens,
        cached=cached,
        cache_write=min(behaviour.cache_write, asked.prompt_tokens - cached),
        completion_tokens=_measured(asked, behaviour) + sum(choice.tokens for choice in choices),
        reasoning_tokens=sum(count(choice.reasoning) for choice in choices),
    )


def _measured(asked: Asked, behaviour: Behaviour) -> int:
    """The tokens of an answer that is no text; 0 for those that are."""
    if not asked.natural:
        return 0
    return asked.n * (asked.natural if behaviour.tokens is None else behaviour.tokens)


def _reasoning(asked: Asked, behaviour: Behaviour) -> int:
    return behaviour.reasoning or asked.thinks


def _choice(asked: Asked, behaviour: Behaviour, index: int) -> Choice:
    left = asked.limit if asked.limit is not None else 1 << 60
    wanted = _reasoning(asked, behaviour)
    if behaviour.fault == "filter":
        left = min(left, max(1, behaviour.after) + wanted)
    reasoning = _filler(asked.last_user, min(wanted, left)) if wanted else ""
    left -= count(reasoning)
    calls = _calls(asked)
    if calls:
        text, stopped = (f"Calling {', '.join(call.name for call in calls)}." if asked.preface else ""), None
    else:
        text, stopped = _stopped(_text(asked, behaviour, index), asked.stop)
    finish = "tool_calls" if calls else ("stop_sequence" if stopped is not None else "stop")
    kept: list[Call] = []
    if count(text) > left or count(reasoning) < wanted:
        text, calls, finish, stopped = text[: left * CHARACTERS], (), "length", None
    left -= count(text)
    for call in calls:
        if left <= count(call.name):
            finish = "length"
            break
        left -= count(call.name)
        arguments = call.arguments[: left * CHARACTERS]
        left -= count(arguments)
        kept.append(Call(call.name, arguments))
        if len(arguments) < len(call.arguments):
            finish = "length"
            break
    if behaviour.fault == "filter":
        finish = "filter"
    spent = count(reasoning) + count(text) + sum(count(call.name) + count(call.arguments) for call in kept)
    return Choice(
        text=text, reasoning=reasoning, calls=tuple(kept), finish=finish, stopped_by=stopped, tokens=spent
    )  # fmt: skip


def _text(asked: Asked, behaviour: Behaviour, index: int) -> str:
    beginning = "Simulated answer" if not index else f"Simulated answer {index + 1}"
    user = asked.users[index] if asked.users else asked.last_user
    text = f"{beginning} to: {user}" if asked.says is None else asked.says
    if behaviour.tokens is None:
        return text
    wanted = behaviour.tokens * CHARACTERS
    if len(text) < wanted:
        text += " " + _filler(asked.last_user, behaviour.tokens)
    return text[:wanted]


def _filler(seed: str, tokens: int) -> str:
    """Words of exactly so many tokens, which depend on the seed alone."""
    offset = crc32(seed.encode("utf-8", "surrogatepass")) % len(_WORDS)
    wanted = tokens * CHARACTERS
    repeated = _WORDS * ((offset + wanted) // len(_WORDS) + 1)
    return repeated[offset : offset + wanted]


def _stopped(text: str, stops: tuple[str, ...]) -> tuple[str, str | None]:
    """The text before the first stop sequence, and that sequence."""
    found = [(at, stop) for stop in stops if stop and (at := text.find(stop)) >= 0]
    if not found:
        return text, None
    at, stop = min(found)
    return text[:at], stop


def _calls(asked: Asked) -> tuple[Call, ...]:
    if not asked.tools:
        return ()
    found: list[tuple[int, Call]] = []
    if asked.may_call:
        for tool in asked.tools:
            for match in re.finditer(rf"\bcall {re.escape(tool.name)}(?![\w.-])", asked.last_user):
                given = _object_at(asked.last_user, match.end())
                found.append((match.start(), Call(tool.name, structured(tool.schema) if given is None else given)))
    calls = [call for _at, call in sorted(found, key=lambda item: item[0])][:MAX_CALLS]
    if asked.forced and not any(asked.forced in ("*", call.name) for call in calls):
        tool = next((tool for tool in asked.tools if tool.name == asked.forced), asked.tools[0])
        calls = [Call(tool.name, structured(tool.schema))]
    elif asked.forced not in ("", "*"):
        calls = [call for call in calls if call.name == asked.forced]
    return tuple(calls if asked.parallel else calls[:1])


def structured(schema: Any) -> str:
    """The JSON text that answers a request for structured output."""
    return msgspec.json.encode(sample(schema)).decode()


def _object_at(text: str, start: int) -> str | None:
    """The JSON object at this place of a text, after blanks, written compactly."""
    rest = text[start:].lstrip()
    if not rest.startswith("{"):
        return None
    try:
        _value, end = _DECODER.raw_decode(rest)
        # The stricter reader takes neither NaN nor half a surrogate pair, which could not be sent.
        return orjson.dumps(orjson.loads(rest[:end])).decode()
    except (ValueError, TypeError, RecursionError):
        return None


def sample(schema: Any) -> Any:
    """A value for a JSON Schema: its constant, default, first enum value or example, else the simplest of its type."""
    value = _Sampler(schema).value(schema, 0)
    return value if isinstance(value, dict) else {}


class _Sampler:
    """Walks a schema, at most so deep and so many places: a schema may refer to itself."""

    def __init__(self, root: Any) -> None:
        self._root = root
        self._left = 2000

    def value(self, schema: Any, depth: int) -> Any:
        """A value for the part of the schema at this depth; None beyond the bounds."""
        self._left -= 1
        if not isinstance(schema, Mapping) or depth > 12 or self._left < 0:
            return None
        for name in ("const", "default"):
            if name in schema:
                return schema[name]
        for name in ("enum", "examples"):
            if isinstance(schema.get(name), list) and schema[name]:
                return schema[name][0]
        if isinstance(target := schema.get("$ref"), str):
            return self.value(self._target(target), depth + 1)
        for name in ("anyOf", "oneOf", "allOf"):
            if isinstance(schema.get(name), list) and schema[name]:
                return self.value(schema[name][0], depth + 1)
        kind = schema.get("type", "object" if "properties" in schema or not depth else "string")
        return self._of_type(kind[0] if isinstance(kind, list) and kind else kind, schema, depth)

    def _of_type(self, kind: Any, schema: Mapping[str, Any], depth: int) -> Any:
        match kind:
            case "object":
                properties = schema.get("properties")
                properties = properties if isinstance(properties, Mapping) else {}
                names = schema.get("required")
                wanted = [name for name in (names if isinstance(names, list) else properties) if isinstance(name, str)]
                return {name: self.value(properties.get(name, {}), depth + 1) for name in wanted[: max(0, self._left)]}
            case "array":
                return [self.value(schema.get("items", {}), depth + 1)]
            case "integer":
                return int(_number(schema, "minimum", 1))
            case "number":
                return _number(schema, "minimum", 1.5)
            case "boolean":
                return True
            case "null":
                return None
        return "sample".ljust(int(_number(schema, "minLength", 0)), "x")[: int(_number(schema, "maxLength", 1000))]

    def _target(self, path: str) -> Any:
        """What a local reference (`#/$defs/x`) names."""
        found = self._root
        for part in path.removeprefix("#/").split("/"):
            found = found.get(part) if isinstance(found, Mapping) else None
        return found


def _number(schema: Mapping[str, Any], name: str, default: float) -> float:
    """A bound of the schema, itself bounded."""
    value = schema.get(name)
    return max(-1000, min(1000, value)) if isinstance(value, int | float) and not isinstance(value, bool) else default
