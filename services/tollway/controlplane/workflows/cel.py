"""Conditions in the Common Expression Language, by Google's own runtime (docs/adr/0012-cel.md).

The bounds: a text has at most 1,000 characters and one comprehension, without regular expressions in it, so that work
grows with the length of the text and never with a power of it; the runtime itself refuses nesting over 32 levels and
more than 10,000 steps of a comprehension; its regular expressions are linear; and no condition is begun when a policy
has had its time.
"""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime
from functools import cache, lru_cache
from typing import Any

from cel_expr_python import cel

from tollway.controlplane.workflows.conditions import (
    MAX_LENGTH,
    MAX_SECONDS,
    VARIABLES,
    ConditionInvalid,
    Conditions,
    Sort,
)
from tollway.controlplane.workflows.model import Facts
from tollway.core.approvals.policy import Condition, ConditionFailed

_COMPREHENSION = re.compile(r"\b(all|exists|exists_one|filter|map)\b\s*(\(|//)")
_EXPRESSION = re.compile(r"\bmatches\b\s*(\(|//)")
MAX_PROBLEM = 300
_TYPES = {
    Sort.TEXT: cel.Type.STRING,
    Sort.TRUTH: cel.Type.BOOL,
    # Of no fixed type, so that both `amount <= 100` and `amount <= 99.5` can be written.
    Sort.NUMBER: cel.Type.DYN,
    Sort.TEXTS: cel.Type.List(cel.Type.STRING),
    Sort.TIME: cel.Type.TIMESTAMP,
}


class Cel:
    """The implementation. Programs are compiled once and kept."""

    def __init__(self) -> None:
        self._environment = cel.NewEnv(variables={name: _TYPES[sort] for name, sort in VARIABLES.items()})
        self._compiled = lru_cache(maxsize=500)(self._compile)

    def check(self, text: str) -> None:
        """Raises ConditionInvalid for a text that could never be evaluated to true or false."""
        self._compiled(text)

    def over(self, facts: Facts) -> Condition:
        """What tells whether conditions hold for these facts, all of them together in half a second."""
        values = {name: _value(sort, facts[name]) for name, sort in VARIABLES.items() if name in facts}
        ends = time.monotonic() + MAX_SECONDS

        def holds(text: str) -> bool:
            if time.monotonic() > ends:
                raise ConditionFailed("the conditions of the policy take too long")
            try:
                found = self._compiled(text).eval(data=values)
            except ConditionInvalid as invalid:
                raise ConditionFailed(str(invalid)) from None
            except (RuntimeError, ValueError, TypeError) as error:
                raise ConditionFailed(_first_line(error)) from None
            if found.type() == cel.Type.ERROR:
                raise ConditionFailed(_first_line(found.value()))
            if found.type() != cel.Type.BOOL:
                raise ConditionFailed("a condition must be true or false")
            return bool(found.value())

        return holds

    def _compile(self, text: str) -> Any:
        if len(text) > MAX_LENGTH:
            raise ConditionInvalid(f"a condition has at most {MAX_LENGTH} characters")
        comprehensions = len(_COMPREHENSION.findall(text))
        if comprehensions > 1 or (comprehensions and _EXPRESSION.search(text)):
            raise ConditionInvalid(
                "a condition has at most one of all, exists, exists_one, filter and map, and no matches beside it"
            )
        try:
            program = self._environment.compile(text)
        except (RuntimeError, ValueError) as error:
            raise ConditionInvalid(_first_line(error)) from None
        if program.return_type() not in (cel.Type.BOOL, cel.Type.DYN):
            raise ConditionInvalid("a condition must be true or false")
        return program


def _value(sort: Sort, value: Any) -> Any:
    if sort is Sort.TIME:
        return datetime.fromisoformat(value).astimezone(UTC)
    return value


def _first_line(problem: Any) -> str:
    """What the runtime says, without its own prefixes and the drawing of the place."""
    line = str(problem).partition("\n")[0]
    line = re.sub(r"^[A-Z_]+: (ERROR: )?(<input>:-?\d+:(-?\d+): )?", lambda m: _place(m[3]), line)
    return re.sub(r" \[[A-Z_]+\]$", "", line)[:MAX_PROBLEM]


def _place(column: str | None) -> str:
    return f"character {column}: " if column and int(column) > 0 else ""


@cache
def engine() -> Conditions:
    """The implementation in use."""
    return Cel()
