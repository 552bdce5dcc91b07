"""Virtual keys as text, and identifiers.

A native key reads `sk-tw-<public id, 8>-<secret, 43><checksum, 6>` in base62: the public id may be logged, the checksum
refuses typing errors without a look-up and lets secret scanners match. Randomness comes from the caller.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import zlib

import msgspec

KEY_PREFIX = "sk-tw-"
PUBLIC_ID_LENGTH = 8
SECRET_LENGTH = 43  # 256 bits in base62
CHECKSUM_LENGTH = 6
MAX_PRESENTED_LENGTH = 512
_BASE62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_NATIVE = re.compile(
    rf"sk-tw-([0-9A-Za-z]{{{PUBLIC_ID_LENGTH}}})-([0-9A-Za-z]{{{SECRET_LENGTH}}})([0-9A-Za-z]{{{CHECKSUM_LENGTH}}})"
)


class NativeKey(msgspec.Struct, frozen=True):
    """A well-formed native key: the part that may be shown, and the whole text that may not."""

    public_id: str
    text: str


def base62(number: int, width: int) -> str:
    """`number` in base62, left-padded with zeros to `width`; higher digits are cut off."""
    digits = []
    for _ in range(width):
        number, digit = divmod(number, 62)
        digits.append(_BASE62[digit])
    return "".join(reversed(digits))


def checksum(text: str) -> str:
    """The 6 base62 characters that close a native key: CRC-32 of everything before them."""
    return base62(zlib.crc32(text.encode("ascii")), CHECKSUM_LENGTH)


def native_key(public_entropy: bytes, secret_entropy: bytes) -> NativeKey:
    """A native key from 8 bytes for the public id and 32 bytes for the secret, both from a secure source."""
    public_id = base62(int.from_bytes(public_entropy, "big"), PUBLIC_ID_LENGTH)
    return with_secret(public_id, secret_entropy)


def with_secret(public_id: str, secret_entropy: bytes) -> NativeKey:
    """A further secret for an existing public id (rotation)."""
    head = f"{KEY_PREFIX}{public_id}-{base62(int.from_bytes(secret_entropy, 'big'), SECRET_LENGTH)}"
    return NativeKey(public_id=public_id, text=head + checksum(head))


def parse_native(text: str) -> NativeKey | None:
    """The parts of a native key, or None when `text` is not one (an imported value, or a typing error)."""
    match = _NATIVE.fullmatch(text)
    if match is None or checksum(text[:-CHECKSUM_LENGTH]) != match[3]:
        return None
    return NativeKey(public_id=match[1], text=text)


def secret_digest(pepper: bytes, text: str) -> bytes:
    """What is stored of a key: HMAC-SHA-256 of its whole text under a pepper (32 bytes)."""
    return hmac.digest(pepper, text.encode("utf-8", "surrogatepass"), hashlib.sha256)


def imported_lookup(index_pepper: bytes, text: str) -> str:
    """The directory name of an imported key: it has no public id, so a keyed digest of its value stands in."""
    mac = hmac.digest(index_pepper, b"lookup\0" + text.encode("utf-8", "surrogatepass"), hashlib.sha256)
    return "i" + mac[:20].hex()


def identity_lookup(index_pepper: bytes, issuer: str, subject: str) -> str:
    """The directory name of an identity: a keyed digest, so that the directory's store tells nobody who calls."""
    told = b"identity\0%d\0%s%s" % (len(issuer.encode()), issuer.encode(), subject.encode("utf-8", "surrogatepass"))
    return "u" + hmac.digest(index_pepper, told, hashlib.sha256)[:20].hex()
