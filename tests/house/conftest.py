"""What the house tests look at: the files of the repository, parsed once."""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Source:
    """One Python file; `name` is its path from the repository's root."""

    path: Path
    name: str

    @cached_property
    def text(self) -> str:
        """The file's text."""
        return self.path.read_text()

    @cached_property
    def tree(self) -> ast.Module:
        """The parsed file."""
        return ast.parse(self.text, self.name)

    @property
    def shipped(self) -> bool:
        """Whether the file is part of the product."""
        return self.name.startswith(("libs/", "services/")) and "/testkit/" not in self.name


def repository_files() -> Iterator[Path]:
    """Every file that is tracked or would be, by git's own rules."""
    listing = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard", "-z"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    ).stdout
    for name in sorted(filter(None, listing.split("\0"))):
        if (ROOT / name).is_file():
            yield ROOT / name


@pytest.fixture(scope="session")
def root() -> Path:
    """The repository's root."""
    return ROOT


@pytest.fixture(scope="session")
def files() -> list[Path]:
    """Every file of the repository."""
    return list(repository_files())


@pytest.fixture(scope="session")
def sources(files: list[Path]) -> list[Source]:
    """Every hand-written Python file."""
    python = (path for path in files if path.suffix == ".py" and "/wire/gen/" not in path.as_posix())
    return [Source(path, path.relative_to(ROOT).as_posix()) for path in python]
