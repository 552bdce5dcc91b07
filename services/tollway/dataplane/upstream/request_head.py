"""Writes the head of a POST. The shape of the headers is checked and rendered once, the values at every request."""

from __future__ import annotations

import re
from functools import lru_cache

from tollway.dataplane.providers.port import Outgoing

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_OURS = frozenset(("host", "connection", "content-length", "transfer-encoding", "expect", "upgrade"))


@lru_cache(maxsize=1024)
def _template(prefix: str, names: tuple[str, ...]) -> tuple[str, int]:
    """The head with places for the values and the length, and the number of its lines. Raises ValueError."""
    for name in names:
        if _TOKEN.fullmatch(name) is None or name.lower() in _OURS:
            raise ValueError(f"the header {name!r} cannot be sent")
    shown = [name.replace("%", "%%") for name in names]
    lines = [prefix.replace("%", "%%"), *(f"{name}: %s\r\n" for name in shown), "Content-Length: %d\r\n\r\n"]
    text = "".join(lines)
    return text, text.count("\n")


def rendered(prefix: str, outgoing: Outgoing) -> bytes:
    """The head of a request. `prefix` is its request line with Host, each line with its end.

    Raises ValueError for a header that HTTP does not allow.
    """
    headers = outgoing.headers
    template, lines = _template(prefix, tuple(headers))
    text = template % (*headers.values(), len(outgoing.body))
    if text.count("\n") != lines or text.count("\r") != lines or "\0" in text:
        raise ValueError("the value of a header has a line end")
    return text.encode()
