"""Prints the part of requirements.lock that the given extras need: `requirements.py dataplane telemetry`;
with `--build`, what the wheel is built with.

An image holds its service's own dependencies alone: the data plane's has no database driver. The lock says of each
entry whose need it is ("via"); what the project and its extras name directly is where the search begins.
"""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]


def canonical(requirement: str) -> str:
    """The normalised name of a requirement."""
    return re.sub(r"[-_.]+", "-", re.split(r"[^A-Za-z0-9._-]", requirement, maxsplit=1)[0]).lower()


def entries(lock: str) -> dict[str, tuple[str, set[str]]]:
    """Name -> (the entry's lines, the names of the packages that need it)."""
    found = {}
    for entry in re.split(r"^(?=[A-Za-z0-9])", lock, flags=re.M):
        if "==" in entry:
            via = re.findall(r"^ +# +(?:via )?([A-Za-z0-9._-]+)$", entry, re.M)
            pinned = "".join(line for line in entry.splitlines(keepends=True) if not line.lstrip().startswith("#"))
            found[canonical(entry)] = (pinned, {canonical(name) for name in via})
    return found


def direct(project: dict[str, Any], extras: list[str]) -> list[str]:
    """What the project with `extras` names; what it is built with for `--build`."""
    if extras == ["--build"]:
        return list(project["build-system"]["requires"])
    optional = project["project"]["optional-dependencies"]
    return [*project["project"]["dependencies"], *(need for extra in extras for need in optional[extra])]


def needed(lock: str, names: list[str]) -> str:
    """The lock's entries of `names` and of all that they need."""
    known = entries(lock)
    chosen = {canonical(name) for name in names}
    while more := {name for name, (_, via) in known.items() if via & chosen} - chosen:
        chosen |= more
    return "".join(known[name][0] for name in sorted(chosen))


if __name__ == "__main__":
    pyproject = tomllib.loads((ROOT / "pyproject.toml").read_text())
    sys.stdout.write(needed((ROOT / "requirements.lock").read_text(), direct(pyproject, sys.argv[1:])))
