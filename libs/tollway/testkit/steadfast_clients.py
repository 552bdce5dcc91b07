"""Clients that behave as SDKs behind a load balancer do: a request that got no answer is sent to another data plane.

Owns how a request is sent and what its client saw of it. An error that was answered is never repeated: it is what the
test is about. Every sending has an `x-request-id` of its own, by which it is found in the ledger.
"""

from __future__ import annotations

import asyncio
import io
import json
import time
from collections.abc import Sequence
from typing import Any, NamedTuple

import aiohttp

OK, CUT, ERROR_EVENT, UNANSWERED = "ok", "cut", "error event", "unanswered"
SENDINGS = 8
PAUSE_SECONDS = 0.05
CHAT, MESSAGES = "/chat/completions", "/messages"
ENDS = {CHAT: b"data: [DONE]", MESSAGES: b'data: {"type":"message_stop"}'}


class Broken(NamedTuple):
    """A sending without an answer: at which data plane, when it broke (monotonic seconds), and how."""

    plane: int
    at: float
    error: str


class Seen(NamedTuple):
    """One request as its client saw it; times are monotonic seconds.

    `outcome`: ok, cut (a stream that began and broke without a word), error event (one that ended with its dialect's),
    unanswered (by no data plane), or an error's status and code. `sent` names its sendings, `broken` those among them
    that got no answer; `provider` is who answered; `text` what came.
    """

    outcome: str
    provider: str
    plane: int
    streamed: bool
    began: float
    ended: float
    sent: tuple[str, ...]
    broken: tuple[Broken, ...]
    text: bytes


class _Answer(NamedTuple):
    outcome: str
    provider: str
    text: bytes


class SteadfastClients:
    """Clients of several data planes; to be entered. `base_urls` end in `/v1`."""

    def __init__(self, base_urls: Sequence[str], key: str, seconds: float = 60) -> None:
        self._base_urls = base_urls
        self._headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        self._seconds = seconds

    async def __aenter__(self) -> SteadfastClients:
        connector = aiohttp.TCPConnector(limit=0)
        timeout = aiohttp.ClientTimeout(total=self._seconds)
        self._session = aiohttp.ClientSession(connector=connector, timeout=timeout)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def ask(self, number: int, path: str, *, streamed: bool, **fields: Any) -> Seen:
        """One request, first to the data plane whose turn it is by its number."""
        body = {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 50, "stream": streamed, **fields}
        data = json.dumps(body).encode()
        began = time.monotonic()
        sent: list[str] = []
        broken: list[Broken] = []
        answer, plane = _Answer(UNANSWERED, "", b""), 0
        for sending in range(SENDINGS):
            plane = (number + sending) % len(self._base_urls)
            sent.append(f"{number}-{sending}")
            found = await self._send(plane, path, data, sent[-1])
            if isinstance(found, _Answer):
                answer = found
                break
            broken.append(Broken(plane, time.monotonic(), found))
            await asyncio.sleep(PAUSE_SECONDS)
        return Seen(
            answer.outcome, answer.provider, plane, streamed, began, time.monotonic(), tuple(sent), tuple(broken),
            answer.text,
        )  # fmt: skip

    async def _send(self, plane: int, path: str, data: bytes, name: str) -> _Answer | str:
        """The answer; an error's name when there was none, or it was whole and broke: it may be asked for again."""
        url, text, provider, streamed = self._base_urls[plane] + path, b"", "", False
        try:
            headers = {**self._headers, "x-request-id": name}
            async with self._session.post(url, data=io.BytesIO(data), headers=headers) as response:
                provider = response.headers.get("x-tollway-provider", "")
                streamed = response.content_type == "text/event-stream"
                async for part in response.content.iter_any():
                    text += part
                if response.status != 200:
                    code = response.headers.get("x-tollway-error-code", "")
                    return _Answer(f"{response.status} {code}", provider, text)
        except (aiohttp.ClientError, TimeoutError) as error:
            return _Answer(CUT, provider, text) if streamed else repr(error)
        return _Answer(_ending(path, text) if streamed else OK, provider, text)


def _ending(path: str, text: bytes) -> str:
    """How a stream ended: with its dialect's last event, with its error event, or with neither."""
    last = text.rstrip().rsplit(b"\n\n", 1)[-1]
    if ENDS[path] in last.replace(b": ", b":").replace(b"data:", b"data: "):
        return OK
    failed = last.startswith(b"event: error") if path == MESSAGES else b'"error"' in last
    return ERROR_EVENT if failed else CUT
