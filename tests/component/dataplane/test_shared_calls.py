"""Identical requests at the same time, over real sockets: one call, everybody's own row, and who must not share."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shutil
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest

from tollway.core.catalog import Caching, Capabilities, ProviderKind, Retries, Strategy, Target, Timeouts
from tollway.core.ledger import Outcome, RequestRow
from tollway.core.rules import Measure, Rules
from tollway.dataplane.outbox.orphans import adopt
from tollway.testkit.balance_service import BalanceService
from tollway.testkit.fleet import budget, limit
from tollway.testkit.lone_dataplane import LoneDataPlane
from tollway.testkit.servers import ValkeyServer
from tollway.testkit.upstream import Received, Upstream, completion, event, stream, whole, words

SLOW = stream(words(30), pause=0.01)
MANY = 20


@pytest.fixture
async def second() -> AsyncIterator[Upstream]:
    async with Upstream() as server:
        yield server


@pytest.fixture
def plane(tmp_path: Path, valkey: ValkeyServer, upstream: Upstream, second: Upstream) -> LoneDataPlane:
    """Not started. `m` goes to `up`; `falls` goes there too, and then to the model `other` at `second`."""
    made = LoneDataPlane(tmp_path / "data", valkey.url)
    made.add_provider("up", ProviderKind.OPENAI_COMPATIBLE, upstream.url)
    made.add_provider("drained", ProviderKind.OPENAI_COMPATIBLE, upstream.url, hangup="drain")
    made.add_provider("two", ProviderKind.OPENAI_COMPATIBLE, second.url)
    made.add_model("m", ("up", "up-model"))
    made.add_model("known", ("up", "up-model"), capabilities=Capabilities(max_output_tokens=1_000))
    made.add_model("drain", ("drained", "up-model"))
    made.add_model("other", ("two", "x"))
    made.add_model("falls", ("up", "x"), retries=Retries(attempts=0), fallbacks=("other",))
    made.add_project("p1", caching=Caching(enabled=True))
    made.keys = {f"mate {number}": made.add_key() for number in range(3)}
    made.keys["narrow"] = made.add_key(models=("falls", "m"))
    return made


async def begin(plane: LoneDataPlane, key: str = "", **fields: Any) -> aiohttp.ClientResponse:
    """A request, on a connection of its own; returns when its answer begins."""
    headers = {"Connection": "close"}
    if key:
        headers["Authorization"] = f"Bearer {plane.keys[key]}"
    body = {"model": "m", "messages": [{"role": "user", "content": "Hello"}], **fields}
    return await plane.client.post(f"{plane.base_url}/chat/completions", json=body, headers=headers)


async def ask(plane: LoneDataPlane, key: str = "", **fields: Any) -> tuple[int, str, bytes]:
    """Status, what is said of the cache, and body."""
    response = await begin(plane, key, **fields)
    return response.status, response.headers.get("x-tollway-cache", ""), await response.read()


async def until(upstream: Upstream, *, requests: int = 1) -> None:
    async with asyncio.timeout(3):
        while len(upstream.requests) < requests:
            await asyncio.sleep(0.005)


def kinds(rows: Any) -> Counter[tuple[str, int]]:
    """What the cache did, and how many attempts were made, by how often."""
    return Counter((row.cache, len(row.attempts)) for row in rows)


@pytest.mark.parametrize("streamed", [True, False])
async def test_many_at_once_are_one_call_and_a_row_each(
    plane: LoneDataPlane, upstream: Upstream, streamed: bool
) -> None:
    async def late(request: Received, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.1)
        await whole()(request, writer)

    upstream.script = SLOW if streamed else late
    keys = ["", *plane.keys][:4]
    async with plane:
        answers = await asyncio.gather(*[begin(plane, keys[n % 4], stream=streamed) for n in range(MANY)])
        bodies = {await answer.read() for answer in answers}
        assert len(upstream.requests) == 1
        assert len(bodies) == 1
        assert Counter(answer.headers["x-tollway-cache"] for answer in answers) == {"miss": 1, "hit": MANY - 1}
        assert len({answer.headers["x-request-id"] for answer in answers}) == MANY
        for answer in answers:
            hit = answer.headers["x-tollway-cache"] == "hit"
            assert answer.headers["x-tollway-attempts"] == ("0" if hit else "1")
            assert (answer.headers.get("x-tollway-cost") == "0") == hit
            assert "x-tollway-provider-request-id" not in answer.headers
        rows = await plane.wait_rows(MANY)
        assert kinds(rows) == {("miss", 1): 1, ("shared", 0): MANY - 1}
        assert {row.id for row in rows} == {answer.headers["x-request-id"] for answer in answers}
        assert {(row.status, row.outcome) for row in rows} == {(200, Outcome.OK)}
        assert (await ask(plane, stream=streamed))[1] == "hit", "and it is kept"


async def test_whoever_comes_late_gets_everything_and_the_call_outlives_its_leader(
    plane: LoneDataPlane, upstream: Upstream
) -> None:
    upstream.script = stream(words(40), pause=0.01)
    async with plane:
        leader = await begin(plane, stream=True)
        for _ in range(5):
            await leader.content.readuntil(b"\n\n")
        followers = [asyncio.ensure_future(ask(plane, stream=True)) for _ in range(3)]
        await asyncio.sleep(0.05)
        leader.close()
        answers = await asyncio.gather(*followers)
        whole_text = b"".join(words(40)[:-2]) + words()[-1]  # the usage is for those who ask for it
        assert [(status, said) for status, said, _ in answers] == [(200, "hit")] * 3
        assert {body.count(b'"w') for *_, body in answers} == {whole_text.count(b'"w')} == {40}
        assert all(body.endswith(b"data: [DONE]\n\n") for *_, body in answers)
        rows = await plane.wait_rows(4)
        assert len(upstream.requests) == 1
        (called,) = [row for row in rows if row.attempts]
        assert (called.outcome, called.attempts[0].outcome, called.attempts[0].estimated) == (
            Outcome.CLIENT_CLOSED, Outcome.OK, False,
        )  # fmt: skip
        assert called.attempts[0].usage.output == 3, "as the provider says"
        assert (await ask(plane, stream=True))[1] == "hit"


@pytest.mark.parametrize("model", ["m", "drain"])
async def test_when_all_have_left_the_call_ends_and_is_booked_once(
    plane: LoneDataPlane, upstream: Upstream, model: str
) -> None:
    upstream.script = stream(words(60), pause=0.01)
    async with plane:
        answers = [await begin(plane, stream=True, model=model) for _ in range(3)]
        await answers[0].content.readuntil(b"\n\n")
        for answer in answers:
            answer.close()
        rows = await plane.wait_rows(3)
        assert kinds(rows) == {("miss", 1): 1, ("shared", 0): 2}
        assert {row.outcome for row in rows} == {Outcome.CLIENT_CLOSED}
        (attempt,) = [row.attempts[0] for row in rows if row.attempts]
        assert attempt.estimated == (model == "m"), "a drained one is booked as the provider says"
        async with asyncio.timeout(2):
            while upstream.open and model == "m":
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)
        assert len(plane.rows()) == 3
        assert plane.process.cache is not None
        assert plane.process.cache.levels() == (0, 0, 0)


async def test_waiting_members_may_leave_before_the_answer(plane: LoneDataPlane, upstream: Upstream) -> None:
    upstream.script = stream([], end="stuck")
    async with plane:
        waiting = [asyncio.ensure_future(ask(plane)) for _ in range(3)]
        await until(upstream)
        await asyncio.sleep(0.05)
        for each in waiting:
            each.cancel()
        rows = await plane.wait_rows(3)
        assert {row.outcome for row in rows} == {Outcome.CLIENT_CLOSED}
        async with asyncio.timeout(2):
            while upstream.open:
                await asyncio.sleep(0.01)


@pytest.mark.parametrize(
    ("script", "status"),
    [
        (whole({"error": {"message": "boom"}}, 500), 502),
        (whole({"error": {"message": "no such field", "type": "x", "code": None}}, 400), 400),
    ],
)
async def test_a_failure_of_the_provider_is_everybodys(
    plane: LoneDataPlane, upstream: Upstream, script: Any, status: int
) -> None:
    async def late(request: Received, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.1)
        await script(request, writer)

    upstream.script = late
    plane.models["m"] = msgspec.structs.replace(plane.models["m"], retries=Retries(attempts=0))
    async with plane:
        answers = await asyncio.gather(*[ask(plane) for _ in range(5)])
        assert {answer[0] for answer in answers} == {status}
        assert len(upstream.requests) == 1
        rows = await plane.wait_rows(5)
        assert kinds(rows) == {("miss", 1): 1, ("shared", 0): 4}
        assert {(row.outcome, row.status) for row in rows} == {(Outcome.ERROR, status)}


async def test_a_stream_that_breaks_breaks_for_all_with_its_error(plane: LoneDataPlane, upstream: Upstream) -> None:
    upstream.script = stream([event({"content": "Hel"})] * 20, pause=0.01, end="cut")
    async with plane:
        answers = await asyncio.gather(*[ask(plane, stream=True) for _ in range(4)])
        assert all(b'"error"' in body and b"[DONE]" not in body for *_, body in answers)
        rows = await plane.wait_rows(4)
        assert {(row.outcome, row.error_code) for row in rows} == {(Outcome.ERROR, "provider_unavailable")}
        assert len(upstream.requests) == 1
        assert plane.process.cache is not None
        assert plane.process.cache.levels() == (0, 0, 0)


async def test_a_process_that_dies_leaves_the_call_to_its_successor(
    plane: LoneDataPlane, upstream: Upstream, tmp_path: Path
) -> None:
    """What lies on disk in the middle of a shared call, as another process would find it."""
    await interrupted(plane, upstream, tmp_path / "copy")
    (orphan,) = adopt(tmp_path / "copy", now_ms=1 << 41)
    rows = [row for part in orphan.parts() for row in part]
    orphan.release()
    assert kinds(rows) == {("miss", 1): 2, ("hit", 0): 1}
    assert sorted(row.outcome for row in rows) == [Outcome.LOST, Outcome.OK, Outcome.OK]
    assert len({row.id for row in rows}) == 3


async def interrupted(plane: LoneDataPlane, upstream: Upstream, copy: Path) -> None:
    """A call, a hit, and a shared call in the middle of which the journal is copied."""
    async with plane:
        assert [(await ask(plane, seed=1))[1] for _ in range(2)] == ["miss", "hit"]
        upstream.script = SLOW
        answers = [await begin(plane, stream=True) for _ in range(3)]
        shutil.copytree(plane.folder / "journal", copy)
        for answer in answers:
            await answer.read()


@pytest.mark.parametrize("events", [[], [event({"content": "x"})]], ids=["from the beginning", "in the middle"])
async def test_a_silent_provider_is_given_up_for_all(
    plane: LoneDataPlane, upstream: Upstream, events: list[bytes]
) -> None:
    limits = Timeouts(connect=0.5, first_byte=0.4, between_chunks=0.3, total=0.6)
    plane.add_provider("up", ProviderKind.OPENAI_COMPATIBLE, upstream.url, timeouts=limits)
    plane.models["m"] = msgspec.structs.replace(plane.models["m"], retries=Retries(attempts=0))
    upstream.script = stream(events, end="stuck")
    async with plane:
        answers = await asyncio.gather(*[ask(plane, stream=True) for _ in range(3)])
        assert {status for status, *_ in answers} == {200 if events else 504}
        assert all(b'"error"' in body for *_, body in answers)
        rows = await plane.wait_rows(3)
        assert {(row.outcome, row.error_code, row.status) for row in rows} == {(Outcome.ERROR, "provider_timeout", 504)}
        assert len(upstream.requests) == 1


async def test_the_answer_of_a_fallback_is_its_own_requests_alone(
    plane: LoneDataPlane, upstream: Upstream, second: Upstream
) -> None:
    async def fails(request: Received, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.1)
        await whole({"error": {"message": "boom"}}, 500)(request, writer)

    upstream.script, second.script = fails, whole(completion("of the other"))
    async with plane:
        first = asyncio.ensure_future(ask(plane, model="falls"))
        await until(upstream)
        joined = [asyncio.ensure_future(ask(plane, key, model="falls")) for key in ("mate 0", "narrow")]
        (status, _, body), mate, narrow = await asyncio.gather(first, *joined)
        assert (status, json.loads(body)["choices"][0]["message"]["content"]) == (200, "of the other")
        assert mate[0] == 200
        assert narrow[0] == 502, "its key may not use the other model"
        assert len(upstream.requests) == 3
        await ask(plane, model="falls")
        assert len(upstream.requests) == 4, "nor is it kept"


@contextlib.asynccontextmanager
async def with_ledger(plane: LoneDataPlane) -> AsyncIterator[dict[str, RequestRow]]:
    """The plane, started, with a ledger; gives the rows that came, by id."""
    async with BalanceService() as ledger:
        plane._settings["control_grpc"] = ledger.address
        async with plane:
            ledger.replicas = [plane.process.replica]
            yield {}


@pytest.mark.parametrize(("fields", "calls"), [({}, 3), ({"max_tokens": 50}, 1), ({"model": "known"}, 1)])
async def test_what_a_budget_may_cut_short_is_not_shared(
    plane: LoneDataPlane, upstream: Upstream, fields: dict[str, Any], calls: int
) -> None:
    async def late(request: Received, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.1)
        await whole()(request, writer)

    upstream.script = late
    plane.rules["project:p1"] = budget(f"share-{calls}-{len(fields)}-{'model' in fields}", "project", 10_000)
    async with with_ledger(plane):
        answers = await asyncio.gather(*[ask(plane, **fields) for _ in range(3)])
        assert {status for status, *_ in answers} == {200}
        assert len(upstream.requests) == calls


async def test_a_limit_of_the_first_is_not_the_others(plane: LoneDataPlane, upstream: Upstream) -> None:
    plane.rules["project:p1"] = Rules(limits=(limit("two-at-once", Measure.REQUESTS, 2, scope="project"),))
    upstream.script = SLOW
    async with with_ledger(plane):
        answers = await asyncio.gather(*[ask(plane, stream=True) for _ in range(3)])
        assert sorted(status for status, *_ in answers) == [200, 200, 429]
        assert len(upstream.requests) == 1


async def test_refresh_calls_for_itself(plane: LoneDataPlane, upstream: Upstream) -> None:
    upstream.script = SLOW
    async with plane:
        first = asyncio.ensure_future(ask(plane, stream=True))
        await until(upstream)
        headers = {"x-tollway-cache": "refresh"}
        body = {"model": "m", "messages": [{"role": "user", "content": "Hello"}], "stream": True}
        response = await plane.client.post(f"{plane.base_url}/chat/completions", json=body, headers=headers)
        await response.read()
        await first
        assert (response.headers["x-tollway-cache"], len(upstream.requests)) == ("miss", 2)


async def test_targets_of_one_model_may_all_be_tried(
    plane: LoneDataPlane, upstream: Upstream, second: Upstream
) -> None:
    async def fails(request: Received, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.05)
        await whole({"error": {"message": "boom"}}, 500)(request, writer)

    upstream.script, second.script = fails, whole(completion("of two"))
    plane.add_model("both", strategy=Strategy.PRIORITY)
    targets = tuple(Target(provider=name, model="x", priority=number) for number, name in enumerate(("up", "two")))
    plane.models["both"] = msgspec.structs.replace(plane.models["both"], targets=targets)
    async with plane:
        answers = await asyncio.gather(*[ask(plane, model="both") for _ in range(4)])
        assert {body for *_, body in answers} == {json.dumps(completion("of two")).encode()}
        assert (len(upstream.requests), len(second.requests)) == (1, 1)
        rows = await plane.wait_rows(4)
        assert kinds(rows) == {("miss", 2): 1, ("shared", 0): 3}
