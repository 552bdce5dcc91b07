"""Makes upstream calls until one answers: each is in the journal before it leaves, and in the ledger when it is over.

A call has answered when its answer is whole, or when the first content of its stream is here: until then a failure is
followed by another try, by another target, or by another model (`routing.router`), and the client never sees it. A kept
connection that turns out to be closed is asked once more without counting as a try: the provider has not seen the
request.
"""

from __future__ import annotations

import asyncio
from functools import partial

import msgspec

from tollway.core.catalog import Credential, DialectPolicy, Provider
from tollway.core.errors import Code, TollwayError
from tollway.core.ledger import Outcome
from tollway.core.routing.retries import Kind
from tollway.dataplane.aside import LARGE_BYTES, aside
from tollway.dataplane.endpoints.outgoing import outgoing
from tollway.dataplane.http.errors import status_of
from tollway.dataplane.pipeline.attempt import Attempt
from tollway.dataplane.pipeline.candidates import target_for
from tollway.dataplane.pipeline.commit import read_until_content
from tollway.dataplane.pipeline.exchange import Exchange
from tollway.dataplane.pipeline.hedge import hedged
from tollway.dataplane.pipeline.leave import abandon, leave
from tollway.dataplane.pipeline.observe import call_begins, first_bytes_of, first_content
from tollway.dataplane.pipeline.tries import Tries
from tollway.dataplane.providers.faults import fault_of
from tollway.dataplane.providers.port import Outgoing, ProviderFault
from tollway.dataplane.upstream.entra import PREFIX
from tollway.dataplane.upstream.port import Response, UnsentError, cut, read_whole
from tollway.dataplane.upstream.watchdog import Watchdog

ERROR_BODY_LIMIT = 1 << 20
ERROR_STATUS = 300


def timeouts_of(exchange: Exchange, provider: Provider) -> Watchdog:
    """The watchdog of a call to a provider; `x-tollway-timeout` may shorten the total."""
    timeouts = provider.timeouts
    asked = exchange.request.headers.get("x-tollway-timeout")
    if asked is not None:
        try:
            seconds = float(asked.removesuffix("s"))
        except ValueError:
            seconds = 0.0
        if not 0 < seconds < float("inf"):
            raise TollwayError(
                Code.INVALID_REQUEST,
                "x-tollway-timeout must be a number of seconds above 0.",
                param="x-tollway-timeout",
            )
        timeouts = msgspec.structs.replace(timeouts, total=min(seconds, timeouts.total))
    services = exchange.services
    return Watchdog(services.ticker, timeouts, exchange.started, services.loop_time)


async def call(exchange: Exchange) -> None:
    """On return `exchange.answering` has an answer: `finished`, or `stream` and what of it is `held`."""
    if not exchange.services.journal.has_room():
        raise TollwayError(
            Code.OVERLOADED, "The gateway cannot record further requests at the moment.", retry_after_seconds=5
        )
    exchange.cleanup(lambda: _settle(exchange))
    tries = Tries(exchange)
    while True:
        try:
            attempt = await tries.next()
        except TollwayError as error:
            _gave_up(exchange, error)
            raise
        slow_after = None
        if exchange.memory is None:  # a stored response is written by one call alone
            slow_after = exchange.services.router.hedge_after(attempt.route, exchange.services.loop_time())
        try:
            if slow_after is None:
                failure = await _ask(exchange, attempt)
            else:
                attempt, failure = await hedged(exchange, tries, attempt, slow_after, _ask, _failed)
        except asyncio.CancelledError:
            leave(exchange, attempt)
            raise
        if failure is None:
            attempt.ticket.first_byte(exchange.services.loop_time())
            exchange.answering = attempt
            exchange.outcome, exchange.error_code, exchange.status = Outcome.OK, None, None
            return
        fault = _failed(attempt, failure)
        if isinstance(failure, UnsentError) and attempt.reused and await tries.once_more(attempt):
            continue
        _gave_up(exchange, fault)  # until another call has answered
        if await tries.after(attempt, fault) is Kind.GIVE_UP:
            raise fault


def _gave_up(exchange: Exchange, fault: TollwayError) -> None:
    exchange.outcome, exchange.error_code, exchange.status = Outcome.ERROR, fault.code.value, status_of(fault)


