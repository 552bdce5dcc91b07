"""A configuration file (YAML) to the `Configuration` of the management API. Values never appear in messages."""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from pathlib import Path
from typing import Any

from tollway.cli.document.declare import DOCUMENT
from tollway.cli.document.expand import expand
from tollway.cli.document.kinds import INVALID
from tollway.cli.document.problems import DocumentError

MAX_BYTES = 32 << 20
_NAMED = {"providers": "credentials", "models": None, "business_units": None, "projects": "keys"}
_NAMED |= {"users": None, "alert_channels": None}


def read_text(path: Path) -> str:
    """The file's text. Raises DocumentError when it cannot be read."""
    try:
        content = path.read_bytes()
    except OSError as error:
        raise DocumentError([f"{path}: {(error.strerror or 'cannot be read').lower()}"]) from error
    return decode_text(content, str(path))


def decode_text(content: bytes, name: str) -> str:
    """The content as UTF-8 text. Raises DocumentError when it is none, or too large."""
    if len(content) > MAX_BYTES:
        raise DocumentError([f"{name}: is larger than {MAX_BYTES >> 20} MiB"])
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DocumentError([f"{name}: is not UTF-8 text"]) from error


def configuration(text: str, environ: Mapping[str, str]) -> dict[str, Any]:
    """The JSON of tollway.control.v1.Configuration. Raises DocumentError with all problems at once."""
    problems: list[str] = []
    raw = _yaml(text)
    if raw is None:
        raise DocumentError(["the file is empty; it needs at least `version: 1`"])
    made = DOCUMENT.read(expand(raw, environ, problems), "", problems)
    if problems:
        # A reference without a value may break the form of its field too: only its cause is shown.
        unset = {line.split(":", 1)[0] for line in problems if "environment variable" in line}
        shown = [line for line in problems if "environment variable" in line or line.split(":", 1)[0] not in unset]
        raise DocumentError(shown)
    made = {name: value for name, value in made.items() if value is not INVALID}
    if repeated := _repeated(made):
        raise DocumentError(repeated)
    return made


def json_schema() -> dict[str, Any]:
    """The JSON Schema of the file."""
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Tollway configuration",
        **DOCUMENT.schema(),
    }


def _yaml(text: str) -> Any:
    import yaml

    class Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
        """Refuses a key that appears twice in one mapping, which YAML itself forbids and PyYAML lets pass."""

    def mapping(loader: Any, node: Any) -> dict[Any, Any]:
        seen = set()
        for key_node, _ in node.value:
            key = loader.construct_object(key_node, deep=True)
            line = key_node.start_mark.line + 1
            if not isinstance(key, Hashable):
                raise DocumentError([f"line {line}: a name must be a text"])
            if key in seen:
                raise DocumentError([f"line {line}: {key} appears twice in one mapping"])
            seen.add(key)
        loader.flatten_mapping(node)
        pairs = [(loader.construct_object(k, deep=True), loader.construct_object(v, deep=True)) for k, v in node.value]
        return dict(pairs)

    Loader.add_constructor(yaml.resolver.BaseResolver.DEFAULT_MAPPING_TAG, mapping)
    try:
        return yaml.load(text, Loader=Loader)  # noqa: S506 - a safe loader
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
        raise DocumentError([f"{where}not valid YAML: {error.problem}"]) from error
    except (yaml.YAMLError, RecursionError) as error:
        raise DocumentError(["not valid YAML"]) from error


def _repeated(made: Mapping[str, Any]) -> list[str]:
    problems = []
    for member, inner in _NAMED.items():
        objects = made.get(member, [])
        problems += _twice(objects, member)
        for index, item in enumerate(objects):
            if inner:
                problems += _twice(item.get(inner, []), f"{member}[{index}].{inner}")
    return problems


def _twice(objects: list[dict[str, Any]], path: str) -> list[str]:
    seen: set[str] = set()
    problems = []
    for index, item in enumerate(objects):
        if item["name"] in seen:
            problems.append(f"{path}[{index}].name: {item['name']} appears twice")
        seen.add(item["name"])
    return problems
