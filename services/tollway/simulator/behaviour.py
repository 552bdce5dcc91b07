"""How a model behaves: latency, token rate, length, and faults; by its name, or set over the control API.

A model's name may carry options after its last slash: `NAME/option=value,option=value`, for example
`sim-fast/latency=200ms,rate=50,tokens=100` or `sim-fast/fault=429,times=2`. Every option is a field of `Behaviour`.
Later wins: the profile that ships under the name, what was set for `*`, what was set for the name, the name's options.
A fault and its `times`, `after` and `retry_after` are one setting: where a layer names a fault, lower ones lose theirs.

Pure but for the counters of `times`; knows no HTTP.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

import msgspec

ANY = "*"
MAX_MODELS = 10_000
"""So many models may have a behaviour of their own, and so many faults with `times` are counted."""

STATUSES = frozenset((400, 401, 402, 403, 404, 408, 409, 413, 422, 429, 500, 502, 503, 504, 529))
"""`fault=STATUS` answers with the provider's own error of that status, `fault=STATUS-empty` without a body."""

BEFORE = {
    "quota": "429 for spent credit (OpenAI's `insufficient_quota`), which does not go away by waiting",
    "html": "502 with a page of HTML, as an edge proxy sends it",
    "garbage": "200 with a body that is not JSON, or an event stream of it",
    "empty": "200 with an empty body",
    "wrong-shape": "200 with JSON that is no answer",
    "close-first": "the connection is closed (FIN) instead of an answer",
    "reset-first": "the connection is reset (RST) instead of an answer",
    "stall-first": "no byte is ever sent",
}
WITHIN = {
    "stall": "after `after` tokens nothing more is sent, and the connection stays open",
    "cut": "after `after` tokens the connection is closed (FIN) without the end of the body",
    "reset": "after `after` tokens the connection is reset (RST)",
    "error-event": "after `after` tokens a stream carries the provider's error event; not streamed: its 500",
    "filter": "after `after` tokens the provider's content filter ends the answer",
    "no-usage": "the answer tells no usage, even if asked to",
    "no-finish": "a stream ends cleanly after its last content, without finish reason, usage and terminal event",
    "no-done": "a stream ends cleanly without its terminal event alone",
}
FAULTS = frozenset((*BEFORE, *WITHIN, *(str(s) for s in STATUSES), *(f"{s}-empty" for s in STATUSES)))
_OF_FAULT = ("fault", "times", "after", "retry_after")


class BehaviourError(ValueError):
    """An option is unknown or out of its bounds; the message says which."""


class Behaviour(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, omit_defaults=True):
    """What a model does. Durations are in seconds, rates in tokens a second, 0 where there is no pacing."""

    latency: float = 0.0
    """Until the first byte of the answer."""
    rate: float = 0.0
    tokens: int | None = None
    """Visible tokens of each choice; None: an echo of the last user message."""
    reasoning: int = 0
    """Reasoning tokens in front of each choice: hidden by OpenAI and Azure, shown by the others."""
    cached: int = 0
    """Prompt tokens reported as read from the provider's cache, at most the prompt's."""
    cache_write: int = 0
    """Prompt tokens reported as written to the cache (Anthropic alone)."""
    chunk: int = 1
    """Tokens in one event of a stream."""
    fault: str = ""
    times: int = 0
    """After so many requests with the fault all is well again; 0: never."""
    after: int = 3
    """Tokens before a fault within the answer."""
    retry_after: float = 1.0
    """Seconds named by 429, 503 and 529."""


PROFILES: Mapping[str, Mapping[str, Any]] = {
    "sim-fast": {},
    "sim-small": {"latency": 0.02, "rate": 400.0},
    "sim-large": {"latency": 0.1, "rate": 100.0},
}
"""Names that behave in a way of their own. Every other name is answered too, like `sim-fast`."""

_DURATIONS = ("latency", "retry_after")


def seconds(text: str) -> float:
    """A duration: `200ms`, `1.5s`, or a number of seconds. Raises ValueError."""
    number, divisor = (text[:-2], 1000) if text.endswith("ms") else (text.removesuffix("s"), 1)
    try:
        return float(number) / divisor
    except ValueError:
        raise ValueError(f"latency and retry_after are durations such as 200ms or 1.5s, not {text!r}") from None


