"""Clients for runs under load: paced requests whose answers are kept as numbers, and what a process holds in memory.

Owns how load is made and measured; what must hold is said by the tests that use it.
"""

from __future__ import annotations

import asyncio
import io
import json
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple, TypeVar

import aiohttp

HANG_UP = "hung up"
CUT = "cut"
T = TypeVar("T")


class Sent(NamedTuple):
    """One request as its client saw it. `began`, `headed` and `ended` are Unix seconds; `code` is the error's.

    `outcome` is the status as text, "hung up", "cut" (a stream without its end), or the name of the client's error.
    """

    began: float
    headed: float
    ended: float
    outcome: str
    code: str
    headers: dict[str, str]

    @property
    def admitted(self) -> bool:
        """Whether it was answered."""
        return self.outcome == "200"


class Clients:
    """Clients of several data planes; to be entered."""

    def __init__(self, base_urls: Sequence[str], seconds: float = 60) -> None:
        self._base_urls = base_urls
        self._seconds = seconds
        self._turn = 0

    async def __aenter__(self) -> Clients:
        connector = aiohttp.TCPConnector(limit=0)
        self._session = aiohttp.ClientSession(connector=connector, timeout=aiohttp.ClientTimeout(total=self._seconds))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def chat(self, key: str, *, hang_up: bool = False, plane: int | None = None, **fields: Any) -> Sent:
        """One chat request, to each data plane in turn when none is named. `hang_up`: leaves after the headers."""
        body = {"messages": [{"role": "user", "content": "hi"}], **fields}
        return await self.post("/chat/completions", key, json.dumps(body).encode(), hang_up=hang_up, plane=plane)

    async def post(self, path: str, key: str, body: bytes, *, hang_up: bool = False, plane: int | None = None) -> Sent:
        """One POST of JSON."""
        self._turn += 1
        url = self._base_urls[(self._turn if plane is None else plane) % len(self._base_urls)] + path
        head = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        began = headed = time.time()
        code, headers = "", {}
        try:
            async with self._session.post(url, data=io.BytesIO(body), headers=head) as answer:
                headed = time.time()
                headers = dict(answer.headers)
                code = headers.get("x-tollway-error-code", "")
                outcome = str(answer.status)
                if hang_up:
                    answer.close()
                    outcome = HANG_UP
                else:
                    text = await answer.read()
                    streamed = answer.content_type == "text/event-stream"
                    if streamed and not text.rstrip().endswith(b"[DONE]"):
                        outcome = CUT
        except (aiohttp.ClientError, TimeoutError) as error:
            outcome = type(error).__name__
        return Sent(began, headed, time.time(), outcome, code, headers)


async def paced(
    count: int, seconds: float, send: Callable[[int], Awaitable[T]], *, at_once: int = 1, most_open: int = 500
) -> list[T]:
    """Sends `count` requests evenly over `seconds`, `at_once` together, however long each takes; all answers.

    While `most_open` are under way no further ones are sent: load beyond what the machine carries waits.
    """
    began = asyncio.get_running_loop().time()
    room = asyncio.Semaphore(most_open)

    async def one(number: int) -> T:
        async with room:
            return await send(number)

    under_way = []
    for number in range(count):
        due = began + seconds * (number // at_once) * at_once / count
        pause = due - asyncio.get_running_loop().time()
        if pause > 0:
            await asyncio.sleep(pause)
        under_way.append(asyncio.ensure_future(one(number)))
    return list(await asyncio.gather(*under_way))


def slope(samples: Sequence[tuple[float, float]]) -> float:
    """Of a straight line through (time, value) by least squares, in value per unit of time."""
    count = len(samples)
    middle_x = sum(x for x, _ in samples) / count
    middle_y = sum(y for _, y in samples) / count
    spread = sum((x - middle_x) ** 2 for x, _ in samples)
    return sum((x - middle_x) * (y - middle_y) for x, y in samples) / spread


def highest_overlap(spans: Sequence[tuple[float, float]]) -> int:
    """How many of the spans [begin, end) were open at once, at most."""
    changes = sorted([(begin, 1) for begin, _ in spans] + [(end, -1) for _, end in spans])
    most = now = 0
    for _, change in changes:
        now += change
        most = max(most, now)
    return most
