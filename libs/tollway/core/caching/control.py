"""`x-tollway-cache`: what a client wants of the cache for one request.

Owns the header's grammar. Whether there is a cache at all is the project's choice, never the client's.
"""

from __future__ import annotations

from typing import NamedTuple

from tollway.core.errors import Code, TollwayError

HEADER = "x-tollway-cache"
MAX_SECONDS = 31_536_000
"""A year: no answer is worth keeping for longer."""
_TTL = "ttl="


class Control(NamedTuple):
    """`read`: a kept answer will do. `write`: the answer may be kept. `seconds`: how old, at most.

    None: as old as the project says.
    """

    read: bool = True
    write: bool = True
    seconds: int | None = None


USUAL = Control()
OFF = Control(read=False, write=False)
REFRESH = Control(read=False)


def read_control(text: str) -> Control:
    """What the header's value asks for: `off`, `refresh` or `ttl=SECONDS`. Raises TollwayError(invalid_request)."""
    value = text.strip().lower()
    if value == "off":
        return OFF
    if value == "refresh":
        return REFRESH
    digits = value.removeprefix(_TTL)
    if digits != value and digits.isascii() and digits.isdecimal() and len(digits) <= len(str(MAX_SECONDS)):
        seconds = int(digits)
        if 1 <= seconds <= MAX_SECONDS:
            return Control(seconds=seconds)
    raise TollwayError(
        Code.INVALID_REQUEST,
        f"{HEADER} must be 'off', 'refresh' or 'ttl=SECONDS' (1 to {MAX_SECONDS}). Leave it out for the usual.",
        param=HEADER,
    )
