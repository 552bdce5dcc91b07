"""`tollway reconcile`: what a provider billed beside what the ledger says."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tollway.cli.exits import Failure, note
from tollway.cli.output import plain, show_list, show_one
from tollway.cli.shared import Limit, Output, chosen, client

if TYPE_CHECKING:
    from tollway.sdk.prices import Reconciliation

app = typer.Typer(no_args_is_help=True, help="Bills of providers beside the ledger: upload, list, show.")
LINES = ("day", "model", "part", "billed", "ledger", "difference", "ratio", "status", "attempts")
LIST = ("id", "provider", "first_day", "last_day", "billed", "ledger", "difference", "status", "created_at")
MAX_BYTES = 8 << 20


@app.command()
def upload(
    file: Annotated[str, typer.Argument(help="the bill; - for standard input", metavar="FILE")],
    provider: Annotated[str, typer.Option("--provider", help="name or id of the provider")],
    form: Annotated[str, typer.Option("--format", help="csv, jsonl, openai or anthropic; default: as it looks")] = "",
    tolerance: Annotated[str, typer.Option("--tolerance", help="part of the bill, for example 0.005")] = "",
    why: Annotated[str, typer.Option("--note", help="for whoever reads it later")] = "",
    output: Output = None,
) -> None:
    """Uploads what a provider billed and shows it beside the ledger."""
    text = _read(file)
    with client() as tollway:
        found = tollway.reconciliations.upload(provider, text, form=form, tolerance=tolerance, note=why)
    _show(found, chosen(output))


@app.command()
def show(
    reconciliation: Annotated[str, typer.Argument(help="id", metavar="ID")],
    output: Output = None,
) -> None:
    """Shows a stored bill beside what the ledger says now."""
    with client() as tollway:
        found = tollway.reconciliations.get(reconciliation)
    _show(found, chosen(output))


@app.command("list")
def list_(
    provider: Annotated[str, typer.Option("--provider", help="only this provider")] = "",
    limit: Limit = 100,
    output: Output = None,
) -> None:
    """Lists stored bills, newest first, as they were at their upload."""
    with client() as tollway:
        show_list(tollway.reconciliations.list(provider=provider, limit=limit), LIST, chosen(output))


def _read(file: str) -> str:
    try:
        raw = sys.stdin.buffer.read(MAX_BYTES + 1) if file == "-" else Path(file).read_bytes()
        text = raw.decode("utf-8")
    except OSError as error:
        raise Failure(f"{file}: {(error.strerror or 'cannot be read').lower()}") from error
    except UnicodeDecodeError as error:
        raise Failure(f"{file}: is not UTF-8 text (byte {error.start})") from error
    if len(raw) > MAX_BYTES:
        raise Failure(f"{file}: is larger than {MAX_BYTES >> 20} MiB; upload it in parts")
    return text


def _show(found: Reconciliation, output: str) -> None:
    if output in ("json", "yaml"):
        show_one(found, output)
        return
    rows: list[dict[str, object]] = []
    for line in found.details:
        rows.append({**plain(line), "attempts": sum(part.attempts for part in line.parts)})
        # What was not billed once and for certain stands on a line of its own below.
        rows += [
            {"day": line.day, "model": line.model, "part": part.part, "ledger": part.cost, "attempts": part.attempts}
            for part in line.parts
            if part.part != "first"
        ]
    total = {"day": "total", "billed": found.billed, "ledger": found.ledger, "difference": found.difference}
    if output == "table":
        rows.append({**total, "status": found.status})
        rows += [{"day": "total", "part": p.part, "ledger": p.cost, "attempts": p.attempts} for p in found.parts]
    show_list(rows, LINES, output)
    for remark in found.remarks:
        note(f"note: {remark}")
    note(f"reconciliation {found.id}: {found.status}")
