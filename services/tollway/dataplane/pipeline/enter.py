"""A place among the requests of this process: at once, after a moment, or never while it has too many."""

from __future__ import annotations

from collections.abc import Awaitable

from tollway.dataplane.pipeline.exchange import Exchange
from tollway.dataplane.routing.gate import Waiting


def enter(exchange: Exchange) -> Awaitable[None] | None:
    """Before the body is read: what is refused has cost nothing. The place is given back when the request ends."""
    services = exchange.services
    overload = services.overload
    waiting = overload.enter(exchange.principal.project.priority)
    exchange.cleanup(lambda: overload.leave(waiting, services.loop_time()))
    return None if waiting is None else _wait(waiting)


async def _wait(waiting: Waiting) -> None:
    await waiting
