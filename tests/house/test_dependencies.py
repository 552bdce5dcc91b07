"""The lock: in step with pyproject.toml, hashed, without addresses, with wheels for every platform; and licences."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PLATFORMS = ("x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu", "aarch64-apple-darwin")
PERMISSIVE = re.compile(
    r"\b(MIT|BSD|0BSD|Apache|ISC|PSF|Python Software Foundation|PostgreSQL|Zlib|Permission is hereby granted)\b"
)
# Weak copyleft, used unmodified as libraries, which leaves our own licence free.
WEAK_COPYLEFT = {
    "certifi": "MPL-2.0",
    "hypothesis": "MPL-2.0",
    "pathspec": "MPL-2.0",
    "psycopg": "LGPL-3.0",
    "psycopg-binary": "LGPL-3.0",
    "psycopg-pool": "LGPL-3.0",
}


def declared(root: Path) -> list[Requirement]:
    """Every requirement that pyproject.toml names."""
    project = tomllib.loads((root / "pyproject.toml").read_text())
    texts = [
        *project["project"]["dependencies"],
        *project["build-system"]["requires"],
        *project["dependency-groups"]["dev"],
    ]
    for extra in project["project"]["optional-dependencies"].values():
        texts += extra
    return [Requirement(text) for text in texts]


def locked(root: Path) -> dict[str, tuple[str, int]]:
    """Name -> (version, number of hashes) of the lock."""
    text = (root / "requirements.lock").read_text().replace("\\\n", " ")
    found: dict[str, tuple[str, int]] = {}
    for line in text.splitlines():
        if match := re.match(r"^([A-Za-z0-9._-]+)(?:\[[^]]*\])?==([^ ;]+)", line):
            found[canonicalize_name(match[1])] = (match[2], line.count("--hash=sha256:"))
    return found


def test_the_lock_is_in_step(root: Path) -> None:
    lock = locked(root)
    wrong = [
        str(need)
        for need in declared(root)
        if canonicalize_name(need.name) not in lock
        or not need.specifier.contains(lock[canonicalize_name(need.name)][0], prereleases=True)
    ]
    assert wrong == [], "run `make lock`"


def test_everything_is_hashed_and_nothing_has_an_address(root: Path) -> None:
    assert [name for name, (_, hashes) in locked(root).items() if not hashes] == []
    text = (root / "requirements.lock").read_text()
    assert "://" not in text
    assert not re.search(r"^-", text, re.M), "no index options in the lock"


@pytest.mark.parametrize("platform", PLATFORMS)
def test_the_lock_resolves_with_wheels(root: Path, tmp_path: Path, platform: str, not_run: Any) -> None:
    """Resolves and hash-checks the lock for a platform, from wheels alone, without installing anything."""
    uv = str(Path(sys.executable).parent / "uv")
    where = ["--target", str(tmp_path), "--python-platform", platform, "--python-version", "3.11"]
    what = ["--require-hashes", "--only-binary", ":all:", "-r", str(root / "requirements.lock")]
    command = [uv, "pip", "install", "--dry-run", "--quiet", *where, *what]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    if re.search(r"error sending request|Failed to fetch|Connect|dns error|offline", done.stderr):
        not_run(f"wheels for {platform}: the package index does not answer")
    assert done.returncode == 0, done.stderr


def licence(distribution: metadata.Distribution) -> str:
    """What a distribution says about its licence, best source first."""
    fields: Any = distribution.metadata
    classifiers = [c for c in fields.get_all("Classifier", []) if c.startswith("License ::")]
    return str(fields.get("License-Expression") or "; ".join(classifiers) or fields.get("License") or "")


def test_licences_are_permissive(root: Path) -> None:
    installed = {str(canonicalize_name(d.name)): d for d in metadata.distributions()}
    wrong = {
        name: licence(installed[name])[:80]
        for name in locked(root)
        if name in installed and name not in WEAK_COPYLEFT and not PERMISSIVE.search(licence(installed[name]))
    }
    assert wrong == {}
    strong = [
        name for name in locked(root) if name in installed and re.search(r"\b(A?GPL|SSPL)", licence(installed[name]))
    ]
    assert strong == []
