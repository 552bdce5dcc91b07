"""How much of what one upstream call used: the neutral form of every provider's usage object."""

from __future__ import annotations

import msgspec


class Usage(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Counts of one upstream call.

    `input` counts all input tokens; `cached_input`, `cache_write_5m`, `cache_write_1h`, `audio_input` and `image_input`
    are parts of it. `output` counts all output tokens; `reasoning`, `audio_output`, `image_output`,
    `prediction_accepted` and `prediction_rejected` (tokens of the client's predicted output) are parts of it. What is
    not sold by the token: `images` generated, `audio_ms` of sound heard, `characters` spoken, `searches` made.
    """

    input: int = 0
    cached_input: int = 0
    cache_write_5m: int = 0
    cache_write_1h: int = 0
    audio_input: int = 0
    image_input: int = 0
    output: int = 0
    reasoning: int = 0
    audio_output: int = 0
    image_output: int = 0
    prediction_accepted: int = 0
    prediction_rejected: int = 0
    images: int = 0
    audio_ms: int = 0
    characters: int = 0
    searches: int = 0


ZERO = Usage()
