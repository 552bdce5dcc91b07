"""The command `tollway-controlplane`: `serve`, `migrate`, `check`, `settings`."""

from __future__ import annotations

import argparse
import asyncio
import sys

import orjson
import psycopg

from tollway.controlplane import app
from tollway.controlplane.credentials.vault import Vault
from tollway.controlplane.db.installation import ensure_installation
from tollway.controlplane.db.migrate import MigrationError, migrate
from tollway.controlplane.ledger.partitions import ensure_partitions
from tollway.controlplane.settings import Settings
from tollway.runtime import lifecycle, log
from tollway.runtime.clock import SystemClock
from tollway.runtime.lifecycle import StartError
from tollway.runtime.settings import SettingsError, load, redacted


async def run_migrations(settings: Settings, _stop: asyncio.Event) -> None:
    """Brings the schema up to this version and makes the ledger's partitions. Raises StartError."""
    try:
        names = await migrate(settings.database_url)
        async with await psycopg.AsyncConnection.connect(settings.database_url, autocommit=True) as db:
            await ensure_installation(db)
            await ensure_partitions(db, app.today(SystemClock()))
    except MigrationError as error:
        raise StartError(str(error)) from error
    except psycopg.Error as error:
        raise StartError(f"TOLLWAY_DATABASE_URL: {str(error).strip().splitlines()[0]}") from error
    sys.stdout.write(f"migrated: {', '.join(names)}\n" if names else "nothing to migrate\n")


async def check(settings: Settings, _stop: asyncio.Event) -> None:
    """Says whether this process could serve. Raises StartError."""
    schema = await app.prepare(settings, Vault(settings.keks))
    sys.stdout.write(f"ok: database reachable, schema {schema}, secrets can be opened\n")


COMMANDS = {"serve": app.serve, "migrate": run_migrations, "check": check}


def main(arguments: list[str] | None = None) -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="tollway-controlplane", description="The Tollway control plane.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("serve", help="serve REST, gRPC and the data planes until SIGTERM")
    commands.add_parser("migrate", help="bring the database schema up to this version")
    commands.add_parser("check", help="check settings, database, schema and keys")
    commands.add_parser("settings", help="print the effective settings, secrets redacted")
    command = parser.parse_args(arguments).command
    try:
        settings = load(Settings)
    except SettingsError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    if command == "settings":
        sys.stdout.write(orjson.dumps(redacted(settings), option=orjson.OPT_INDENT_2).decode() + "\n")
        return 0
    log.configure("controlplane", settings.log_level, settings.log_format)
    return lifecycle.run(lambda stop: COMMANDS[command](settings, stop))


if __name__ == "__main__":
    sys.exit(main())
