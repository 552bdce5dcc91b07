"""`tollway units` (also `business-units`)."""

from __future__ import annotations

from typing import Annotated

import typer

from tollway.cli.output import show_list, show_one
from tollway.cli.shared import Etag, Force, Limit, Output, chosen, client, confirm

app = typer.Typer(no_args_is_help=True, help="Business units: create, list, show, update, archive.")
COLUMNS = ("name", "description", "created_at", "id")
UNIT = Annotated[str, typer.Argument(help="id or name", metavar="UNIT")]


@app.command()
def create(name: str, description: Annotated[str, typer.Option("--description")] = "", output: Output = None) -> None:
    """Creates a business unit."""
    with client() as tollway:
        show_one(tollway.business_units.create(name, description=description), chosen(output))


@app.command("list")
def list_(limit: Limit = 1000, output: Output = None) -> None:
    """Lists business units."""
    with client() as tollway:
        show_list(tollway.business_units.list(limit=limit), COLUMNS, chosen(output))


@app.command()
def show(unit: UNIT, output: Output = None) -> None:
    """Shows a business unit."""
    with client() as tollway:
        show_one(tollway.business_units.get(unit), chosen(output))


@app.command()
def update(
    unit: UNIT, description: Annotated[str, typer.Option("--description")], etag: Etag = "", output: Output = None
) -> None:
    """Changes the description."""
    with client() as tollway:
        show_one(tollway.business_units.update(unit, description=description, etag=etag), chosen(output))


@app.command()
def archive(unit: UNIT, yes: Force = False, etag: Etag = "", output: Output = None) -> None:
    """Archives a unit that has no projects."""
    confirm(f"Archive the business unit {unit}?", yes)
    with client() as tollway:
        show_one(tollway.business_units.archive(unit, etag=etag), chosen(output))
