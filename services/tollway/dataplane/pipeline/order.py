"""The product on one screen: what happens to a request, in this order.

A stage owns one concern. It works at once and returns None, or returns an awaitable; it ends the request by raising a
`TollwayError`, or with an awaitable that gives True: the request is answered. What must happen on every way out is
registered with `Exchange.cleanup`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from tollway.core.operations import Operation
from tollway.dataplane.pipeline.authenticate import authenticate
from tollway.dataplane.pipeline.authorize import authorize
from tollway.dataplane.pipeline.cached import cached
from tollway.dataplane.pipeline.call import call
from tollway.dataplane.pipeline.candidates import candidates
from tollway.dataplane.pipeline.count import count
from tollway.dataplane.pipeline.enter import enter
from tollway.dataplane.pipeline.exchange import Exchange
from tollway.dataplane.pipeline.limit import limit
from tollway.dataplane.pipeline.parse import parse
from tollway.dataplane.pipeline.recall import recall
from tollway.dataplane.pipeline.relay import relay
from tollway.dataplane.pipeline.reserve import reserve

Stage = Callable[[Exchange], Awaitable[bool | None] | None]

STAGES: tuple[Stage, ...] = (
    authenticate,  # key -> verified principal
    enter,  # a place in this process, while it has room
    parse,  # only what routing and accounting need; the rest stays bytes
    authorize,  # may this key use this model
    recall,  # what a response goes on from
    candidates,  # ordered targets that can serve the call
    limit,  # rates and concurrency
    cached,  # an answer that was made before, or is being made; only for projects that want it
    reserve,  # the most that it can cost, of every budget above it
    call,  # one upstream call at a time; each is in the journal before it leaves
    relay,  # pass through or translate, count, and book
)

COUNT: tuple[Stage, ...] = (authenticate, enter, parse, authorize, count)
"""A request that only counts tokens."""


def stages_of(operation: Operation) -> tuple[Stage, ...]:
    """What happens to a request for this operation."""
    return COUNT if operation is Operation.COUNT_TOKENS else STAGES


async def run(exchange: Exchange, stages: tuple[Stage, ...]) -> None:
    """Takes the exchange through the stages; the clean-ups run however it ends, also when the client is gone."""
    try:
        for stage in stages:
            pending = stage(exchange)
            if pending is not None and await pending:
                break
    finally:
        exchange.finish()
