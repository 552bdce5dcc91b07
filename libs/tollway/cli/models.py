"""`tollway models`: what clients ask for, and who answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from tollway.cli.exits import Usage
from tollway.cli.output import show_list, show_one
from tollway.cli.shared import Etag, Force, Limit, Output, chosen, client, confirm, pairs

if TYPE_CHECKING:
    from tollway.sdk.models import Price, Target

app = typer.Typer(no_args_is_help=True, help="Models: create, list, show, update, archive.")
COLUMNS = ("name", "aliases", "strategy", "targets", "price", "created_at", "id")
MODEL = Annotated[str, typer.Argument(help="id or name", metavar="MODEL")]
TARGETS = Annotated[
    list[str] | None,
    typer.Option("--target", help="PROVIDER/MODEL, with ,weight=N and ,priority=N as needed; repeatable"),
]
ALIASES = Annotated[list[str] | None, typer.Option("--alias", help="repeatable")]
STRATEGY = Annotated[str | None, typer.Option("--strategy", help="weighted or priority")]
PRICE = Annotated[
    list[str] | None, typer.Option("--price", help="free, or input=0.15 output=0.60 ... (USD per million); repeatable")
]


def parse_target(text: str) -> Target:
    """`openai/gpt-4o-mini,weight=2,priority=1`."""
    from tollway.sdk.models import Target

    place, *settings = text.split(",")
    provider, slash, model = place.partition("/")
    numbers = pairs(settings, "--target")
    if not slash or not provider or not model or not set(numbers) <= {"weight", "priority"}:
        raise Usage("--target: must look like PROVIDER/MODEL,weight=N,priority=N")
    try:
        weight = int(numbers["weight"]) if "weight" in numbers else None
        return Target(provider=provider, model=model, weight=weight, priority=int(numbers.get("priority", 0)))
    except ValueError as error:
        raise Usage("--target: weight and priority are whole numbers") from error


def parse_price(items: list[str] | None) -> Price | None:
    """`free`, or `name=dollars` texts."""
    from tollway.sdk.models import Price

    if not items:
        return None
    if items == ["free"]:
        return Price(free=True)
    amounts = pairs([part for item in items for part in item.replace(",", " ").split()], "--price")
    known = {name for name in Price.__dataclass_fields__ if name not in ("free", "version", "tiers")}
    if unknown := set(amounts) - known:
        raise Usage(f"--price: unknown {', '.join(sorted(unknown))}; known are {', '.join(sorted(known))}")
    return Price(**amounts)  # type: ignore[arg-type]  # checked above: only texts


@app.command()
def create(
    name: str,
    target: TARGETS = None,
    alias: ALIASES = None,
    strategy: STRATEGY = None,
    price: PRICE = None,
    output: Output = None,
) -> None:
    """Creates a model."""
    if not target:
        raise Usage("a model needs at least one --target")
    with client() as tollway:
        made = tollway.models.create(
            name,
            [parse_target(text) for text in target],
            aliases=alias or [],
            strategy=strategy or "",
            price=parse_price(price),
        )
    show_one(made, chosen(output))


@app.command("list")
def list_(limit: Limit = 1000, output: Output = None) -> None:
    """Lists models."""
    with client() as tollway:
        show_list(tollway.models.list(limit=limit), COLUMNS, chosen(output))


@app.command()
def show(model: MODEL, output: Output = None) -> None:
    """Shows a model with its price in force."""
    with client() as tollway:
        show_one(tollway.models.get(model), chosen(output))


@app.command()
def update(
    model: MODEL,
    target: TARGETS = None,
    alias: ALIASES = None,
    strategy: STRATEGY = None,
    price: PRICE = None,
    etag: Etag = "",
    output: Output = None,
) -> None:
    """Changes what is given; targets and aliases are replaced as a whole."""
    if not (target or alias or strategy or price):
        raise Usage("nothing to change: give --target, --alias, --strategy or --price")
    targets = [parse_target(text) for text in target] if target else None
    with client() as tollway:
        changed = tollway.models.update(
            model, targets=targets, aliases=alias, strategy=strategy, price=parse_price(price), etag=etag
        )
    show_one(changed, chosen(output))


@app.command()
def archive(model: MODEL, yes: Force = False, etag: Etag = "", output: Output = None) -> None:
    """Archives a model: clients get model_not_found."""
    confirm(f"Archive the model {model}?", yes)
    with client() as tollway:
        show_one(tollway.models.archive(model, etag=etag), chosen(output))
