"""A Redis that is slow and not dead: requests are delayed within a stated bound, and all is well when it recovers."""

from __future__ import annotations

import asyncio
from pathlib import Path

from tollway.core.money import NANO_PER_DOLLAR
from tollway.core.rules import Measure, Rules
from tollway.testkit.fleet import Fleet, budget, limit
from tollway.testkit.servers import ValkeyServer
from tollway.testkit.simulator import SimulatorServer
from tollway.testkit.slow_proxy import SlowProxy

BOUND_SECONDS = 4.0
"""Half a second of the counters' own and a second of grace, a second of the directory; and what a busy machine adds."""


async def test_two_seconds_of_latency_are_an_outage(
    tmp_path: Path, counts: ValkeyServer, simulator: SimulatorServer
) -> None:
    async with SlowProxy(counts.url) as proxy:
        fleet = Fleet(tmp_path, counts, simulator, redis_url=proxy.url)
        fleet.rules["project:p1"] = budget("b1", "project", 1)
        fleet.rules["model:plain"] = Rules(limits=(limit("l1", Measure.REQUESTS, 90, 3600),))
        async with fleet:
            assert {answer.status for answer in await fleet.burst(3)} == {200}
            proxy.delay = 2.0
            first = [await fleet.ask(model="plain") for _ in range(3)]
            assert max(answer.seconds for answer in first) < BOUND_SECONDS
            later = [await fleet.ask() for _ in range(9)]
            assert sorted(answer.seconds for answer in later)[4] < 0.3, "who comes later waits for nothing"
            assert {answer.code for answer in later} <= {"", "overloaded"}
            proxy.delay = 0.0
            began = asyncio.get_running_loop().time()
            while (await fleet.ask()).status != 200:
                assert asyncio.get_running_loop().time() - began < 10
                await asyncio.sleep(0.1)
            await fleet.burst(30)
            await asyncio.sleep(1)
            assert fleet.spent() == NANO_PER_DOLLAR
