"""Limits over three data planes, under uniform load and in bursts, streamed and not: never exceeded, and told truly.

TOLLWAY_LIMITS_SECONDS sets how long (75 by default, so that a minute ends meanwhile; `make soak` takes five minutes).
"""

from __future__ import annotations

import asyncio
import os
import time
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from tollway.testkit.load import Clients, Sent, highest_overlap, paced
from tollway.testkit.stack import Stack, until

SECONDS = float(os.environ.get("TOLLWAY_LIMITS_SECONDS", "75"))
pytestmark = [pytest.mark.chaos, pytest.mark.timeout(int(SECONDS) + 120)]
MINUTE = 60
REQUESTS, TOKENS, PLACES = 100, 10_000, 4
SLOW_TOKENS = 40
"""Of an answer that lasts two thirds of a second, or two seconds."""
ANSWER_TOKENS = {"requests": 20, "tokens": 150}
"""What an answer has, so that in the one project requests run out first, and tokens in the other."""
RESERVED_TOKENS = 250
"""More than a request of the second project can reserve: so much may be left of its limit when all are refused."""
RATE = 6
"""Requests a second for each project: what a minute allows is asked for in less than a third of it."""
BURST = 30
FRESH_SECONDS = 1.0
"""How old what is said to remain may be."""


@pytest.fixture(scope="module")
def planes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """Three data planes, and for each pattern of load a project whose requests, and one whose tokens run out first."""
    stack = Stack(tmp_path_factory.mktemp("limits"))
    try:
        stack.start(dataplanes=3)
        for name, tokens in ANSWER_TOKENS.items():
            stack.api("POST", "models", model(name, f"tokens={tokens}"))
        stack.api("POST", "models", model("narrow", f"tokens={SLOW_TOKENS},rate=60"))
        stack.api("POST", "models", model("slow", f"tokens={SLOW_TOKENS},rate=20"))
        yield stack
    finally:
        stack.stop()


