"""The command `tollway-controlplane`: `serve`, `migrate`, `check`, `accept-audit` and `settings`."""

from __future__ import annotations

import argparse
import asyncio
import sys

import orjson
import psycopg

from tollway.controlplane import app
from tollway.controlplane.db.migrate import PHASES, MigrationError, migrate
from tollway.controlplane.settings import DatabaseSettings, Settings
from tollway.runtime import lifecycle, log
from tollway.runtime.lifecycle import StartError
from tollway.runtime.settings import SettingsError, load, redacted


def _migrate(phases: tuple[str, ...]) -> int:
    settings = load(DatabaseSettings)
    log.configure("controlplane", settings.log_level, settings.log_format)

    async def run(_stop: asyncio.Event) -> None:
        try:
            count = await migrate(settings.database_url, phases=phases)
        except MigrationError as error:
            raise StartError(str(error)) from error
        except psycopg.Error as error:
            raise app.database_problem(error) from error
        sys.stdout.write(f"{count} migrations applied\n" if count else "the schema is up to date\n")

    return lifecycle.run(run)


def _check() -> int:
    settings = load(Settings)
    log.configure("controlplane", settings.log_level, settings.log_format)

    async def run(_stop: asyncio.Event) -> None:
        sys.stdout.write(f"{await app.check(settings)}\n")

    return lifecycle.run(run)


def _accept_audit() -> int:
    settings = load(Settings)
    log.configure("controlplane", settings.log_level, settings.log_format)

    async def run(_stop: asyncio.Event) -> None:
        accepted = await app.accept_audit(settings)
        sys.stdout.write(f"entries up to {accepted} are accepted as unproven\n" if accepted else "nothing to accept\n")

    return lifecycle.run(run)


def _serve() -> int:
    settings = load(Settings)
    log.configure("controlplane", settings.log_level, settings.log_format)
    return lifecycle.run(lambda stop: app.serve(settings, stop))


def _settings() -> int:
    shown = redacted(load(Settings))
    sys.stdout.write(orjson.dumps(shown, option=orjson.OPT_INDENT_2).decode() + "\n")
    return 0


def main(arguments: list[str] | None = None) -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="tollway-controlplane", description="The Tollway control plane.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("serve", help="serve REST and gRPC until SIGTERM")
    migration = commands.add_parser("migrate", help="bring the database's schema to this version")
    migration.add_argument(
        "--phase",
        choices=(*PHASES, "all"),
        default="all",
        help="pre: before new processes start; post: when the release before is gone; default: all",
    )
    commands.add_parser("check", help="verify settings, database and schema, and change nothing")
    commands.add_parser(
        "accept-audit", help="vouch, once after an upgrade, for entries of the audit log that are older than its seals"
    )
    commands.add_parser("settings", help="print the effective settings, secrets redacted")
    given = parser.parse_args(arguments)
    try:
        match given.command:
            case "migrate":
                return _migrate(PHASES if given.phase == "all" else (given.phase,))
            case "check":
                return _check()
            case "accept-audit":
                return _accept_audit()
            case "settings":
                return _settings()
        return _serve()
    except SettingsError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main())
