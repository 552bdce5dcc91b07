"""The examples of docs/guide/clients.md run as they stand, against a gateway as `tollway up` starts it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

GUIDE = Path(__file__).resolve().parents[2] / "docs" / "guide" / "clients.md"
EXAMPLES: dict[str, list[str]] = {
    language: re.findall(rf"^```{language}\n(.*?)^```", GUIDE.read_text(), re.M | re.S) for language in ("python", "js")
}


@pytest.fixture(scope="module")
def environment(one_machine: Callable[..., Any]) -> dict[str, str]:
    """What `.tollway/env` says, and a model of the simulator."""
    gateway = one_machine()
    told = {
        "TOLLWAY_BASE_URL": gateway.base_url,
        "TOLLWAY_ANTHROPIC_URL": gateway.anthropic_url,
        "TOLLWAY_KEY": gateway.key,
        "MODEL": "sim/small",
    }
    return {**os.environ, **told}


def run(command: list[str], environment: dict[str, str], folder: Path | None = None) -> str:
    """What the example printed."""
    done = subprocess.run(command, env=environment, cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("number", range(len(EXAMPLES["python"])))
def test_python_examples(environment: dict[str, str], number: int) -> None:
    assert "Simulated answer" in run([sys.executable, "-W", "error", "-c", EXAMPLES["python"][number]], environment)


def test_node_examples(environment: dict[str, str], npm_openai: Path, tmp_path: Path) -> None:
    (example,) = EXAMPLES["js"]
    script = npm_openai / f"guide-{os.getpid()}.mjs"
    script.write_text(example)
    try:
        node = str(Path(sys.executable).parent / "node")
        assert "Simulated answer" in run([node, str(script)], environment, tmp_path)
    finally:
        script.unlink()
