"""`tollway secrets`: the keys that protect stored secrets, and their rotation."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer

from tollway.cli.exits import Failure, note
from tollway.cli.output import show_list, show_one
from tollway.cli.shared import Output, chosen, client

if TYPE_CHECKING:
    from tollway.sdk.client import Client
    from tollway.sdk.secrets import SecretRotation, SecretsStatus

app = typer.Typer(no_args_is_help=True, help="Keys of stored secrets: status, rotate-data-key, rotate-kek.")
Wait = Annotated[bool, typer.Option("--wait/--no-wait", help="until the rotation has ended, with its progress")]
LOOK_SECONDS = 1.0
COLUMNS = ("kind", "state", "total", "changed", "left", "problem", "requested_by", "requested_at", "finished_at")


@app.command()
def status(output: Output = None) -> None:
    """Shows which keys are in use and how far rotations are."""
    with client() as tollway:
        found = tollway.secrets.status()
    form = chosen(output)
    if form in ("json", "yaml"):
        show_one(found, form)
        return
    show_list(found.keks, ("name", "kind", "current", "data_keys", "missing_on", "removable"), form)
    show_list(found.data_keys, ("id", "kek", "current", "values", "created_at", "retired_at"), form)
    show_list(found.tables, ("name", "values", "left"), form)
    show_list(found.rotations, COLUMNS, form)


@app.command("rotate-data-key")
def rotate_data_key(wait: Wait = True, output: Output = None) -> None:
    """Makes another data key and seals every stored secret anew under it, while everything runs."""
    with client() as tollway:
        begun = tollway.secrets.rotate_data_key()
        _follow(tollway, begun, "data_key", wait, chosen(output))


@app.command("rotate-kek")
def rotate_kek(wait: Wait = True, output: Output = None) -> None:
    """Wraps every data key anew under the first key of TOLLWAY_KEK; the one before it can then be dropped."""
    with client() as tollway:
        begun = tollway.secrets.rotate_kek()
        _follow(tollway, begun, "kek", wait, chosen(output))


def _follow(tollway: Client, begun: SecretsStatus, kind: str, wait: bool, output: str) -> None:
    found = _newest(begun, kind)
    if found is None:
        note("nothing to do: every data key is under the current key-encryption key")
        return
    told = -1
    while wait and found.state == "running" and not found.problem:
        if found.left != told:
            told = found.left
            note(f"{told} of {found.total} left")
        time.sleep(LOOK_SECONDS)
        found = _newest(tollway.secrets.status(), kind) or found
    show_one(found, output)
    if found.problem:
        raise Failure(f"the rotation does not get on: {found.problem}")


def _newest(status: SecretsStatus, kind: str) -> SecretRotation | None:
    return next((rotation for rotation in status.rotations if rotation.kind == kind), None)
