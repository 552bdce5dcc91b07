"""The wheel holds the product alone: no tests, no test kit, no path files, and the data files that it needs."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest


@pytest.fixture(scope="module")
def names(root: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """What is in the built wheel."""
    out = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(out)]
    subprocess.run(command, cwd=root, check=True, capture_output=True, timeout=100)
    with zipfile.ZipFile(next(out.glob("*.whl"))) as wheel:
        return wheel.namelist()


def test_the_wheel_has_no_path_files_tests_or_test_kit(names: list[str]) -> None:
    assert [name for name in names if name.endswith(".pth")] == []
    assert [name for name in names if not name.startswith(("tollway/", "tollway-"))] == []
    assert [name for name in names if "testkit" in name or "/test_" in name] == []


def test_the_wheel_has_every_module_and_data_file(names: list[str], root: Path) -> None:
    wanted = set()
    for base in (root / "libs", root / "services"):
        for path in base.rglob("*"):
            inside = path.relative_to(base)
            if (
                path.is_file()
                and "testkit" not in inside.parts
                and path.suffix in (".py", ".sql", ".lua", ".html", ".json")
            ):
                wanted.add(inside.as_posix())
    assert wanted - set(names) == set()
    assert any(name.endswith(".sql") for name in names)
