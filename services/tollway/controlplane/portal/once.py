"""A form that is sent twice, by a double click or a second try of the browser, is done once and answered twice.

Its number becomes the idempotency key of its calls, so that this holds over all control planes; nothing is kept here.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any


def digest_of(session_id: Any, path: str, form: Mapping[str, str]) -> bytes:
    """What a numbered form is known by: its session, its address and all that it holds; empty without a number.

    Who goes back and types something else means something else. The calls themselves may differ from one time to the
    next, as "in 30 days" becomes another moment.
    """
    if not form.get("once"):
        return b""
    return hashlib.sha256(repr((str(session_id), path, sorted(form.items()))).encode()).digest()


def key_of(digest: bytes, call: int) -> str:
    """The idempotency key of call number `call` of the form."""
    return f"portal-{digest.hex()}-{call}"
