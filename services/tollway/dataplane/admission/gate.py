"""Admits a request or says why not: takes what it needs, waits for a round where that is too little, refuses.

Bounded in time: a request waits for a few rounds at most, and not at all while the counters cannot be reached. Then a
budget gives what this process still holds, while its lease lasts, and refuses the rest; a limit does what it says
(`Outage`).
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from tollway.core.rules import Budget, Limit, Outage
from tollway.dataplane.admission.counters import Counters, Need
from tollway.dataplane.admission.holding import REFUSAL_SECONDS, Holding, Kind
from tollway.dataplane.admission.refusals import counters_away, refusal
from tollway.runtime.clock import Clock

RECALL_SECONDS = 0.6
"""How long a request waits for what other processes hold in advance and give back."""
PLACES_SECONDS = 0.35
"""The same for places: they are in use more often than held in advance, and a round tells of those that came free."""
RECALL_STEP_SECONDS = 0.05
LIFE_SECONDS = 2.0
"""How long a request waits for counters that are being built anew."""
GRACE_SECONDS = 1.0
"""For how long after the counters stopped to answer requests wait for them; those that come later do not wait."""


async def admit(counters: Counters, needs: Sequence[Need], clock: Clock) -> None:
    """Reserves all of `needs`, in one step. Raises TollwayError, with nothing reserved."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    _recently_refused(needs, began, clock.now_ms())
    for holding, amount in needs:
        holding.account.waiting.append(amount)
        holding.touch()
    try:
        while not counters.take(needs):
            if not counters.ready:
                if _worth_waiting(counters, began, loop.time()):
                    await asyncio.sleep(RECALL_STEP_SECONDS)
                    continue
                _without_counters(counters, needs)
                return
            if not await counters.round() or not counters.ready:
                continue
            unknown = [holding for holding, _ in needs if not holding.known]
            if unknown:
                await _learn(counters, unknown, began, loop)
            elif counters.take(needs):
                return
            else:
                await _recall_or_refuse(needs, began, loop, clock)
    finally:
        for holding, amount in needs:
            holding.account.waiting.remove(amount)


async def look(counters: Counters, holdings: Sequence[Holding]) -> None:
    """Learns how much is left, where it can be known now. Raises TollwayError when the ledger must say and cannot."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    while True:
        if not counters.ready:
            if not _worth_waiting(counters, began, loop.time()):
                return
            await asyncio.sleep(RECALL_STEP_SECONDS)
            continue
        for holding in holdings:
            holding.touch()
        if not await counters.round():
            continue
        unknown = [holding for holding in holdings if not holding.known]
        if not unknown:
            return
        await _learn(counters, unknown, began, loop)


def _worth_waiting(counters: Counters, began: float, now: float) -> bool:
    """Whether counters that grant nothing may do so in a moment."""
    if counters.reviving:
        return now - began < LIFE_SECONDS
    return now - counters.away_since < GRACE_SECONDS


def _recently_refused(needs: Sequence[Need], now: float, now_ms: int) -> None:
    for holding, amount in needs:
        if now < holding.refused_until and amount >= holding.refused_amount > 0:
            raise refusal(holding, amount, now_ms)


async def _learn(counters: Counters, unknown: Sequence[Holding], began: float, loop: asyncio.AbstractEventLoop) -> None:
    """What was spent before must come from the ledger first."""
    if loop.time() - began > LIFE_SECONDS:
        raise counters_away(unknown[0])
    try:
        async with asyncio.timeout(LIFE_SECONDS):
            await counters.learn(unknown)
    except (ConnectionError, TimeoutError) as error:
        raise counters_away(unknown[0]) from error
    await asyncio.sleep(0)


async def _recall_or_refuse(needs: Sequence[Need], began: float, loop: asyncio.AbstractEventLoop, clock: Clock) -> None:
    """Refuses what cannot be had. What others hold may come back within a moment: that is waited for."""
    for holding, amount in needs:
        pool = holding.pool
        if pool is None or holding.account.free >= amount:
            continue
        told = pool.told
        if told.free + max(0, holding.account.free) >= amount and loop.time() - began <= LIFE_SECONDS:
            continue  # another request of this process was quicker: ask again
        elsewhere = told.held - holding.account.reserved
        late = loop.time() - began > (PLACES_SECONDS if holding.kind is Kind.PLACES else RECALL_SECONDS)
        if late or told.free + elsewhere < amount:
            holding.refused_until = loop.time() + REFUSAL_SECONDS
            holding.refused_amount = amount
            raise refusal(holding, amount, clock.now_ms())
        await asyncio.sleep(RECALL_STEP_SECONDS)
        return
    await asyncio.sleep(0)


def _without_counters(counters: Counters, needs: Sequence[Need]) -> None:
    """The counters cannot be reached: what each rule says for that."""
    overdrawn: list[Need] = []
    for holding, amount in needs:
        if counters.leased and holding.account.free >= amount:
            continue
        rule = holding.rule
        if isinstance(rule, Budget) or rule.on_outage is Outage.CLOSED:
            raise counters_away(holding)
        used = holding.account.spent + holding.account.reserved
        if used + amount > local_share(rule, counters.holders):
            raise refusal(holding, amount, None)
        overdrawn.append((holding, amount))
    for need in needs:
        if need in overdrawn:
            need[0].account.overdraw(need[1])
            need[0].touch()
        else:
            need[0].take(need[1])


def local_share(limit: Limit, holders: int) -> int:
    """What one process allows by itself while the counters are away: its share, and one at least of what is allowed."""
    return max(min(1, limit.amount), limit.amount // max(1, holders))
