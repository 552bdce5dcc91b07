"""What the client sees, and what is booked, when one call fails and another may answer."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest

from tollway.core.catalog import Credential, ProviderKind, Retries, Strategy, Target, Timeouts
from tollway.core.ledger import Outcome
from tollway.core.money import NANO_PER_DOLLAR
from tollway.core.pricing import Price
from tollway.core.rules import Measure
from tollway.core.rules import Rules as RuleSet
from tollway.testkit.balance_service import BalanceService
from tollway.testkit.fleet import budget, limit
from tollway.testkit.lone_dataplane import LoneDataPlane
from tollway.testkit.servers import ValkeyServer
from tollway.testkit.upstream import Received, Script, Upstream, completion, event, stream, whole, words

LIMITS = Timeouts(connect=0.5, first_byte=0.6, between_chunks=0.5, total=3.0)
BROKEN = whole({"error": {"message": "boom"}}, 500)
CLAUDE = {
    "id": "msg_1", "type": "message", "role": "assistant", "model": "claude-up", "stop_reason": "end_turn",
    "stop_sequence": None, "content": [{"type": "text", "text": "Hello from another."}],
    "usage": {"input_tokens": 9, "output_tokens": 3},
}  # fmt: skip
DOLLAR_A_TOKEN = Price(version="dear@1", input=0, output=NANO_PER_DOLLAR * 1_000_000)
TOO_LONG = whole({"error": {"message": "too long", "type": "x", "code": "context_length_exceeded"}}, 400)
FILTERED = whole({"error": {"message": "no", "type": "x", "code": "content_filter"}}, 400)
WRONG = whole({"error": {"message": "no such field", "type": "invalid_request_error", "code": None}}, 400)


@pytest.fixture
async def first() -> AsyncIterator[Upstream]:
    async with Upstream() as server:
        yield server


@pytest.fixture
async def second() -> AsyncIterator[Upstream]:
    async with Upstream() as server:
        yield server


@pytest.fixture
async def plane(tmp_path: Path, valkey: ValkeyServer, first: Upstream, second: Upstream) -> LoneDataPlane:
    """Not started: providers `one`, `two` and `claude` (at the second); the model `m` goes to `one`, then to `two`."""
    made = LoneDataPlane(tmp_path / "data", valkey.url)
    made.add_provider("one", ProviderKind.OPENAI_COMPATIBLE, first.url, timeouts=LIMITS)
    made.add_provider("two", ProviderKind.OPENAI_COMPATIBLE, second.url, timeouts=LIMITS)
    made.add_provider("claude", ProviderKind.ANTHROPIC, second.url.removesuffix("/v1"), timeouts=LIMITS)
    targets = tuple(Target(provider=name, model="up", priority=number) for number, name in enumerate(("one", "two")))
    made.add_model("m", strategy=Strategy.PRIORITY)
    made.models["m"] = msgspec.structs.replace(made.models["m"], targets=targets)
    return made


@asynccontextmanager
async def with_ledger(plane: LoneDataPlane, ledger: BalanceService) -> AsyncIterator[None]:
    """The plane, started, with a ledger that knows what was spent."""
    plane._settings["control_grpc"] = ledger.address
    async with plane:
        ledger.replicas = [plane.process.replica]
        yield


async def until_rows(ledger: BalanceService, count: int) -> None:
    """Returns once so many rows came."""
    async with asyncio.timeout(5):
        while len(ledger.rows) < count:
            await asyncio.sleep(0.02)


async def text_of(response: aiohttp.ClientResponse) -> str:
    """The text of a chat's answer, streamed or not."""
    raw = (await response.read()).decode()
    if not response.headers["Content-Type"].startswith("text/event-stream"):
        return str(json.loads(raw)["choices"][0]["message"]["content"])
    assert raw.rstrip().endswith("data: [DONE]")
    chunks = [json.loads(line[6:]) for line in raw.splitlines() if line.startswith("data: {")]
    return "".join(c["choices"][0]["delta"].get("content") or "" for c in chunks if c["choices"])


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize(
    "script",
    [
        BROKEN,
        whole({"error": {"message": "slow down"}}, 429, retry_after="30"),
        whole({"error": {"message": "no such key"}}, 401),
        whole(b"<html>"),
        stream([event({"role": "assistant"}), b'data: {"error": {"message": "overloaded"}}\n\n']),
        stream([event({"role": "assistant"})], end="cut"),
        stream([], end="stuck"),
    ],
    ids=["500", "429", "401", "no json", "error event", "cut", "stuck"],
)
async def test_a_failure_before_the_first_content_is_not_seen(
    plane: LoneDataPlane, first: Upstream, second: Upstream, script: Script, streamed: bool
) -> None:
    first.script = script
    second.script = stream(words()) if streamed else whole(completion("w0 w1 w2 "))
    async with plane:
        response = await plane.chat(stream=streamed)
        assert (response.status, await text_of(response)) == (200, "w0 w1 w2 ")
        assert (response.headers["x-tollway-provider"], response.headers["x-tollway-attempts"]) == ("two", "2")
        assert (len(first.requests), len(second.requests)) == (1, 1)
        (row,) = await plane.wait_rows(1)
        assert [(each.provider, each.outcome, each.number) for each in row.attempts] == [
            ("one", Outcome.ERROR, 1),
            ("two", Outcome.OK, 2),
        ]
        assert (row.outcome, row.status) == (Outcome.OK, 200)
        assert row.attempts[1].usage.output == 3
        assert not row.attempts[1].estimated


