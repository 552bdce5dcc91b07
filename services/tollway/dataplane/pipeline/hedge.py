"""A second call beside one that is slow: the first answer is used, the other call is cancelled and booked as it was.

Only models that ask for it get here. The second call goes to another target where one may be called, takes one try
from the model's budget, and is reserved like every further call before it starts.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from tollway.core.errors import let_go
from tollway.core.ledger import Outcome
from tollway.dataplane.pipeline.attempt import Attempt
from tollway.dataplane.pipeline.exchange import Exchange
from tollway.dataplane.pipeline.leave import abandon
from tollway.dataplane.pipeline.observe import label_of
from tollway.dataplane.pipeline.tries import Tries

TASK = "call"
FIRST, SECOND, NEITHER = "first", "second", "neither"

Ask = Callable[[Exchange, Attempt], Awaitable[Exception | None]]
"""Makes a call; returns why it failed, or None when it has answered."""
Fail = Callable[[Attempt, Exception], object]
"""Books a call that failed."""
Calls = dict[asyncio.Task[Exception | None], Attempt]


async def hedged(
    exchange: Exchange, tries: Tries, first: Attempt, seconds: float, ask: Ask, fail: Fail
) -> tuple[Attempt, Exception | None]:
    """The attempt that answered, and None; or the one that failed last, with its failure.

    A second call is made when the first has not answered after `seconds`.
    """
    calls: Calls = {_start(exchange, first, ask): first}
    try:
        done, _ = await asyncio.wait(calls, timeout=seconds)
        second = None if done else await tries.beside(first, lambda: not any(task.done() for task in calls))
        if second is not None:
            calls[_start(exchange, second, ask)] = second
        attempt, error = await _first_answer(calls, fail)
    except BaseException:
        await _stop(calls)
        for call in calls.values():
            if call is not first:  # the first is left by whoever began it
                abandon(call)
        raise
    if second is not None:
        _decided(exchange, attempt, first, error)
    return attempt, error


def _start(exchange: Exchange, attempt: Attempt, ask: Ask) -> asyncio.Task[Exception | None]:
    async def call() -> Exception | None:
        return await ask(exchange, attempt)

    return exchange.services.tasks.spawn(call(), TASK)


async def _first_answer(calls: Calls, fail: Fail) -> tuple[Attempt, Exception | None]:
    """Waits for an answer; ends the other call. What fails while another is under way is booked here."""
    while True:
        done, _ = await asyncio.wait(calls, return_when=asyncio.FIRST_COMPLETED)
        for task in done:
            error = task.result()
            attempt = calls.pop(task)
            if error is None:
                await _stop(calls)
                for late, other in calls.items():
                    _outrun(late, other, fail)
                calls.clear()
                return attempt, None
            if not calls:
                return attempt, error
            fail(attempt, error)
            let_go(error)


async def _stop(calls: Calls) -> None:
    for task in calls:
        task.cancel()
    if calls:
        await asyncio.wait(calls)


def _outrun(task: asyncio.Task[Exception | None], attempt: Attempt, fail: Fail) -> None:
    """Books the call that was cancelled because the other one answered; it may have ended at the same moment."""
    if task.cancelled():
        abandon(attempt, Outcome.CANCELLED)
    elif (error := task.result()) is not None:
        fail(attempt, error)
    elif attempt.stream is not None:
        abandon(attempt, Outcome.CANCELLED)
    else:
        usage, chars = attempt.finished.usage, attempt.finished.output_chars
        attempt.close(Outcome.CANCELLED, usage=usage, output_chars=chars, estimated=usage is None)


def _decided(exchange: Exchange, attempt: Attempt, first: Attempt, error: Exception | None) -> None:
    result = NEITHER
    if error is None:
        result = FIRST if attempt is first else SECOND
        if attempt is not exchange.attempts[-1] and exchange.head.stream:
            attempt.chosen()
    exchange.services.telemetry.hedge(label_of(exchange.route), result)
