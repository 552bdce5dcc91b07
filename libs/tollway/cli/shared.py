"""Options that many commands have, and the step from a command to the SDK."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from tollway.cli.connection import Flags, open_client
from tollway.cli.exits import Failure, Usage, reporting
from tollway.cli.settings import environment

if TYPE_CHECKING:
    from tollway.sdk.client import Client


def _format(value: str | None) -> str | None:
    if value is not None and value not in ("table", "json", "yaml", "csv"):
        raise typer.BadParameter("must be table, json, yaml or csv")
    return value


_FLAGS: ContextVar[Flags] = ContextVar("flags", default=Flags())  # noqa: B039 - frozen
Output = Annotated[
    str | None, typer.Option("-o", "--output", help="table, json, yaml or csv", callback=_format, metavar="FORMAT")
]
Limit = Annotated[int, typer.Option("--limit", min=1, help="at most this many")]
Etag = Annotated[str, typer.Option("--etag", help="change it only if it is still as it was read")]
Force = Annotated[bool, typer.Option("--yes", "-y", help="do not ask")]


@contextmanager
def client() -> Iterator[Client]:
    """The SDK's client for the flags of this call; failures become exit codes."""
    with reporting(), open_client(flags(), environment()) as opened:
        yield opened


def flags() -> Flags:
    """The global options of this call."""
    return _FLAGS.get()


def use(given: Flags) -> None:
    """Sets the global options for the command that follows."""
    _FLAGS.set(given)


def chosen(output: str | None) -> str:
    """The output format: of the command, else the global one."""
    return output or flags().output


def confirm(question: str, yes: bool) -> None:
    """Asks on a terminal; elsewhere `--yes` is needed."""
    if yes:
        return
    if not sys.stdin.isatty():
        raise Usage(f"{question} Say so with --yes")
    if not typer.confirm(question, err=True):
        raise Failure("nothing was changed")


def read_secret(what: str, env_name: str) -> str:
    """A secret from the variable `env_name`, else from standard input or a prompt: never from an argument."""
    if env_name:
        value = environment().get(env_name, "")
        if not value:
            raise Usage(f"the environment variable {env_name} is not set")
        return value
    if sys.stdin.isatty():
        value = str(typer.prompt(what, hide_input=True, err=True))
    else:
        value = sys.stdin.readline().strip()
    if not value:
        raise Usage(f"no {what} was given on standard input; use --api-key-env NAME or pipe it in")
    return value


def when(text: str, option: str) -> datetime | None:
    """A time: RFC 3339, a date (midnight UTC), or a length of time back from now such as 7d. Empty: None."""
    return _moment(text, option, -1) if text else None


def ahead(text: str, option: str) -> datetime | None:
    """As `when`, but a length of time is one from now on."""
    return _moment(text, option, 1) if text else None


def _moment(text: str, option: str, direction: int) -> datetime:
    length = duration(text)
    try:
        if length is not None:
            return datetime.now(UTC) + direction * length
        parsed = datetime.fromisoformat(text)
        return parsed.astimezone(UTC) if parsed.tzinfo else parsed.replace(tzinfo=UTC)
    except OverflowError:
        raise Usage(f"{option}: {text} lies beyond the calendar") from None
    except ValueError as error:
        raise Usage(
            f"{option}: must be a date, a time such as 2026-01-31T12:00:00Z, or a duration such as 7d"
        ) from error


def duration(text: str) -> timedelta | None:
    """A length of time such as 90d, 12h, 10m or 5s; None when it is something else."""
    units = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}
    number, unit = text[:-1], text[-1:]
    if unit not in units or not number.isascii() or not number.isdigit() or len(number) > 6:
        return None
    return timedelta(seconds=int(number) * units[unit])


def pairs(items: Sequence[str], option: str) -> dict[str, str]:
    """`k=v` texts as a mapping."""
    made = {}
    for item in items:
        name, equals, value = item.partition("=")
        if not equals or not name:
            raise Usage(f"{option}: must look like name=value")
        made[name] = value
    return made


def write_secrets(path: Path, secrets: dict[str, str]) -> None:
    """Adds generated secrets to a JSON file with mode 0600."""
    import json

    from tollway.cli.envfile import write_private

    try:
        have = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        write_private(path, json.dumps({**have, **secrets}, indent=2) + "\n")
    except (OSError, ValueError, TypeError) as error:
        raise Failure(f"{path}: cannot be written: {error}") from error
