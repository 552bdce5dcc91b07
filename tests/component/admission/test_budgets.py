"""What a hard budget does to single requests: on every endpoint, on every way out, and in the words of a refusal."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import openai
import pytest

from tollway.core.catalog import Retries
from tollway.core.money import NANO_PER_DOLLAR
from tollway.core.rules import Mode, Period
from tollway.testkit.fleet import COST, MODEL, TOKENS, Fleet, budget

CHAT = {"model": MODEL, "messages": [{"role": "user", "content": "hi"}], "max_tokens": TOKENS}
CALLS: dict[str, dict[str, Any]] = {
    "/chat/completions": CHAT,
    "/completions": {"model": MODEL, "prompt": "hi", "max_tokens": TOKENS},
    "/responses": {"model": MODEL, "input": "hi", "max_output_tokens": TOKENS},
    "/messages": CHAT,
    "/embeddings": {"model": MODEL, "input": "hi"},
    "/moderations": {"model": MODEL, "input": "hi"},
    "/images/generations": {"model": MODEL, "prompt": "a lake"},
    "/audio/speech": {"model": MODEL, "input": "hi", "voice": "alloy"},
    "/rerank": {"model": MODEL, "query": "hi", "documents": ["a", "b"]},
}


async def eventually_free(fleet: Fleet) -> None:
    for _ in range(60):
        if fleet.outstanding() == 0:
            return
        await asyncio.sleep(0.05)
    raise AssertionError(f"still reserved: {fleet.outstanding()}")


async def test_nothing_leaves_under_a_budget_of_zero(fleet: Fleet) -> None:
    fleet.rules["project:p1"] = budget("b1", "project", 0)
    async with fleet:
        answers = {path: await fleet.post(path, body) for path, body in CALLS.items()}
        free = {path for path, answer in answers.items() if answer.status == 200}
        assert free <= {"/embeddings", "/moderations", "/rerank"}, "input is free in this price: it costs nothing"
        for path, answer in answers.items():
            if path not in free:
                assert answer.status in (400, 429), (path, answer.body)
                assert answer.code in ("budget_exceeded", "unsupported_parameter"), (path, answer.body)
        assert fleet.simulator.counts()["received"] == len(free)
        counted = await fleet.post("/messages/count_tokens", {k: v for k, v in CHAT.items() if k != "max_tokens"})
        assert counted.status == 200, counted.body


async def test_a_refusal_says_whose_budget_and_when_it_begins_anew(fleet: Fleet) -> None:
    fleet.rules["project:p1"] = budget("b1", "project", 0.15, period=Period.DAY)
    async with fleet:
        assert (await fleet.ask()).status == 200
        refused = await fleet.ask()
        assert refused.status == 429
        error = refused.error
        assert (error["type"], error["code"]) == ("insufficient_quota", "budget_exceeded")
        assert error["details"]["limit"] == "0.15"
        assert error["details"]["used"] == "0.1"
        assert error["details"]["reset_at"].endswith("T00:00:00Z")
        for words in ("project 'shown'", "0.1 of 0.15 US dollars", "may cost 0.1", "begins anew at"):
            assert words in error["message"]
        assert refused.headers["x-should-retry"] == "false"
        assert "Retry-After" not in refused.headers
        anthropic = await fleet.post("/messages", CHAT)
        assert json.loads(anthropic.body)["error"]["type"] == "rate_limit_error"


async def test_the_official_client_does_not_retry(fleet: Fleet) -> None:
    fleet.rules["project:p1"] = budget("b1", "project", 0)
    async with fleet:
        plane = fleet.first
        async with openai.AsyncOpenAI(base_url=plane.base_url, api_key=plane.key, max_retries=5) as client:
            began = asyncio.get_running_loop().time()
            create: Any = client.chat.completions.create
            with pytest.raises(openai.RateLimitError) as raised:
                await create(**CHAT)
            assert raised.value.code == "budget_exceeded"
            assert asyncio.get_running_loop().time() - began < 1.5


async def test_a_model_without_a_price_is_refused_under_a_hard_budget_alone(fleet: Fleet) -> None:
    fleet.rules["project:p1"] = budget("b1", "project", 1)
    async with fleet:
        refused = await fleet.ask(model="unpriced")
        assert (refused.status, refused.code) == (403, "model_not_priced")


async def test_a_soft_budget_refuses_nothing(fleet: Fleet) -> None:
    fleet.rules["project:p1"] = budget("b1", "project", 0.05, mode=Mode.SOFT)
    async with fleet:
        assert {answer.status for answer in await fleet.burst(6)} == {200}
        assert (await fleet.ask(model="unpriced")).status == 200


async def test_a_request_without_a_limit_of_output_gets_one_that_the_budget_pays_for(fleet: Fleet) -> None:
    fleet.rules["project:p1"] = budget("b1", "project", 1)
    async with fleet:
        answer = await fleet.ask(max_tokens=None)
        assert answer.status == 200, answer.body
        await eventually_free(fleet)
        assert fleet.spent() == COST


@pytest.mark.parametrize("streamed", [False, True])
async def test_a_client_that_leaves_is_charged_at_most_what_was_reserved(fleet: Fleet, streamed: bool) -> None:
    fleet.rules["project:p1"] = budget("b1", "project", 1)
    async with fleet:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1.0):
                await fleet.ask(model="slow", stream=streamed, plane=0)
        await eventually_free(fleet)
        (row,) = await fleet.first.wait_rows(1)
        (attempt,) = row.attempts
        assert attempt.estimated
        assert int(streamed) <= attempt.cost_nano <= COST
        assert fleet.spent() == attempt.cost_nano


@pytest.mark.parametrize("fault", ["500", "429"])
async def test_what_fails_is_given_back(fleet: Fleet, fault: str) -> None:
    fleet.rules["project:p1"] = budget("b1", "project", 0.1)
    fleet.retries = Retries(attempts=0)
    async with fleet:
        fleet.simulator.behave("*", fault=fault, times=1)
        assert (await fleet.ask()).status >= 429
        await eventually_free(fleet)
        assert fleet.spent() == 0
        assert (await fleet.ask()).status == 200


async def test_what_breaks_without_a_word_is_booked_as_it_may_be_billed(fleet: Fleet) -> None:
    """The request left on a new connection: nobody knows whether the provider was at work."""
    fleet.rules["project:p1"] = budget("b1", "project", 0.1)
    fleet.retries = Retries(attempts=0)
    async with fleet:
        fleet.simulator.behave("*", fault="close-first", times=1)
        assert (await fleet.ask(plane=0)).status == 502
        await eventually_free(fleet)
        (row,) = await fleet.first.wait_rows(1)
        (attempt,) = row.attempts
        assert attempt.estimated
        assert 0 < attempt.cost_nano <= COST
        assert fleet.spent() == attempt.cost_nano


async def test_every_level_has_its_own_budget(fleet: Fleet) -> None:
    """Organisation, unit, project, user and key: each alone refuses, and is named."""
    keys = {
        "key": fleet.first.add_key(rules=budget("b5", "key", 0)),
        "user": fleet.first.add_key(user="ana@example.com"),
    }
    fleet.rules["user:ana@example.com"] = budget("b4", "user", 0)
    async with fleet:
        for scope, key in keys.items():
            refused = await fleet.post("/chat/completions", CHAT, key=key)
            assert (refused.status, refused.error["details"]["scope"]) == (429, scope)
        assert (await fleet.ask()).status == 200, "the other keys go on"


async def test_one_dollar_is_one_dollar_to_the_nano(fleet: Fleet) -> None:
    """A limit that no whole number of requests fits into is not exceeded by the last one."""
    fleet.rules["project:p1"] = budget("b1", "project", 0.349999999)
    async with fleet:
        answers = await fleet.burst(20)
        assert sum(answer.status == 200 for answer in answers) == 3
        assert fleet.spent() == 3 * COST <= 0.349999999 * NANO_PER_DOLLAR


async def test_a_budget_that_is_new_counts_what_was_spent_before_it(fleet: Fleet) -> None:
    """Also what was spent since the counters began: the ledger has it, whoever asks."""
    async with fleet:
        assert {answer.status for answer in await fleet.burst(6)} == {200}
        await fleet.rows_in_ledger(6)
        fleet.publish({"project:p1": budget("b9", "project", 0.85)})
        answers = await fleet.burst(12)
        assert sum(answer.status == 200 for answer in answers) == 2


async def test_another_period_counts_from_its_own_beginning(fleet: Fleet) -> None:
    fleet.ledger.used = lambda query: 5 * NANO_PER_DOLLAR if query.start_ms == 0 else 0
    fleet.rules["project:p1"] = budget("b1", "project", 1, period=Period.DAY)
    async with fleet:
        assert (await fleet.ask()).status == 200
        await fleet.rows_in_ledger(1)
        fleet.publish({"project:p1": budget("b1", "project", 5.35, period=Period.NONE)})
        answers = await fleet.burst(12)
        assert sum(answer.status == 200 for answer in answers) == 2
