"""The command `tollway-dataplane`: `serve` and `settings`."""

from __future__ import annotations

import argparse
import sys

import orjson

from tollway.dataplane.settings import Settings
from tollway.runtime import lifecycle, log
from tollway.runtime.settings import SettingsError, load, redacted


def serve(settings: Settings) -> int:
    """Runs the data plane until SIGTERM; returns the exit code."""
    from tollway.dataplane import serving, supervisor

    log.configure("dataplane", settings.log_level, settings.log_format)
    if settings.child:
        return lifecycle.run(lambda stop: serving.serve_child(settings, stop))
    if settings.processes == 1:
        return lifecycle.run(lambda stop: serving.serve_alone(settings, stop))
    return lifecycle.run(lambda stop: supervisor.serve_many(settings, stop))


def main(arguments: list[str] | None = None) -> int:
    """Entry point."""
    parser = argparse.ArgumentParser(prog="tollway-dataplane", description="The Tollway data plane.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("serve", help="serve clients until SIGTERM")
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
    return serve(settings)


if __name__ == "__main__":
    sys.exit(main())
