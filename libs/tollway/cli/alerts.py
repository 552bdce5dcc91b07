"""`tollway alerts`: what fired, who is told, what became of it. URLs and secrets of channels are never arguments."""

from __future__ import annotations

from typing import Annotated

import typer

from tollway.cli.exits import Failure, Usage
from tollway.cli.output import show_list, show_one
from tollway.cli.shared import Etag, Force, Limit, Output, chosen, client, confirm, read_secret

app = typer.Typer(no_args_is_help=True, help="Alerts: list, acknowledge, deliveries; channels.")
channels = typer.Typer(no_args_is_help=True, help="Channels: list, show, create, update, delete, test.")
app.add_typer(channels, name="channels")
ALERTS = ("fired_at", "severity", "kind", "subject", "summary", "occurrences", "acknowledged_by", "id")
CHANNELS = ("name", "kind", "host", "recipients", "scope", "subject", "alerts", "id")
DELIVERIES = ("created_at", "state", "channel", "kind", "tries", "last_status", "last_error", "next_at", "id")
CHANNEL = Annotated[str, typer.Argument(help="id or name", metavar="CHANNEL")]
URL_ENV = Annotated[str, typer.Option("--url-env", help="variable that holds the URL, which can be a secret")]
SECRET_ENV = Annotated[str, typer.Option("--secret-env", help="variable that holds the key of signatures (webhook)")]
TO = Annotated[list[str] | None, typer.Option("--to", help="e-mail address; repeatable")]
SCOPE = Annotated[str | None, typer.Option("--scope", help="all, organisation, business_unit or project")]
SUBJECT = Annotated[str | None, typer.Option("--subject", help="whose alerts: id or name in the scope")]
KINDS = Annotated[list[str] | None, typer.Option("--alert", help="kind of alerts; repeatable; default: all")]


@app.command("list")
def list_(
    kind: Annotated[str, typer.Option("--kind", help="for example budget_exhausted")] = "",
    project: Annotated[str, typer.Option("--project", "-p", help="only this project")] = "",
    unit: Annotated[str, typer.Option("--unit", help="only this business unit")] = "",
    only_open: Annotated[bool, typer.Option("--open", help="only what nobody has acknowledged")] = False,
    limit: Limit = 100,
    output: Output = None,
) -> None:
    """Lists what fired, newest first."""
    with client() as tollway:
        found = tollway.alerts.list(kind=kind, project=project, business_unit=unit, only_open=only_open, limit=limit)
        show_list(found, ALERTS, chosen(output))


@app.command()
def acknowledge(
    alert: Annotated[str, typer.Argument(help="its id", metavar="ALERT")],
    note: Annotated[str, typer.Option("--note", help="what is done about it")] = "",
    output: Output = None,
) -> None:
    """Says that somebody has seen an alert."""
    with client() as tollway:
        show_one(tollway.alerts.acknowledge(alert, note=note), chosen(output))


@app.command()
def deliveries(
    alert: Annotated[str, typer.Option("--alert", help="only of this alert")] = "",
    channel: Annotated[str, typer.Option("--channel", help="only to this channel")] = "",
    state: Annotated[str, typer.Option("--state", help="pending, delivered or failed")] = "",
    limit: Limit = 100,
    output: Output = None,
) -> None:
    """Lists deliveries, newest first; JSON and YAML have every try."""
    if state not in ("", "pending", "delivered", "failed"):
        raise Usage("--state: must be pending, delivered or failed")
    with client() as tollway:
        found = tollway.alerts.deliveries(alert=alert, channel=channel, state=state, limit=limit)
        if chosen(output) in ("json", "yaml"):
            show_list(found, DELIVERIES, chosen(output))
            return
        rows = []
        for one in found:
            last = one.attempts[-1] if one.attempts else None
            rows.append(
                {
                    "created_at": one.created_at,
                    "state": one.state,
                    "channel": one.channel,
                    "kind": one.kind,
                    "tries": len(one.attempts),
                    "last_status": last.status if last else "",
                    "last_error": last.error if last else "",
                    "next_at": one.next_at,
                    "id": one.id,
                }
            )
        show_list(rows, DELIVERIES, chosen(output))