def checked(options: Mapping[str, Any], max_tokens: int, max_seconds: float) -> dict[str, Any]:
    """Options as values of Behaviour's fields; values may be text. Raises BehaviourError."""
    values = dict(options)
    try:
        for name in _DURATIONS:
            if isinstance(values.get(name), str):
                values[name] = seconds(values[name])
        found = msgspec.convert(values, Behaviour, strict=False)
    except (ValueError, msgspec.ValidationError) as error:
        raise BehaviourError(str(error)) from None
    if found.fault and found.fault not in FAULTS:
        raise BehaviourError(f"unknown fault {found.fault!r}; one of {', '.join(sorted(FAULTS))}")
    bounds: dict[str, tuple[float, float]] = {
        "latency": (0, max_seconds),
        "retry_after": (0, 86_400),
        "rate": (0, 1_000_000),
        "chunk": (1, 10_000),
        "times": (0, 1_000_000_000),
    }
    for name in values:
        low, high = bounds.get(name, (0, max_tokens))
        value = getattr(found, name)
        if isinstance(value, int | float) and not (math.isfinite(value) and low <= value <= high):
            raise BehaviourError(f"{name} must be between {low} and {high}")
    return {name: getattr(found, name) for name in values}


@lru_cache(maxsize=4096)
def split_name(model: str) -> tuple[str, tuple[tuple[str, str], ...]]:
    """A model's name without its options, and the options as text. Raises BehaviourError."""
    name, slash, text = model.rpartition("/")
    if not slash or "=" not in text:
        return model, ()
    options = []
    for part in text.split(","):
        option, equals, value = part.partition("=")
        if not equals or not option or not value:
            raise BehaviourError(f"{part!r} in the model's name is not option=value")
        options.append((option.strip(), value.strip()))
    return name, tuple(options)


class Behaviours:
    """The behaviour of every model, and how often its fault has still to come."""

    def __init__(self, max_tokens: int, max_seconds: float) -> None:
        self._bounds = (max_tokens, max_seconds)
        self._set: dict[str, dict[str, Any]] = {}
        self._left: dict[str, int] = {}
        self._known: dict[str, tuple[str, Behaviour, str]] = {}

    def set(self, pairs: Iterable[tuple[str, Mapping[str, Any]]]) -> None:
        """Replaces what was set for each model (`*`: for all); without options it is as its profile says again.

        Raises BehaviourError before anything is changed.
        """
        checks = [(model, checked(options, *self._bounds)) for model, options in pairs]
        if any("=" in model.rpartition("/")[2] for model, _values in checks):
            raise BehaviourError("give the options as fields, not in the model's name")
        if len({*self._set, *(model for model, _values in checks)}) > MAX_MODELS:
            raise BehaviourError(f"at most {MAX_MODELS} models can have a behaviour of their own")
        for model, values in checks:
            self._set.pop(model, None)
            if values:
                self._set[model] = values
            self._left.pop(model, None)
        self._known.clear()

    def shown(self) -> dict[str, dict[str, Any]]:
        """What was set, by model, with how often each counted fault is still to come."""
        return {
            model: {**values, **({"left": self._left.get(model, values["times"])} if values.get("times") else {})}
            for model, values in self._set.items()
        }

    def reset(self) -> None:
        """Forgets everything that was set and counted."""
        self._set.clear()
        self._left.clear()
        self._known.clear()

    def take(self, model: str) -> tuple[str, Behaviour]:
        """Base name and behaviour for one request, which uses up one of its fault's `times`. Raises BehaviourError."""
        known = self._known.get(model)
        if known is None:
            known = self._resolve(model)
            if len(self._known) >= MAX_MODELS:
                self._known.clear()
            self._known[model] = known
        base, behaviour, origin = known
        if behaviour.fault and behaviour.times and not self._use(origin, behaviour.times):
            behaviour = msgspec.structs.replace(behaviour, fault="")
        return base, behaviour

    def _use(self, origin: str, times: int) -> bool:
        left = self._left.get(origin, times)
        if left and len(self._left) >= 2 * MAX_MODELS and origin not in self._left:
            self._left.pop(next(iter(self._left)))
        self._left[origin] = max(0, left - 1)
        return left > 0

    def _resolve(self, model: str) -> tuple[str, Behaviour, str]:
        base, texts = split_name(model)
        layers = [
            ("", PROFILES.get(base, {})),
            (ANY, self._set.get(ANY, {})),
            (base, self._set.get(base, {})),
            (model, checked(dict(texts), *self._bounds)),
        ]
        merged: dict[str, Any] = {}
        origin = ""
        for name, values in layers:
            if "fault" in values:
                merged = {option: value for option, value in merged.items() if option not in _OF_FAULT}
                origin = name
            merged.update(values)
        return base, Behaviour(**merged), origin
