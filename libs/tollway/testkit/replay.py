"""Recorded exchanges with providers, played back byte for byte by the scripted upstream, in any pieces a test wants."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tollway.testkit.upstream import Received, Script

_FRAMING = frozenset(("content-length", "transfer-encoding", "content-encoding", "connection", "date"))
_STALL_SECONDS = 60.0


@dataclass(frozen=True)
class Exchange:
    """One recorded request and its answer. `request` is None where only the answer is known."""

    name: str
    provider: str
    stream: bool
    status: int
    headers: dict[str, str]
    body: bytes
    request: Any
    origin: str

    @classmethod
    def load(cls, path: Path) -> Exchange:
        """Reads a fixture file."""
        found = json.loads(path.read_text())
        return cls(
            name=path.stem,
            provider=found["provider"],
            stream=found["stream"],
            status=found["status"],
            headers=found["headers"],
            body=found["body"].encode(),
            request=found["request"],
            origin=found["origin"],
        )


def recorded(folder: Path, provider: str = "") -> list[Exchange]:
    """The exchanges of a folder, of one provider where given, in the order of their names."""
    found = [Exchange.load(path) for path in sorted(folder.glob("*.json"))]
    assert found, f"there are no recordings in {folder}"
    return [exchange for exchange in found if provider in ("", exchange.provider)]


def replay(
    exchange: Exchange,
    *,
    size: int | None = None,
    at: Iterable[int] = (),
    pause: float = 0.0,
    cut_at: int | None = None,
    stall_at: int | None = None,
) -> Script:
    """Answers with the exchange's status, headers and body.

    The body is written in pieces of `size` bytes, or split at the offsets `at`, each flushed on its own, with `pause`
    seconds between. After `cut_at` bytes the connection is closed, after `stall_at` bytes it falls silent.
    """
    end = min(len(exchange.body), *(n for n in (cut_at, stall_at) if n is not None), len(exchange.body))
    pieces = list(_pieces(exchange.body[:end], size, at))

    async def script(_request: Received, writer: asyncio.StreamWriter) -> None:
        lines = [f"HTTP/1.1 {exchange.status} Recorded"]
        lines += [f"{name}: {value}" for name, value in exchange.headers.items() if name.lower() not in _FRAMING]
        lines.append("transfer-encoding: chunked" if exchange.stream else f"content-length: {len(exchange.body)}")
        writer.write("\r\n".join([*lines, "", ""]).encode("latin-1"))
        for piece in pieces:
            writer.write(b"%x\r\n%b\r\n" % (len(piece), piece) if exchange.stream else piece)
            await writer.drain()
            # Without a turn of the loop the pieces would leave in one segment.
            await asyncio.sleep(pause)
        if stall_at is not None:
            await asyncio.sleep(_STALL_SECONDS)
        if cut_at is not None or stall_at is not None:
            writer.close()
        elif exchange.stream:
            writer.write(b"0\r\n\r\n")
        await writer.drain()

    return script


def _pieces(body: bytes, size: int | None, at: Iterable[int]) -> Iterator[bytes]:
    offsets = range(size, len(body), size) if size else sorted(n for n in set(at) if 0 < n < len(body))
    start = 0
    for offset in offsets:
        yield body[start:offset]
        start = offset
    if start < len(body):
        yield body[start:]


def in_turn(*scripts: Script) -> Script:
    """Each request gets the next script. One request too many is an error of the test, answered by closing."""
    waiting = iter(scripts)

    async def script(request: Received, writer: asyncio.StreamWriter) -> None:
        following = next(waiting, None)
        if following is None:
            writer.close()
            return
        await following(request, writer)

    return script
