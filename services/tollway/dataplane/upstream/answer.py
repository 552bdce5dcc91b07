"""An answer of the native client, as the pipeline reads it.

Its connection fills `parts` and tells when the answer is whole or broken; from then on the answer stands alone, and the
connection may already serve another request.
"""

from __future__ import annotations

import asyncio
from typing import Protocol

from tollway.core.errors import Code, TollwayError
from tollway.dataplane.providers.port import ProviderFault
from tollway.dataplane.upstream.decoding import NAMES, BadEncodingError, Decoder
from tollway.dataplane.upstream.headers import Headers
from tollway.dataplane.upstream.port import cut


class Source(Protocol):
    """The connection that an answer comes from."""

    async def more(self) -> None:
        """Waits until something has come, or the answer is whole or broken."""

    def taken(self) -> None:
        """What had come is read: the provider may send more."""

    def abort(self) -> None:
        """Closes the connection at once."""


class NativeResponse:
    """A `Response`; see the port. `source` is None once the answer is whole or broken, `error` says how it broke."""

    __slots__ = ("_decoder", "_parts", "error", "headers", "source", "status")

    def __init__(self, source: Source, status: int, found: dict[bytes, bytes], parts: list[bytes]) -> None:
        self.source: Source | None = source
        self.status = status
        self.headers = Headers(found)
        self.error: TollwayError | None = None
        self._parts = parts
        encoding = found.get(b"content-encoding")
        self._decoder = None if encoding is None else _decoder(encoding)

    @property
    def ended(self) -> bool:
        """Whether all of the body has come and been read."""
        return self.source is None and not self._parts and self.error is None and self._decoder is None

    async def read_some(self) -> bytes:
        """What has come since the last read; b"" at the end. Raises ProviderFault when the answer broke."""
        if self._decoder is not None:
            return await self._unpacked(self._decoder)
        while not self._parts:
            source = self.source
            if source is None:
                if self.error is not None:
                    raise self.error
                return b""
            await source.more()
        return self._take()

    def close(self) -> None:
        """Gives the answer up: what has come of it is dropped, and its connection closed unless it is whole."""
        source, self.source = self.source, None
        if source is not None:
            self.error = cut()
            source.abort()
        self._parts.clear()

    def _take(self) -> bytes:
        parts = self._parts
        data = parts[0] if len(parts) == 1 else b"".join(parts)
        parts.clear()
        if self.source is not None:
            self.source.taken()
        return data

    async def _unpacked(self, decoder: Decoder) -> bytes:
        """The next step of a packed body."""
        while True:
            if decoder.pending:
                await asyncio.sleep(0)  # a small answer may unpack to a huge one: others have their turn in between
                packed = b""
            elif self._parts:
                packed = self._take()
            elif self.source is not None:
                await self.source.more()
                continue
            else:
                return self._unpacked_end(decoder)
            try:
                made = decoder.step(packed)
            except BadEncodingError as error:
                self.close()
                self.error = cut(error)
                raise self.error from error
            if made:
                return made

    def _unpacked_end(self, decoder: Decoder) -> bytes:
        """All packed bytes are read: the body is whole, or it is cut."""
        if self.error is not None:
            raise self.error
        try:
            decoder.finish()
        except BadEncodingError as error:
            self.error = cut(error)
            raise self.error from error
        self._decoder = None
        return b""


def _decoder(encoding: bytes) -> Decoder | None:
    """The decoder for a content-encoding. Raises ProviderFault for one that was not asked for and is not known."""
    name = encoding.strip().lower()
    if name in NAMES:
        return Decoder(name)
    if name in (b"identity", b""):
        return None
    raise ProviderFault(
        Code.PROVIDER_ERROR,
        "The provider's answer is packed in a way that was not asked for.",
        retryable=True,
        operator_note=f"content-encoding: {name[:50]!r}",
    )
