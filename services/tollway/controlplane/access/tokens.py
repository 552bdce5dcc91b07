"""Tokens of service accounts as text: `sa-tw-<public id, 8>-<secret, 43><checksum, 6>` in base62.

The public id may be logged, the checksum refuses typing errors without a look-up. Only a digest of the whole is
kept; it needs no pepper, because 256 random bits cannot be guessed.
"""

from __future__ import annotations

import hashlib
import os
import re

import msgspec

from tollway.core.ids import CHECKSUM_LENGTH, PUBLIC_ID_LENGTH, SECRET_LENGTH, base62, checksum

PREFIX = "sa-tw-"
_FORM = re.compile(rf"sa-tw-([0-9A-Za-z]{{{PUBLIC_ID_LENGTH}}})-[0-9A-Za-z]{{{SECRET_LENGTH}}}[0-9A-Za-z]{{6}}")


class Token(msgspec.Struct, frozen=True):
    """A well-formed token: the part that may be shown, and what is stored of the whole."""

    public_id: str
    digest: bytes


def make() -> tuple[str, Token]:
    """A new token's text, to be shown once, and what is kept of it."""
    public_id = base62(int.from_bytes(os.urandom(8), "big"), PUBLIC_ID_LENGTH)
    head = f"{PREFIX}{public_id}-{base62(int.from_bytes(os.urandom(32), 'big'), SECRET_LENGTH)}"
    text = head + checksum(head)
    return text, Token(public_id, _digest(text))


def parse(text: str) -> Token | None:
    """The parts of a presented token; None when it is not one."""
    match = _FORM.fullmatch(text)
    if match is None or checksum(text[:-CHECKSUM_LENGTH]) != text[-CHECKSUM_LENGTH:]:
        return None
    return Token(match[1], _digest(text))


def _digest(text: str) -> bytes:
    return hashlib.sha256(b"tollway service account token\0" + text.encode("ascii")).digest()
