"""What a provider cannot be told: named when a knob, refused when it changes the meaning or the policy is strict."""

from __future__ import annotations

from typing import Any

import anthropic
import openai
import pytest

from tollway.testkit.lone_dataplane import LoneDataPlane
from tollway.testkit.simulator import SimulatorServer

HI = [{"role": "user", "content": "hi"}]


async def test_a_knob_is_left_out_and_named(gateway: LoneDataPlane) -> None:
    answer = await gateway.chat(model="claude", seed=7, logit_bias={"1": 2}, messages=HI)
    assert (answer.status, answer.headers["x-tollway-dropped"]) == (200, "logit_bias, seed")


async def test_what_changes_the_meaning_is_refused(
    openai_client: openai.AsyncOpenAI, simulator: SimulatorServer
) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        await openai_client.chat.completions.create(model="claude", n=2, messages=[{"role": "user", "content": "hi"}])
    assert (refused.value.code, refused.value.param) == ("unsupported_parameter", "n")
    assert simulator.counts()["received"] == 0


async def test_a_strict_project_refuses_knobs_too(gateway: LoneDataPlane, simulator: SimulatorServer) -> None:
    key = gateway.keys["strict"]
    hi: Any = [{"role": "user", "content": "hi"}]
    async with openai.AsyncOpenAI(base_url=gateway.base_url, api_key=key, max_retries=0) as client:
        with pytest.raises(openai.BadRequestError) as refused:
            await client.chat.completions.create(model="claude", seed=7, messages=hi)
        assert (refused.value.code, refused.value.param) == ("unsupported_parameter", "seed")
        assert simulator.counts()["received"] == 0
        await client.chat.completions.create(model="gpt", seed=7, messages=hi)
    async with anthropic.AsyncAnthropic(base_url=gateway.origin, api_key=key, max_retries=0) as claude:
        with pytest.raises(anthropic.BadRequestError, match="'top_k'"):
            await claude.messages.create(model="gpt", max_tokens=9, messages=hi, extra_body={"top_k": 3})
    assert simulator.counts()["received"] == 1
