"""The most that one request can cost: an upper bound of its usage, and what that comes to at a price.

Owns the arithmetic of hard budgets. For every usage within a bound, `cost` is at most `most`; `affordable_output` is
its inverse. How a bound is found in a request is told in `tollway.core.bounding`. All sums are exact integers.

Parts of the input overlap in one way only: how a token was cached (read, written for 5 minutes or 1 hour) and what it
is of (text, audio, image) are independent of each other, but each has one answer. In the output the same holds for
what a token is (reasoning, audio, image) and for whether a prediction had it.
"""

from __future__ import annotations

import msgspec

from tollway.core.money import divide_half_even
from tollway.core.pricing import DENOMINATOR, PER_ONE, Price
from tollway.core.usage import Usage

UNLIMITED = 2**53 - 1
"""Tokens that an amount pays for where output is free."""

_INPUT_GROUPS = (("cached_input", "cache_write_5m", "cache_write_1h"), ("audio_input", "image_input"))
_OUTPUT_GROUPS = (("reasoning", "audio_output", "image_output"), ("prediction_accepted", "prediction_rejected"))
_GROUPS = (*_INPUT_GROUPS, *_OUTPUT_GROUPS)
_GROUP_OF = {name: index for index, group in enumerate(_GROUPS) for name in group}
_UNITS = ("images", "audio_ms", "characters", "searches")


class Bound(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The most that one upstream call can use.

    `input` counts tokens of any kind. `output` is tokens for each choice, reasoning included; None: the request does
    not limit it, and the caller must choose a limit that is written into the upstream request (`Asked.output_cap`).
    `choices` is how many answers are written (and billed). `ceiling` is the most tokens that a limit which is chosen
    for a choice should ask for: what the model can write and its context has room for; None: not known. `least` is the
    smallest limit that the provider takes for this request: a cap below it must not be sent. `absent` names parts of
    the usage that cannot occur (names of `Usage`), so that their dearer rates are not reserved. `images`, `audio_ms`,
    `characters` and `searches` are as in `Usage`.
    """

    input: int
    output: int | None = 0
    choices: int = 1
    ceiling: int | None = None
    least: int = 1
    images: int = 0
    audio_ms: int = 0
    characters: int = 0
    searches: int = 0
    absent: frozenset[str] = frozenset()

    @property
    def total_output(self) -> int | None:
        """Tokens of output over all choices; None: not limited by the request."""
        return None if self.output is None else self.output * self.choices

    def admits(self, usage: Usage, output_tokens: int | None = None) -> bool:
        """Whether a usage is within the bound; `output_tokens` as for `most`."""
        limit = self.total_output if output_tokens is None else output_tokens
        if limit is None or usage.input > self.input or usage.output > limit:
            return False
        wholes = (usage.input, usage.input, usage.output, usage.output)
        fits = all(
            sum(getattr(usage, name) for name in group) <= whole for group, whole in zip(_GROUPS, wholes, strict=True)
        )
        units = all(getattr(usage, name) <= getattr(self, name) for name in _UNITS)
        return fits and units and not any(getattr(usage, name) for name in self.absent)


def most(bound: Bound, price: Price, output_tokens: int | None = None) -> int:
    """The most nano-dollars that any usage within `bound` can cost at `price`.

    `output_tokens` is the limit over all choices that is written into the upstream request; None: the bound's own,
    which must be known then. Raises ValueError when neither is there.
    """
    output = bound.total_output if output_tokens is None else output_tokens
    if output is None:
        raise ValueError("the bound has no limit of output")
    return divide_half_even(max(rest + output * rate for rest, rate in _lines(bound, price)), DENOMINATOR)


def affordable_output(bound: Bound, price: Price, nano: int) -> int:
    """The most tokens of output, over all choices, that `nano` nano-dollars pay for beside everything else.

    It is at most the bound's own limit, where it has one, and `UNLIMITED` where output is free. Zero also when
    `nano` does not pay for the input: compare with `most(bound, price, 0)`.
    """
    limit = UNLIMITED if bound.output is None else bound.output * bound.choices
    # The greatest sum that is rounded to `nano`: half of a nano-dollar goes to the even neighbour.
    room = nano * DENOMINATOR + DENOMINATOR // 2 - (nano & 1)
    for rest, rate in _lines(bound, price):
        if rest > room:
            return 0
        if rate:
            limit = min(limit, (room - rest) // rate)
    return limit


def _lines(bound: Bound, price: Price) -> list[tuple[int, int]]:
    """For each tier that can be reached: the sum of all but output, and the dearest rate of output.

    Both in nano-dollars / DENOMINATOR. A tier counts for inputs above its threshold, up to the next tier's.
    """
    lines = []
    fee = (price.request or 0) * PER_ONE
    size = bound.input
    absent = bound.absent
    for above, rate_in, rate_out, parts in price.steps:
        if size <= above:
            continue
        dearer = [0, 0, 0, 0]
        units = 0
        for name, rate in parts:
            group = _GROUP_OF.get(name)
            if group is None:
                units += getattr(bound, name) * rate
            elif rate > dearer[group] and name not in absent:
                dearer[group] = rate
        rest = size * (rate_in + dearer[0] + dearer[1]) + units + fee
        lines.append((rest, rate_out + dearer[2] + dearer[3]))
        size = min(size, above)
    return lines
