"""`tollway audit`: list and export entries, print the head of their chain, verify it."""

from __future__ import annotations

import csv
import json
import sys
from typing import Annotated, Any

import typer

from tollway.cli.exits import Failure, Usage, note
from tollway.cli.output import guarded, plain, show_list, show_one
from tollway.cli.shared import Limit, Output, chosen, client, when

app = typer.Typer(no_args_is_help=True, help="Who changed what, when, why and from where; and the proof of it.")
EVENTS = ("seq", "at", "actor", "action", "resource", "source", "reason", "request_id")
EXPORTED = (
    "seq", "at", "organisation", "id", "actor", "actor_kind", "actor_id", "method", "action", "resource", "reason",
    "source", "agent", "transport", "request_id", "before", "after", "hash", "unproven",
)  # fmt: skip
PROBLEMS = ("kind", "seq", "id", "detail")
RESOURCE = Annotated[str, typer.Option("--resource", help="for example project:retail")]
ACTION = Annotated[str, typer.Option("--action", help="for example keys.revoke")]
ACTOR = Annotated[str, typer.Option("--actor", help="only what this person or service account did")]
METHOD = Annotated[str, typer.Option("--method", help="for example KeyService/RevokeKey")]
REQUEST = Annotated[str, typer.Option("--request-id", help="only what this call did")]
FROM = Annotated[str, typer.Option("--from", help="date, time or duration back from now")]
TO = Annotated[str, typer.Option("--to", help="exclusive; default now")]


@app.command("list")
def list_(
    resource: RESOURCE = "",
    action: ACTION = "",
    actor: ACTOR = "",
    method: METHOD = "",
    request_id: REQUEST = "",
    from_: FROM = "",
    to: TO = "",
    limit: Limit = 100,
    output: Output = None,
) -> None:
    """Lists entries, newest first."""
    with client() as tollway:
        found = tollway.audit_log.entries(
            resource=resource, action=action, actor=actor, method=method, request_id=request_id,
            start=when(from_, "--from"), end=when(to, "--to"), limit=limit,
        )  # fmt: skip
        show_list(found, EVENTS, chosen(output))


@app.command()
def export(
    format_: Annotated[str, typer.Option("--format", help="jsonl or csv")] = "jsonl",
    after: Annotated[int, typer.Option("--after", min=0, help="only entries after this number")] = 0,
    resource: RESOURCE = "",
    action: ACTION = "",
    actor: ACTOR = "",
    method: METHOD = "",
    request_id: REQUEST = "",
    from_: FROM = "",
    to: TO = "",
) -> None:
    """Writes entries to standard output as they come, oldest first; the number to go on from goes to standard error."""
    if format_ not in ("jsonl", "csv"):
        raise Usage("--format: must be jsonl or csv")
    table = csv.writer(sys.stdout, lineterminator="\n")
    if format_ == "csv":
        table.writerow(EXPORTED)
    count, last = 0, after
    with client() as tollway:
        for entry in tollway.audit_log.entries(
            resource=resource, action=action, actor=actor, method=method, request_id=request_id,
            start=when(from_, "--from"), end=when(to, "--to"), oldest_first=True, after=after,
        ):  # fmt: skip
            row = {name: plain(getattr(entry, name)) for name in EXPORTED}
            if format_ == "csv":
                table.writerow([guarded(_cell(value)) for value in row.values()])
            else:
                sys.stdout.write(json.dumps(row, ensure_ascii=False) + "\n")
            count, last = count + 1, entry.seq
    note(f"{count} entries; the next export goes on with --after {last}")


def _cell(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


@app.command()
def head(output: Output = None) -> None:
    """Prints the end of the chain, SEQ:HASH, to be kept elsewhere for `verify --expect`."""
    with client() as tollway:
        found = tollway.audit_log.head()
    if chosen(output) == "table":
        print(found.head)
        return
    show_one(found, chosen(output))


@app.command()
def verify(
    from_: FROM = "",
    to: TO = "",
    expect: Annotated[str, typer.Option("--expect", metavar="SEQ:HASH", help="a head that was kept elsewhere")] = "",
    output: Output = None,
) -> None:
    """Recomputes every entry; exit 1 when one was changed, is missing, or was not written by a control plane."""
    verified, unproven, found, seq, hash_, problems = 0, 0, 0, 0, "", list[Any]()
    with client() as tollway:
        for piece in tollway.audit_log.verify(start=when(from_, "--from"), end=when(to, "--to"), expect=expect):
            verified, unproven, found = verified + piece.verified, unproven + piece.unproven, found + piece.found
            seq, hash_ = piece.seq, piece.hash
            problems += piece.problems[: max(100 - len(problems), 0)]
    if problems or chosen(output) != "table":
        show_list(problems, PROBLEMS, chosen(output))
    if found:
        raise Failure(f"the audit log is not what was written: {found} problems in {verified} entries")
    rest = f", {unproven} of them unproven: older than the chain" if unproven else ""
    note(f"{verified} entries are what was written{rest}; head {seq}:{hash_}")
