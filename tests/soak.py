"""`make soak`: every long run, one after the other, and a table of what became of them; `make soak RUN=memory` one.

Each run is a test of the suite with more of something, or the fuzzing of all targets. Owns the list alone: what must
hold is said by the tests. Further arguments are handed to pytest.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[1]
OTHERS = "others"
NO_TESTS_COLLECTED = 5


class Run(NamedTuple):
    """One long run: what pytest is given (or, without any of it, fuzzing), with these settings."""

    name: str
    about: str
    pytest: tuple[str, ...] = ()
    settings: tuple[tuple[str, str], ...] = ()
    fuzz_seconds: int = 0


RUNS = (
    Run(
        "limits",
        "limits over three data planes, 5 minutes",
        ("-m", "chaos", "tests/e2e/test_limits_over_replicas.py"),
        (("TOLLWAY_LIMITS_SECONDS", "300"),),
    ),
    Run("ledger", "10,000,000 ledger rows", ("-m", "soak", "tests/component/controlplane/test_ledger_size.py")),
    Run(
        "chaos",
        "everything killed at random, 10 minutes",
        ("-m", "chaos", "tests/e2e/test_chaos.py"),
        (("TOLLWAY_CHAOS_SECONDS", "600"),),
    ),
    Run(
        "races",
        "a hard budget of one dollar, 50 times with each kind of trouble",
        ("-m", "chaos", "tests/e2e/test_budget_races.py"),
        (("TOLLWAY_RACES", "50"),),
    ),
    Run("fuzz", "every parser, 30 minutes in all", fuzz_seconds=1800),
    Run(
        "chaos-hour",
        "everything killed at random, 1 hour",
        ("-m", "chaos", "tests/e2e/test_chaos.py"),
        (("TOLLWAY_CHAOS_SECONDS", "3600"),),
    ),
    Run(
        "memory",
        "memory of a data plane, 1 hour, 10,000 keys",
        ("-m", "chaos", "tests/e2e/test_memory.py"),
        (("TOLLWAY_MEMORY_SECONDS", "3600"),),
    ),
    Run(
        "scale",
        "1,000,000 keys in the directory, 200 subscribers of one control plane",
        ("tests/e2e/test_directory_scale.py",),
        (("TOLLWAY_SCALE_KEYS", "1000000"), ("TOLLWAY_SCALE_SUBSCRIBERS", "200")),
    ),
    Run(
        "hostile",
        "providers that do harm, half of the data planes killed, 10 minutes",
        ("-m", "chaos", "tests/e2e/test_hostile_providers.py"),
        (("TOLLWAY_HOSTILE_SECONDS", "600"),),
    ),
    Run(
        "openapi",
        "generated calls of the management API, 10 minutes",
        ("tests/component/controlplane/test_openapi.py",),
        (("TOLLWAY_OPENAPI_SECONDS", "600"),),
    ),
    Run(
        "portal",
        "every page of the portal, cold and warm, with 1,000 projects and 10,000,000 ledger rows",
        ("-m", "soak", "tests/component/controlplane/test_portal_scale.py"),
    ),
    Run(OTHERS, "whatever else is marked as a long run", ("-m", "soak", "tests")),
)


def command_of(run: Run, more: list[str]) -> list[str]:
    """The command line. What a run prints of its figures is for docs/reference/soak.md."""
    if run.fuzz_seconds:
        targets = len(list((ROOT / "tests" / "fuzz" / "targets").glob("*.py")))
        return [sys.executable, "tests/fuzz/run.py", "--seconds", str(run.fuzz_seconds // targets)]
    deselected = [f"--ignore={path}" for path in _named()] if run.name == OTHERS else []
    return [sys.executable, "-m", "pytest", "-q", "-p", "no:randomly", *run.pytest, *deselected, *more]


def _named() -> set[str]:
    """The files that have a run of their own."""
    return {argument for run in RUNS for argument in run.pytest if argument.endswith(".py")}


def main() -> int:
    """Runs what was named, all by default, and prints the table; 0 when nothing failed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--run", default="", help="names of runs, separated by commas; default: all")
    parser.add_argument("--list", action="store_true", help="says which there are")
    arguments, more = parser.parse_known_args()
    if arguments.list:
        print("\n".join(f"{run.name:12} {run.about}" for run in RUNS))
        return 0
    wanted = arguments.run.split(",") if arguments.run else [run.name for run in RUNS]
    unknown = set(wanted) - {run.name for run in RUNS}
    if unknown:
        parser.error(f"no such run: {', '.join(sorted(unknown))}; there are {', '.join(run.name for run in RUNS)}")
    table, failed = [], 0
    for run in (run for run in RUNS if run.name in wanted):
        print(f"\n=== {run.name}: {run.about}", flush=True)
        began = time.monotonic()
        environment = {**dict(run.settings), **os.environ}  # who sets one of them has it so
        code = subprocess.run(command_of(run, more), cwd=ROOT, env=environment, check=False).returncode
        nothing = code == NO_TESTS_COLLECTED and run.name == OTHERS
        failed += code != 0 and not nothing
        result = "nothing to run" if nothing else "FAILED" if code else "ok"
        table.append(f"{run.name:12} {time.monotonic() - began:7.0f} s  {result:14}  {run.about}")
    print("\n" + "\n".join(table))
    print(f"{len(table) - failed} passed, {failed} failed", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
