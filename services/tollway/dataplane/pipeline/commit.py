"""The commit point of a stream: status and headers are withheld until its first content-bearing event.

Until then a provider that fails right after its 200 has failed as any other, and the client sees nothing of it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from tollway.dataplane.endpoints.port import StreamRelay
from tollway.dataplane.upstream.port import Response
from tollway.dataplane.upstream.watchdog import Watchdog

COMMIT_AFTER_SECONDS = 10.0
"""A stream that is silent for so long is begun all the same, so that nobody on the way takes it for dead."""
MOST_HELD_BYTES = 1 << 16
"""A stream that has sent so much without any content is begun as well."""


async def read_until_content(
    upstream: Response, stream: StreamRelay, watchdog: Watchdog, seen: Callable[[bytes], None] | None = None
) -> bytes:
    """Reads until the first content, the end, or the time limit; returns what is to be written first.

    `seen` is shown the first bytes. Raises ProviderFault for an error event, garbage, or an end that is none.
    """
    loop = asyncio.get_running_loop()
    commit_at = loop.time() + COMMIT_AFTER_SECONDS
    held = b""
    while not (stream.started or upstream.ended or len(held) >= MOST_HELD_BYTES or loop.time() >= commit_at):
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(commit_at):
                data = await upstream.read_some()
                if seen is not None and data:
                    seen(data)
                    seen = None
                held += stream.feed(data) if data else b""
                watchdog.beat()
    if upstream.ended and not stream.started:
        held += stream.end()  # before the headers: an end that is none is still an ordinary error
    return held
