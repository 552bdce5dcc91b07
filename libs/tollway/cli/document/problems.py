"""What is wrong with a configuration file: each problem with its path, all of them at once."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class DocumentError(Exception):
    """The file cannot be used. `problems` are single lines such as `projects[0].name: must be a text`."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


def suggestion(name: str, known: Iterable[str]) -> str:
    """`; did you mean "x"?`, or nothing when nothing known is close."""
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f'; did you mean "{close[0]}"?' if close else ""


def child(path: str, name: str) -> str:
    """The path of a member."""
    return f"{path}.{name}" if path else name
