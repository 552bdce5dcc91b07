"""`tollway projects`."""

from __future__ import annotations

from typing import Annotated

import typer

from tollway.cli.exits import Usage
from tollway.cli.output import show_list, show_one
from tollway.cli.shared import Etag, Force, Limit, Output, chosen, client, confirm

app = typer.Typer(no_args_is_help=True, help="Projects: create, list, show, update, archive.")
COLUMNS = ("name", "business_unit", "models", "description", "created_at", "id")
PROJECT = Annotated[str, typer.Argument(help="id or name", metavar="PROJECT")]
UNIT = Annotated[str | None, typer.Option("--unit", "--business-unit", help="business unit (id or name)")]
MODELS = Annotated[list[str] | None, typer.Option("--model", help="glob of allowed models; repeatable")]
POLICY = Annotated[
    str | None,
    typer.Option(
        "--dialect-policy", help="lenient or strict: leave out what a provider cannot be told, or refuse the request"
    ),
]
DESCRIPTION = Annotated[str | None, typer.Option("--description")]


@app.command()
def create(
    name: str,
    unit: UNIT = None,
    model: MODELS = None,
    description: DESCRIPTION = None,
    dialect_policy: POLICY = None,
    output: Output = None,
) -> None:
    """Creates a project."""
    with client() as tollway:
        made = tollway.projects.create(
            name,
            description=description or "",
            business_unit=unit or "",
            models=model or [],
            dialect_policy=dialect_policy or "",
        )
    show_one(made, chosen(output))


@app.command("list")
def list_(unit: UNIT = None, limit: Limit = 1000, output: Output = None) -> None:
    """Lists projects."""
    with client() as tollway:
        show_list(tollway.projects.list(business_unit=unit or "", limit=limit), COLUMNS, chosen(output))


@app.command()
def show(project: PROJECT, output: Output = None) -> None:
    """Shows a project."""
    with client() as tollway:
        show_one(tollway.projects.get(project), chosen(output))


@app.command()
def update(
    project: PROJECT,
    unit: UNIT = None,
    model: MODELS = None,
    description: DESCRIPTION = None,
    dialect_policy: POLICY = None,
    etag: Etag = "",
    output: Output = None,
) -> None:
    """Changes what is given; the rest stays."""
    if unit is None and not model and description is None and dialect_policy is None:
        raise Usage("nothing to change: give --unit, --model, --description or --dialect-policy")
    with client() as tollway:
        changed = tollway.projects.update(
            project,
            description=description,
            business_unit=unit,
            models=model,
            dialect_policy=dialect_policy,
            etag=etag,
        )
    show_one(changed, chosen(output))


@app.command()
def archive(project: PROJECT, yes: Force = False, etag: Etag = "", output: Output = None) -> None:
    """Archives a project: its keys are refused, its ledger history stays."""
    confirm(f"Archive the project {project}? Its keys stop working.", yes)
    with client() as tollway:
        show_one(tollway.projects.archive(project, etag=etag), chosen(output))
