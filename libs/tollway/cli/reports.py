"""`tollway usage`, `tollway requests`."""

from __future__ import annotations

from typing import Annotated

import typer

from tollway.cli.exits import Usage
from tollway.cli.output import plain, show_list, show_one
from tollway.cli.shared import Limit, Output, chosen, client, when

requests = typer.Typer(no_args_is_help=True, help="The ledger of requests.")
USAGE = (
    "group",
    "requests",
    "cached_requests",
    "errors",
    "input_tokens",
    "cached_input_tokens",
    "output_tokens",
    "reasoning_tokens",
    "cost",
    "estimated_cost",
    "unpriced_requests",
)
REQUESTS = (
    "started_at",
    "id",
    "project",
    "key_public_id",
    "model",
    "stream",
    "status",
    "error_code",
    "cache",
    "cost",
    "estimated",
)
DIMENSIONS = ("project", "key", "model", "day", "business_unit", "provider", "user", "hour")
PROJECT = Annotated[str, typer.Option("--project", "-p", help="only this project")]
KEY = Annotated[str, typer.Option("--key", help="only this key")]
UNIT = Annotated[str, typer.Option("--unit", "--business-unit", help="only what was booked on this unit")]
MODEL = Annotated[str, typer.Option("--model", help="only this model")]
FROM = Annotated[str, typer.Option("--from", help="date, time or duration back from now; default 30d")]
TO = Annotated[str, typer.Option("--to", help="exclusive; default now")]
TOP = Annotated[int | None, typer.Option("--top", min=1, max=1000, help="only so many groups, the dearest")]


def usage(
    by: Annotated[
        str, typer.Option("--by", help="project, key, user, model, day, hour, business_unit or provider")
    ] = "project",
    project: PROJECT = "",
    key: KEY = "",
    model: MODEL = "",
    unit: UNIT = "",
    from_: FROM = "",
    to: TO = "",
    top: TOP = None,
    output: Output = None,
) -> None:
    """Requests, tokens and cost, grouped; costs are US dollars."""
    if by not in DIMENSIONS:
        raise Usage(f"--by: must be one of {', '.join(DIMENSIONS)}")
    with client() as tollway:
        found = tollway.usage(
            by,
            start=when(from_, "--from"),
            end=when(to, "--to"),
            project=project,
            key=key,
            model=model,
            business_unit=unit,
            limit=top,
        )
    if chosen(output) in ("json", "yaml"):
        show_one(found, chosen(output))
        return
    rows = [plain(row) for row in found.rows]
    if chosen(output) == "table":
        if found.others is not None and (left := found.groups - len(found.rows)):
            rows.append({**plain(found.others), "group": f"{left} others"})
        rows.append({**plain(found.total), "group": "total"})
    show_list(rows, USAGE, chosen(output))


@requests.command("list")
def list_requests(
    project: PROJECT = "",
    key: KEY = "",
    model: MODEL = "",
    from_: FROM = "",
    to: TO = "",
    limit: Limit = 100,
    output: Output = None,
) -> None:
    """Lists requests, newest first; JSON and YAML have their attempts too."""
    with client() as tollway:
        found = tollway.requests(
            project=project, key=key, model=model, start=when(from_, "--from"), end=when(to, "--to"), limit=limit
        )
        show_list(found, REQUESTS, chosen(output))
