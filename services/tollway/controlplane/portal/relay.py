"""Carries a try in the playground to the gateway and its answer back, bounded in size and time.

The gateway's address is the operator's setting, never the person's; the key is the person's and goes nowhere else.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp
import orjson

from tollway.controlplane.call import ApiCode, ApiError

SECONDS = 120.0
CONNECT_SECONDS = 5.0
MAX_ANSWER_BYTES = 2 << 20
MAX_CONCURRENT = 64
ARRIVES_SECONDS = (0.1, 0.2, 0.3, 0.5, 0.9, 1.5)
"""How long is waited between tries with a key that was made a moment ago: data planes hear of it within 2 seconds."""
_REFUSED = 401
_UNREACHABLE = "the gateway does not answer; see TOLLWAY_GATEWAY_URL"


@dataclass(frozen=True)
class Answer:
    """The gateway's answer; `parts` can be read once, inside the `async with` that gave it."""

    status: int
    kind: str
    parts: AsyncIterator[bytes]


class Relay:
    """One for a process."""

    def __init__(self, gateway: str) -> None:
        self._gateway = gateway
        self._session: aiohttp.ClientSession | None = None

    async def close(self) -> None:
        """Closes the connections."""
        if self._session is not None:
            await self._session.close()
            self._session = None

    def open(self) -> None:
        """Makes the session; inside the event loop."""
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=MAX_CONCURRENT),
            trust_env=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=SECONDS, sock_connect=CONNECT_SECONDS),
            headers={"User-Agent": "tollway-portal", "Accept-Encoding": "identity"},
        )

    def check(self) -> None:
        """Raises ApiError (unavailable) when there is no gateway to call, before anything is made for a call."""
        if not self._gateway:
            raise ApiError(ApiCode.UNAVAILABLE, "no gateway is set; set TOLLWAY_GATEWAY_URL on the control plane")

    @asynccontextmanager
    async def chat(self, key: str, body: dict[str, Any], *, new: bool) -> AsyncIterator[Answer]:
        """The answer to a chat completion. A `new` key may not have arrived yet. Raises ApiError (unavailable)."""
        self.check()
        assert self._session is not None, "open it first"
        headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        url, data = f"{self._gateway}/v1/chat/completions", orjson.dumps(body)
        try:
            for pause in (*(ARRIVES_SECONDS if new else ()), None):
                async with self._session.post(url, data=data, headers=headers, allow_redirects=False) as answer:
                    if answer.status != _REFUSED or pause is None:
                        yield Answer(answer.status, answer.content_type, _bounded(answer))
                        return
                await asyncio.sleep(pause)
        except (TimeoutError, aiohttp.ClientError, OSError, ValueError) as error:
            raise ApiError(ApiCode.UNAVAILABLE, _UNREACHABLE) from error


async def _bounded(answer: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    size = 0
    async for part in answer.content.iter_any():
        size += len(part)
        if size > MAX_ANSWER_BYTES:
            answer.close()
            return
        yield part
