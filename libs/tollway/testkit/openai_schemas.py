"""Answers held against OpenAI's own description of its API.

Owns the reading of the schemas and of the list of places where the real service breaks them. `nullable`, which the
description still uses here and there, is honoured, so that what it allows is not called a break.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import jsonschema

_AT = "#/components/schemas/"


class Description:
    """The schemas in a folder: `openai_schemas.json`, and in `soft.json` what the real service's own answers break."""

    def __init__(self, folder: Path) -> None:
        """Reads both files."""
        self._schemas: dict[str, Any] = _nullable(json.loads((folder / "openai_schemas.json").read_text()))
        soft: dict[str, Any] = json.loads((folder / "soft.json").read_text())
        self._soft: dict[str, list[str]] = {name: found for name, found in soft.items() if isinstance(found, list)}
        self._validators: dict[str, jsonschema.Draft202012Validator] = {}

    def breaks(self, name: str, value: Any) -> list[str]:
        """How `value` breaks the schema `name`, as `path: message`; empty: it is valid."""
        found = self._validators.get(name)
        if found is None:
            found = jsonschema.Draft202012Validator({**self._schemas, "$ref": _AT + name})
            self._validators[name] = found
        return [f"{'/'.join(map(str, error.absolute_path))}: {error.message}" for error in found.iter_errors(value)]

    def hard_breaks(self, name: str, value: Any) -> list[str]:
        """As `breaks`, without those that the real service's own answers show."""
        soft = self._soft.get(name, [])
        return [found for found in self.breaks(name, value) if not any(re.search(known, found) for known in soft)]

    def event_breaks(self, event: Mapping[str, Any], *, soft: bool = False) -> list[str]:
        """How an event of a response's stream breaks the schema of its type.

        `soft`: the response inside may break its own where the real service does.
        """
        kind = event.get("type")
        name = self._events.get(kind) if isinstance(kind, str) else None
        if name is None:
            return [f"type: {kind!r} is no event of the description"]
        found = self.breaks(name, event)
        inner = event.get("response")
        if soft and isinstance(inner, dict):
            found = [broken for broken in found if not broken.startswith("response")]
            found += [f"response/{broken}" for broken in self.hard_breaks("Response", inner)]
        return found

    @cached_property
    def _events(self) -> dict[str, str]:
        """The schema of each type of event."""
        schemas = self._schemas["components"]["schemas"]
        names = [found["$ref"].removeprefix(_AT) for found in schemas["ResponseStreamEvent"]["anyOf"]]
        return {kind: name for name in names for kind in schemas[name]["properties"]["type"]["enum"]}


def _nullable(schema: Any) -> Any:
    """The schema in the words of JSON Schema, which has no `nullable`."""
    if isinstance(schema, list):
        return [_nullable(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    read = {name: _nullable(item) for name, item in schema.items() if name != "nullable"}
    return {"anyOf": [read, {"type": "null"}]} if schema.get("nullable") is True else read
