"""`tollway service-accounts`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tollway.cli.exits import Usage, note
from tollway.cli.output import show_list, show_one
from tollway.cli.shared import Etag, Force, Limit, Output, chosen, client, confirm, duration, write_secrets

if TYPE_CHECKING:
    from tollway.sdk.access import ServiceAccountTokenWithSecret

app = typer.Typer(
    no_args_is_help=True,
    help="Service accounts: create, list, show, token, rotate, revoke-token, disable, enable, archive.",
)
COLUMNS = ("name", "business_unit", "project", "disabled", "description", "created_at", "id")
ACCOUNT = Annotated[str, typer.Argument(help="id or name", metavar="ACCOUNT")]
LIFETIME = Annotated[str, typer.Option("--lifetime", help="how long the token lasts, such as 30d; default 90d")]
OUT = Annotated[Path | None, typer.Option("--out", help="write the token to this file (0600), not to the screen")]


def _seconds(text: str, option: str) -> int:
    length = duration(text) if text else None
    if text and length is None:
        raise Usage(f"{option}: must be a length of time such as 12h or 30d")
    return int(length.total_seconds()) if length is not None else 0


@app.command()
def create(
    name: str,
    unit: Annotated[str, typer.Option("--unit", "--business-unit", help="where it lives (id or name)")] = "",
    project: Annotated[str, typer.Option("--project", "-p", help="where it lives (id or name)")] = "",
    description: Annotated[str, typer.Option("--description")] = "",
    output: Output = None,
) -> None:
    """Creates a service account; without a place it lives on the platform."""
    with client() as tollway:
        made = tollway.service_accounts.create(name, description=description, business_unit=unit, project=project)
    show_one(made, chosen(output))


@app.command("list")
def list_(limit: Limit = 1000, output: Output = None) -> None:
    """Lists service accounts."""
    with client() as tollway:
        show_list(tollway.service_accounts.list(limit=limit), COLUMNS, chosen(output))


@app.command()
def show(account: ACCOUNT, output: Output = None) -> None:
    """Shows a service account with its tokens, never their values."""
    with client() as tollway:
        show_one(tollway.service_accounts.get(account), chosen(output))


def _show_token(made: ServiceAccountTokenWithSecret, out: Path | None, output: str | None) -> None:
    if out is not None:
        write_secrets(out, {made.service_account: made.secret})
        note(f"the token is in {out}")
        show_one(made.token, chosen(output))
        return
    note("the token is shown only now; keep it safe")
    token = made.token
    shown = {"secret": made.secret, "public_id": token.public_id, "expires_at": token.expires_at, "id": token.id}
    show_one(shown, chosen(output))


@app.command()
def token(account: ACCOUNT, lifetime: LIFETIME = "", out: OUT = None, output: Output = None) -> None:
    """Makes a further token and shows it, this once."""
    with client() as tollway:
        made = tollway.service_accounts.create_token(account, lifetime_seconds=_seconds(lifetime, "--lifetime"))
    _show_token(made, out, output)


@app.command()
def rotate(
    account: ACCOUNT,
    grace: Annotated[str, typer.Option("--grace", help="how long the present tokens stay valid; at most 7d")] = "",
    lifetime: LIFETIME = "",
    out: OUT = None,
    output: Output = None,
) -> None:
    """Makes a new token; the present ones end with the grace, at once when there is none."""
    with client() as tollway:
        made = tollway.service_accounts.rotate(
            account,
            grace_seconds=_seconds(grace, "--grace"),
            lifetime_seconds=_seconds(lifetime, "--lifetime"),
        )
    _show_token(made, out, output)


@app.command("revoke-token")
def revoke_token(
    account: ACCOUNT,
    token_id: Annotated[str, typer.Argument(help="id or public id", metavar="TOKEN")],
    yes: Force = False,
    output: Output = None,
) -> None:
    """Ends one token at once."""
    confirm(f"Revoke the token {token_id} of {account}?", yes)
    with client() as tollway:
        show_one(tollway.service_accounts.revoke_token(account, token_id), chosen(output))


@app.command()
def disable(account: ACCOUNT, yes: Force = False, etag: Etag = "", output: Output = None) -> None:
    """Refuses the account's tokens from the next call on."""
    confirm(f"Disable the service account {account}?", yes)
    with client() as tollway:
        show_one(tollway.service_accounts.disable(account, etag=etag), chosen(output))


@app.command()
def enable(account: ACCOUNT, etag: Etag = "", output: Output = None) -> None:
    """Lets a disabled account in again."""
    with client() as tollway:
        show_one(tollway.service_accounts.enable(account, etag=etag), chosen(output))


@app.command()
def archive(account: ACCOUNT, yes: Force = False, etag: Etag = "", output: Output = None) -> None:
    """Ends an account with its tokens and roles for good."""
    confirm(f"Archive the service account {account}? Its tokens stop working.", yes)
    with client() as tollway:
        show_one(tollway.service_accounts.archive(account, etag=etag), chosen(output))
