"""Options of `tollway models` and `tollway providers` about routing, and what they become."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Literal

import typer

from tollway.cli.document.routing import Percent
from tollway.cli.exits import Usage
from tollway.cli.shared import duration

if TYPE_CHECKING:
    from tollway.sdk.routing import Breaker, Hedge, Quota, Retries

AFFINITY = Annotated[
    str | None, typer.Option("--affinity", help="session or prefix: what the strategy affinity keeps together")
]
FALLBACKS = Annotated[
    list[str] | None,
    typer.Option("--fallback", help="model to ask when every target failed; repeatable"),
]
CONTEXT_FALLBACKS = Annotated[
    list[str] | None, typer.Option("--context-fallback", help="model to ask when the prompt is too long; repeatable")
]
FILTER_FALLBACKS = Annotated[
    list[str] | None, typer.Option("--filter-fallback", help="model to ask when the content filter refuses; repeatable")
]
NO_FALLBACKS = Annotated[bool, typer.Option("--no-fallbacks", help="takes away all fallbacks that are not given")]
RETRIES = Annotated[int | None, typer.Option("--retries", min=0, max=10, help="tries after the first; 0: none")]
RETRY_BUDGET = Annotated[
    str | None, typer.Option("--retry-budget", help="the most that they may be of all requests, such as 10%")
]
BREAKER = Annotated[
    bool | None, typer.Option("--breaker/--no-breaker", help="whether a target that keeps failing is left alone")
]
HEDGE = Annotated[
    str | None, typer.Option("--hedge", help="second call when slower than this share of calls, such as 0.95; or off")
]
HEDGE_AFTER = Annotated[float | None, typer.Option("--hedge-after", help="but not before so many seconds")]
PROBE = Annotated[
    str | None, typer.Option("--probe", help="how often to ask a failing target, such as 10s (1s to 1h); or off")
]
REQUESTS = Annotated[int | None, typer.Option("--requests-per-minute", min=1, help="what the provider allows this key")]
TOKENS = Annotated[int | None, typer.Option("--tokens-per-minute", min=1, help="what the provider allows this key")]
CONCURRENT = Annotated[int | None, typer.Option("--concurrent", min=1, help="what the provider allows this key")]


def parse_retries(attempts: int | None, budget: str | None) -> Retries | None:
    """Retries of the two options; None when neither is given."""
    from tollway.sdk.routing import Retries

    if attempts is None and budget is None:
        return None
    return Retries(attempts=attempts, budget=None if budget is None else _share(budget))


def _share(text: str) -> float:
    problems: list[str] = []
    share = Percent().read(text, "--retry-budget", problems)
    if problems:
        raise Usage(problems[0])
    return float(share)


def parse_breaker(enabled: bool | None) -> Breaker | None:
    """The breaker; None when the option is not given."""
    from tollway.sdk.routing import Breaker

    return None if enabled is None else Breaker(enabled=enabled)


def parse_hedge(percentile: str | None, after: float | None) -> Hedge | Literal[False] | None:
    """The hedge of the two options; False for `off`, None when neither is given."""
    from tollway.sdk.routing import Hedge

    if percentile == "off":
        if after is not None:
            raise Usage("--hedge-after: there is none with --hedge off")
        return False
    if percentile is None and after is None:
        return None
    try:
        return Hedge(percentile=None if percentile is None else float(percentile), least_seconds=after)
    except ValueError:
        raise Usage("--hedge: must be a number such as 0.95, or off") from None


def parse_probe(text: str | None) -> float | None:
    """Seconds of --probe; 0 for `off`, None when it is not given."""
    if text is None:
        return None
    if text == "off":
        return 0.0
    length = duration(text)
    if length is None:
        raise Usage("--probe: must be a duration such as 10s or 1m, or off")
    return length.total_seconds()


def parse_quota(requests: int | None, tokens: int | None, concurrent: int | None) -> Quota | None:
    """The quota of the three options; None when none is given."""
    from tollway.sdk.routing import Quota

    if requests is None and tokens is None and concurrent is None:
        return None
    return Quota(requests_per_minute=requests, tokens_per_minute=tokens, concurrent=concurrent)


def parse_fallbacks(given: list[str] | None, none: bool) -> list[str] | None:
    """One list of fallbacks of an update: as given, empty with `none`, else None for as it is."""
    return given or ([] if none else None)
