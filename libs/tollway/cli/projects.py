"""`tollway projects`."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any

import typer

from tollway.cli.exits import Usage
from tollway.cli.output import show_list, show_one
from tollway.cli.shared import Etag, Force, Limit, Output, chosen, client, confirm, duration
from tollway.core.requestlog import RETENTION_CLASSES

app = typer.Typer(no_args_is_help=True, help="Projects: create, list, show, update, archive.")
COLUMNS = ("name", "business_unit", "models", "description", "created_at", "id")
PROJECT = Annotated[str, typer.Argument(help="id or name", metavar="PROJECT")]
UNIT = Annotated[str | None, typer.Option("--unit", "--business-unit", help="business unit (id or name)")]
MODELS = Annotated[list[str] | None, typer.Option("--model", help="glob of allowed models; repeatable")]
POLICY = Annotated[
    str | None,
    typer.Option(
        "--dialect-policy", help="lenient or strict: leave out what a provider cannot be told, or refuse the request"
    ),
]
BODIES = Annotated[str | None, typer.Option("--log-bodies", help="full, masked or none: what the request log keeps")]
RETENTION = Annotated[
    str | None, typer.Option("--log-retention", help="how long the request log keeps it: 1d, 7d, 30d, 90d or 365d")
]
CACHE = Annotated[bool | None, typer.Option("--cache/--no-cache", help="whether answers are kept and given again")]
CACHE_TTL = Annotated[str | None, typer.Option("--cache-ttl", help="for how long, such as 1h; at most 30d")]
CACHE_SCOPE = Annotated[
    str | None, typer.Option("--cache-scope", help="project or organisation: its own answers, or those of all projects")
]
SIMILARITY = Annotated[
    str | None, typer.Option("--cache-similarity", help="how alike a request must be, 0.5 to 0.999; or off: the same")
]
PRIORITY = Annotated[
    str | None, typer.Option("--priority", help="interactive or batch, which waits when there is much")
]
LIFETIME = Annotated[
    str | None, typer.Option("--key-lifetime", help="keys must expire within this time, such as 90d; or off")
]
MAX_KEYS = Annotated[str | None, typer.Option("--max-keys", help="how many keys may be active; or off")]
MAX_KEYS_PER_USER = Annotated[
    str | None, typer.Option("--max-keys-per-user", help="how many keys of one person may be active; or off")
]
DESCRIPTION = Annotated[str | None, typer.Option("--description")]


def _days(retention: str | None) -> int | None:
    """Days of a retention class; None: not given."""
    if retention is None:
        return None
    back = duration(retention)
    if back is None or back not in [timedelta(days=days) for days in RETENTION_CLASSES]:
        raise Usage(f"--log-retention: must be one of {', '.join(f'{days}d' for days in RETENTION_CLASSES)}")
    return back.days


def _cache(
    enabled: bool | None, ttl: str | None, scope: str | None, similarity: str | None, priority: str | None
) -> dict[str, Any]:
    """The members of a project that the options set, without those that are not given."""
    seconds = duration(ttl) if ttl is not None else None
    if ttl is not None and (seconds is None or not timedelta(0) < seconds <= timedelta(days=30)):
        raise Usage("--cache-ttl: must be a duration such as 10m, 1h or 7d, at most 30d")
    alike: float | bool | None = None
    if similarity is not None:
        try:
            alike = False if similarity == "off" else float(similarity)
        except ValueError:
            raise Usage("--cache-similarity: must be a number from 0.5 to 0.999, or off") from None
    fields = {
        "cache_enabled": enabled,
        "cache_ttl_seconds": int(seconds.total_seconds()) if seconds is not None else None,
        "cache_scope": scope,
        "cache_similarity": alike,
        "priority": priority,
    }
    return {name: value for name, value in fields.items() if value is not None}


def _key_policy(lifetime: str | None, most: str | None, per_user: str | None) -> dict[str, Any]:
    """What the options ask of keys, without those that are not given; False: it is asked no more."""
    found: dict[str, Any] = {}
    if lifetime is not None:
        time = None if lifetime == "off" else duration(lifetime)
        if lifetime != "off" and (time is None or not 1 <= time.days <= 3650 or time % timedelta(days=1)):
            raise Usage("--key-lifetime: must be a number of days from 1d to 3650d, or off")
        found["key_lifetime_days"] = False if time is None else time.days
    for option, name, value in (("max-keys", "max_keys", most), ("max-keys-per-user", "max_keys_per_user", per_user)):
        if value is not None and value != "off" and not (value.isascii() and value.isdigit() and int(value) > 0):
            raise Usage(f"--{option}: must be a whole number above 0, or off")
        if value is not None:
            found[name] = False if value == "off" else int(value)
    return found


@app.command()
def create(
    name: str,
    unit: UNIT = None,
    model: MODELS = None,
    description: DESCRIPTION = None,
    dialect_policy: POLICY = None,
    log_bodies: BODIES = None,
    log_retention: RETENTION = None,
    cache: CACHE = None,
    cache_ttl: CACHE_TTL = None,
    cache_scope: CACHE_SCOPE = None,
    cache_similarity: SIMILARITY = None,
    priority: PRIORITY = None,
    key_lifetime: LIFETIME = None,
    max_keys: MAX_KEYS = None,
    max_keys_per_user: MAX_KEYS_PER_USER = None,
    output: Output = None,
) -> None:
    """Creates a project."""
    cached = _cache(cache, cache_ttl, cache_scope, None if cache_similarity == "off" else cache_similarity, priority)
    asked = _key_policy(key_lifetime, max_keys, max_keys_per_user)
    with client() as tollway:
        made = tollway.projects.create(
            name,
            description=description or "",
            business_unit=unit or "",
            models=model or [],
            dialect_policy=dialect_policy or "",
            log_bodies=log_bodies or "",
            log_retention_days=_days(log_retention) or 0,
            **cached,
            **{name: value for name, value in asked.items() if value is not False},
        )
    show_one(made, chosen(output))


@app.command("list")
def list_(unit: UNIT = None, limit: Limit = 1000, output: Output = None) -> None:
    """Lists projects."""
    with client() as tollway:
        show_list(tollway.projects.list(business_unit=unit or "", limit=limit), COLUMNS, chosen(output))


@app.command()
def show(project: PROJECT, output: Output = None) -> None:
    """Shows a project."""
    with client() as tollway:
        show_one(tollway.projects.get(project), chosen(output))


@app.command()
def update(
    project: PROJECT,
    unit: UNIT = None,
    model: MODELS = None,
    description: DESCRIPTION = None,
    dialect_policy: POLICY = None,
    log_bodies: BODIES = None,
    log_retention: RETENTION = None,
    cache: CACHE = None,
    cache_ttl: CACHE_TTL = None,
    cache_scope: CACHE_SCOPE = None,
    cache_similarity: SIMILARITY = None,
    priority: PRIORITY = None,
    key_lifetime: LIFETIME = None,
    max_keys: MAX_KEYS = None,
    max_keys_per_user: MAX_KEYS_PER_USER = None,
    etag: Etag = "",
    output: Output = None,
) -> None:
    """Changes what is given; the rest stays."""
    given = (unit, description, dialect_policy, log_bodies, log_retention)
    cached = _cache(cache, cache_ttl, cache_scope, cache_similarity, priority)
    cached |= _key_policy(key_lifetime, max_keys, max_keys_per_user)
    if not model and not cached and all(value is None for value in given):
        raise Usage(
            "nothing to change: give --unit, --model, --description, --dialect-policy, --log-bodies, --log-retention, "
            "--cache or another option"
        )
    with client() as tollway:
        changed = tollway.projects.update(
            project,
            description=description,
            business_unit=unit,
            models=model,
            dialect_policy=dialect_policy,
            log_bodies=log_bodies,
            log_retention_days=_days(log_retention),
            **cached,
            etag=etag,
        )
    show_one(changed, chosen(output))


@app.command()
def archive(project: PROJECT, yes: Force = False, etag: Etag = "", output: Output = None) -> None:
    """Archives a project: its keys are refused, its ledger history stays."""
    confirm(f"Archive the project {project}? Its keys stop working.", yes)
    with client() as tollway:
        show_one(tollway.projects.archive(project, etag=etag), chosen(output))