def model(name: str, options: str) -> dict[str, Any]:
    """Asks the simulator for answers as the options say."""
    return {
        "name": name,
        "targets": [{"provider": "sim", "model": f"sim-{name}/{options}"}],
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
    ends: dict[int | None, list[float]] = {}
    for sent in answers:
        if sent.admitted:
            ends.setdefault(minute_of(sent), []).append(sent.ended)
    for found in ends.values():
        found.sort()
    late = strict = 0
    for sent in answers:
        minute = minute_of(sent)
        if minute is None or not sent.admitted:
            continue
        said = int(sent.headers[f"x-ratelimit-remaining-{measure}"])
        known = bisect_right(ends[minute], sent.began - FRESH_SECONDS)
        now = bisect_right(ends[minute], sent.began)
        late += said > limit - tokens * (known + 1)
        strict += said > limit - tokens * (now + 1)
    return late, strict


async def wait_and_return(clients: Clients, key: str, **fields: Any) -> tuple[Sent, Sent]:
    """Uses a limit up, waits as long as the refusal says, and asks again: the refusal, and what came then."""
    for _ in range(50):
        refused = await clients.chat(key, **fields)
        if not refused.admitted:
            break
    await asyncio.sleep(float(refused.headers.get("Retry-After", 0)))
    return refused, await clients.chat(key, **fields)


async def wait_for_a_place(clients: Clients, key: str) -> tuple[Sent, Sent]:
    """The same where the one place is taken for two seconds; a refusal may take 0.6 s of them."""
    await asyncio.sleep(5)  # until the others have begun
    running = asyncio.ensure_future(clients.chat(key, model="slow", max_tokens=SLOW_TOKENS, stream=True))
    await asyncio.sleep(1)
    refused = await clients.chat(key, model="slow", max_tokens=SLOW_TOKENS)
    await asyncio.sleep(float(refused.headers.get("Retry-After", 0)))
    again = await clients.chat(key, model="slow", max_tokens=SLOW_TOKENS)
    assert (await running).admitted
    return refused, again


class Runs:
    """The load of one run over all data planes: what each project's clients saw."""

    def __init__(self, stack: Stack) -> None:
        self.patterns = [(measure, at_once) for measure in ANSWER_TOKENS for at_once in (1, BURST)]
        self._keys = {
            (measure, at_once): project(stack, f"{measure}-{at_once}", requests=REQUESTS, tokens=TOKENS)
            for measure, at_once in self.patterns
        }
        self._narrow = project(stack, "narrow", concurrent=PLACES)
        self._waiting = {
            "requests": project(stack, "few-requests", requests=3),
            "tokens": project(stack, "few-tokens", tokens=700),
            "places": project(stack, "one-place", concurrent=1),
        }

    async def run(self, clients: Clients) -> None:
        """Everything at once."""
        keys = self._waiting
        steady = [self._steady(clients, *pattern) for pattern in self.patterns]
        crowd = paced(
            round(SECONDS * RATE),
            SECONDS,
            lambda n: clients.chat(self._narrow, model="narrow", max_tokens=SLOW_TOKENS, stream=bool(n % 2)),
            at_once=2,
        )
        returns = asyncio.ensure_future(
            asyncio.gather(
                wait_and_return(clients, keys["requests"], model="requests", max_tokens=20),
                wait_and_return(clients, keys["tokens"], model="tokens", max_tokens=150),
                wait_for_a_place(clients, keys["places"]),
            )
        )
        self.answers: list[list[Sent]]
        self.crowd: list[Sent]
        *self.answers, self.crowd = await asyncio.gather(*steady, crowd)
        self.returns: tuple[tuple[Sent, Sent], ...] = await returns

    async def _steady(self, clients: Clients, measure: str, at_once: int) -> list[Sent]:
        tokens, key = ANSWER_TOKENS[measure], self._keys[measure, at_once]
        return await paced(
            round(SECONDS * RATE),
            SECONDS,
            lambda n: clients.chat(key, model=measure, max_tokens=tokens, stream=bool(n % 2)),
            at_once=at_once,
        )


@pytest.fixture(scope="module")
def runs(planes: Stack) -> Runs:
    """One run, whose books are complete."""
    made = Runs(planes)
    time.sleep(1.0)

    async def run() -> None:
        async with Clients([planes.base_url(number) for number in range(3)]) as clients:
            await made.run(clients)

    asyncio.run(run())
    received = planes.simulate("GET", "counts")["received"]
    until(lambda: planes.sql("SELECT count(*) FROM ledger_attempts") == [(received,)], 20, "all rows in the ledger")
    return made


def test_no_window_is_ever_exceeded(planes: Stack, runs: Runs, capsys: pytest.CaptureFixture[str]) -> None:
    for (measure, at_once), answers in zip(runs.patterns, runs.answers, strict=True):
        windows = booked(planes, f"{measure}-{at_once}")
        outcomes = Counter(sent.code or sent.outcome for sent in answers)
        with capsys.disabled():
            print(f"\n{measure}, {at_once} at once: requests and tokens by minute {windows}, {dict(outcomes)}")
        assert outcomes.keys() == {"200", "rate_limit_exceeded"}
        assert outcomes["200"] == sum(requests for requests, _ in windows.values()), "who was told so was booked"
        assert len(windows) >= 2, "a minute ended meanwhile"
        assert max(requests for requests, _ in windows.values()) <= REQUESTS
        assert max(tokens for _, tokens in windows.values()) <= TOKENS
        if measure == "requests":
            assert max(requests for requests, _ in windows.values()) == REQUESTS, "what is allowed can be had"
        else:
            assert max(tokens for _, tokens in windows.values()) > TOKENS - RESERVED_TOKENS


def test_no_more_calls_are_open_than_allowed(planes: Stack, runs: Runs) -> None:
    """By the simulator's own records; its clock has milliseconds, in which one call may end and another begin."""
    records = planes.simulate("GET", "requests?limit=100000")
    spans = [(one["received_ms"], one["ended_ms"]) for one in records if one["model"].startswith("sim-narrow")]
    assert len(spans) == sum(sent.admitted for sent in runs.crowd) > SECONDS, "places are given back"
    assert Counter(sent.code or sent.outcome for sent in runs.crowd).keys() == {"200", "rate_limit_exceeded"}
    assert highest_overlap(spans) == PLACES


def test_what_remains_is_not_overstated(runs: Runs, capsys: pytest.CaptureFixture[str]) -> None:
    for (measure, at_once), answers in zip(runs.patterns, runs.answers, strict=True):
        for told, limit, tokens in (("requests", REQUESTS, 1), ("tokens", TOKENS, ANSWER_TOKENS[measure])):
            late, strict = overstated(answers, told, limit, tokens)
            with capsys.disabled():
                print(
                    f"\n{measure}, {at_once} at once: {told} said to remain: {strict} of {len(answers)} were behind",
                    end="",
                )
            assert late == 0, f"{told} that remain, by what was known {FRESH_SECONDS} s before"
            shown = [sent.headers for sent in answers if sent.admitted]
            assert {headers[f"x-ratelimit-limit-{told}"] for headers in shown} == {str(limit)}
            assert max(int(headers[f"x-ratelimit-remaining-{told}"]) for headers in shown) > limit / 2, "nor hidden"


def test_who_waits_as_long_as_told_is_admitted(runs: Runs) -> None:
    for refused, again in runs.returns:
        assert refused.code == "rate_limit_exceeded", refused
        assert again.outcome == "200", (refused.headers, again.headers)
