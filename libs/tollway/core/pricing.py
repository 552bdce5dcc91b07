"""What a call costs: one exact integer sum over every kind of usage, one rounding.

Owns the units in which rates are kept and the rules of parts and tiers. A component without a rate of its own is
charged at the rate of the kind it is a part of (a cached token at the input rate, a reasoning token at the output
rate); what is not sold by the token costs nothing without a rate. No float ever takes part.
"""

from __future__ import annotations

from functools import cached_property
from typing import NamedTuple

import msgspec

from tollway.core.money import divide_half_even
from tollway.core.usage import ZERO, Usage

INPUT_PARTS = ("cached_input", "cache_write_5m", "cache_write_1h", "audio_input", "image_input")
OUTPUT_PARTS = ("reasoning", "audio_output", "image_output", "prediction_accepted", "prediction_rejected")
TOKEN_RATES = ("input", "output", *INPUT_PARTS, *OUTPUT_PARTS)
"""Names of the rates per million tokens, which are also the names of the counts in `Usage`."""

DENOMINATOR = 18_000_000
"""Of all rates: the least common multiple of a million (tokens, characters), 3,600,000 (milliseconds) and 1,000."""
PER_TOKEN = DENOMINATOR // 1_000_000
PER_ONE = DENOMINATOR
UNIT_RATES = {
    "image": ("images", DENOMINATOR),
    "audio_hour": ("audio_ms", DENOMINATOR // 3_600_000),
    "characters": ("characters", DENOMINATOR // 1_000_000),
    "search": ("searches", DENOMINATOR // 1_000),
}
"""Rate -> the count in `Usage` that it is for, and what makes its product a number of nano-dollars / DENOMINATOR."""


class TokenRates(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Rates of parts of the input and of the output, in nano-dollars per million tokens. An explicit zero is free.

    None means "as the kind it is a part of".
    """

    cached_input: int | None = None
    cache_write_5m: int | None = None
    cache_write_1h: int | None = None
    audio_input: int | None = None
    image_input: int | None = None
    reasoning: int | None = None
    audio_output: int | None = None
    image_output: int | None = None
    prediction_accepted: int | None = None
    prediction_rejected: int | None = None


class Tier(TokenRates, frozen=True, kw_only=True, omit_defaults=True):
    """Rates for the whole of a request that has more than `above` input tokens; None: the rate below any tier."""

    above: int
    input: int | None = None
    output: int | None = None


class Rates(TokenRates, frozen=True, kw_only=True, omit_defaults=True):
    """All rates of one model. `input` and `output` are those of tokens without a rate of their own.

    `image` is nano-dollars per image made, `audio_hour` per hour of sound heard, `characters` per million characters
    spoken, `search` per thousand searches, `request` per call that used anything. None is nothing. Of `tiers` the one
    with the highest `above` that the input exceeds counts.
    """

    input: int
    output: int
    image: int | None = None
    audio_hour: int | None = None
    characters: int | None = None
    search: int | None = None
    request: int | None = None
    tiers: tuple[Tier, ...] = ()


class _Step(NamedTuple):
    """A tier made ready: rates times PER_TOKEN, and what each part adds to its kind, where that is not nothing."""

    above: int
    input: int
    output: int
    parts: tuple[tuple[str, int], ...]


class Price(Rates, frozen=True, kw_only=True, omit_defaults=True, dict=True):
    """The rates that are in force, under the name that every row stores that used them."""

    version: str

    @cached_property
    def steps(self) -> tuple[_Step, ...]:
        """The rates as `cost` needs them, the highest tier first; the last one takes every request."""
        base = Tier(above=-1, **{name: getattr(self, name) for name in TOKEN_RATES})
        tiers = sorted(self.tiers, key=lambda tier: tier.above, reverse=True)
        return tuple(self._step(tier, base) for tier in (*tiers, base))

    def _step(self, tier: Tier, base: Tier) -> _Step:
        rates: dict[str, int | None] = {}
        for name in TOKEN_RATES:
            own: int | None = getattr(tier, name)
            rates[name] = getattr(base, name) if own is None else own
        rate_in, rate_out = rates["input"] or 0, rates["output"] or 0
        parts = []
        for whole, names in ((rate_in, INPUT_PARTS), (rate_out, OUTPUT_PARTS)):
            parts += [(name, (rate - whole) * PER_TOKEN) for name in names if (rate := rates[name]) is not None]
        for name, (count, factor) in UNIT_RATES.items():
            parts.append((count, (getattr(self, name) or 0) * factor))
        return _Step(tier.above, rate_in * PER_TOKEN, rate_out * PER_TOKEN, tuple(part for part in parts if part[1]))


FREE = Price(version="free", input=0, output=0)
"""An explicit zero."""


def cost(usage: Usage, price: Price) -> int:
    """Nano-dollars for `usage` at `price`, rounded half-even once, after the exact sum.

    Never negative, also where a provider's counts contradict each other (parts that are more than their whole).
    """
    size = usage.input
    for step in price.steps:
        if size > step.above:
            break
    _, rate_in, rate_out, parts = step
    total = size * rate_in + usage.output * rate_out
    for name, rate in parts:
        total += getattr(usage, name) * rate
    if price.request and usage != ZERO:
        total += price.request * PER_ONE
    return divide_half_even(total, DENOMINATOR) if total > 0 else 0
