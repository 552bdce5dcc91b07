"""Idempotency keys over two control planes on one database: done once, answered equally, kept safely and for a day."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest

from tollway.controlplane.access.permissions import Role
from tollway.controlplane.api import idempotency
from tollway.controlplane.api.dispatcher import Answered, CallContext, Dispatcher
from tollway.controlplane.api.idempotency import Pruning, Turns, given_key, holds_secret
from tollway.controlplane.api.telemetry import Telemetry
from tollway.controlplane.call import ApiCode, ApiError, Call, Method, Principal
from tollway.controlplane.identity.model import CreateProjectRequest, Project
from tollway.controlplane.identity.service import create_project
from tollway.controlplane.keys import api as keys
from tollway.testkit.approvals import ADMINISTRATOR, Office, furnished
from tollway.testkit.approvals import office as opened
from tollway.testkit.servers import PostgresServer
from tollway.wire.contract import METHODS
from tollway.wire.json_codec import fill

HOUR_MS = 3_600_000
Send = Callable[..., Awaitable[Answered]]


@pytest.fixture(scope="module")
def template(postgres: PostgresServer, migrated: str) -> str:
    """A furnished database that every test copies."""
    return furnished(postgres, migrated)


@pytest.fixture
async def office(postgres: PostgresServer, template: str) -> AsyncIterator[Office]:
    """Two control planes with five connections each."""
    async with opened(postgres, template, planes=2, connections=5) as made:
        yield made


@pytest.fixture
def send(office: Office) -> Send:
    """One call with a key, through one of the planes."""

    async def run(
        key: str,
        method: str = "ProjectService/CreateProject",
        *,
        who: Principal = ADMINISTRATOR,
        through: Dispatcher | None = None,
        stands_for: bytes = b"",
        **fields: Any,
    ) -> Answered:
        contract = METHODS[f"tollway.control.v1.{method}"]
        message = contract.request()
        fill(message, fields)
        context = CallContext(request_id="r", idempotency_key=key, stands_for=stands_for)
        return await (through or office.planes[0]).answer(who, contract, message, context)

    return run


async def refused(answer: Awaitable[Any]) -> ApiError:
    with pytest.raises(ApiError) as failed:
        await answer
    return failed.value


async def audited(office: Office, action: str) -> int:
    ((count,),) = await office.sql("SELECT count(*) FROM audit_events WHERE action = %s", action)
    return int(count)


async def test_fifty_equal_creates_over_two_planes_make_one_thing(office: Office, send: Send) -> None:
    before = await audited(office, "projects.create")
    ((version,),) = await office.sql("SELECT version FROM installation")
    answers = await asyncio.gather(
        *(send("k-1", name="once", description="d", through=office.planes[n % 2]) for n in range(50))
    )
    assert len({answer.message.SerializeToString() for answer in answers}) == 1
    assert sorted(answer.replayed for answer in answers) == [False] + [True] * 49
    assert await office.sql("SELECT count(*) FROM projects WHERE name = 'once'") == [(1,)]
    assert await audited(office, "projects.create") == before + 1
    assert await office.sql("SELECT version FROM installation") == [(version + 1,)]
    assert await office.sql("SELECT count(*) FROM idempotency_records") == [(1,)]


async def test_fifty_equal_decisions_over_two_planes_are_one_vote(office: Office, send: Send) -> None:
    await office.policy(steps=[{"approvers": {"role": "unit_manager"}}])
    dev = await office.person("dev@x", Role.DEVELOPER)
    boss = await office.person("boss@x", Role.UNIT_MANAGER, "unit")
    asked = (await office.request(dev))["id"]
    method, said = "ApprovalService/DecideApproval", {"approval": asked, "verdict": "approve"}
    answers = await asyncio.gather(
        *(send("vote", method, who=boss, through=office.planes[n % 2], **said) for n in range(50))
    )
    assert {answer.message.state for answer in answers} == {"approved"}
    assert len({answer.message.SerializeToString() for answer in answers}) == 1
    assert await office.sql("SELECT count(*) FROM approval_votes") == [(1,)]
    assert await office.sql("SELECT count(*) FROM approval_grants") == [(1,)]
    entries = await office.sql("SELECT resource FROM audit_events WHERE action = 'approvals.decide' ORDER BY 1")
    assert entries == [(f"approval:{asked}",), ("budget:project:demo",)], "the decision and what it gave, once each"
    other = await send("another vote", "ApprovalService/CommentApproval", who=boss, approval=asked, text="fine")
    assert not other.replayed


async def test_a_key_belongs_to_one_caller_one_method_and_one_request(office: Office, send: Send) -> None:
    first = await send("k", name="one", models=["a", "b"])
    assert (await send("k", name="one", models=["a", "b"], through=office.planes[1])).message == first.message
    error = await refused(send("k", name="two"))
    assert (error.code, error.field) == (ApiCode.KEY_REUSED, "Idempotency-Key")
    assert "send the request as it was then, or a new key" in error.message
    same = await send("k", "BusinessUnitService/CreateBusinessUnit", name="one")
    assert not same.replayed
    somebody = await office.person("admin@x", Role.PLATFORM_ADMIN, "platform")
    assert not (await send("k", who=somebody, name="two")).replayed
    assert (await send("k", who=somebody, name="two")).replayed
    found = await office.sql("SELECT name FROM projects WHERE name IN ('one', 'two') ORDER BY name")
    assert found == [("one",), ("two",)]


async def test_what_a_request_is_made_from_may_stand_for_it(send: Send) -> None:
    first = await send("k", name="one", description="in 30 days", stands_for=b"form")
    again = await send("k", name="one", description="in 30 days, a second later", stands_for=b"form")
    assert again == Answered(first.message, replayed=True)
    assert (await refused(send("k", name="one", description="in 30 days"))).code is ApiCode.KEY_REUSED


async def test_what_was_refused_leaves_no_record(office: Office, send: Send) -> None:
    wrong = [
        send("k", name="Not Allowed"),
        send("k", name="fine", business_unit="nowhere"),
        send("k", name="fine", who=Principal(name="reader", permissions=frozenset({"projects.read"}))),
    ]
    codes = [(await refused(call)).code for call in wrong]
    assert codes == [ApiCode.INVALID, ApiCode.NOT_FOUND, ApiCode.PERMISSION_DENIED]
    assert await office.sql("SELECT count(*) FROM idempotency_records") == [(0,)]
    assert not (await send("k", name="fine")).replayed


async def test_reads_take_no_notice_of_a_key(office: Office, send: Send) -> None:
    listed = [await send("k", "ProjectService/ListProjects", page_size=n) for n in (1, 2)]
    assert not any(answer.replayed for answer in listed)
    assert await office.sql("SELECT count(*) FROM idempotency_records") == [(0,)]


async def test_who_waits_for_a_call_that_is_undone_does_it(office: Office) -> None:
    begun, end = asyncio.Event(), asyncio.Event()

    async def fails(call: Call, request: CreateProjectRequest) -> Project:
        await create_project(call, request)
        begun.set()
        await end.wait()
        raise ApiError(ApiCode.FAILED_PRECONDITION, "not today")

    create = METHODS["tollway.control.v1.ProjectService/CreateProject"]
    first, second = (
        Dispatcher(pool, {create.name: Method(CreateProjectRequest, work)}, office.clock, office.vault, Telemetry())
        for pool, work in zip(office.pools, (fails, create_project), strict=True)
    )
    context = CallContext(request_id="r", idempotency_key="k")
    failing = asyncio.create_task(refused(first.answer(ADMINISTRATOR, create, create.request(name="p"), context)))
    await begun.wait()
    waiting = asyncio.create_task(second.answer(ADMINISTRATOR, create, create.request(name="p"), context))
    async with asyncio.timeout(10):
        while not await office.sql("SELECT 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = "
                                   "current_database()"):  # fmt: skip
            await asyncio.sleep(0.02)
    assert not waiting.done()
    end.set()
    assert (await failing).message == "not today"
    assert (await waiting).replayed is False
    assert await office.sql("SELECT count(*) FROM projects WHERE name = 'p'") == [(1,)]


async def test_those_that_wait_in_one_process_hold_no_connection_and_not_for_ever() -> None:
    turns, order = Turns(seconds=0.2), []
    async with turns.turn("a"):
        async with turns.turn("b"):
            order.append("another key does not wait")
        error = await refused(_turn(turns, "a"))
        assert (error.code, error.field) == (ApiCode.UNAVAILABLE, "Idempotency-Key")
    await _turn(turns, "a")
    assert turns._turns == {}, "nothing is kept of keys that are not in use"
    assert order == ["another key does not wait"]


async def _turn(turns: Turns, key: str) -> None:
    async with turns.turn(key):
        await asyncio.sleep(0)


async def test_a_record_ends_after_a_day_and_is_pruned_in_batches(office: Office, send: Send) -> None:
    for n in range(5):
        await send(f"k-{n}", name=f"p-{n}")
    pruning = Pruning(office.pools[0], office.clock, batch=2)
    assert await pruning.prune() == 0
    office.clock.ahead_ms = 24 * HOUR_MS - 60_000
    assert (await send("k-0", name="p-0")).replayed
    office.clock.ahead_ms = 24 * HOUR_MS + 1000
    error = await refused(send("k-0", name="p-0"))
    assert error.code is ApiCode.ALREADY_EXISTS, "a new call, although its record was not pruned yet"
    again = await send("k-1", name="p-new")
    assert not again.replayed
    assert [await pruning.prune() for _ in range(3)] == [2, 2, 0]
    assert await office.sql("SELECT count(*) FROM idempotency_records") == [(1,)]
    assert (await send("k-1", name="p-new")).message == again.message


async def test_an_answer_with_a_secret_is_sealed_and_soon_forgotten(office: Office) -> None:
    plane = Dispatcher(office.pools[0], keys.METHODS, office.clock, office.vault, Telemetry())
    create = METHODS["tollway.control.v1.KeyService/CreateKey"]
    message = create.request(project="demo", name="web")
    context = CallContext(request_id="r", idempotency_key="my-own-key")
    first = (await plane.answer(ADMINISTRATOR, create, message, context)).message
    assert holds_secret(first)
    assert not holds_secret(first.key)
    again = await plane.answer(ADMINISTRATOR, create, message, context)
    assert again == Answered(first, replayed=True), "who lost the answer on the way gets the secret"
    ((row, sealed),) = await office.sql("SELECT r::text, sealed FROM idempotency_records r")
    for hidden in (first.secret, first.secret.encode().hex(), "my-own-key"):
        assert hidden not in row
    assert message.SerializeToString() not in bytes(sealed)
    office.clock.ahead_ms = 16 * 60_000
    error = await refused(plane.answer(ADMINISTRATOR, create, message, context))
    assert (error.code, error.field) == (ApiCode.ANSWER_GONE, "Idempotency-Key")
    assert "rotate" in error.message
    assert await Pruning(office.pools[0], office.clock).prune() == 1
    assert await office.sql("SELECT sealed, data_key FROM idempotency_records") == [(None, None)]
    assert (await refused(plane.answer(ADMINISTRATOR, create, message, context))).code is ApiCode.ANSWER_GONE
    assert await office.sql("SELECT count(*) FROM keys WHERE name = 'web'") == [(1,)]


async def test_an_answer_that_is_too_large_is_not_kept(send: Send, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(idempotency, "MAX_ANSWER_BYTES", 10)
    await send("k", name="large")
    assert (await refused(send("k", name="large"))).code is ApiCode.ANSWER_GONE


@pytest.mark.parametrize("values", [[""], ["a b"], ["é"], ["x" * 256], ["a", "a"], ["a\tb"]])
def test_a_key_is_1_to_255_visible_characters(values: list[str]) -> None:
    with pytest.raises(ApiError, match="1 to 255 visible ASCII characters") as failed:
        given_key(values)
    assert (failed.value.code, failed.value.field) == (ApiCode.INVALID, "Idempotency-Key")
    assert given_key(["x" * 255]) == "x" * 255
    assert given_key([]) == ""