async def test_what_breaks_after_the_first_content_ends_in_an_error_event(
    plane: LoneDataPlane, first: Upstream, second: Upstream
) -> None:
    first.script = stream([event({"content": "Hel"})], end="cut")
    async with plane:
        response = await plane.chat(stream=True)
        raw = (await response.read()).decode()
        assert '"Hel"' in raw
        assert '"error"' in raw
        assert "[DONE]" not in raw
        assert not second.requests
        (row,) = await plane.wait_rows(1)
        assert [each.outcome for each in row.attempts] == [Outcome.ERROR]
        assert row.attempts[0].usage.output == 1


async def test_a_mistake_of_the_clients_is_not_tried_elsewhere(
    plane: LoneDataPlane, first: Upstream, second: Upstream
) -> None:
    first.script = WRONG
    async with plane:
        for _ in range(8):
            assert (await plane.chat()).status == 400
        assert (len(first.requests), len(second.requests)) == (8, 0), "and never counts against the target"


async def test_the_same_target_is_asked_again_where_there_is_no_other(plane: LoneDataPlane, first: Upstream) -> None:
    answers = iter([BROKEN, BROKEN, whole()])

    async def script(request: Received, writer: Any) -> None:
        await next(answers)(request, writer)

    first.script = script
    plane.add_model("alone", ("one", "up"))
    async with plane:
        response = await plane.chat(model="alone")
        assert (response.status, response.headers["x-tollway-attempts"]) == (200, "3")


