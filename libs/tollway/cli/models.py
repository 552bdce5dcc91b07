"""`tollway models`: what clients ask for, and who answers."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from tollway.cli.document.routing import STRATEGIES
from tollway.cli.exits import Usage
from tollway.cli.output import show_list, show_one
from tollway.cli.routing import (
    AFFINITY,
    BREAKER,
    CONTEXT_FALLBACKS,
    FALLBACKS,
    FILTER_FALLBACKS,
    HEDGE,
    HEDGE_AFTER,
    NO_FALLBACKS,
    RETRIES,
    RETRY_BUDGET,
    parse_breaker,
    parse_fallbacks,
    parse_hedge,
    parse_retries,
)
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
STRATEGY = Annotated[str | None, typer.Option("--strategy", help=f"one of {', '.join(STRATEGIES)}")]
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
    affinity: AFFINITY = None,
    fallback: FALLBACKS = None,
    context_fallback: CONTEXT_FALLBACKS = None,
    filter_fallback: FILTER_FALLBACKS = None,
    retries: RETRIES = None,
    retry_budget: RETRY_BUDGET = None,
    breaker: BREAKER = None,
    hedge: HEDGE = None,
    hedge_after: HEDGE_AFTER = None,
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
            affinity=affinity or "",
            fallbacks=fallback or [],
            context_fallbacks=context_fallback or [],
            filter_fallbacks=filter_fallback or [],
            retries=parse_retries(retries, retry_budget),
            breaker=parse_breaker(breaker),
            hedge=parse_hedge(hedge, hedge_after) or None,
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
    affinity: AFFINITY = None,
    fallback: FALLBACKS = None,
    context_fallback: CONTEXT_FALLBACKS = None,
    filter_fallback: FILTER_FALLBACKS = None,
    no_fallbacks: NO_FALLBACKS = False,
    retries: RETRIES = None,
    retry_budget: RETRY_BUDGET = None,
    breaker: BREAKER = None,
    hedge: HEDGE = None,
    hedge_after: HEDGE_AFTER = None,
    price: PRICE = None,
    etag: Etag = "",
    output: Output = None,
) -> None:
    """Changes what is given; lists are replaced as a whole.

    Of the two options on retries, and of the two on the hedge, the one that is not given becomes the default.
    """
    fields: dict[str, Any] = {
        "targets": [parse_target(text) for text in target] if target else None,
        "aliases": alias or None,
        "strategy": strategy or None,
        "affinity": affinity or None,
        "fallbacks": parse_fallbacks(fallback, no_fallbacks),
        "context_fallbacks": parse_fallbacks(context_fallback, no_fallbacks),
        "filter_fallbacks": parse_fallbacks(filter_fallback, no_fallbacks),
        "retries": parse_retries(retries, retry_budget),
        "breaker": parse_breaker(breaker),
        "hedge": parse_hedge(hedge, hedge_after),
        "price": parse_price(price),
    }
    if all(value is None for value in fields.values()):
        raise Usage("nothing to change: give --target, --alias, --strategy, --price or another option")
    with client() as tollway:
        show_one(tollway.models.update(model, etag=etag, **fields), chosen(output))


@app.command()
def archive(model: MODEL, yes: Force = False, etag: Etag = "", output: Output = None) -> None:
    """Archives a model: clients get model_not_found."""
    confirm(f"Archive the model {model}?", yes)
    with client() as tollway:
        show_one(tollway.models.archive(model, etag=etag), chosen(output))
