"""The command `tollway-simulator`: `serve` and `settings`."""

from __future__ import annotations

import argparse
import sys

import orjson

from tollway.runtime import lifecycle, log
from tollway.runtime.settings import SettingsError, load, redacted
from tollway.simulator.settings import Settings


def serve(settings: Settings) -> int:
    """Runs the simulator until SIGTERM; returns the exit code."""
    from tollway.simulator import app

    log.configure("simulator", settings.log_level, settings.log_format)
    return lifecycle.run(lambda stop: app.serve(settings, stop))


def main(arguments: list[str] | None = None) -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="tollway-simulator", description="Stands in for model providers.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("serve", help="serve until SIGTERM")
    commands.add_parser("settings", help="print the effective settings")
    command = parser.parse_args(arguments).command
    try:
        settings = load(Settings)
    except SettingsError as error:
        sys.stderr.write(f"error: {error}\n")
        return 1
    if command == "settings":
        sys.stdout.write(orjson.dumps(redacted(settings), option=orjson.OPT_INDENT_2).decode() + "\n")
        return 0
    return serve(settings)


if __name__ == "__main__":
    sys.exit(main())
