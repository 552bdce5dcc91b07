"""Files of plain `NAME=value` lines with mode 0600: `DIR/env` and `DIR/secrets`."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Mapping
from pathlib import Path

_LINE = re.compile(r"(?:export\s+)?([A-Za-z_][A-Za-z0-9_]*)=(.*)")


def parse(text: str) -> dict[str, str]:
    """Name -> value. Empty lines and lines that begin with # are left out; quotes around a value are taken off."""
    values = {}
    for line in text.splitlines():
        match = _LINE.fullmatch(line.strip())
        if match:
            value = match[2].strip()
            quoted = len(value) >= 2 and value[0] == value[-1] and value[0] in "'\""
            values[match[1]] = value[1:-1] if quoted else value
    return values


def read(path: Path) -> dict[str, str]:
    """The file's values; none when there is no such file."""
    try:
        return parse(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}


def render(values: Mapping[str, str]) -> str:
    """The text of a file."""
    for name, value in values.items():
        if "\n" in value or "\r" in value:
            raise ValueError(f"{name} must be one line")
    return "".join(f"{name}={value}\n" for name, value in values.items())


def write_private(path: Path, text: str) -> None:
    """Replaces the file in one step, with mode 0600 from its first byte on."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with contextlib.suppress(FileNotFoundError):
        temporary.unlink()
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:  # Ctrl-C too: no half of a file with secrets stays behind; it goes on as it came
        with contextlib.suppress(FileNotFoundError):
            temporary.unlink()
        raise
