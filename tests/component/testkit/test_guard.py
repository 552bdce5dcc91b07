"""The guard that every asynchronous test runs under finds what is left behind."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
HEAD = "import asyncio, aiohttp\nleft = []\n"


def run(folder: Path, body: str) -> str:
    """Runs one test under the suite's own conftest.py; what pytest says."""
    (folder / "conftest.py").write_text((ROOT / "tests" / "conftest.py").read_text())
    (folder / "test_it.py").write_text(f"{HEAD}async def test_it():\n    {body}\n")
    command = [sys.executable, "-m", "pytest", "-q", "-c", str(ROOT / "pyproject.toml"), "--rootdir", str(folder)]
    environment = {**os.environ, "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [*command, "-p", "no:cacheprovider", str(folder)],
        capture_output=True, text=True, timeout=60, check=False, env=environment, cwd=folder,
    )  # fmt: skip
    return done.stdout


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ("left.append(asyncio.create_task(asyncio.sleep(9), name='lost'))", "left tasks running: ['lost']"),
        ("left.append(aiohttp.ClientSession())", "left client sessions open"),
    ],
)
def test_what_is_left_behind_is_found(tmp_path: Path, body: str, says: str) -> None:
    assert says in run(tmp_path, body)


def test_a_clean_test_passes(tmp_path: Path) -> None:
    assert "1 passed" in run(tmp_path, "await asyncio.create_task(asyncio.sleep(0))")
