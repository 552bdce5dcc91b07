"""Limits over three data planes, under uniform load and in bursts, streamed and not: never exceeded, and told truly.

TOLLWAY_LIMITS_SECONDS sets how long (75 by default, so that a minute ends meanwhile; `make soak` takes five minutes).
"""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from typing import Any

import pytest

from tollway.testkit.load import Clients, Sent, highest_overlap, paced
from tollway.testkit.stack import Stack, until

SECONDS = float(os.environ.get("TOLLWAY_LIMITS_SECONDS", "75"))
MINUTE = 60
REQUESTS, TOKENS, PLACES = 100, 10_000, 4
ANSWER_TOKENS = {"requests": 20, "tokens": 150}
"""What an answer has, so that in the one project requests run out first, and tokens in the other."""
RESERVED_TOKENS = 250
"""More than a request of the second project can reserve: what may be left of its limit when all that come are refused."""
RATE = 6
"""Requests a second for each project: what a minute allows is asked for in less than a third of it."""
BURST = 30
FRESH_SECONDS = 1.0
"""How old what is said to remain may be."""
LATE_SECONDS = 1.0
"""How much later than Retry-After a client of ours may be."""
Window = tuple[str, int]
"""A project and the minute since 1970 in which requests began."""


@pytest.fixture(scope="module")
def planes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Three data planes, and for each pattern of load a project whose requests, and one whose tokens run out first."""
    stack = Stack(tmp_path_factory.mktemp("limits"))
    stack.simulator_settings = {"TOLLWAY_SIMULATOR_MAX_RECORDS": "50000"}
    try:
        stack.start(dataplanes=3)
        for name, tokens in ANSWER_TOKENS.items():
            stack.api("POST", "models", model(name, f"tokens={tokens}"))
        stack.api("POST", "models", model("slow", "tokens=40,rate=60"))
        yield stack
    finally:
        stack.stop()


def model(name: str, options: str) -> dict[str, Any]:
    """Asks the simulator for answers as the options say."""
    return {
        "name": name,
        "targets": [{"provider": "sim", "model": f"sim-fast/{options}"}],
        "price": {"input": "1", "output": "2"},
    }


def project(stack: Stack, name: str, **limits: int) -> str:
    """A project with limits by measure, each for a minute; its key."""
    rules = [
        {"measure": measure, "amount": amount, **({} if measure == "concurrent" else {"window": "minute"})}
        for measure, amount in limits.items()
    ]
    made = {"projects": [{"name": name, "limits": {"limits": rules}, "keys": [{"name": "key"}]}]}
    return stack.apply(made, set=name)[0]["secret"]


def booked(stack: Stack, name: str) -> dict[int, tuple[int, int]]:
    """Minute -> requests that came to a call, and the tokens that they used, by when they began."""
    identifier = stack.api("GET", f"projects/{name}")["id"]
    rows = stack.sql(
        "SELECT floor(extract(epoch FROM r.started_at) / 60)::bigint, count(DISTINCT r.id),"
        " sum(a.input_tokens + a.output_tokens)::bigint"
        " FROM ledger_requests r JOIN ledger_attempts a ON a.request_id = r.id"
        f" WHERE r.project = '{identifier}' GROUP BY 1"
    )
    return {int(minute): (int(requests), int(tokens)) for minute, requests, tokens in rows}


def minute_of(sent: Sent) -> int | None:
    """The window of a request, where the client's clock says it beyond doubt."""
    return int(sent.began // MINUTE) if sent.began // MINUTE == sent.headed // MINUTE else None


def overstated(answers: list[Sent], measure: str, limit: int, tokens: int) -> tuple[int, int]:
    """Answers that say more remains than can be: by what was admitted FRESH_SECONDS before, and by all until then.

    `tokens` are those of one answer at least (1 for requests): what is sure to be used when an answer has ended.
    """
    late = strict = 0
    for sent in answers:
        minute = minute_of(sent)
        if minute is None or not sent.admitted:
            continue
        said = int(sent.headers[f"x-ratelimit-remaining-{measure}"])
        before = [one.ended for one in answers if one.admitted and minute_of(one) == minute and one is not sent]
        known = sum(ended <= sent.began - FRESH_SECONDS for ended in before)
        now = sum(ended <= sent.began for ended in before)
        late += said > limit - tokens * (known + 1)
        strict += said > limit - tokens * (now + 1)
    return late, strict


async def wait_and_return(clients: Clients, key: str, **fields: Any) -> tuple[Sent, Sent]:
    """Uses a limit up, waits as long as the refusal says, and asks again: the refusal, and what came then."""
    for _ in range(50):
        refused = await clients.chat(key, **fields)
        if not refused.admitted:
            break
    await asyncio.sleep(float(refused.headers["Retry-After"]))
    return refused, await clients.chat(key, **fields)


async def wait_for_a_place(clients: Clients, key: str) -> tuple[Sent, Sent]:
    """The same where the one place is taken for a moment."""
    running = asyncio.ensure_future(clients.chat(key, model="slow", max_tokens=40, stream=True))
    await asyncio.sleep(0.3)
    refused = await clients.chat(key, model="slow", max_tokens=40)
    await asyncio.sleep(float(refused.headers["Retry-After"]))
    again = await clients.chat(key, model="slow", max_tokens=40)
    await running
    return refused, again


@pytest.mark.chaos
@pytest.mark.timeout(int(SECONDS) + 120)
async def test_no_window_is_ever_exceeded(planes: Stack, capsys: pytest.CaptureFixture[str]) -> None:
    keys = {
        (measure, at_once): project(planes, f"{measure}-{at_once}", requests=REQUESTS, tokens=TOKENS)
        for measure in ANSWER_TOKENS
        for at_once in (1, BURST)
    }
    narrow = project(planes, "narrow", concurrent=PLACES)
    waiting = {
        "requests": project(planes, "few-requests", requests=3),
        "tokens": project(planes, "few-tokens", tokens=700),
        "places": project(planes, "one-place", concurrent=1),
    }
    await asyncio.sleep(1.0)
    urls = [planes.base_url(number) for number in range(3)]
    async with Clients(urls) as clients:

        def steady(measure: str, at_once: int) -> Any:
            return paced(
                round(SECONDS * RATE),
                SECONDS,
                lambda n: clients.chat(
                    keys[measure, at_once], model=measure, max_tokens=ANSWER_TOKENS[measure], stream=bool(n % 2)
                ),
                at_once=at_once,
            )

        crowd = paced(
            round(SECONDS * RATE),
            SECONDS,
            lambda n: clients.chat(narrow, model="slow", max_tokens=40, stream=bool(n % 2)),
            at_once=2,
        )
        returning = (
            wait_and_return(clients, waiting["requests"], model="requests", max_tokens=20),
            wait_and_return(clients, waiting["tokens"], model="tokens", max_tokens=150),
            wait_for_a_place(clients, waiting["places"]),
        )
        loads = await asyncio.gather(*(steady(*which) for which in keys))
        # fmt: skip
        del loads, crowd, returning
