"""The client left: what becomes of a call that is under way, and how it is booked."""

from __future__ import annotations

from tollway.core.errors import TollwayError
from tollway.core.ledger import Outcome
from tollway.dataplane.endpoints.port import StreamRelay
from tollway.dataplane.pipeline.attempt import Attempt
from tollway.dataplane.pipeline.exchange import Exchange
from tollway.runtime import log

_log = log.get(__name__)
DRAIN = "drain"
DRAIN_TASK = "drain"


def leave(exchange: Exchange, attempt: Attempt) -> None:
    """Closes the call, or lets its stream run on for its usage (the provider's policy)."""
    if attempt.closed:  # it had failed while another one was made beside it
        exchange.outcome = Outcome.CLIENT_CLOSED
        return
    stream = attempt.stream
    if stream is None:
        abandon(attempt)
        return
    assert attempt.response is not None
    exchange.outcome = Outcome.CLIENT_CLOSED
    if attempt.candidate.provider.hangup == DRAIN and not stream.done:
        exchange.draining = True
        exchange.services.tasks.spawn(_drain(exchange, attempt, stream), DRAIN_TASK)
        return
    attempt.response.close()
    attempt.close_stream(Outcome.CLIENT_CLOSED, stream, estimated=not stream.done)


def abandon(attempt: Attempt, outcome: str = Outcome.CLIENT_CLOSED) -> None:
    """A call is given up while the provider is still thinking: what it used cannot be known, so it is estimated.

    Either the client left, or another call of its request has answered (CANCELLED).
    """
    if attempt.response is not None:
        attempt.response.close()
    if outcome == Outcome.CLIENT_CLOSED:
        attempt.exchange.outcome = outcome
    stream = attempt.stream
    if stream is None:
        attempt.close(outcome, estimated=attempt.sent)
    else:
        attempt.close_stream(outcome, stream, estimated=True)


async def _drain(exchange: Exchange, attempt: Attempt, stream: StreamRelay) -> None:
    """Reads an abandoned stream to its end, within the total time limit, and books what the provider says."""
    assert attempt.response is not None
    upstream = attempt.response
    try:
        with attempt.watchdog as watchdog:
            watchdog.streaming()
            while not upstream.ended and not stream.done:
                data = await upstream.read_some()
                stream.feed(data)
                watchdog.beat()
    except TollwayError as fault:
        _log.info("an abandoned stream could not be drained", request_id=exchange.id, reason=fault.code.value)
    finally:
        attempt.response.close()
        exact = stream.done and stream.usage is not None
        attempt.close_stream(Outcome.CLIENT_CLOSED, stream, estimated=not exact)
        exchange.draining = False
        exchange.book()
