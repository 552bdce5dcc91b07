"""`tollway logs`: search the request log, follow it, show a request with its answer, erase."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tollway.cli.exits import Usage
from tollway.cli.output import plain, printable, show_list, show_one
from tollway.cli.shared import Force, Limit, Output, chosen, client, confirm, when

if TYPE_CHECKING:
    from tollway.sdk.requestlog import LoggedBodies, LoggedMessage, LoggedRequest

app = typer.Typer(invoke_without_command=True, help="Requests and answers: search, follow, show, delete.")
COLUMNS = ("started_at", "request_id", "project", "key_public_id", "model", "status", "error_code", "duration_ms")
POLL_SECONDS = 2.0
BEHIND = timedelta(minutes=5)
"""How late a body may reach the log and still be followed."""
MAX_SEEN = 20_000
PROJECT = Annotated[str, typer.Option("--project", "-p", help="only this project")]
KEY = Annotated[str, typer.Option("--key", help="only this key")]
MODEL = Annotated[str, typer.Option("--model", help="only this model")]
STATUS = Annotated[int | None, typer.Option("--status", help="only this HTTP status; 0: the client was gone")]
OUTCOME = Annotated[str, typer.Option("--outcome", help="ok, error, client_closed or lost")]
ERROR = Annotated[str, typer.Option("--error", help="only this error code")]
REQUEST = Annotated[str, typer.Option("--request-id", help="ours or the client's own")]
TAGS = Annotated[list[str] | None, typer.Option("--tag", help="name=value; repeatable, all must be there")]
USER = Annotated[str, typer.Option("--user", help="only keys of this user")]
ENDPOINT = Annotated[str, typer.Option("--endpoint", help="for example /v1/chat/completions")]
FROM = Annotated[str, typer.Option("--from", help="date, time or duration back from now")]
TO = Annotated[str, typer.Option("--to", help="exclusive; default now")]
FOLLOW = Annotated[bool, typer.Option("--follow", "-f", help="go on with what comes, until Ctrl-C")]


@app.callback()
@app.command("list")
def list_(
    context: typer.Context,
    project: PROJECT = "",
    key: KEY = "",
    model: MODEL = "",
    status: STATUS = None,
    outcome: OUTCOME = "",
    error: ERROR = "",
    request_id: REQUEST = "",
    tag: TAGS = None,
    user: USER = "",
    endpoint: ENDPOINT = "",
    from_: FROM = "",
    to: TO = "",
    limit: Limit = 100,
    follow: FOLLOW = False,
    output: Output = None,
) -> None:
    """Lists requests, newest first, without their bodies; `logs` alone does the same."""
    if context.invoked_subcommand is not None:
        return
    if follow and to:
        raise Usage("--follow has no end: leave --to out")
    query: dict[str, Any] = {
        "project": project,
        "key": key,
        "model": model,
        "status": status,
        "outcome": outcome,
        "error_code": error,
        "request_id": request_id,
        "tags": tag or [],
        "user": user,
        "endpoint": endpoint,
    }
    start, end = when(from_, "--from"), when(to, "--to")
    if follow:
        _follow(query, start, limit, chosen(output))
        return
    with client() as tollway:
        show_list(tollway.request_log.search(**query, start=start, end=end, limit=limit), COLUMNS, chosen(output))


def _follow(query: dict[str, Any], start: datetime | None, limit: int, output: str) -> None:
    with client() as tollway:
        try:
            for found in following(tollway.request_log.search, query, start or datetime.now(UTC), limit):
                sys.stdout.write(_line(found, output))
                sys.stdout.flush()
        except KeyboardInterrupt:
            return


def following(
    search: Any, query: dict[str, Any], start: datetime, limit: int, pause: float = POLL_SECONDS
) -> Iterator[LoggedRequest]:
    """What comes into the log from `start` on, each once, oldest first; at most `limit` a look."""
    seen: dict[str, None] = {}
    while True:
        news = [found for found in search(**query, start=start, limit=limit) if found.request_id not in seen]
        for found in reversed(news):
            seen[found.request_id] = None
            yield found
        for old in list(seen)[:-MAX_SEEN]:
            del seen[old]
        start = max(start, datetime.now(UTC) - BEHIND)
        time.sleep(pause)


def _line(found: LoggedRequest, output: str) -> str:
    row = plain(found)
    if output in ("json", "yaml"):
        return json.dumps(row, ensure_ascii=False) + "\n"
    cells = [printable(str(row[name])) for name in COLUMNS]
    return "  ".join(cells).rstrip() + "\n"


@app.command()
def show(
    request_id: Annotated[str, typer.Argument(metavar="ID", help="as `logs list` shows it")],
    raw: Annotated[bool, typer.Option("--raw", help="bodies as they were sent, streams event by event")] = False,
    output: Output = None,
) -> None:
    """Shows a request with its answer; that you read it is written to the audit log."""
    with client() as tollway:
        found = tollway.request_log.read(request_id)
    if chosen(output) in ("json", "yaml"):
        show_one(found, chosen(output))
        return
    show_one(found.metadata, "table")
    sys.stdout.write(_told(found, raw))


def _told(found: LoggedBodies, raw: bool) -> str:
    parts = ["\nREQUEST\n", _headers(found.request), _body(found.request, raw)]
    kind = "ANSWER, STREAMED" if found.response.streamed else "ANSWER"
    parts += [f"\n{kind} {found.response.status or ''}".rstrip() + "\n", _headers(found.response)]
    parts.append(_body(found.response, raw))
    return "".join(parts)


def _headers(message: LoggedMessage) -> str:
    return "".join(f"{printable(name)}: {printable(value)}\n" for name, value in message.headers.items()) + "\n"


def _body(message: LoggedMessage, raw: bool) -> str:
    if message.body_base64:
        return message.body_base64 + "\n" if raw else f"({len(message.body_base64) * 3 // 4} bytes; --raw: base64)\n"
    if not message.body:
        return "(none)\n"
    return _printed(message.body if raw else _pretty(message))


def _pretty(message: LoggedMessage) -> str:
    from tollway.cli.streamed import told

    if message.streamed and (text := told(message.body)):
        return text
    try:
        return json.dumps(json.loads(message.body), indent=2, ensure_ascii=False)
    except ValueError:
        return message.body


def _printed(text: str) -> str:
    """Without what a terminal would obey: the text is somebody else's. Into a file it goes as it is."""
    shown = "".join(char if char == "\t" else printable(char) for char in text) if sys.stdout.isatty() else text
    return shown.rstrip("\n") + "\n"


@app.command()
def delete(
    request_id: Annotated[str, typer.Argument(metavar="[ID]", help="one request")] = "",
    project: PROJECT = "",
    from_: FROM = "",
    to: TO = "",
    yes: Force = False,
    output: Output = None,
) -> None:
    """Erases one request, or a project's of a period, for good. The ledger stays."""
    if bool(request_id) == bool(project) or (project and not (from_ and to)):
        raise Usage("give either a request's ID, or --project with --from and --to")
    confirm(f"Erase {request_id or f'what was logged of {project}'} for good?", yes)
    start, end = when(from_, "--from"), when(to, "--to")
    with client() as tollway:
        deleted = tollway.request_log.delete(request_id=request_id, project=project, start=start, end=end)
    show_one({"deleted": deleted}, chosen(output))
