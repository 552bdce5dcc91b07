"""`tollway limits`: how many requests, tokens and calls at the same time."""

from __future__ import annotations

from typing import Annotated

import typer

from tollway.cli.document.rules import AMOUNTS
from tollway.cli.exits import Usage
from tollway.cli.output import plain, show_list
from tollway.cli.shared import Etag, Limit, Output, chosen, client

app = typer.Typer(
    no_args_is_help=True,
    help="Limits: list, show, set. SUBJECT is organisation, business_unit:NAME, project:NAME, key:PROJECT/NAME, "
    "user:NAME or model:NAME.",
)
COLUMNS = ("subject", "name", "amount", "model", "on_outage", "id")
SUBJECT = Annotated[str, typer.Argument(help="for example project:demo", metavar="SUBJECT")]
_NAMES = {place: name for name, place in AMOUNTS.items()}


@app.command("list")
def list_(
    scope: Annotated[
        str, typer.Option("--scope", help="only organisation, business_unit, project, key, user or model")
    ] = "",
    limit: Limit = 1000,
    output: Output = None,
) -> None:
    """Lists the subjects that have limits, a line for each limit.

    Example: tollway limits list --scope model
    """
    with client() as tollway:
        found = [row for one in tollway.limits.list(scope=scope, limit=limit) for row in _rows(one)]
    show_list(found, COLUMNS, chosen(output))


@app.command()
def show(subject: SUBJECT, output: Output = None) -> None:
    """Shows the limits of a subject.

    Example: tollway limits show project:demo
    """
    with client() as tollway:
        show_list(_rows(tollway.limits.get(subject)), COLUMNS, chosen(output))


@app.command("set")
def set_(
    subject: SUBJECT,
    limits: Annotated[
        list[str] | None,
        typer.Argument(help=f"NAME=AMOUNT or GLOB:NAME=AMOUNT; NAME is {', '.join(AMOUNTS)}", metavar="LIMITS"),
    ] = None,
    on_outage: Annotated[
        str, typer.Option("--on-outage", help="while counters cannot be reached: local (a share each) or closed")
    ] = "",
    clear: Annotated[bool, typer.Option("--clear", help="no limits")] = False,
    etag: Etag = "",
    output: Output = None,
) -> None:
    """Replaces all limits of a subject.

    \b
    Examples:
      tollway limits set project:demo requests_per_minute=600 tokens_per_minute=200000 concurrent=50
      tollway limits set project:demo requests_per_minute=600 'gpt-4o*:requests_per_minute=60'
      tollway limits set project:demo --clear
    """
    from tollway.sdk.rules import Limit as Given

    if bool(limits) == clear:
        raise Usage("give limits such as requests_per_minute=600, or --clear for none")
    wanted = []
    for text in limits or []:
        measure, window, model, amount = _parsed(text)
        wanted.append(Given(measure=measure, window=window, amount=amount, model=model, on_outage=on_outage))
    with client() as tollway:
        show_list(_rows(tollway.limits.set(subject, wanted, etag=etag)), COLUMNS, chosen(output))


def _parsed(text: str) -> tuple[str, str, str, int]:
    """Measure, window, model and amount of "gpt-4o*:requests_per_minute=60"."""
    what, _, amount = text.rpartition("=")
    model, _, name = what.rpartition(":")
    if name not in AMOUNTS:
        raise Usage(f"{text}: must be NAME=AMOUNT or GLOB:NAME=AMOUNT; NAME is one of {', '.join(AMOUNTS)}")
    if not (amount.isascii() and amount.isdigit()) or len(amount) > 13:
        raise Usage(f"{text}: the amount must be a whole number")
    return (*AMOUNTS[name], model, int(amount))


def _rows(one: object) -> list[dict[str, object]]:
    """A row for each limit of a subject, named as in the configuration file."""
    held = plain(one)
    return [
        {
            "subject": held["subject"],
            "name": _NAMES.get((limit["measure"], limit["window"]), limit["measure"]),
            "amount": limit["amount"],
            "model": limit["model"],
            "on_outage": limit["on_outage"],
            "id": limit["id"],
            "etag": held["etag"],
        }
        for limit in held["limits"]
    ]
