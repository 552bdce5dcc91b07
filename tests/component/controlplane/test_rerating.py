"""Rating a period again: exact, repeatable, in parts, and only ever by rows that are added."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest

from tollway.controlplane.app import ControlPlane
from tollway.controlplane.ledger.ingest import ingest
from tollway.controlplane.ledger.partitions import ensure_partitions
from tollway.controlplane.prices import rerating
from tollway.core.ledger import AttemptRow, RequestRow
from tollway.core.usage import Usage
from tollway.testkit.fakes.clock import FakeClock
from tollway.testkit.ledger_rows import attempt_row, request_row, uuid7

START = datetime(2026, 11, 21, 23, tzinfo=UTC)
START_MS = int(START.timestamp() * 1000)
HOUR_MS = 3_600_000
USAGE = Usage(input=1_001, cached_input=400, output=33)
OLD = {"input": "1", "cached_input": "0.1", "output": "2"}
NEW = {"input": "3", "cached_input": "0.5", "output": "7"}
OLD_NANO = 601 * 1_000 + 400 * 100 + 33 * 2_000
PERIOD = {"from": "2026-11-21T00:00:00Z", "to": "2026-11-25T00:00:00Z"}
NEW_NANO = 601 * 3_000 + 400 * 500 + 33 * 7_000


def dollars(nano: int) -> str:
    """Nano-dollars, below one dollar, as the API shows them."""
    return f"0.{nano:09d}".rstrip("0")


class Desk:
    """An API, its ledger, and a clock that the test sets. The model `small` costs OLD from START on."""

    def __init__(self, api: Any, clock: FakeClock, provider: str, project: str) -> None:
        self.api = api
        self.clock = clock
        self.provider = provider
        self.project = project

    async def ok(self, verb: str, path: str, body: Any = None) -> Any:
        """The body of a call that succeeds."""
        answer = await self.api.call(verb, path, body)
        assert answer.status == 200, answer.body
        return answer.body

    def attempt(self, at_ms: int, **changed: Any) -> AttemptRow:
        """An attempt at the provider, booked at OLD."""
        known: dict[str, Any] = {
            "provider": self.provider,
            "provider_kind": "openai_compatible",
            "target_model": "tiny",
            "usage": USAGE,
            "cost_nano": OLD_NANO,
            "price_version": "override@1",
        }
        return attempt_row(at_ms, **known | changed)

    async def book(self, *at_ms: int, attempts: Any = None, **changed: Any) -> None:
        """Books a request for each time."""
        rows = [
            request_row(at, project=self.project, attempts=attempts or (self.attempt(at),), **changed) for at in at_ms
        ]
        assert (await ingest(self.api.plane.pool, "dp-1", rows)).inserted == len(rows)

    async def rerate(self, **asked: Any) -> tuple[int, int, dict[str, Any]]:
        """All parts of a re-rating: attempts, how many were adjusted, and the sums of the one model."""
        body = {**PERIOD, **asked}
        attempts = adjusted = 0
        sums: list[Any] = []
        while True:
            part = await self.ok("POST", "prices:rerate", body)
            attempts, adjusted = attempts + int(part["attempts"]), adjusted + int(part["adjusted"])
            sums += part["sums"]
            body["cursor"] = part["next_cursor"]
            if not part["next_cursor"]:
                return attempts, adjusted, sums[0] if sums else {}

    async def total(self) -> tuple[int, int]:
        """Nano-dollars of the ledger's rows, and how many rows."""
        ((cost, rows),) = await self.api.sql("SELECT sum(cost_nano)::bigint, count(*) FROM ledger_attempts")
        return cost, rows


@pytest.fixture
async def desk(api: Any, plane: ControlPlane) -> Desk:
    clock = FakeClock(now_ms=START_MS)
    plane.dispatcher._clock = clock
    await plane.prices.close()
    async with plane.pool.connection() as db:  # so that no partition is made while the test reads
        await ensure_partitions(db, datetime.now(UTC).date())
    made = Desk(api, clock, "", "")
    url = "http://127.0.0.1:9/v1"
    provider = await made.ok("POST", "providers", {"name": "p", "kind": "openai_compatible", "base_url": url})
    project = await made.ok("POST", "projects", {"name": "shop"})
    made.provider, made.project = provider["id"], project["id"]
    target = [{"provider": "p", "model": "tiny"}]
    await made.ok("POST", "models", {"name": "small", "targets": target, "price": OLD})
    return made


async def test_a_period_without_changes_comes_to_nothing(desk: Desk) -> None:
    await desk.book(START_MS + 1, START_MS + 2 * HOUR_MS)
    assert (await desk.rerate())[:2] == (2, 0)
    assert await desk.total() == (2 * OLD_NANO, 2)


