"""What Claude models of which version take: the habits of Anthropic's API that change with the model.

Owns reading a version from a model's name. An unknown name counts as the newest, because names of the future are
the ones that are missing here.
"""

from __future__ import annotations

import re

import msgspec

_NEWEST = (99, 0)
_NUMBERS = re.compile(r"(?<![\d.])(\d{1,2})(?:[-.](\d{1,2}))?(?!\d)")


class Habits(msgspec.Struct, frozen=True, kw_only=True):
    """`thinking` is `none`, `budget` (a token budget) or `adaptive` (an effort); `budgets`: a budget is taken too."""

    thinking: str
    budgets: bool
    sampling: bool
    both_sampling: bool
    structured_outputs: bool
    efforts: tuple[str, ...] = ()


def version_of(model: str) -> tuple[int, int]:
    """(major, minor) of a name such as `claude-3-7-sonnet-20250219` or `anthropic.claude-sonnet-4-5-20250929-v1:0`."""
    if "claude" not in model:
        return _NEWEST
    found = _NUMBERS.search(model.split("claude", 1)[1])
    return (int(found[1]), int(found[2] or 0)) if found else _NEWEST


def habits_of(model: str) -> Habits:
    """The habits of a model, by version.

    Extended thinking began with 3.7; from 4.6 on it is adaptive with an effort, and from 4.7 on a token budget and the
    sampling parameters are refused; from 4.1 on `temperature` and `top_p` exclude each other, and structured outputs
    exist (Anthropic's migration and structured-output guides).
    """
    version = version_of(model)
    thinking = "adaptive" if version >= (4, 6) else "budget" if version >= (3, 7) else "none"
    efforts: tuple[str, ...] = ()
    if thinking == "adaptive":
        efforts = ("low", "medium", "high", "xhigh", "max") if version >= (4, 7) else ("low", "medium", "high", "max")
    return Habits(
        thinking=thinking,
        budgets=(3, 7) <= version < (4, 7),
        sampling=version < (4, 7),
        both_sampling=version < (4, 1),
        structured_outputs=version >= (4, 1),
        efforts=efforts,
    )
