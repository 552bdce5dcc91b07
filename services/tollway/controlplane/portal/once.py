"""A form that is sent twice, by a double click or a second try of the browser, is done once and answered twice.

It looks after what reaches this process; what must hold over all of them is the API's to hold.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from aiohttp import web

from tollway.runtime.clock import Clock

KEPT_SECONDS = 30.0
MAX_KEPT = 500
MAX_BODY_BYTES = 256 << 10


@dataclass(frozen=True)
class _Answer:
    status: int
    body: bytes
    headers: dict[str, str]

    def response(self) -> web.Response:
        return web.Response(status=self.status, body=self.body, headers=self.headers)


class Once:
    """The forms of the last seconds, by session, number of the form, and what was typed into it."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._known: OrderedDict[str, tuple[float, asyncio.Future[_Answer | None]]] = OrderedDict()

    async def run(self, key: str, work: Callable[[], Awaitable[web.Response]]) -> web.Response:
        """The answer of `work`, or of the same form's work that runs or has succeeded a moment ago."""
        now = self._clock.monotonic()
        while self._known and (
            len(self._known) >= MAX_KEPT or now - next(iter(self._known.values()))[0] > KEPT_SECONDS
        ):
            self._known.popitem(last=False)
        while key in self._known:
            answer = await asyncio.shield(self._known[key][1])
            if answer is not None:
                return answer.response()
        coming: asyncio.Future[_Answer | None] = asyncio.get_running_loop().create_future()
        self._known[key] = (now, coming)
        kept: _Answer | None = None
        try:
            response = await work()
            body = response.body
            if response.status < 400 and (body is None or (isinstance(body, bytes) and len(body) <= MAX_BODY_BYTES)):
                kept = _Answer(response.status, body or b"", dict(response.headers))
            return response
        finally:
            # Who failed may try again, and so may whoever waited.
            if kept is None and self._known.get(key, (0, None))[1] is coming:
                del self._known[key]
            coming.set_result(kept)