def _failed(attempt: Attempt, error: Exception) -> TollwayError:
    """Books a call that failed before anything of it reached the client; returns what that means."""
    if attempt.response is not None:
        attempt.response.close()
    if not isinstance(error, TollwayError):
        fault = cut()
        fault.__cause__ = error
        # On a new connection the provider may have seen the request, and be at work.
        attempt.close(
            Outcome.ERROR, error=fault, estimated=attempt.sent and not attempt.reused, learn=not attempt.reused
        )
        return fault
    stream = attempt.stream
    if stream is None:
        attempt.close(Outcome.ERROR, error=error, estimated=_may_be_billed(attempt, error))
    else:
        silent = error.code is Code.PROVIDER_TIMEOUT  # at work, but nothing came of it
        attempt.close_stream(Outcome.ERROR, stream, error=error, estimated=stream.started or silent)
    return error


async def _ask(exchange: Exchange, attempt: Attempt) -> Exception | None:
    """Makes one call; why it failed, or None when it has answered."""
    try:
        await _one(exchange, attempt)
    except (TollwayError, UnsentError) as error:
        return error
    return None


async def _one(exchange: Exchange, attempt: Attempt) -> None:
    services = exchange.services
    credential = attempt.credential
    if credential is not None and credential.api_key.startswith(PREFIX):
        credential = await services.entra.resolve(credential)
    large = len(exchange.body) >= LARGE_BYTES
    make = partial(_outgoing, exchange, attempt, credential)
    request = await aside(make) if large else make()
    call_begins(attempt, request.headers)
    watchdog = attempt.watchdog = timeouts_of(exchange, attempt.candidate.provider)

    def before_send(reused: bool) -> None:
        attempt.opening(reused)
        watchdog.sent()

    with watchdog:
        response = await services.upstream.send(request, before_send)
        attempt.answered(response)
        watchdog.streaming()
        if response.status >= ERROR_STATUS:
            raise await _refused(response, attempt)
        codec = attempt.codec
        if exchange.endpoint.streams(exchange.head):
            stream = attempt.stream = codec.relay(response.headers)
            attempt.held = await read_until_content(response, stream, watchdog, first_bytes_of(attempt))
            if stream.started:
                first_content(attempt)
        else:
            body = await read_whole(response, services.settings.max_answer_bytes, watchdog.beat)
            if attempt.span is not None:
                attempt.span.content(body, None)
            finish = partial(codec.finish, response.headers, body)
            attempt.finished = await aside(finish) if len(body) >= LARGE_BYTES else finish()


def _outgoing(exchange: Exchange, attempt: Attempt, credential: Credential | None) -> Outgoing:
    """The request for the attempt's target, with this credential. Raises TollwayError for what it cannot be told."""
    adapter = exchange.services.providers[attempt.candidate.provider.kind]
    target = target_for(exchange, attempt.route, attempt.candidate)
    assert target is not None  # `candidates` leaves out who cannot serve the call
    codec = attempt.codec = exchange.endpoint.codec(exchange.asked(attempt.output_cap), target)
    payload = codec.payload()
    if payload.dropped and exchange.principal.project.dialect_policy is DialectPolicy.STRICT:
        names = ", ".join(f"'{name}'" for name in payload.dropped)
        raise TollwayError(
            Code.UNSUPPORTED_PARAMETER,
            f"The model '{exchange.route.name}' cannot be told {names}, and this project's policy is strict. "
            "Leave it out.",
            param=payload.dropped[0],
        )
    attempt.dropped = payload.dropped
    return outgoing(payload, adapter, target, credential, attempt.id)


async def _refused(response: Response, attempt: Attempt) -> ProviderFault:
    """What an error answer means."""
    try:
        body = await read_whole(response, ERROR_BODY_LIMIT, attempt.watchdog.beat)
    except ProviderFault:  # the status alone must do
        body = b""
    now = attempt.exchange.services.clock.now_ms() / 1000
    return fault_of(response.status, response.headers, body, now=now)


def _may_be_billed(attempt: Attempt, error: TollwayError) -> bool:
    """Whether the provider may charge for a failed call: it was at work when the limit was reached, or said 200."""
    if not attempt.sent:
        return False
    return error.code is Code.PROVIDER_TIMEOUT or (attempt.status is not None and attempt.status < ERROR_STATUS)


def _settle(exchange: Exchange) -> None:
    """The last word on every way out: nothing stays open, and what left for a provider is booked."""
    if exchange.draining:
        return
    for attempt in exchange.attempts:
        if not attempt.closed:
            abandon(attempt)
    exchange.book()
