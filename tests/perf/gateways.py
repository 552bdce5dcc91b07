"""Tollway's entries for the gateway comparison (`make bench`): the data plane alone on the measured core, one process.

The harness runs this file with `add`, `UP`, `TMP`, `MODELS` and `atexit` in scope (BENCH_GATEWAYS). Authentication,
routing, prices and the ledger are on. Everything else of the stack runs on the load's core and is billed as helpers. It
is started once for a comparison and ends with it. `tollway` passes through without rules and bodies, `tollway-full` has
hard budgets of organisation, project and key, limits of requests, tokens and concurrency, and logs whole bodies;
`tollway-translated` is `tollway` that asks the same mock in Anthropic's dialect.
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


def tollway_entry(name: str, port: int, kind: str, *options: str) -> None:
    """An entry with a stack of its own, whose one provider is the harness's mock in the dialect of `kind`."""
    folder = TMP / name
    headers: dict[str, str] = {}
    environment = {"TOLLWAY_PROCESSES": "1", "TOLLWAY_PORT_PROXY": str(port), "TOLLWAY_PORT_ADMIN": "0"}

    def up() -> None:
        """Starts the stack once, on the load's core; the data plane's environment and a virtual key come from it."""
        if headers:
            return
        command = ["taskset", "-c", "1", TOLLWAY_PYTHON, str(TOLLWAY / "tests" / "perf" / "stack.py"), str(folder)]
        TMP.mkdir(parents=True, exist_ok=True)
        log = TMP / f"{name}-stack.log"
        stack = subprocess.Popen(
            [*command, *options, "--kind", kind, "--upstream", f"http://127.0.0.1:{UP}/v1", *MODELS],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=log.open("w"),
            text=True,
            start_new_session=True,
        )

        def stop() -> None:
            stack.stdin.close()
            stack.wait(30)

        atexit.register(stop)
        if stack.stdout.readline().strip() != "ready":
            raise RuntimeError(f"the stack did not start: {log.read_text()[-2000:]}")
        made = json.loads((folder / "env.json").read_text())
        environment.update(made["env"])
        headers["Authorization"] = f"Bearer {made['key']}"

    add(
        name,
        [TOLLWAY_PYTHON, "-m", "tollway.dataplane.main", "serve"],
        port,
        headers=headers,
        env=environment,
        groups=("run", "ladder", "quick"),
        prepare=(up,),
        helpers=tuple(str(folder / f"{server}.pid") for server in ("postgres", "valkey", "control")),
    )


tollway_entry("tollway", 29120, "openai_compatible")
tollway_entry("tollway-translated", 29121, "anthropic")
tollway_entry("tollway-full", 29122, "openai_compatible", "--full")
