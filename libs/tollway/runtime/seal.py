"""Sealing: authenticated encryption of what travels between the planes and rests in Redis or on disk.

AES-256-GCM with a random 96-bit nonce in front. The associated data binds a sealed value to its place and version, so
that an old or foreign value cannot be put in another's place. The fleet key seals the catalog and the directory.
"""

from __future__ import annotations

import base64
import os
from collections.abc import Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

NONCE_BYTES = 12
KEY_BYTES = 32


class SealError(Exception):
    """The value was not sealed with any of the known keys for this place and version, or it was changed."""


def parse_key(text: str, name: str) -> bytes:
    """A 32-byte key from base64 or hexadecimal text. Raises ValueError that names the setting, never the value."""
    text = text.strip()
    for decode in (bytes.fromhex, lambda t: base64.b64decode(t, validate=True), base64.urlsafe_b64decode):
        try:
            key = decode(text)
        except ValueError:
            continue
        if len(key) == KEY_BYTES:
            return key
    raise ValueError(f"{name} must be 32 bytes in base64 or hexadecimal")


class Sealer:
    """Seals with the first of its keys and opens with any of them (current and next while a key rotates)."""

    def __init__(self, keys: Sequence[bytes]) -> None:
        if not keys:
            raise ValueError("a sealer needs at least one key")
        self._ciphers = [AESGCM(key) for key in keys]

    def seal(self, plain: bytes, place: bytes) -> bytes:
        """Nonce and ciphertext of `plain`, bound to `place`."""
        nonce = os.urandom(NONCE_BYTES)
        return nonce + self._ciphers[0].encrypt(nonce, plain, place)

    def open(self, sealed: bytes, place: bytes) -> bytes:
        """The plain value. Raises SealError when it is not authentic for `place`."""
        nonce, body = sealed[:NONCE_BYTES], sealed[NONCE_BYTES:]
        for cipher in self._ciphers:
            try:
                return cipher.decrypt(nonce, body, place)
            except (InvalidTag, ValueError):
                continue
        raise SealError("the sealed value is not authentic for this place and version")


def catalog_place(epoch: str, version: int) -> bytes:
    """Associated data of a catalog snapshot."""
    return f"catalog|{epoch}|{version}".encode()


def entry_place(epoch: str, lookup: str, version: int) -> bytes:
    """Associated data of a directory entry."""
    return f"entry|{epoch}|{lookup}|{version}".encode()