@channels.command("list")
def list_channels(limit: Limit = 1000, output: Output = None) -> None:
    """Lists channels."""
    with client() as tollway:
        show_list(tollway.alerts.channels.list(limit=limit), CHANNELS, chosen(output))


@channels.command()
def show(channel: CHANNEL, output: Output = None) -> None:
    """Shows a channel; of its URL the host alone, its secret not at all."""
    with client() as tollway:
        show_one(tollway.alerts.channels.get(channel), chosen(output))


@channels.command()
def create(
    name: str,
    kind: Annotated[str, typer.Option("--kind", help="webhook, slack or email")],
    url_env: URL_ENV = "",
    secret_env: SECRET_ENV = "",
    to: TO = None,
    scope: SCOPE = None,
    subject: SUBJECT = None,
    alert: KINDS = None,
    output: Output = None,
) -> None:
    """Makes a channel; URL and secret come from --url-env and --secret-env, standard input or a prompt.

    \b
    Examples:
      tollway alerts channels create finance --kind email --to finance@example.com --alert budget_exhausted
      TOKEN_URL=https://hooks.example.com/x tollway alerts channels create chat --kind slack --url-env TOKEN_URL
    """
    if kind not in ("webhook", "slack", "email"):
        raise Usage("--kind: must be webhook, slack or email")
    url = "" if kind == "email" else read_secret("URL", url_env)
    secret = read_secret("secret", secret_env) if kind == "webhook" else ""
    with client() as tollway:
        made = tollway.alerts.channels.create(
            name,
            kind,
            url=url,
            secret=secret,
            recipients=to or [],
            scope=scope or "all",
            subject=subject or "",
            alerts=alert or [],
        )
    show_one(made, chosen(output))


@channels.command()
def update(
    channel: CHANNEL,
    url_env: URL_ENV = "",
    secret_env: SECRET_ENV = "",
    to: TO = None,
    scope: SCOPE = None,
    subject: SUBJECT = None,
    alert: KINDS = None,
    every_alert: Annotated[bool, typer.Option("--every-alert", help="no longer only some kinds")] = False,
    etag: Etag = "",
    output: Output = None,
) -> None:
    """Changes what is given of a channel; its kind stays."""
    if every_alert and alert:
        raise Usage("--alert and --every-alert exclude each other")
    kinds = [] if every_alert else alert or None
    if not (url_env or secret_env or to or scope or subject or kinds is not None):
        raise Usage("nothing to change: give --url-env, --secret-env, --to, --scope, --subject or --alert")
    with client() as tollway:
        changed = tollway.alerts.channels.update(
            channel,
            url=read_secret("URL", url_env) if url_env else None,
            secret=read_secret("secret", secret_env) if secret_env else None,
            recipients=to or None,
            scope=scope,
            subject=subject,
            alerts=kinds,
            etag=etag,
        )
    show_one(changed, chosen(output))


@channels.command()
def delete(channel: CHANNEL, yes: Force = False, etag: Etag = "", output: Output = None) -> None:
    """Deletes a channel; what still waits for it is given up."""
    confirm(f"Delete the alert channel {channel}?", yes)
    with client() as tollway:
        show_one(tollway.alerts.channels.delete(channel, etag=etag), chosen(output))


@channels.command("test")
def send_test(channel: CHANNEL, output: Output = None) -> None:
    """Sends a test message now; exit 1 when it was not delivered."""
    with client() as tollway:
        told = tollway.alerts.channels.test(channel)
    show_one(told, chosen(output))
    if not told.delivered:
        raise Failure(f"not delivered: {told.error}")
