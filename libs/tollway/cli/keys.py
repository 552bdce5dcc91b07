"""`tollway keys`: virtual keys."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from tollway.cli.exits import Usage, note
from tollway.cli.output import show_list, show_one
from tollway.cli.shared import (
    Etag,
    Force,
    Limit,
    Output,
    ahead,
    chosen,
    client,
    confirm,
    duration,
    pairs,
    read_secret,
    write_secrets,
)

app = typer.Typer(no_args_is_help=True, help="Virtual keys: create, list, show, update, rotate, end-grace, revoke.")
COLUMNS = ("public_id", "name", "project", "user", "status", "models", "tags", "created_at", "expires_at", "id")
KEY = Annotated[str, typer.Argument(help="id or public id", metavar="KEY")]
MODELS = Annotated[list[str] | None, typer.Option("--model", help="glob of allowed models; repeatable")]
TAGS = Annotated[list[str] | None, typer.Option("--tag", help="name=value; repeatable")]
OUT = Annotated[Path | None, typer.Option("--out", help="write the secret to this file (0600), not to the screen")]


@app.command()
def create(
    name: Annotated[str, typer.Argument(help="unique in the project")],
    project: Annotated[str, typer.Option("--project", "-p", help="id or name")],
    model: MODELS = None,
    tag: TAGS = None,
    expires: Annotated[str, typer.Option("--expires", help="90d, or a date or time; default never")] = "",
    value_env: Annotated[str, typer.Option("--value-env", help="import the value in this variable")] = "",
    user: Annotated[str, typer.Option("--user", help="who the key belongs to, for example an e-mail address")] = "",
    out: OUT = None,
    output: Output = None,
) -> None:
    """Creates a key and shows its secret, this once."""
    value = read_secret("value", value_env) if value_env else ""
    with client() as tollway:
        made = tollway.keys.create(
            project,
            name,
            models=model or [],
            tags=pairs(tag or [], "--tag"),
            expires_at=ahead(expires, "--expires"),
            value=value,
            user=user,
        )
    if value:
        show_one(made.key, chosen(output))
        return
    if out:
        write_secrets(out, {f"{made.key.project}/{made.key.name}": made.secret})
        note(f"the secret is in {out}")
        show_one(made.key, chosen(output))
        return
    note("the secret is shown only now; keep it safe")
    show_one({"secret": made.secret, **_flat(made.key)}, chosen(output))


def _flat(key: object) -> dict[str, object]:
    return dict(vars(key))


@app.command("list")
def list_(
    project: Annotated[str, typer.Option("--project", "-p", help="only this project")] = "",
    all_: Annotated[bool, typer.Option("--all", help="with revoked ones")] = False,
    limit: Limit = 1000,
    output: Output = None,
) -> None:
    """Lists keys."""
    with client() as tollway:
        show_list(tollway.keys.list(project=project, include_revoked=all_, limit=limit), COLUMNS, chosen(output))


@app.command()
def show(key: KEY, output: Output = None) -> None:
    """Shows a key, never its secret."""
    with client() as tollway:
        show_one(tollway.keys.get(key), chosen(output))


@app.command()
def update(
    key: KEY,
    model: MODELS = None,
    tag: TAGS = None,
    expires: str = "",
    user: Annotated[str | None, typer.Option("--user", help="who the key belongs to; empty: nobody")] = None,
    etag: Etag = "",
    output: Output = None,
) -> None:
    """Changes models, tags, expiry or user; what is not given stays."""
    if not (model or tag or expires or user is not None):
        raise Usage("nothing to change: give --model, --tag, --expires or --user")
    tags = pairs(tag, "--tag") if tag else None
    with client() as tollway:
        show_one(
            tollway.keys.update(
                key, models=model, tags=tags, expires_at=ahead(expires, "--expires"), user=user, etag=etag
            ),
            chosen(output),
        )


@app.command()
def rotate(
    key: KEY,
    grace: Annotated[str, typer.Option("--grace", help="how long the present secret stays valid: 24h, 7d")] = "0s",
    out: OUT = None,
    etag: Etag = "",
    output: Output = None,
) -> None:
    """Gives the key a new secret, and shows it, this once."""
    length = duration(grace)
    if length is None:
        raise Usage("--grace: must be a duration such as 24h")
    with client() as tollway:
        made = tollway.keys.rotate(key, grace_seconds=int(length.total_seconds()), etag=etag)
    if out:
        write_secrets(out, {f"{made.key.project}/{made.key.name}": made.secret})
        note(f"the secret is in {out}")
        show_one(made.key, chosen(output))
        return
    note("the secret is shown only now; keep it safe")
    show_one({"secret": made.secret, **_flat(made.key)}, chosen(output))


@app.command("end-grace")
def end_grace(key: KEY, etag: Etag = "", output: Output = None) -> None:
    """Ends the grace of a rotation now: the newest secret alone stays valid."""
    with client() as tollway:
        show_one(tollway.keys.end_grace(key, etag=etag), chosen(output))


@app.command()
def revoke(key: KEY, yes: Force = False, etag: Etag = "", output: Output = None) -> None:
    """Ends a key for good."""
    confirm(f"Revoke the key {key} for good?", yes)
    with client() as tollway:
        show_one(tollway.keys.revoke(key, etag=etag), chosen(output))