async def test_the_price_that_held_when_the_request_began_counts_to_the_nano_dollar(desk: Desk) -> None:
    """Four requests around both ends of an hour at another price, and around midnight."""
    begin, end = START_MS + HOUR_MS // 2, START_MS + HOUR_MS // 2 + HOUR_MS
    await desk.book(begin - 1, begin, end - 1, end)
    desk.clock.advance(86_400)
    valid = {"valid_from": "2026-11-21T23:30:00Z", "valid_until": "2026-11-22T00:30:00Z"}
    made = await desk.ok("POST", "prices", {"model": "small", "price": NEW, **valid})
    _, adjusted, sums = await desk.rerate(dry_run=True)
    assert adjusted == 2
    assert (sums["project"], sums["model"], sums["changed"]) == ("shop", "small", "1")
    assert await desk.total() == (4 * OLD_NANO, 4)
    attempts, adjusted, _ = await desk.rerate()
    assert (attempts, adjusted) == (4, 2)
    assert await desk.total() == (2 * OLD_NANO + 2 * NEW_NANO, 6)
    rows = await desk.api.sql(
        "SELECT cost_nano, price_version, input_tokens, estimated FROM ledger_attempts WHERE kind = 'adjustment'"
    )
    assert rows == [(NEW_NANO - OLD_NANO, made["version"], 0, False)] * 2
    assert (await desk.rerate())[1] == 0
    assert await desk.total() == (2 * OLD_NANO + 2 * NEW_NANO, 6)
    usage = (await desk.ok("GET", "usage?by=project&from=2026-11-21T00:00:00Z&to=2026-11-25T00:00:00Z"))["total"]
    assert usage["cost"] == dollars(2 * OLD_NANO + 2 * NEW_NANO)
    assert (usage["requests"], usage["input_tokens"]) == ("4", str(4 * USAGE.input))
    audit = await desk.ok("GET", "audit?action=prices.rerate")
    assert len(audit["events"]) == 2


async def test_a_request_that_began_before_the_price_pays_the_one_before_for_its_retry_too(desk: Desk) -> None:
    begin = START_MS + HOUR_MS
    attempts = (desk.attempt(begin - 5), desk.attempt(begin + 5, number=2))
    await desk.book(begin - 10, attempts=attempts)
    await desk.ok("POST", "prices", {"model": "small", "price": NEW, "valid_from": "2026-11-22T00:00:00Z"})
    assert (await desk.rerate())[:2] == (2, 0)


async def test_a_second_re_rating_starts_from_the_sum_so_far_and_can_go_back(desk: Desk) -> None:
    await desk.book(START_MS + 1)
    first = await desk.ok("POST", "prices", {"model": "small", "price": NEW, "valid_from": "2026-11-30T00:00:00Z"})
    free = await desk.ok("POST", "prices", {"target_model": "ti*", "price": {"free": True}})
    expected = [(first["version"], NEW_NANO), (free["version"], 0), ("override@1", OLD_NANO)]
    for step, (version, amount) in enumerate([*expected, *expected], 2):
        assert (await desk.rerate(version=version))[:2] == (1, 1)
        assert await desk.total() == (amount, step)
        assert (await desk.rerate(version=version))[:2] == (1, 0)
    answer = await desk.api.call("POST", "prices:rerate", {**PERIOD, "version": "price@999"})
    assert (answer.status, answer.error["field"]) == (404, "version")


async def test_a_version_is_not_put_on_models_that_it_is_not_for(desk: Desk) -> None:
    await desk.book(START_MS + 1, model="other", attempts=(desk.attempt(START_MS + 1, target_model="huge"),))
    made = await desk.ok("POST", "prices", {"model": "small", "price": NEW})
    part = await desk.ok(
        "POST", "prices:rerate", {**PERIOD, "cursor": "2026-11-21/" + "0" * 32, "version": made["version"]}
    )
    assert (part["attempts"], part["adjusted"], part["unpriced"]) == ("1", "0", "1")


async def test_an_estimate_stays_one_and_its_true_row_still_ends_it(desk: Desk) -> None:
    guess = desk.attempt(START_MS + 1, estimated=True)
    row = request_row(START_MS + 1, project=desk.project, attempts=(guess,), outcome="lost")
    await ingest(desk.api.plane.pool, "dp-1", [row])
    await desk.ok("POST", "prices", {"model": "small", "price": NEW, "valid_from": "2026-11-21T23:00:00Z"})

    async def usage() -> tuple[str, str]:
        found = (await desk.ok("GET", "usage?by=day&from=2026-11-21T00:00:00Z&to=2026-11-25T00:00:00Z"))["total"]
        return found["cost"], found["estimated_cost"]

    assert (await desk.rerate())[1] == 1
    assert await usage() == (dollars(NEW_NANO), dollars(NEW_NANO))
    assert await desk.api.sql("SELECT estimated FROM ledger_attempts WHERE kind = 'adjustment'") == [(True,)]
    (shown,) = (await desk.ok("GET", "requests"))["requests"]
    assert (shown["cost"], shown["estimated"]) == (dollars(NEW_NANO), True), "rated again, it is a guess all the same"
    true = msgspec.structs.replace(guess, estimated=False, usage=Usage(input=10), cost_nano=10_000)
    await ingest(desk.api.plane.pool, "dp-1", [msgspec.structs.replace(row, attempts=(true,))])
    assert await usage() == (dollars(10_000), "0"), "it replaces all that was guessed"
    (shown,) = (await desk.ok("GET", "requests"))["requests"]
    assert (shown["cost"], shown["estimated"]) == (dollars(10_000), False)
    assert (await desk.rerate())[1] == 1, "the true row came with the price of its time"
    assert await usage() == (dollars(30_000), "0")
    assert (await desk.rerate())[1] == 0


