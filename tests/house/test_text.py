"""What the repository says: nothing about the machine it was made on, and documents that agree with the code."""

from __future__ import annotations

import re
from pathlib import Path

from tollway.core.errors import Code

ARCHITECTURE_LINES = 250
PLACES = re.compile(r"`((?:libs|services|tests|proto|docs|deploy|helm|changes)/[\w./-]*)`")


def readable(path: Path) -> str:
    """The text of a file; nothing where it is not text."""
    try:
        return path.read_text()
    except UnicodeDecodeError:
        return ""


def test_no_file_names_a_place_of_this_machine(files: list[Path], root: Path) -> None:
    """Neither the folder of this checkout nor the home of whoever works in it."""
    places = [f"{place}/" for place in (root, Path.home()) if place != Path("/")]
    named = [f"{p.relative_to(root)}: {place}" for p in files for place in places if place in readable(p)]
    assert named == []


def test_lock_files_hold_no_addresses(files: list[Path], root: Path) -> None:
    """Names, versions and hashes alone: where packages come from is for the machine to say."""
    locks = [path for path in files if path.name in ("requirements.lock", "package-lock.json")]
    assert len(locks) >= 2
    assert [str(path.relative_to(root)) for path in locks if "://" in path.read_text()] == []


def test_links_between_documents_resolve(files: list[Path], root: Path) -> None:
    broken = [
        f"{path.relative_to(root)}: {target}"
        for path in files
        if path.suffix == ".md"
        for target in re.findall(r"\]\(([^)\s]+)\)", path.read_text())
        if not re.match(r"^(https?:|mailto:|#)", target) and not (path.parent / target.split("#")[0]).exists()
    ]
    assert broken == []


def test_documents_name_places_that_exist(root: Path) -> None:
    named = [
        f"{name}: {place}"
        for name in ("ARCHITECTURE.md", "docs/patterns.md", "README.md")
        for place in PLACES.findall((root / name).read_text())
        if not (root / place).exists()
    ]
    assert named == []


def test_documents_name_targets_that_exist(files: list[Path], root: Path) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (root / "Makefile").read_text(), re.M))
    wrong = [
        f"{path.relative_to(root)}: make {target}"
        for path in files
        if path.suffix == ".md"
        for target in re.findall(r"`make ([a-z-]+)", path.read_text())
        if target not in targets
    ]
    assert wrong == []


def test_the_architecture_fits_a_short_read(root: Path) -> None:
    assert (root / "ARCHITECTURE.md").read_text().count("\n") <= ARCHITECTURE_LINES


def test_every_error_code_is_documented(root: Path) -> None:
    rows = re.findall(r"^\| `([a-z_]+)` \|", (root / "docs/reference/errors.md").read_text(), re.M)
    assert sorted(rows) == sorted(code.value for code in Code)
