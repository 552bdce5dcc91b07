"""`${NAME}` in the texts of a configuration file. Values never appear in messages."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from tollway.cli.document.problems import child

_REFERENCE = re.compile(r"\$\$\{|\$\{([^}]*)\}?")
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")


def expand(value: Any, environ: Mapping[str, str], problems: list[str], path: str = "") -> Any:
    """`value` with every reference in its texts replaced; `$${` is a literal `${`. Problems are added to `problems`."""
    if isinstance(value, str):
        return _text(value, environ, problems, path)
    if isinstance(value, dict):
        return {name: expand(item, environ, problems, child(path, str(name))) for name, item in value.items()}
    if isinstance(value, list):
        return [expand(item, environ, problems, f"{path}[{index}]") for index, item in enumerate(value)]
    return value


def _text(text: str, environ: Mapping[str, str], problems: list[str], path: str) -> str:
    def replace(match: re.Match[str]) -> str:
        if match[0] == "$${":
            return "${"
        name = match[1]
        if not match[0].endswith("}") or not _NAME.fullmatch(name):
            problems.append(f"{path}: a reference must look like ${{NAME}}; write $${{ for a literal ${{")
        elif name not in environ:
            problems.append(f"{path}: the environment variable {name} is not set")
        elif environ[name] == "":
            problems.append(f"{path}: the environment variable {name} is empty")
        else:
            return environ[name]
        return ""

    return _REFERENCE.sub(replace, text)
