"""Brings the platform to what the configuration file, or the environment, says; finds the key to print."""

from __future__ import annotations

import hashlib
import hmac
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tollway.cli.up.discovered import Discovered
from tollway.cli.up.failure import UpError
from tollway.cli.up.layout import Layout
from tollway.cli.verified import warnings

if TYPE_CHECKING:
    from tollway.sdk.client import Client
    from tollway.sdk.models import ApplyResult

AUTOMATIC_SET = "up"
FILE_SET = "default"


@dataclass
class Wanted:
    """What shall be applied. `digest` tells whether the same was applied before."""

    configuration: dict[str, Any] = field(repr=False)
    set_name: str
    notes: list[str]

    def digest(self, secret: str, place: str) -> str:
        """A keyed digest: it is stored, and the configuration carries secrets."""
        text = json.dumps([self.set_name, self.configuration, place], sort_keys=True)
        return hmac.digest(secret.encode(), text.encode(), hashlib.sha256).hex()


def from_environment(found: Discovered) -> Wanted:
    """What the environment asks for."""
    return Wanted(found.configuration, AUTOMATIC_SET, list(found.notes))


def with_simulator(configuration: dict[str, Any], simulator_url: str) -> bool:
    """Gives simulator providers without an address ours; says whether there are any."""
    lacking = [p for p in configuration.get("providers", []) if p.get("kind") == "simulator" and not p.get("base_url")]
    for provider in lacking:
        provider["base_url"] = simulator_url
    return bool(lacking)


def apply(client: Client, wanted: Wanted, layout: Layout, *, verify: bool) -> list[str]:
    """Applies it, keeps generated secrets in DIR/keys.json; returns lines for the operator.

    With `verify`, providers are asked about new and changed keys, and the lines warn of those that they refuse.
    """
    from tollway.sdk.errors import ApiError

    try:
        result = client.apply(wanted.configuration, set_name=wanted.set_name, verify=verify)
    except ApiError as error:
        if error.status != 409:
            raise UpError(f"the configuration was refused: {error}") from error
        return [f"the configuration was not applied: {error}; see the differences with `tollway apply --dry-run`"]
    save_keys(layout, result)
    done = sum(change.action != "conflict" for change in result.changes)
    lines = [f"configuration: {done} change{'s' if done != 1 else ''}"] if done else []
    return lines + warnings(result.checks)


def save_keys(layout: Layout, result: ApplyResult) -> None:
    """Adds the generated secrets to DIR/keys.json."""
    if result.generated_keys:
        keys = layout.read_json(layout.keys)
        keys.update({f"{made.project}/{made.name}": made.secret for made in result.generated_keys})
        layout.write_json(layout.keys, keys)


def first_key(configuration: Mapping[str, Any]) -> tuple[str, str, str] | None:
    """Project, name and given value (or "") of the first key."""
    for project in configuration.get("projects", []):
        for key in project.get("keys", []):
            return project["name"], key["name"], key.get("value", "")
    return None


def secret_of(client: Client, layout: Layout, project: str, name: str) -> str:
    """The secret of a generated key: from DIR/keys.json, else a new one.

    A start that was cut off between the key's creation and the file leaves a key whose secret nobody has.
    """
    keys = layout.read_json(layout.keys)
    label = f"{project}/{name}"
    if secret := keys.get(label):
        return str(secret)
    for key in client.keys.list(project=project):
        if key.name == name:
            made = client.keys.rotate(key.id)
            layout.write_json(layout.keys, {**keys, label: made.secret})
            return made.secret
    return ""
