"""What a call costs: one exact integer sum, one rounding.

Prices are nano-dollars per million tokens. A component without a rate of its own is charged at the rate of the kind it
is a part of (a cached token at the input rate, a reasoning token at the output rate).
"""

from __future__ import annotations

import msgspec

from tollway.core.money import divide_half_even
from tollway.core.usage import Usage

TOKENS_PER_PRICE_UNIT = 1_000_000


class Price(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Rates of one model in nano-dollars per million tokens. `version` is stored in every row that used it.

    None means "as the kind it is a part of". An explicit zero is free.
    """

    version: str
    input: int
    output: int
    cached_input: int | None = None
    cache_write_5m: int | None = None
    cache_write_1h: int | None = None
    audio_input: int | None = None
    audio_output: int | None = None


def cost(usage: Usage, price: Price) -> int:
    """Nano-dollars for `usage` at `price`, rounded half-even once, after the exact sum."""
    parts_in = (
        (usage.cached_input, price.cached_input),
        (usage.cache_write_5m, price.cache_write_5m),
        (usage.cache_write_1h, price.cache_write_1h),
        (usage.audio_input, price.audio_input),
    )
    total = usage.input * price.input + usage.output * price.output
    for tokens, rate in parts_in:
        if rate is not None:
            total += tokens * (rate - price.input)
    if price.audio_output is not None:
        total += usage.audio_output * (price.audio_output - price.output)
    return divide_half_even(total, TOKENS_PER_PRICE_UNIT)
