"""Carries a try in the playground to the gateway and its answer back, bounded in size and time.

The gateway's address is the operator's setting, never the person's; the key is the person's and is kept nowhere.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import orjson

from tollway.controlplane.call import ApiCode, ApiError

SECONDS = 120.0
CONNECT_SECONDS = 5.0
MAX_ANSWER_BYTES = 2 << 20
MAX_CONCURRENT = 64
_UNREACHABLE = "the gateway does not answer; see TOLLWAY_GATEWAY_URL"


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

    @asynccontextmanager
    async def chat(self, key: str, body: dict[str, Any]) -> AsyncIterator[tuple[int, str, AsyncIterator[bytes]]]:
        """Status, content type and parts of the answer to a chat completion. Raises ApiError (unavailable)."""
        if not self._gateway:
            raise ApiError(ApiCode.UNAVAILABLE, "no gateway is set; set TOLLWAY_GATEWAY_URL on the control plane")
        assert self._session is not None, "open it first"
        headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        url = f"{self._gateway}/v1/chat/completions"
        try:
            async with self._session.post(
                url, data=orjson.dumps(body), headers=headers, allow_redirects=False
            ) as answer:
                yield answer.status, answer.content_type, _bounded(answer)
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
