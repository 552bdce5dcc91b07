"""Unpacks the body of an answer step by step: gzip and deflate, as much at a time as a step may make.

Requests ask for no encoding; a provider that packs all the same is understood, and a small answer that unpacks to a
huge one costs no more memory than a step. Pure.
Source: RFC 9110, section 8.4.1; deflate without its zlib header is taken as well, as every client does.
"""

from __future__ import annotations

import zlib

STEP_BYTES = 1 << 18
MAX_MEMBERS = 1024
_GZIP, _ZLIB, _RAW = 31, 15, -15
_DEFLATE_METHOD = 8
NAMES = frozenset((b"gzip", b"x-gzip", b"deflate"))


class BadEncodingError(Exception):
    """The body is not what its content-encoding says."""


class Decoder:
    """The unpacking of one body. `pending`: packed bytes are left, so that another step makes more."""

    __slots__ = ("_deflate", "_full", "_left", "_members", "_unpack")

    def __init__(self, name: bytes) -> None:
        self._deflate = name == b"deflate"
        self._unpack: zlib._Decompress | None = None
        self._left = b""
        self._full = False
        self._members = 0

    @property
    def pending(self) -> bool:
        """Whether another step makes more without more packed bytes."""
        return self._full or bool(self._left)

    def step(self, data: bytes) -> bytes:
        """Takes packed bytes and gives at most `STEP_BYTES` unpacked ones. Raises BadEncodingError."""
        data = self._left + data if self._left else data
        unpack = self._unpack
        if data and (unpack is None or unpack.eof):
            unpack = self._unpack = self._member(data[0])
        if unpack is None:
            return b""
        try:
            made = unpack.decompress(data, STEP_BYTES)
        except zlib.error as error:
            raise BadEncodingError(str(error)) from error
        self._left = unpack.unused_data if unpack.eof else unpack.unconsumed_tail
        self._full = len(made) == STEP_BYTES
        return made

    def _member(self, first: int) -> zlib._Decompress:
        """Begins to unpack; several packed bodies may follow each other (RFC 1952, section 2.2)."""
        self._members += 1
        if self._members > (1 if self._deflate else MAX_MEMBERS):
            raise BadEncodingError("bytes after the packed body")
        if self._deflate:
            return zlib.decompressobj(_ZLIB if first & 0xF == _DEFLATE_METHOD else _RAW)
        return zlib.decompressobj(_GZIP)

    def finish(self) -> None:
        """No more packed bytes will come. Raises BadEncodingError when the body is not whole."""
        if self._unpack is not None and not self._unpack.eof:
            raise BadEncodingError("the packed body is cut")
