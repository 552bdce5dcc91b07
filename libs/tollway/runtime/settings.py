"""Settings from the environment: one frozen object a service, read once, printed redacted.

Only `settings.py` files may read the environment. Each setting is declared once, with its environment name, its parser,
its default and a sentence for the documentation. A secret can also come from a file named by `NAME_FILE`.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

T = TypeVar("T")
REDACTED = "********"


class SettingsError(Exception):
    """The environment is incomplete or wrong; the message names every variable and never shows a secret."""


class Problem(ValueError):
    """What is wrong with a value, in words that hold nothing of it: shown for secrets too."""


def setting(
    env: str,
    doc: str,
    *,
    parse: Callable[[str], Any] = str,
    default: Any = dataclasses.MISSING,
    secret: bool = False,
) -> Any:
    """A field of a settings dataclass. Without `default` the variable is required."""
    metadata = {"env": env, "doc": doc, "parse": parse, "secret": secret}
    if default is dataclasses.MISSING:
        return dataclasses.field(metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


def load(cls: type[T], environ: Mapping[str, str] | None = None) -> T:
    """An instance of the settings dataclass `cls`. Raises SettingsError that lists everything that is wrong at once."""
    environ = os.environ if environ is None else environ
    values: dict[str, Any] = {}
    problems: list[str] = []
    for field in dataclasses.fields(cls):  # type: ignore[arg-type]
        name = field.metadata["env"]
        try:
            text = _read(environ, name, field.metadata["secret"])
            if text is not None:
                values[field.name] = field.metadata["parse"](text)
            elif field.default is dataclasses.MISSING:
                problems.append(f"{name} is not set ({field.metadata['doc']})")
        except OSError as error:
            problems.append(f"{name}_FILE cannot be read: {error.strerror}")
        except ValueError as error:
            hidden = field.metadata["secret"] and not isinstance(error, Problem)
            shown = "" if hidden else f": {error}"
            problems.append(f"{name} is not valid{shown} ({field.metadata['doc']})")
    if problems:
        raise SettingsError("; ".join(problems))
    return cls(**values)


def _read(environ: Mapping[str, str], name: str, secret: bool) -> str | None:
    if secret and (path := environ.get(f"{name}_FILE")):
        return Path(path).read_text().strip()
    return environ.get(name) or None


def redacted(settings: Any) -> dict[str, str]:
    """Environment name -> effective value as text, secrets replaced."""
    shown = {}
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        secret = field.metadata["secret"] and value not in (None, "")
        shown[field.metadata["env"]] = REDACTED if secret else str(value)
    return shown


def flag(text: str) -> bool:
    """A boolean setting."""
    lowered = text.strip().lower()
    if lowered in ("1", "true", "yes", "on"):
        return True
    if lowered in ("0", "false", "no", "off"):
        return False
    raise ValueError("must be true or false")


def positive(text: str) -> int:
    """An integer of at least 1."""
    number = int(text)
    if number < 1:
        raise ValueError("must be at least 1")
    return number


def port(text: str) -> int:
    """A TCP port; 0 picks a free one."""
    number = int(text)
    if not 0 <= number <= 65535:
        raise ValueError("must be between 0 and 65535")
    return number


def choice(*allowed: str) -> Callable[[str], str]:
    """One of several words."""

    def parse(text: str) -> str:
        if text not in allowed:
            raise ValueError(f"must be one of {', '.join(allowed)}")
        return text

    return parse
