"""docs/REQUIREMENTS.md has a row for each requirement, and each row names a test that exists or says "not yet"."""

from __future__ import annotations

import re
from pathlib import Path

COUNTS = {"DP": 20, "KEY": 11, "MON": 8, "OBS": 5, "LOC": 5, "PLT": 8}
REQUIRED = {f"{group}-{number}" for group, count in COUNTS.items() for number in range(1, count + 1)}
ROW = re.compile(r"^\| ((?:DP|KEY|MON|OBS|LOC|PLT)-\d+) \| (.+?) \| (.+?) \|$", re.M)
PROOF = re.compile(r"`((?:tests|docs)/[\w./-]+)`")


def rows(root: Path) -> list[tuple[str, str, str]]:
    """Id, text and proof of each row."""
    return ROW.findall((root / "docs/REQUIREMENTS.md").read_text())


def test_every_requirement_has_one_row(root: Path) -> None:
    ids = [row[0] for row in rows(root)]
    assert sorted(ids) == sorted(REQUIRED)


def test_every_row_names_a_proof_that_exists_or_says_not_yet(root: Path) -> None:
    wrong = []
    for name, _, proof in rows(root):
        places = PROOF.findall(proof)
        if not places and "not yet" not in proof:
            wrong.append(f"{name}: names no test and does not say `not yet`")
        wrong += [f"{name}: {place} does not exist" for place in places if not (root / place).exists()]
    assert wrong == []
