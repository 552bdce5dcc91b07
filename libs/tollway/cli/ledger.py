"""`tollway ledger verify` and `tollway ledger retain`."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tollway.cli.exits import Failure, Usage
from tollway.cli.output import plain, show_list
from tollway.cli.shared import Force, Output, chosen, client, confirm, when

if TYPE_CHECKING:
    from tollway.sdk.ledger import LedgerPiece

app = typer.Typer(no_args_is_help=True, help="The ledger: are its sums right, how long are its rows kept.")
COLUMNS = (
    "rollup", "begins", "project", "key", "user", "model", "provider", "figure", "kept", "counted",
)  # fmt: skip


@app.command("verify")
def verify(
    from_: Annotated[str, typer.Option("--from", help="date, time or duration back from now; default 2d")] = "",
    to: Annotated[str, typer.Option("--to", help="exclusive; default now")] = "",
    output: Output = None,
) -> None:
    """Recomputes the roll-ups from the rows and compares; exit 1 when they differ or rows are missing."""
    end = when(to, "--to") or datetime.now(UTC)
    begin = when(from_, "--from") or end - timedelta(days=2)
    if end < begin:
        raise Usage("--to: the period ends before it begins")
    clean, compared, rows = True, 0, []
    with client() as tollway:
        for piece in tollway.ledger.verify(start=begin, end=end):
            clean = clean and piece.clean
            compared += piece.compared
            rows += _rows(piece)
            _progress(piece)
    if rows or chosen(output) != "table":
        show_list(rows, COLUMNS, chosen(output))
    if not clean:
        raise Failure("the ledger's sums and rows differ")
    print(f"{compared} sums are what the rows say", file=sys.stderr)


def _rows(piece: LedgerPiece) -> list[dict[str, Any]]:
    """One for each figure that differs."""
    return [
        {**plain(difference), "figure": figure.name, "kept": figure.kept, "counted": figure.counted}
        for difference in piece.differences
        for figure in difference.figures
    ]


def _progress(piece: LedgerPiece) -> None:
    """What was done, on standard error."""
    span = f"{piece.begins:%Y-%m-%d %H:%M} to {piece.ends:%Y-%m-%d %H:%M} UTC"
    print(f"{span}: {piece.compared} sums, {piece.different} differ", file=sys.stderr)
    for found in piece.findings:
        kind = "problem" if found.problem else "note"
        examples = f" ({', '.join(found.examples[:3])})" if found.examples else ""
        print(f"  {kind}: {found.check.replace('_', ' ')}: {found.count}{examples}", file=sys.stderr)


@app.command("retain")
def retain(
    days: Annotated[int, typer.Option("--days", min=1, help="days of rows to keep")],
    dry_run: Annotated[bool, typer.Option("--dry-run", help="only tell what would go")] = False,
    yes: Force = False,
) -> None:
    """Drops the rows of whole months (or days, as the ledger is partitioned) that are older; the sums stay."""
    if not dry_run:
        confirm(f"Drop all rows of the ledger that are older than {days} days?", yes)
    with client() as tollway:
        done = tollway.ledger.retain(days=days, dry_run=dry_run)
    for name in done.partitions:
        print(name)
    if not done.partitions:
        print("nothing is that old", file=sys.stderr)
