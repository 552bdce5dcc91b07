"""How many tokens of which kind one upstream call used: the neutral form of every provider's usage object."""

from __future__ import annotations

import msgspec


class Usage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Token counts of one upstream call.

    `input` counts all input tokens; `cached_input`, `cache_write_5m`, `cache_write_1h` and `audio_input` are parts of
    it. `output` counts all output tokens; `reasoning` and `audio_output` are parts of it.
    """

    input: int = 0
    cached_input: int = 0
    cache_write_5m: int = 0
    cache_write_1h: int = 0
    audio_input: int = 0
    output: int = 0
    reasoning: int = 0
    audio_output: int = 0


ZERO = Usage()
