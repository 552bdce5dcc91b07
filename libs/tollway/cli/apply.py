"""`tollway apply` and `tollway schema`: declarative configuration."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tollway.cli.exits import ERROR, USAGE, Failure, Usage, note, reporting
from tollway.cli.output import plain, printable, show_one
from tollway.cli.settings import environment
from tollway.cli.shared import Output, chosen, client, write_secrets
from tollway.cli.verified import line

if TYPE_CHECKING:
    from tollway.sdk.models import ApplyResult

CHANGES = USAGE
"""Exit code of a dry run that found changes."""


def apply(
    file: Annotated[Path, typer.Option("-f", "--file", help="configuration file; - reads standard input")],
    set_: Annotated[str, typer.Option("--set", help="name of the set that the objects belong to")] = "default",
    prune: Annotated[bool, typer.Option("--prune", help="archive objects of the set that the file lacks")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="show the plan; exit 0: nothing to do, 2: changes")
    ] = False,
    force: Annotated[bool, typer.Option("--force", help="overwrite what was edited elsewhere")] = False,
    keys_out: Annotated[Path | None, typer.Option("--keys-out", help="file (0600) for generated secrets")] = None,
    verify: Annotated[
        bool,
        typer.Option("--verify/--no-verify", help="ask the providers about new and changed keys; it only tells"),
    ] = True,
    output: Output = None,
) -> None:
    """Brings the platform to the state of a configuration file, all of it or nothing."""
    from tollway.cli.document.load import configuration, decode_text, read_text

    with reporting():
        text = decode_text(sys.stdin.buffer.read(), "standard input") if str(file) == "-" else read_text(file)
        document = configuration(text, environment())
    if not dry_run:
        _refuse_lost_secrets(document, keys_out)
    with client() as tollway:
        result = tollway.apply(document, set_name=set_, prune=prune, dry_run=dry_run, force=force, verify=verify)
    _deliver(result, keys_out)
    _show(result, dry_run, chosen(output))
    for check in result.checks:
        note(line(check))
    if dry_run and result.changes:
        raise typer.Exit(CHANGES)
    if not dry_run and not result.applied and result.changes:
        raise Failure("nothing was applied", ERROR)


def _refuse_lost_secrets(document: dict[str, Any], keys_out: Path | None) -> None:
    """Generated secrets need a place to go: a file or a terminal."""
    if keys_out is not None or sys.stdout.isatty():
        return
    for project in document.get("projects", []):
        for key in project.get("keys", []):
            if not key.get("value"):
                raise Usage(
                    f"the key {project['name']}/{key['name']} has no value: say with --keys-out FILE where generated "
                    "secrets shall go"
                )


def _deliver(result: ApplyResult, keys_out: Path | None) -> None:
    if not result.generated_keys:
        return
    secrets = {f"{made.project}/{made.name}": made.secret for made in result.generated_keys}
    if keys_out is not None:
        write_secrets(keys_out, secrets)
        note(f"{len(secrets)} generated secrets are in {keys_out}")
        return
    note("generated secrets, shown only now:")
    for name, secret in secrets.items():
        note(f"  {name}  {secret}")


def _show(result: ApplyResult, dry_run: bool, output: str) -> None:
    if output in ("json", "yaml"):
        shown = {"applied": result.applied, "changes": [plain(change) for change in result.changes]}
        if result.checks:
            shown["checks"] = [plain(check) for check in result.checks]
        show_one(shown, output)
        return
    signs = {"create": "+", "update": "~", "archive": "-", "conflict": "!"}
    for change in result.changes:
        print(printable(f"{signs.get(change.action, '?')} {change.kind} {change.name}"))
        for detail in change.details:
            print(printable(f"    {detail}"))
    if not result.changes:
        note("no changes")
    elif dry_run:
        note(f"{len(result.changes)} changes; nothing was applied")
    elif result.applied:
        note(f"{len(result.changes)} changes applied")


def schema() -> None:
    """Prints the JSON Schema of the configuration file."""
    import json

    from tollway.cli.document.load import json_schema

    print(json.dumps(json_schema(), indent=2))
