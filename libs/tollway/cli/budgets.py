"""`tollway budgets`: spending limits."""

from __future__ import annotations

from typing import Annotated

import typer

from tollway.cli.exits import Usage, note
from tollway.cli.output import plain, show_list, show_one
from tollway.cli.shared import Etag, Force, Limit, Output, ahead, chosen, client, confirm

app = typer.Typer(
    no_args_is_help=True,
    help="Budgets: list, show, set, remove, increase. SUBJECT is organisation, business_unit:NAME, project:NAME, "
    "key:PROJECT/NAME or user:NAME.",
)
COLUMNS = ("subject", "limit_now", "used", "remaining", "period", "mode", "window_end", "timezone", "id")
SUBJECT = Annotated[str, typer.Argument(help="for example project:demo", metavar="SUBJECT")]
ZONE = Annotated[str | None, typer.Option("--timezone", help="whose midnight begins a window, for example UTC")]
FISCAL = Annotated[str | None, typer.Option("--fiscal-start", help="MM-DD: the day on which the year begins")]


@app.command("list")
def list_(
    scope: Annotated[str, typer.Option("--scope", help="only organisation, business_unit, project, key or user")] = "",
    limit: Limit = 1000,
    output: Output = None,
) -> None:
    """Lists budgets with what is used and left of them.

    Example: tollway budgets list --scope project -o csv
    """
    with client() as tollway:
        show_list(tollway.budgets.list(scope=scope, limit=limit), COLUMNS, chosen(output))


@app.command()
def show(subject: SUBJECT, output: Output = None) -> None:
    """Shows a budget: limit, window, what is used and left, increases.

    Example: tollway budgets show project:demo
    """
    with client() as tollway:
        show_one(tollway.budgets.get(subject), chosen(output))


@app.command("set")
def set_(
    subject: SUBJECT,
    limit: Annotated[str | None, typer.Option("--limit", help="US dollars; 0: nothing may be spent")] = None,
    period: Annotated[str | None, typer.Option("--period", help="none, day, week, month, quarter or year")] = None,
    timezone: ZONE = None,
    fiscal_start: FISCAL = None,
    mode: Annotated[str | None, typer.Option("--mode", help="hard: refuse at the limit; soft: alerts tell")] = None,
    carry_over: Annotated[
        bool | None, typer.Option("--carry-over/--no-carry-over", help="add what the window before left unspent")
    ] = None,
    alert: Annotated[
        list[float] | None, typer.Option("--alert", help="share of the limit that sends an alert; repeatable")
    ] = None,
    no_alerts: Annotated[bool, typer.Option("--no-alerts", help="no thresholds")] = False,
    etag: Etag = "",
    output: Output = None,
) -> None:
    """Makes a budget, or changes what is given of it. A new one is monthly, hard and in UTC.

    \b
    Examples:
      tollway budgets set project:demo --limit 25 --alert 0.8 --alert 1
      tollway budgets set user:ana@example.com --limit 5 --period week --timezone Europe/Berlin
    """
    if alert and no_alerts:
        raise Usage("--alert and --no-alerts exclude each other")
    alerts = [] if no_alerts else alert or None
    if (limit, period, timezone, fiscal_start, mode, carry_over, alerts) == (None,) * 7:
        raise Usage(
            "nothing to set: give --limit, --period, --timezone, --fiscal-start, --mode, --carry-over or --alert"
        )
    with client() as tollway:
        made = tollway.budgets.set(
            subject,
            limit=limit,
            period=period,
            timezone=timezone,
            fiscal_start=fiscal_start,
            mode=mode,
            carry_over=carry_over,
            alerts=alerts,
            etag=etag,
        )
    show_one(made, chosen(output))


@app.command()
def remove(subject: SUBJECT, yes: Force = False, etag: Etag = "", output: Output = None) -> None:
    """Removes a budget with its increases; nothing limits the subject's spending from then on.

    Example: tollway budgets remove project:demo --yes
    """
    confirm(f"Remove the budget of {subject}?", yes)
    with client() as tollway:
        removed = tollway.budgets.get(subject)
        tollway.budgets.remove(subject, etag=etag)
    note(f"the budget of {removed.subject} is removed")
    if chosen(output) != "table":
        show_one(plain(removed), chosen(output))


@app.command()
def increase(
    subject: SUBJECT,
    amount: Annotated[str, typer.Argument(help="US dollars", metavar="AMOUNT")] = "",
    until: Annotated[str, typer.Option("--until", help="its end: a length of time such as 7d, or a date or time")] = "",
    start: Annotated[str, typer.Option("--from", help="its beginning; default now")] = "",
    reason: Annotated[str, typer.Option("--reason", help="why, for those who look at it later")] = "",
    revoke: Annotated[str, typer.Option("--revoke", help="end the increase with this id instead")] = "",
    etag: Etag = "",
    output: Output = None,
) -> None:
    """Adds to a budget for a time, or ends such an increase before its time.

    \b
    Examples:
      tollway budgets increase project:demo 10 --until 7d --reason "launch week"
      tollway budgets increase project:demo --revoke 0197c1b2-...
    """
    if revoke:
        if amount or until or start or reason:
            raise Usage("--revoke takes no amount, --until, --from or --reason")
        with client() as tollway:
            show_one(tollway.budgets.revoke_increase(subject, revoke, etag=etag), chosen(output))
        return
    end, begin = ahead(until, "--until"), ahead(start, "--from")
    if not amount or end is None:
        raise Usage("give AMOUNT and --until, for example: tollway budgets increase project:demo 10 --until 7d")
    with client() as tollway:
        made = tollway.budgets.increase(subject, amount, end, starts_at=begin, reason=reason, etag=etag)
    show_one(made, chosen(output))
