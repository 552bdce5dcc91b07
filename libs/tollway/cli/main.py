"""The command `tollway`. Nouns are imported without the SDK, so that help and completion come at once."""

from __future__ import annotations

import os
import sys
from typing import Annotated

import typer

from tollway.cli import (
    accounts,
    alerts,
    apply,
    approvals,
    audit,
    budgets,
    keys,
    ledger,
    limits,
    logs,
    machine,
    models,
    policies,
    prices,
    projects,
    providers,
    reconcile,
    reports,
    roles,
    secrets,
    units,
    users,
)
from tollway.cli.connection import Flags
from tollway.cli.exits import Failure
from tollway.cli.shared import Output, use
from tollway.cli.signin.commands import login, logout

app = typer.Typer(
    name="tollway",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="A self-hosted LLM gateway: one OpenAI-compatible API, virtual keys, budgets, ledger and logs.",
)


@app.callback()
def _globals(
    url: Annotated[
        str, typer.Option("--url", help="control plane; else TOLLWAY_CONTROL_URL, profile, ./.tollway/env")
    ] = "",
    token_file: Annotated[str, typer.Option("--token-file", help="file with the token; else TOLLWAY_ADMIN_TOKEN")] = "",
    profile: Annotated[str, typer.Option("--profile", help="of tollway/config.toml in the XDG config directory")] = "",
    timeout: Annotated[float, typer.Option("--timeout", min=0.1, help="seconds for one call")] = 30.0,
    reason: Annotated[str, typer.Option("--reason", help="why, for the audit log")] = "",
    output: Output = None,
) -> None:
    shown = output or "table"
    use(Flags(url=url, token_file=token_file, profile=profile, output=shown, timeout_seconds=timeout, reason=reason))


app.command()(machine.up)
app.command()(machine.down)
app.command()(machine.status)
app.command()(login)
app.command()(logout)
app.command("apply")(apply.apply)
app.command("schema")(apply.schema)
app.add_typer(keys.app, name="keys")
app.add_typer(projects.app, name="projects")
app.add_typer(units.app, name="units")
app.add_typer(units.app, name="business-units", hidden=True)
app.add_typer(providers.app, name="providers")
app.add_typer(models.app, name="models")
app.add_typer(budgets.app, name="budgets")
app.add_typer(limits.app, name="limits")
app.add_typer(prices.app, name="prices")
app.add_typer(reconcile.app, name="reconcile")
app.command("usage")(reports.usage)
app.add_typer(ledger.app, name="ledger")
app.add_typer(reports.requests, name="requests")
app.add_typer(audit.app, name="audit")
app.add_typer(logs.app, name="logs")
app.add_typer(alerts.app, name="alerts")
app.add_typer(approvals.app, name="approvals")
app.add_typer(policies.app, name="policies")
app.add_typer(users.app, name="users")
app.add_typer(roles.app, name="roles")
app.add_typer(accounts.app, name="service-accounts")
app.command("whoami")(users.whoami)
app.add_typer(secrets.app, name="secrets")


@app.command()
def version() -> None:
    """Prints the version."""
    import importlib.metadata

    print(importlib.metadata.version("tollway"))


def main() -> None:
    """Entry point: exit 0 done, 1 error, 2 usage, 3 authentication, 4 not found."""
    try:
        app()
    except Failure as failure:
        print(f"error: {failure}", file=sys.stderr)
        sys.exit(failure.code)
    except BrokenPipeError:
        # The reader of our output has had enough; the interpreter must not complain while it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        sys.exit(1)


if __name__ == "__main__":
    main()