async def test_a_client_that_leaves_between_two_tries_leaves_a_failed_request(
    plane: LoneDataPlane, first: Upstream, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tollway.dataplane.routing.router.backoff", lambda *_: 5.0)
    first.script = BROKEN
    plane.add_model("alone", ("one", "up"))
    async with plane:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(plane.chat(model="alone"), 0.5)
        (row,) = await plane.wait_rows(1)
        assert (row.outcome, row.error_code, len(row.attempts)) == (Outcome.ERROR, "provider_error", 1)
        assert not plane.process.admission.counters("default").outstanding()


async def test_none_is_none(plane: LoneDataPlane, first: Upstream) -> None:
    first.script = BROKEN
    plane.add_model("once", ("one", "up"), retries=Retries(attempts=0))
    async with plane:
        response = await plane.chat(model="once")
        assert (response.status, len(first.requests)) == (502, 1)
        assert response.headers["x-tollway-attempts"] == "1"


async def test_retry_after_is_honoured_and_passed_on(plane: LoneDataPlane, first: Upstream) -> None:
    first.script = whole({"error": {"message": "slow down"}}, 429, retry_after="1.5")
    plane.add_model("alone", ("one", "up"))
    async with plane:
        began = time.monotonic()
        refused = await plane.chat(model="alone")
        assert (refused.status, refused.headers["Retry-After"]) == (429, "2")
        again = await plane.chat(model="alone")
        assert again.status == 429
        assert 0 < float(again.headers["retry-after-ms"]) <= 1500
        assert (await again.json())["error"]["code"] == "provider_rate_limited"
        assert len(first.requests) == 1, "it is not called before"
        first.script = whole()
        while (response := await plane.chat(model="alone")).status != 200:
            assert response.status == 429
            assert time.monotonic() - began < 4
        assert time.monotonic() - began >= 1.5


async def test_another_credential_is_used_where_one_is_refused(plane: LoneDataPlane, first: Upstream) -> None:
    keys = tuple(Credential(id=name, name=name, api_key=f"sk-{name}-0123456789") for name in ("good", "bad"))
    plane.providers["one"] = msgspec.structs.replace(plane.providers["one"], credentials=keys)
    plane.add_model("alone", ("one", "up"))

    async def script(request: Received, writer: Any) -> None:
        answer = whole() if "good" in request.headers["authorization"] else whole({"error": {"message": "who?"}}, 401)
        await answer(request, writer)

    first.script = script
    async with plane:
        answers = [await plane.chat(model="alone") for _ in range(12)]
        assert {answer.status for answer in answers} == {200}
        refused = sum("bad" in request.headers["authorization"] for request in first.requests)
        assert refused <= 1, "it is set aside"


@pytest.mark.parametrize(
    ("script", "field"),
    [(BROKEN, "fallbacks"), (TOO_LONG, "context_fallbacks"), (FILTERED, "filter_fallbacks")],
)
async def test_another_model_answers_in_another_dialect(
    plane: LoneDataPlane, first: Upstream, second: Upstream, script: Script, field: str
) -> None:
    first.script, second.script = script, whole(CLAUDE)
    plane.add_model("other", ("claude", "claude-up"), price=Price(version="other@1", input=0, output=7_000_000))
    chain: dict[str, Any] = {field: ("missing", "other")}
    plane.add_model("small", ("one", "up"), retries=Retries(attempts=0), **chain)
    async with plane:
        response = await plane.chat(model="small", max_tokens=20)
        assert (response.status, await text_of(response)) == (200, "Hello from another.")
        assert (response.headers["x-tollway-model"], response.headers["x-tollway-provider"]) == ("other", "claude")
        assert second.requests[0].path == "/v1/messages"
        (row,) = await plane.wait_rows(1)
        assert row.model == "small"
        assert [(each.target_model, each.price_version) for each in row.attempts] == [
            ("up", "test@1"),
            ("claude-up", "other@1"),
        ]
        assert row.attempts[1].cost_nano == 21


async def test_a_fallback_that_the_key_may_not_use_is_not_used(
    plane: LoneDataPlane, first: Upstream, second: Upstream
) -> None:
    first.script = BROKEN
    plane.add_model("other", ("two", "up"))
    plane.add_model("small", ("one", "up"), retries=Retries(attempts=0), fallbacks=("other",))
    narrow = plane.add_key(models=("small",))
    async with plane:
        headers = {"Authorization": f"Bearer {narrow}"}
        body = {"model": "small", "messages": [{"role": "user", "content": "x"}]}
        async with plane.client.post(f"{plane.base_url}/chat/completions", json=body, headers=headers) as response:
            assert response.status == 502
        assert not second.requests


async def test_a_fallback_without_room_in_its_limits_is_not_used(
    plane: LoneDataPlane, first: Upstream, second: Upstream
) -> None:
    first.script = BROKEN
    plane.add_model("other", ("two", "up"))
    plane.add_model("small", ("one", "up"), retries=Retries(attempts=0), fallbacks=("other",))
    plane.rules["model:other"] = RuleSet(limits=(limit("without-room", Measure.REQUESTS, 1, 86_400, scope="model"),))
    async with BalanceService() as ledger, with_ledger(plane, ledger):
        statuses = [(await plane.chat(model="small")).status for _ in range(3)]
        assert (statuses.count(200), len(second.requests)) == (1, 1)
        assert statuses.count(502) == 2


@pytest.mark.parametrize(("limit_dollars", "calls"), [(30.0, 2), (15.0, 1)])
async def test_a_further_call_is_reserved_beside_what_the_first_may_have_cost(
    plane: LoneDataPlane, first: Upstream, second: Upstream, limit_dollars: float, calls: int
) -> None:
    """The first call said 200 and is billed by estimate; without room for another whole answer there is no second."""
    first.script = whole(b'{"choices": ')
    plane.models["m"] = msgspec.structs.replace(plane.models["m"], price=DOLLAR_A_TOKEN)
    plane.rules["project:p1"] = budget(f"b{limit_dollars:.0f}", "project", limit_dollars)
    async with BalanceService() as ledger, with_ledger(plane, ledger):
        response = await plane.chat(max_tokens=10)
        assert response.status == (200 if calls == 2 else 502)
        assert len(first.requests) + len(second.requests) == calls
        await until_rows(ledger, 1)
        ((_, row),) = ledger.rows.values()
        cost = sum(attempt.cost_nano for attempt in row.attempts)
        assert cost <= limit_dollars * NANO_PER_DOLLAR
        assert row.attempts[0].estimated


async def test_a_fallback_that_the_budget_does_not_pay_for_is_not_called(
    plane: LoneDataPlane, first: Upstream, second: Upstream
) -> None:
    first.script = BROKEN
    plane.add_model("other", ("two", "up"), price=DOLLAR_A_TOKEN)
    plane.add_model("small", ("one", "up"), retries=Retries(attempts=0), fallbacks=("other",))
    plane.rules["project:p1"] = budget("b5", "project", 5)
    async with BalanceService() as ledger, with_ledger(plane, ledger):
        refused = await plane.chat(model="small", max_tokens=10)
        assert (refused.status, (await refused.json())["error"]["code"]) == (502, "provider_error"), (
            await refused.text()
        )
        assert not second.requests
        assert (await plane.chat(model="small", max_tokens=4)).status == 200
        await until_rows(ledger, 2)
        assert sum(attempt.cost_nano for _, row in ledger.rows.values() for attempt in row.attempts) == 3 * 10**9


async def test_a_target_that_keeps_failing_is_left_alone(
    plane: LoneDataPlane, first: Upstream, second: Upstream
) -> None:
    first.script = BROKEN
    async with plane:
        for _ in range(12):
            assert (await plane.chat()).status == 200
        assert len(first.requests) == 5
        async with plane.client.get(f"{plane.base_url}/models/m") as response:
            assert (await response.json())["tollway"]["status"] == "degraded"
