"""`tollway policies`: how requests are decided."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from tollway.cli.exits import Usage, note
from tollway.cli.output import show_list, show_one
from tollway.cli.shared import Output, chosen, client

app = typer.Typer(no_args_is_help=True, help="Policies of requests: list, show, set, dry-run. One for each kind.")
KIND = Annotated[str, typer.Argument(help="platform_access, project, model_access, credit or limit", metavar="KIND")]
FILE = Annotated[Path, typer.Option("-f", "--file", help="YAML or JSON with rules, steps and timing", exists=True)]
MEMBERS = frozenset({"rules", "steps", "timing", "note"})


def _read(path: Path) -> dict[str, Any]:
    import yaml

    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise Usage(f"{path}: cannot be read: {error}") from error
    if not isinstance(found, dict) or not found.keys() <= MEMBERS:
        raise Usage(f"{path}: must have {', '.join(sorted(MEMBERS))} and nothing else")
    return found


@app.command("list")
def list_(output: Output = None) -> None:
    """Lists the present policy of every kind of request.

    Example: tollway policies list
    """
    with client() as tollway:
        show_list(
            iter(tollway.policies.list()), ("kind", "version", "note", "created_by", "created_at"), chosen(output)
        )


@app.command()
def show(
    kind: KIND,
    version: Annotated[int, typer.Option("--version", min=0, help="0: the present one")] = 0,
    output: Output = None,
) -> None:
    """Shows a policy, the present version or an earlier one.

    Example: tollway policies show credit -o yaml
    """
    with client() as tollway:
        show_one(tollway.policies.get(kind, version=version), chosen(output))


@app.command("set")
def set_(
    kind: KIND,
    file: FILE,
    version: Annotated[int | None, typer.Option("--version", min=0, help="only over this version")] = None,
    output: Output = None,
) -> None:
    """Makes a new version of a policy; requests keep the version that decided them.

    Example: tollway policies set credit -f credit.yaml
    """
    with client() as tollway:
        show_one(tollway.policies.set(kind, _read(file), version=version), chosen(output))


@app.command("dry-run")
def dry_run(
    kind: KIND,
    file: FILE,
    limit: Annotated[int, typer.Option("--limit", min=1, max=500, help="how many of the latest requests")] = 100,
    output: Output = None,
) -> None:
    """Says what a policy would have said to past requests; changes nothing.

    Example: tollway policies dry-run credit -f credit.yaml
    """
    with client() as tollway:
        tried = tollway.policies.dry_run(kind, _read(file), limit=limit)
    note(f"{tried.approved} approved, {tried.required} to decide, {tried.rejected} rejected; {tried.changed} changed")
    if tried.incomplete:
        note("the time was over before all were tried: use a smaller --limit")
    columns = ("approval", "requester", "created_at", "outcome_then", "rule_then", "outcome", "rule", "problem")
    show_list(iter(tried.trials), columns, chosen(output))
