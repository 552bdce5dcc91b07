"""The building blocks that a configuration file is declared with.

Each knows how to check a value and turn it into the JSON of the management API, and how to describe itself as JSON
Schema: one declaration, so that parser and schema cannot differ.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any, Protocol

from tollway.cli.document.problems import child, suggestion
from tollway.core.requestlog import RETENTION_CLASSES

_UNITS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
_DURATION = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|s|m|h|d|w)")
INVALID: Any = object()


class Kind(Protocol):
    """A type of value."""

    def read(self, value: Any, path: str, problems: list[str]) -> Any:
        """The value for the API, or INVALID after a problem was added."""

    def schema(self) -> dict[str, Any]:
        """The JSON Schema."""


@dataclass(frozen=True)
class Text:
    """A text, perhaps of a pattern or one of several words."""

    pattern: str = ""
    choices: tuple[str, ...] = ()
    minimum: int = 0
    maximum: int = 4096
    says: str = ""

    def read(self, value: Any, path: str, problems: list[str]) -> Any:
        """The text itself."""
        if not isinstance(value, str):
            hint = "; put it in quotes" if isinstance(value, (int, float, bool)) else ""
            problems.append(f"{path}: must be a text{hint}")
        elif self.choices and value not in self.choices:
            hint = suggestion(value, self.choices)
            problems.append(f"{path}: must be one of {', '.join(self.choices)}{hint}")
        elif not self.minimum <= len(value) <= self.maximum:
            problems.append(f"{path}: must have {self.minimum} to {self.maximum} characters")
        elif self.pattern and not re.fullmatch(self.pattern, value):
            problems.append(f"{path}: {self.says or 'does not have the right form'}")
        else:
            return value
        return INVALID

    def schema(self) -> dict[str, Any]:
        """A string."""
        described: dict[str, Any] = {"type": "string"}
        if self.choices:
            return described | {"enum": list(self.choices)}
        if self.pattern:
            # A reference to the environment stands for a value of the right form.
            described["pattern"] = rf"\$\{{|^(?:{self.pattern})$"
        elif self.minimum > 1:
            described |= {"anyOf": [{"minLength": self.minimum}, {"pattern": r"\$\{"}]}
        elif self.minimum:
            described["minLength"] = self.minimum
        return described


@dataclass(frozen=True)
class Number:
    """A whole number."""

    minimum: int
    maximum: int

    def read(self, value: Any, path: str, problems: list[str]) -> Any:
        """The number itself."""
        if isinstance(value, bool) or not isinstance(value, int) or not self.minimum <= value <= self.maximum:
            problems.append(f"{path}: must be a whole number from {self.minimum} to {self.maximum}")
            return INVALID
        return value

    def schema(self) -> dict[str, Any]:
        """An integer with its bounds."""
        return {"type": "integer", "minimum": self.minimum, "maximum": self.maximum}


@dataclass(frozen=True)
class Boolean:
    """true or false."""

    def read(self, value: Any, path: str, problems: list[str]) -> Any:
        """The value itself."""
        if not isinstance(value, bool):
            problems.append(f"{path}: must be true or false")
            return INVALID
        return value

    def schema(self) -> dict[str, Any]:
        """A boolean."""
        return {"type": "boolean"}


@dataclass(frozen=True)
class Duration:
    """A length of time such as 500ms, 5s, 10m, 12h, 90d, read as seconds; `whole` for whole seconds."""

    maximum_seconds: int
    whole: bool = False

    def read(self, value: Any, path: str, problems: list[str]) -> Any:
        """Seconds."""
        match = _DURATION.fullmatch(value) if isinstance(value, str) else None
        if match is None:
            problems.append(f"{path}: must be a duration such as 5s, 10m, 12h or 90d")
            return INVALID
        seconds = Decimal(match[1]) * Decimal(str(_UNITS[match[2]]))
        if not 0 < seconds <= self.maximum_seconds:
            problems.append(f"{path}: must be more than 0 and at most {self.maximum_seconds}s")
            return INVALID
        if not self.whole:
            return float(seconds)
        if seconds != int(seconds):
            problems.append(f"{path}: must be whole seconds")
            return INVALID
        return int(seconds)

    def schema(self) -> dict[str, Any]:
        """A string with the form of a duration."""
        return {"type": "string", "pattern": rf"\$\{{|^{_DURATION.pattern}$", "examples": ["5s", "10m", "12h", "90d"]}


@dataclass(frozen=True)
class Retention:
    """How long the request log keeps something: one of a few numbers of days."""

    def read(self, value: Any, path: str, problems: list[str]) -> Any:
        """Days."""
        seconds = Duration(max(RETENTION_CLASSES) * 86400, whole=True).read(value, path, [])
        if seconds is not INVALID and seconds % 86400 == 0 and seconds // 86400 in RETENTION_CLASSES:
            return seconds // 86400
        problems.append(f"{path}: must be one of {', '.join(f'{days}d' for days in RETENTION_CLASSES)}")
        return INVALID

    def schema(self) -> dict[str, Any]:
        """A string, as people write it."""
        days = "|".join(f"{days}d" for days in RETENTION_CLASSES)
        return {"type": "string", "pattern": rf"\$\{{|^({days})$", "examples": ["30d"]}


@dataclass(frozen=True)
class Dollars:
    """US dollars as a decimal text; plain numbers are taken too where nothing can be lost."""

    def read(self, value: Any, path: str, problems: list[str]) -> Any:
        """A decimal text."""
        try:
            amount = Decimal(str(value)) if isinstance(value, (str, int)) and not isinstance(value, bool) else None
        except InvalidOperation:
            amount = None
        if amount is None or not amount.is_finite() or not 0 <= amount < 10_000_000:
            problems.append(f'{path}: must be an amount in quotes, such as "0.15"')
            return INVALID
        text = format(amount, "f")
        if "." in text and len(text.split(".")[1]) > 9:
            problems.append(f"{path}: has more than 9 decimal places")
            return INVALID
        return text

    def schema(self) -> dict[str, Any]:
        """A string or an integer."""
        return {"anyOf": [{"type": "string", "pattern": r"\$\{|^[0-9]{1,7}(\.[0-9]{1,9})?$"}, {"type": "integer"}]}


@dataclass(frozen=True)
class Items:
    """A list."""

    of: Kind
    minimum: int = 0
    maximum: int = 10_000

    def read(self, value: Any, path: str, problems: list[str]) -> Any:
        """A list of what its items become."""
        if not isinstance(value, list):
            problems.append(f"{path}: must be a list")
            return INVALID
        if not self.minimum <= len(value) <= self.maximum:
            problems.append(f"{path}: must have {self.minimum} to {self.maximum} entries")
        return [self.of.read(item, f"{path}[{index}]", problems) for index, item in enumerate(value)]

    def schema(self) -> dict[str, Any]:
        """An array."""
        described: dict[str, Any] = {"type": "array", "items": self.of.schema()}
        return described | ({"minItems": self.minimum} if self.minimum else {})


@dataclass(frozen=True)
class Labels:
    """A mapping of texts to texts."""

    def read(self, value: Any, path: str, problems: list[str]) -> Any:
        """The mapping itself."""
        if not isinstance(value, dict):
            problems.append(f"{path}: must be a mapping of names to texts")
            return INVALID
        bad = [name for name, item in value.items() if not isinstance(name, str) or not isinstance(item, str)]
        problems.extend(f"{child(path, str(name))}: must be a text; put it in quotes" for name in bad)
        return INVALID if bad else value

    def schema(self) -> dict[str, Any]:
        """An object of strings."""
        return {"type": "object", "additionalProperties": {"type": "string"}}


@dataclass(frozen=True)
class Field:
    """A member of an object. `to` is its name in the API where that is another one; `unsupported` refuses it."""

    kind: Kind | None
    required: bool = False
    to: str = ""
    unsupported: bool = False
    doc: str = ""


UNSUPPORTED = Field(None, unsupported=True)


@dataclass(frozen=True)
class Object:
    """A mapping with declared members."""

    fields: Mapping[str, Field]

    def read(self, value: Any, path: str, problems: list[str]) -> Any:
        """The object for the API."""
        if not isinstance(value, dict):
            problems.append(f"{path or 'the file'}: must be a mapping")
            return INVALID
        made = {}
        for name, item in value.items():
            where, declared = child(path, str(name)), self.fields.get(str(name))
            if declared is None:
                known = [known for known, one in self.fields.items() if not one.unsupported]
                problems.append(f"{where}: unknown field{suggestion(str(name), known)}")
            elif declared.unsupported:
                problems.append(f"{where}: not supported by this version; remove it")
            elif declared.kind is not None and item is not None:
                made[declared.to or str(name)] = declared.kind.read(item, where, problems)
        for name, declared in self.fields.items():
            if declared.required and value.get(name) is None:
                problems.append(f"{child(path, name)}: is missing")
        return made

    def schema(self) -> dict[str, Any]:
        """An object that takes nothing else."""
        members = {}
        for name, declared in self.fields.items():
            if declared.kind is not None and not declared.unsupported:
                members[name] = declared.kind.schema() | ({"description": declared.doc} if declared.doc else {})
        required = [name for name, declared in self.fields.items() if declared.required]
        described = {"type": "object", "properties": members, "additionalProperties": False}
        return described | ({"required": required} if required else {})
