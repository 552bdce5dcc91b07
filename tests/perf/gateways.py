"""Tollway's entry for the gateway comparison (`make bench`): the data plane alone on the measured core, one process.

The harness runs this file with `add`, `UP`, `TMP`, `MODELS` and `atexit` in scope (BENCH_GATEWAYS). Authentication,
routing, prices and the ledger are on. Everything else of the stack runs on the load's core and is billed as helpers. It
is started once for a comparison and ends with it.
"""
# ruff: noqa: F821 - the names come from the harness
# mypy: ignore-errors

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

TOLLWAY = Path(os.environ.get("TOLLWAY_ROOT", "."))
TOLLWAY_PYTHON = str(TOLLWAY / ".venv" / "bin" / "python")
TOLLWAY_PORT = 29120
TOLLWAY_STACK = TMP / "tollway"
tollway_headers: dict[str, str] = {}
tollway_env = {"TOLLWAY_PROCESSES": "1", "TOLLWAY_PORT_PROXY": str(TOLLWAY_PORT), "TOLLWAY_PORT_ADMIN": "0"}


def tollway_up() -> None:
    """Starts the stack once, on the load's core, and takes the data plane's environment and a virtual key from it."""
    if tollway_headers:
        return
    command = ["taskset", "-c", "1", TOLLWAY_PYTHON, str(TOLLWAY / "tests" / "perf" / "stack.py"), str(TOLLWAY_STACK)]
    TMP.mkdir(parents=True, exist_ok=True)
    stack = subprocess.Popen(
        [*command, "--upstream", f"http://127.0.0.1:{UP}/v1", *MODELS],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=(TMP / "tollway-stack.log").open("w"),
        text=True,
        start_new_session=True,
    )

    def stop() -> None:
        stack.stdin.close()
        stack.wait(30)

    atexit.register(stop)
    if stack.stdout.readline().strip() != "ready":
        raise RuntimeError(f"the stack did not start: {(TMP / 'tollway-stack.log').read_text()[-2000:]}")
    made = json.loads((TOLLWAY_STACK / "env.json").read_text())
    tollway_env.update(made["env"])
    tollway_headers["Authorization"] = f"Bearer {made['key']}"


add(
    "tollway",
    [TOLLWAY_PYTHON, "-m", "tollway.dataplane.main", "serve"],
    TOLLWAY_PORT,
    headers=tollway_headers,
    env=tollway_env,
    groups=("run", "ladder", "quick"),
    prepare=(tollway_up,),
    helpers=tuple(str(TOLLWAY_STACK / f"{name}.pid") for name in ("postgres", "valkey", "control")),
)