async def test_a_true_row_and_a_re_rating_at_once_start_from_what_the_other_has_left(desk: Desk) -> None:
    pool = desk.api.plane.pool
    times = [START_MS + n for n in range(40)]
    guesses = [
        request_row(at, project=desk.project, attempts=(desk.attempt(at, estimated=True),), outcome="lost")
        for at in times
    ]
    await ingest(pool, "dp-1", guesses)
    await desk.ok("POST", "prices", {"model": "small", "price": NEW, "valid_from": "2026-11-21T23:00:00Z"})

    async def end(row: RequestRow) -> None:
        true = msgspec.structs.replace(row.attempts[0], estimated=False, cost_nano=NEW_NANO)
        await ingest(pool, "dp-1", [msgspec.structs.replace(row, attempts=(true,))])

    await asyncio.gather(desk.rerate(), *(end(row) for row in guesses))
    assert (await desk.total())[0] == len(times) * NEW_NANO
    ((estimated,),) = await desk.api.sql("SELECT coalesce(sum(estimated_nano), 0)::bigint FROM ledger_by_day")
    assert estimated == 0


async def test_what_was_booked_without_a_price_gets_one(desk: Desk) -> None:
    early = START_MS - 2 * HOUR_MS
    blank = desk.attempt(early, cost_nano=0, price_version=None)
    kept = desk.attempt(early, cost_nano=7, price_version="override@0")
    await desk.book(early, attempts=(blank,), model="unknown")
    await desk.book(early, attempts=(kept,), model="small")
    assert (await desk.rerate())[:2] == (2, 0), "nothing is known of that time"
    await desk.ok("POST", "prices", {"target_model": "tiny", "price": NEW, "valid_from": "2026-11-21T21:00:00Z"})
    assert (await desk.rerate(model="unknown"))[:2] == (1, 1)
    assert await desk.total() == (NEW_NANO + 7, 3)


async def test_parts_follow_one_another_and_filters_choose(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rerating, "PART_ATTEMPTS", 2)
    times = [START_MS + n for n in range(5)] + [START_MS + 2 * HOUR_MS]
    await desk.book(*times)
    await desk.ok("POST", "prices", {"model": "small", "price": NEW, "valid_from": "2026-11-21T23:00:00Z"})
    assert (await desk.rerate(dry_run=True, project="nobody"))[0] == 0
    assert (await desk.rerate(dry_run=True, provider="other"))[0] == 0
    assert (await desk.rerate(dry_run=True, provider="p", project="shop", model="small"))[:2] == (6, 6)
    seen = []
    body: dict[str, Any] = dict(PERIOD)
    while True:
        part = await desk.ok("POST", "prices:rerate", body)
        seen.append(int(part["attempts"]))
        body["cursor"] = part["next_cursor"]
        if not body["cursor"]:
            break
    assert [count for count in seen if count] == [2, 2, 1, 1]
    assert await desk.total() == (6 * NEW_NANO, 12)
    folded = await desk.api.sql("SELECT sum(cost_nano)::bigint FROM ledger_by_day")
    assert folded == [(6 * NEW_NANO,)], "the roll-ups have it too"


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"to": "2026-11-21T00:00:00Z"}, "to"),
        ({"from": "2010-01-01T00:00:00Z"}, "to"),
        ({"cursor": "nonsense"}, "cursor"),
        ({"cursor": "2025-01-01/00000000-0000-0000-0000-000000000000"}, "cursor"),
    ],
)
async def test_wrong_periods_and_cursors_are_refused(desk: Desk, changed: dict[str, str], field: str) -> None:
    answer = await desk.api.call("POST", "prices:rerate", {**PERIOD, **changed})
    assert (answer.status, answer.error["field"]) == (400, field)


async def test_an_id_of_another_day_than_its_call_is_found(desk: Desk) -> None:
    """An id made a day off, by a clock's error, is still found by when its call began."""
    at = START_MS + 1
    off = desk.attempt(at, id=uuid7(at - 20 * HOUR_MS))
    await desk.book(at, attempts=(off,))
    await desk.ok("POST", "prices", {"model": "small", "price": NEW, "valid_from": "2026-11-21T23:00:00Z"})
    begin = (START + timedelta(milliseconds=1)).isoformat().replace("+00:00", "Z")
    assert (await desk.rerate(**{"from": begin}))[:2] == (1, 1)
