"""The mind of a provider that answers sensibly by rules: it picks tools and arguments from schemas and the words said.

Owns what is answered. It knows no wire format, and the same question always has the same answer.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any

Schema = dict[str, Any]

_QUOTED = re.compile(r"'([^']+)'|\"([^\"]+)\"")
_NUMBER = re.compile(r"-?\d+(?:\.\d+)?")
_PLACE = re.compile(r"\b(?:in|for|of|and) ([A-Z][\w.]*(?:,? [A-Z][\w.]*)*)")
_WORD = re.compile(r"[a-z]+")
_PLACE_NAMES = ("city", "location", "place", "town")
_SMALL = frozenset(
    [
        "a",
        "an",
        "and",
        "by",
        "for",
        "from",
        "in",
        "is",
        "it",
        "of",
        "on",
        "the",
        "to",
        "use",
        "what",
        "with",
        "you",
        "your",
    ]
)
PIECE_CHARS = 4


@dataclass(frozen=True)
class Offer:
    """A tool that may be called."""

    name: str
    description: str
    schema: Schema


@dataclass(frozen=True)
class Question:
    """A conversation as the mind needs it.

    `said` is the user's last text; `results` what tools have answered since. `choice` is `auto`, `none`, `required` or
    the name of a tool. `called` are the names of tools called since `said`. `schema` is that of a wanted JSON answer;
    `json_only` wants any object. `seen` counts what is no text. `prompt` is everything, for counting tokens.
    """

    said: str
    prompt: str
    results: tuple[str, ...] = ()
    called: tuple[str, ...] = ()
    offers: tuple[Offer, ...] = ()
    choice: str = "auto"
    parallel: bool = True
    schema: Schema | None = None
    json_only: bool = False
    stop: tuple[str, ...] = ()
    limit: int | None = None
    seen: dict[str, int] = field(default_factory=dict)
    thinks: bool = False


@dataclass(frozen=True)
class Reply:
    """What is answered. `finish` is `stop`, `stop_sequence`, `length` or `tool_calls`; tokens are counted here."""

    text: str
    calls: tuple[tuple[str, Schema], ...]
    finish: str
    input_tokens: int
    output_tokens: int
    stop_sequence: str | None = None
    thinking: str = ""
    thinking_tokens: int = 0


def tokens(text: str) -> int:
    """Four characters of a text are a token, and the rest is one."""
    return -(-len(text) // PIECE_CHARS)


def pieces(text: str) -> list[str]:
    """A text in its tokens, for streams."""
    return [text[start : start + PIECE_CHARS] for start in range(0, len(text), PIECE_CHARS)]


def reply_to(question: Question) -> Reply:
    """The answer."""
    calls = _calls(question)
    text = "" if calls else _text(question)
    finish, stopped = ("tool_calls" if calls else "stop"), None
    for stop in question.stop:
        if stop in text:
            text, finish, stopped = text[: text.index(stop)], "stop_sequence", stop
    if question.limit is not None and tokens(text) > question.limit:
        text, finish, stopped = text[: question.limit * PIECE_CHARS], "length", None
    thinking = f"The user says: {question.said[:60]}" if question.thinks else ""
    written = text + "".join(name + json.dumps(arguments) for name, arguments in calls)
    return Reply(
        text=text,
        calls=calls,
        finish=finish,
        stop_sequence=stopped,
        thinking=thinking,
        input_tokens=tokens(question.prompt) + 3,
        output_tokens=tokens(written) + tokens(thinking) + 1,
        thinking_tokens=tokens(thinking),
    )


def _text(question: Question) -> str:
    if question.schema is not None:
        return json.dumps(_filled(question.schema, question), ensure_ascii=False)
    if question.json_only:
        names = [one or other for one, other in _QUOTED.findall(question.said)] or ["answer"]
        return json.dumps({name: f"{name}: {question.said[:40]}" for name in names}, ensure_ascii=False)
    if question.results:
        return "The tools say: " + "; ".join(question.results)
    if question.seen:
        return "You show me " + ", ".join(f"{count} {kind}" for kind, count in sorted(question.seen.items())) + "."
    if re.match(r"(?i)(hello|hi|hey)\b", question.said):
        return "Hello! How can I help you today?"
    return f"You said: {question.said}"


# -- tools ------------------------------------------------------------------------------------------------------------


def _calls(question: Question) -> tuple[tuple[str, Schema], ...]:
    offers = question.offers
    if not offers or question.choice == "none":
        return ()
    named = [offer for offer in offers if offer.name == question.choice]
    if named:
        chosen = named
    else:
        chosen = _fitting(question)
        if question.choice == "required" and not chosen:
            chosen = [next((o for o in offers if o.name not in question.called), offers[-1])]
    if not question.parallel:
        chosen = chosen[:1]
    calls = [(offer.name, arguments) for offer in chosen for arguments in _arguments(offer, question)]
    return tuple(calls if question.parallel else calls[:1])


def _fitting(question: Question) -> list[Offer]:
    """The tools that the text names, else the one whose words it shares most; none that has been called already."""
    fresh = [offer for offer in question.offers if offer.name not in question.called]
    words = set(_WORD.findall(question.said.lower())) - _SMALL
    if not question.results:
        named = [o for o in fresh if re.search(rf"(?<!\w){re.escape(o.name)}(?!\w)", question.said)]
        if named:
            return named
    scored = [(len(words & set(_WORD.findall(o.name.lower().replace("_", " ")))), o) for o in fresh]
    best = max((score for score, _ in scored), default=0)
    return [offer for score, offer in scored if score == best][:1] if best else []


def _arguments(offer: Offer, question: Question) -> list[Schema]:
    """One set of arguments; several where the text names several places and the tool takes one."""
    properties = offer.schema.get("properties") or {}
    places = _PLACE.findall(question.said)
    if len(properties) == 1 and len(places) > 1 and next(iter(properties)) in _PLACE_NAMES:
        return [{next(iter(properties)): place} for place in places]
    filled = _filled(offer.schema, question)
    return [filled if isinstance(filled, dict) else {}]


# -- values by schema -------------------------------------------------------------------------------------------------


def _filled(schema: Schema, question: Question) -> Any:
    numbers = [json.loads(text) for text in _NUMBER.findall(" ".join(question.results) or question.said)]
    return _Filler(schema, question, numbers).value(schema, "value")


class _Filler:
    """Makes one value of a schema; numbers of the text are used up in their order."""

    def __init__(self, root: Schema, question: Question, numbers: list[float]) -> None:
        self._root = root
        self._said = question.said
        self._numbers = numbers
        self._quoted = [one or other for one, other in _QUOTED.findall(question.said)]
        self._places = _PLACE.findall(question.said)

    def value(self, schema: Schema, name: str) -> Any:
        if "$ref" in schema:
            found: Any = self._root
            for step in schema["$ref"].removeprefix("#/").split("/"):
                found = found[step]
            return self.value(found, name)
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            known = [item for item in schema["enum"] if str(item).lower() in self._said.lower()]
            return (known or schema["enum"])[0]
        for group in ("anyOf", "oneOf", "allOf"):
            if group in schema:
                options = [option for option in schema[group] if option.get("type") != "null"]
                return self.value(options[0], name) if options else None
        return self._typed(schema, name)

    def _typed(self, schema: Schema, name: str) -> Any:
        kind = schema.get("type", "object" if "properties" in schema else "string")
        if isinstance(kind, list):
            kind = next(item for item in kind if item != "null")
        match kind:
            case "object":
                required = schema.get("required") or list(schema.get("properties") or {})
                return {key: self.value(schema["properties"][key], key) for key in required}
            case "array":
                return [self.value(schema.get("items", {}), name) for _ in range(max(1, schema.get("minItems", 2)))]
            case "integer":
                return int(self._numbers.pop(0)) if self._numbers else int(schema.get("minimum", 1))
            case "number":
                return float(self._numbers.pop(0)) if self._numbers else float(schema.get("minimum", 1))
            case "boolean":
                return True
            case "null":
                return None
        return self._string(name)

    def _string(self, name: str) -> str:
        if name in _PLACE_NAMES and self._places:
            return str(self._places[0])
        if self._quoted:
            return str(self._quoted.pop(0))
        return f"{name}: {self._said[:40]}"
