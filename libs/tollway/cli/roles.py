"""`tollway roles`."""

from __future__ import annotations

from typing import Annotated

import typer

from tollway.cli.exits import Usage
from tollway.cli.output import show_list, show_one
from tollway.cli.shared import Force, Limit, Output, ahead, chosen, client, confirm

app = typer.Typer(no_args_is_help=True, help="Roles: grant, list, revoke.")
COLUMNS = ("role", "user", "service_account", "group", "business_unit", "project", "expires_at", "created_by", "id")
USER = Annotated[str, typer.Option("--user", help="id or e-mail address")]
ACCOUNT = Annotated[str, typer.Option("--service-account", help="id or name")]
GROUP = Annotated[str, typer.Option("--group", help="as the issuer names it")]
UNIT = Annotated[str, typer.Option("--unit", "--business-unit", help="business unit (id or name)")]
PROJECT = Annotated[str, typer.Option("--project", "-p", help="project (id or name)")]


@app.command()
def grant(
    role: Annotated[
        str,
        typer.Argument(help="platform_admin, auditor, unit_manager, project_owner, developer or service_account"),
    ],
    user: USER = "",
    service_account: ACCOUNT = "",
    group: GROUP = "",
    issuer: Annotated[str, typer.Option("--issuer", help="whose group it is; default any issuer's")] = "",
    unit: UNIT = "",
    project: PROJECT = "",
    platform: Annotated[bool, typer.Option("--platform", help="on the whole platform")] = False,
    expires: Annotated[str, typer.Option("--expires", help="90d, or a date or time; default never")] = "",
    output: Output = None,
) -> None:
    """Gives a role to a user, a service account or a group."""
    if [bool(unit), bool(project), platform].count(True) != 1:
        raise Usage("say where: give one of --project, --unit and --platform")
    with client() as tollway:
        made = tollway.roles.grant(
            role,
            user=user,
            service_account=service_account,
            group=group,
            issuer=issuer,
            business_unit=unit,
            project=project,
            expires_at=ahead(expires, "--expires"),
        )
    show_one(made, chosen(output))


@app.command("list")
def list_(
    user: USER = "",
    service_account: ACCOUNT = "",
    group: GROUP = "",
    unit: UNIT = "",
    project: PROJECT = "",
    role: Annotated[str, typer.Option("--role")] = "",
    limit: Limit = 1000,
    output: Output = None,
) -> None:
    """Lists roles, of one subject or in one place when given."""
    with client() as tollway:
        found = tollway.roles.list(
            user=user,
            service_account=service_account,
            group=group,
            business_unit=unit,
            project=project,
            role=role,
            limit=limit,
        )
        show_list(found, COLUMNS, chosen(output))


@app.command()
def revoke(
    binding: Annotated[str, typer.Argument(help="id of the role's binding, see `roles list`", metavar="ID")],
    yes: Force = False,
    output: Output = None,
) -> None:
    """Takes a role away; it is gone at the next call."""
    confirm(f"Revoke the role {binding}?", yes)
    with client() as tollway:
        show_one(tollway.roles.revoke(binding), chosen(output))
