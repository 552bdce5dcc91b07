"""What providers said of the keys of a configuration, as lines for people. It has the answers alone, never a key."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tollway.cli.output import printable

if TYPE_CHECKING:
    from tollway.sdk.routing import CredentialCheck

_UNKNOWN = ("unreachable", "unchecked")


def line(check: CredentialCheck) -> str:
    """One check in one line."""
    return printable(f"provider key {check.credential}: {check.outcome}: {check.detail}")


def warnings(checks: list[CredentialCheck]) -> list[str]:
    """Lines about the keys that will not work, with the remedy, and about those of which nobody knows."""
    lines = []
    for check in checks:
        if check.outcome == "refused":
            lines.append(f"warning: {line(check)}; put one that works into the configuration, and apply it again")
        elif check.outcome == "blocked":
            lines.append(f"warning: {line(check)}")
        elif check.outcome in _UNKNOWN:
            lines.append(line(check))
    return lines
