"""`tollway users` and `tollway whoami`."""

from __future__ import annotations

from typing import Annotated

import typer

from tollway.cli.output import show_list, show_one
from tollway.cli.shared import Etag, Force, Limit, Output, chosen, client, confirm

app = typer.Typer(no_args_is_help=True, help="Users: create, list, show, disable, enable, unbind.")
COLUMNS = ("email", "display_name", "disabled", "issuer", "groups", "last_seen_at", "id")
USER = Annotated[str, typer.Argument(help="id or e-mail address", metavar="USER")]


@app.command()
def create(
    email: Annotated[str, typer.Argument(help="bound at the first sign-in with this verified address")],
    name: Annotated[str, typer.Option("--name", help="shown until the issuer says another")] = "",
    output: Output = None,
) -> None:
    """Names a user before the first sign-in."""
    with client() as tollway:
        show_one(tollway.users.create(email, display_name=name), chosen(output))


@app.command("list")
def list_(
    search: Annotated[str, typer.Option("--search", help="only with this in address, name or subject")] = "",
    limit: Limit = 1000,
    output: Output = None,
) -> None:
    """Lists users."""
    with client() as tollway:
        show_list(tollway.users.list(search=search, limit=limit), COLUMNS, chosen(output))


@app.command()
def show(user: USER, output: Output = None) -> None:
    """Shows a user."""
    with client() as tollway:
        show_one(tollway.users.get(user), chosen(output))


@app.command()
def disable(user: USER, yes: Force = False, etag: Etag = "", output: Output = None) -> None:
    """Refuses a user from the next call on."""
    confirm(f"Disable the user {user}?", yes)
    with client() as tollway:
        show_one(tollway.users.disable(user, etag=etag), chosen(output))


@app.command()
def enable(user: USER, etag: Etag = "", output: Output = None) -> None:
    """Lets a disabled user in again."""
    with client() as tollway:
        show_one(tollway.users.enable(user, etag=etag), chosen(output))


@app.command()
def unbind(user: USER, yes: Force = False, etag: Etag = "", output: Output = None) -> None:
    """Forgets who the issuer says the user is; the next sign-in with the verified address binds anew."""
    confirm(f"Unbind the user {user}? Whoever next signs in with this verified address is that user.", yes)
    with client() as tollway:
        show_one(tollway.users.unbind(user, etag=etag), chosen(output))


def whoami(output: Output = None) -> None:
    """Says who is calling, and with which roles."""
    with client() as tollway:
        caller = tollway.users.me()
    roles = [f"{one.role} on {one.project or one.business_unit or 'platform'}" for one in caller.roles]
    shown = {"name": caller.name, "kind": caller.kind, "email": caller.email, "groups": caller.groups, "roles": roles}
    show_one(shown, chosen(output))
