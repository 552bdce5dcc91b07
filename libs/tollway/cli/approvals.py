"""`tollway approvals`: ask for something, and decide what others ask for."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from tollway.cli.exits import Usage, note
from tollway.cli.output import show_list, show_one
from tollway.cli.shared import Force, Limit, Output, ahead, chosen, client, confirm

app = typer.Typer(
    no_args_is_help=True,
    help="Requests: list, show, create, approve, reject, comment, cancel, revoke; delegate for an absence.",
)
delegations = typer.Typer(no_args_is_help=True, help="Let somebody decide in your place: list, create, revoke.")
app.add_typer(delegations, name="delegations")
COLUMNS = ("id", "kind", "state", "requester", "reason", "rule", "created_at", "ended_by")
KINDS = "platform_access, project, model_access, credit or limit"
APPROVAL = Annotated[str, typer.Argument(help="its id", metavar="REQUEST")]
REASON = Annotated[str, typer.Option("--reason", help="why")]


@app.command("list")
def list_(
    state: Annotated[str, typer.Option("--state", help="only pending, approved, rejected, ...")] = "",
    kind: Annotated[str, typer.Option("--kind", help=f"only {KINDS}")] = "",
    requester: Annotated[str, typer.Option("--requester", help="only those of this person")] = "",
    mine_to_decide: Annotated[bool, typer.Option("--to-decide", help="only those that you may decide now")] = False,
    limit: Limit = 1000,
    output: Output = None,
) -> None:
    """Lists requests that you made, may decide or may read, newest first.

    Example: tollway approvals list --to-decide
    """
    with client() as tollway:
        found = tollway.approvals.list(
            state=state, kind=kind, requester=requester, decidable=mine_to_decide, limit=limit
        )
        show_list(found, COLUMNS, chosen(output))


@app.command()
def show(approval: APPROVAL, output: Output = None) -> None:
    """Shows a request with its votes and comments.

    Example: tollway approvals show 0199f1c2-7d7e-7d54-8f0b-6f7c2f1b9a10
    """
    with client() as tollway:
        show_one(tollway.approvals.get(approval), chosen(output))


@app.command()
def create(
    kind: Annotated[str, typer.Argument(help=KINDS, metavar="KIND")],
    reason: REASON,
    subject: Annotated[str, typer.Option("--subject", help="credit, limit, platform_access: project:NAME, ...")] = "",
    amount: Annotated[str, typer.Option("--amount", help="credit and project: US dollars")] = "",
    until: Annotated[str, typer.Option("--until", help="credit: its end, as 7d or a date; without: it stays")] = "",
    project: Annotated[str, typer.Option("--project", help="model_access: which; project: its name")] = "",
    unit: Annotated[str, typer.Option("--unit", help="project: its business unit")] = "",
    model: Annotated[list[str] | None, typer.Option("--model", help="a model or glob; repeatable")] = None,
    role: Annotated[str, typer.Option("--role", help="platform_access: the role")] = "",
    measure: Annotated[str, typer.Option("--measure", help="limit: requests, tokens or concurrent")] = "",
    window: Annotated[str, typer.Option("--window", help="limit: minute, hour or day")] = "",
    limit: Annotated[int | None, typer.Option("--to", help="limit: the new amount")] = None,
    description: Annotated[str, typer.Option("--description", help="project: what it is for")] = "",
    output: Output = None,
) -> None:
    """Asks for something; prints what the policy said.

    \b
    Examples:
      tollway approvals create credit --subject project:demo --amount 50 --until 7d --reason "launch week"
      tollway approvals create model_access --project demo --model "gpt-4o*" --reason "better answers"
      tollway approvals create project --project bot --unit retail --model "*" --amount 20 --reason "a new bot"
      tollway approvals create limit --subject project:demo --measure requests --window minute --to 600 --reason load
      tollway approvals create platform_access --role developer --subject project:demo --reason "joined the team"
    """
    terms: dict[str, Any] = {
        "subject": subject,
        "amount": amount,
        "until": ahead(until, "--until"),
        "project": project,
        "business_unit": unit,
        "role": role,
        "measure": measure,
        "window": window,
        "limit": limit,
        "description": description,
    }
    if kind == "limit":
        if model and len(model) > 1:
            raise Usage("--model: a limit is of one model or glob")
        terms["model"] = model[0] if model else ""
    elif model:
        terms["models"] = model
    given = {name: value for name, value in terms.items() if value not in ("", None)}
    with client() as tollway:
        made = tollway.approvals.create(kind, reason, **given)
    note(f"the request is {made.state}")
    show_one(made, chosen(output))


@app.command()
def approve(
    approval: APPROVAL,
    reason: Annotated[str, typer.Option("--reason", help="why, for those who look at it later")] = "",
    output: Output = None,
) -> None:
    """Approves a request; the last approval that is needed gives what was asked for.

    Example: tollway approvals approve 0199f1c2-7d7e-7d54-8f0b-6f7c2f1b9a10
    """
    with client() as tollway:
        show_one(tollway.approvals.approve(approval, reason=reason), chosen(output))


@app.command()
def reject(approval: APPROVAL, reason: REASON, output: Output = None) -> None:
    """Rejects a request, which ends it.

    Example: tollway approvals reject 0199f1c2-7d7e-7d54-8f0b-6f7c2f1b9a10 --reason "use the small model"
    """
    with client() as tollway:
        show_one(tollway.approvals.reject(approval, reason), chosen(output))


@app.command()
def comment(
    approval: APPROVAL, text: Annotated[str, typer.Argument(help="what to say", metavar="TEXT")], output: Output = None
) -> None:
    """Says something about a request.

    Example: tollway approvals comment 0199f1c2-7d7e-7d54-8f0b-6f7c2f1b9a10 "for how long?"
    """
    with client() as tollway:
        show_one(tollway.approvals.comment(approval, text), chosen(output))


@app.command()
def cancel(approval: APPROVAL, output: Output = None) -> None:
    """Takes your own request back while it waits.

    Example: tollway approvals cancel 0199f1c2-7d7e-7d54-8f0b-6f7c2f1b9a10
    """
    with client() as tollway:
        show_one(tollway.approvals.cancel(approval), chosen(output))


@app.command()
def revoke(approval: APPROVAL, reason: REASON, yes: Force = False, output: Output = None) -> None:
    """Takes back what a request gave.

    Example: tollway approvals revoke 0199f1c2-7d7e-7d54-8f0b-6f7c2f1b9a10 --reason "the launch is over" --yes
    """
    confirm(f"Take back what the request {approval} gave?", yes)
    with client() as tollway:
        show_one(tollway.approvals.revoke(approval, reason), chosen(output))


@delegations.command("list")
def list_delegations(output: Output = None) -> None:
    """Lists delegations by you and to you.

    Example: tollway approvals delegations list
    """
    with client() as tollway:
        columns = ("id", "delegator", "delegate", "starts_at", "ends_at", "reason")
        show_list(iter(tollway.delegations.list()), columns, chosen(output))


@delegations.command("create")
def create_delegation(
    delegate: Annotated[str, typer.Argument(help="who decides in your place", metavar="PERSON")],
    until: Annotated[str, typer.Option("--until", help="its end: a length of time such as 7d, or a date or time")],
    start: Annotated[str, typer.Option("--from", help="its beginning; default now")] = "",
    reason: Annotated[str, typer.Option("--reason", help="why")] = "",
    output: Output = None,
) -> None:
    """Lets somebody decide in your place for a time.

    Example: tollway approvals delegations create bob@example.com --until 14d --reason holidays
    """
    end = ahead(until, "--until")
    if end is None:
        raise Usage("--until: say when it ends, for example 14d")
    with client() as tollway:
        made = tollway.delegations.create(delegate, end, starts_at=ahead(start, "--from"), reason=reason)
    show_one(made, chosen(output))


@delegations.command("revoke")
def revoke_delegation(
    delegation: Annotated[str, typer.Argument(help="its id", metavar="DELEGATION")], output: Output = None
) -> None:
    """Ends a delegation before its time.

    Example: tollway approvals delegations revoke 0199f1c2-7d7e-7d54-8f0b-6f7c2f1b9a10
    """
    with client() as tollway:
        show_one(tollway.delegations.revoke(delegation), chosen(output))
