"""`tollway prices`: the price book with its history, and rating a period again."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal
from typing import TYPE_CHECKING, Annotated

import typer

from tollway.cli.exits import Usage, note
from tollway.cli.models import parse_price
from tollway.cli.output import plain, show_list, show_one
from tollway.cli.shared import Force, Limit, Output, chosen, client, confirm, when

if TYPE_CHECKING:
    from tollway.sdk.prices import Rerated, RerateSum

app = typer.Typer(no_args_is_help=True, help="Prices: list, show, import, set and end overrides, rate a period again.")
COLUMNS = ("version", "source", "model", "provider", "target_model", "price", "valid_from", "valid_until", "note")
PUBLICATIONS = ("model", "version", "source", "published_at", "price")
CHANGES = ("kind", "provider", "target_model", "before", "after", "in_use")
SUMS = ("project", "model", "attempts", "changed", "before", "after", "difference")
VERSION = Annotated[str, typer.Argument(help="as ledger rows name it, for example price@7", metavar="VERSION")]
MODEL = Annotated[str, typer.Option("--model", help="only this model of ours")]
PROVIDER = Annotated[str, typer.Option("--provider", help="name or id of a provider")]
TARGET_MODEL = Annotated[str, typer.Option("--target-model", help="the provider's name of the model")]
NOTE = Annotated[str, typer.Option("--note", help="why, for whoever reads it later")]
DRY_RUN = Annotated[bool, typer.Option("--dry-run", help="tell what would change, and change nothing")]


@app.command("list")
def list_(
    source: Annotated[str, typer.Option("--source", help="genai-prices or override")] = "",
    model: MODEL = "",
    provider: PROVIDER = "",
    target_model: TARGET_MODEL = "",
    at: Annotated[str, typer.Option("--at", help="only what is valid then: a date or time")] = "",
    limit: Limit = 100,
    output: Output = None,
) -> None:
    """Lists the price book, newest first. What is in force for a model: `tollway models show`."""
    with client() as tollway:
        found = tollway.prices.list(
            source=source, model=model, provider=provider, target_model=target_model, at=when(at, "--at"), limit=limit
        )
        show_list(found, COLUMNS, chosen(output))


@app.command()
def show(version: VERSION, model: MODEL = "", output: Output = None) -> None:
    """Shows the rates of a version, and which models had it from when."""
    with client() as tollway:
        found = tollway.prices.get(version, model=model)
    if chosen(output) in ("json", "yaml"):
        show_one(found, chosen(output))
        return
    if found.versions:
        show_list(found.versions, COLUMNS, chosen(output))
    if found.publications:
        show_list(found.publications, PUBLICATIONS, chosen(output))


@app.command("import")
def import_(dry_run: DRY_RUN = False, output: Output = None) -> None:
    """Takes over the prices of the installed price book; nothing is fetched."""
    with client() as tollway:
        report = tollway.prices.take_over(dry_run=dry_run)
    if chosen(output) in ("json", "yaml"):
        show_one(report, chosen(output))
        return
    if report.changes:
        show_list(report.changes, CHANGES, chosen(output))
    state = "imported" if report.applied else "nothing was written"
    note(
        f"{report.package}: {report.new} new, {report.changed} changed, {report.gone} gone, "
        f"{report.unchanged} unchanged; {state}"
    )


@app.command("set")
def set_(
    price: Annotated[
        list[str], typer.Option("--price", help="free, or input=0.15 output=0.60 ... (USD per million); repeatable")
    ],
    model: Annotated[str, typer.Option("--model", help="a model of ours")] = "",
    provider: PROVIDER = "",
    target_model: Annotated[str, typer.Option("--target-model", help="the provider's model; * for anything")] = "",
    from_: Annotated[str, typer.Option("--from", help="date or time; default now")] = "",
    until: Annotated[str, typer.Option("--until", help="date or time, exclusive; default: no end")] = "",
    why: NOTE = "",
    output: Output = None,
) -> None:
    """Sets an override with dates; it begins and ends by itself."""
    if bool(model) == bool(target_model):
        raise Usage("give either --model or --target-model")
    rates = parse_price(price)
    if rates is None:
        raise Usage("--price is required")
    with client() as tollway:
        made = tollway.prices.set(
            rates,
            model=model,
            provider=provider,
            target_model=target_model,
            valid_from=when(from_, "--from"),
            valid_until=when(until, "--until"),
            note=why,
        )
    show_one(made, chosen(output))


@app.command()
def end(
    version: VERSION,
    at: Annotated[str, typer.Option("--at", help="date or time; default now")] = "",
    output: Output = None,
) -> None:
    """Ends an override."""
    with client() as tollway:
        show_one(tollway.prices.end(version, valid_until=when(at, "--at")), chosen(output))


@app.command()
def rerate(
    from_: Annotated[str, typer.Option("--from", help="date, time or duration back from now")],
    to: Annotated[str, typer.Option("--to", help="exclusive; default now")] = "",
    project: Annotated[str, typer.Option("--project", "-p", help="only this project")] = "",
    model: MODEL = "",
    provider: PROVIDER = "",
    version: Annotated[
        str, typer.Option("--version", help="rate with this version; else with what held at the time")
    ] = "",
    dry_run: DRY_RUN = False,
    yes: Force = False,
    output: Output = None,
) -> None:
    """Rates a period again: the differences become adjustments. See them first with --dry-run."""
    begin = when(from_, "--from")
    finish = when(to or "0s", "--to")
    if begin is None or finish is None:
        raise Usage("--from: is required")
    if not dry_run:
        confirm(f"Rate {begin.isoformat()} to {finish.isoformat()} again and write the differences?", yes)
    with client() as tollway:
        parts = tollway.prices.rerate(
            begin, finish, project=project, model=model, provider=provider, version=version, dry_run=dry_run
        )
        sums, attempts, adjusted, unpriced = _add_up(parts)
    show_list(sums, SUMS, chosen(output))
    verb = "would be adjusted" if dry_run else "adjusted"
    note(f"{attempts} attempts looked at, {adjusted} {verb}, {unpriced} left as they are for want of a price")


def _add_up(parts: Iterable[Rerated]) -> tuple[list[dict[str, object]], int, int, int]:
    """The sums of all parts by project and model, and the counts; says on standard error how far it is."""
    groups: dict[tuple[str, str], list[RerateSum]] = {}
    attempts = adjusted = unpriced = 0
    for part in parts:
        attempts, adjusted, unpriced = attempts + part.attempts, adjusted + part.adjusted, unpriced + part.unpriced
        for found in part.sums:
            groups.setdefault((found.project, found.model), []).append(found)
        if part.next_cursor and part.attempts and part.reached is not None:
            note(f"{part.reached:%Y-%m-%d %H:%M} UTC: {attempts} attempts, {adjusted} differ")
    rows: list[dict[str, object]] = []
    for (project, model), same in sorted(groups.items()):
        amounts = {
            name: f"{sum((Decimal(getattr(one, name)) for one in same), Decimal(0)):f}"
            for name in ("before", "after", "difference")
        }
        counts = {name: sum(getattr(one, name) for one in same) for name in ("attempts", "changed")}
        rows.append(plain({"project": project, "model": model, **counts, **amounts}))
    return rows, attempts, adjusted, unpriced
