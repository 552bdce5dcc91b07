"""Measures a large ledger on a Postgres of its own: `.venv/bin/python tests/perf/ledger_scale.py --rows 10000000`.

Prints one line for docs/reference/performance.md; tests/component/controlplane/test_ledger_size.py holds the limits.
"""

from __future__ import annotations

import argparse
import asyncio
import tempfile
from pathlib import Path

from tollway.testkit.ledger_rows import schema_database
from tollway.testkit.ledger_scale import measure
from tollway.testkit.servers import PostgresServer


def main() -> None:
    """Starts the server, measures, prints."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=500_000, help="requests, each with one attempt")
    rows = parser.parse_args().rows
    with tempfile.TemporaryDirectory() as folder:
        postgres = PostgresServer(Path(folder) / "postgres").start()
        try:
            print(asyncio.run(measure(schema_database(postgres), rows)).line())
        finally:
            postgres.stop()


if __name__ == "__main__":
    main()
