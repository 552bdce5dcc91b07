"""Makes the upstream call: one at a time, each in the journal before it leaves.

An answer with an error status ends here, as the fault that it tells of. A kept connection that
turns out to be closed is the one case of a second try: the provider has not seen the request.
"""

from __future__ import annotations

import asyncio

import msgspec

from tollway.core.catalog import Credential, DialectPolicy, Provider
from tollway.core.errors import Code, TollwayError
from tollway.core.ledger import Outcome
from tollway.dataplane.endpoints.outgoing import outgoing
from tollway.dataplane.http.errors import status_of
from tollway.dataplane.pipeline.attempt import Attempt
from tollway.dataplane.pipeline.candidates import credential_for, target_for
from tollway.dataplane.pipeline.exchange import Exchange
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
    """Calls the first candidate. On return the exchange's last attempt has a successful response to relay."""
    if not exchange.services.journal.has_room():
        raise TollwayError(
            Code.OVERLOADED, "The gateway cannot record further requests at the moment.", retry_after_seconds=5
        )
    exchange.cleanup(lambda: _settle(exchange))
    candidate = exchange.candidates[0]
    while True:
        attempt = Attempt(exchange, candidate, credential_for(candidate))
        try:
            await _one(exchange, attempt)
        except UnsentError as error:
            fault = cut()
            attempt.close(Outcome.ERROR, error=fault)
            if attempt.reused and attempt.number == 1:
                continue
            exchange.outcome, exchange.error_code, exchange.status = Outcome.ERROR, fault.code.value, status_of(fault)
            raise fault from error
        except TollwayError as error:
            if attempt.response is not None:
                attempt.response.close()
            exchange.outcome, exchange.error_code, exchange.status = Outcome.ERROR, error.code.value, status_of(error)
            attempt.close(Outcome.ERROR, error=error, estimated=_may_be_billed(attempt, error))
            raise
        except asyncio.CancelledError:
            _abandon(attempt)
            raise
        return


async def _one(exchange: Exchange, attempt: Attempt) -> None:
    services = exchange.services
    credential = attempt.credential
    if credential is not None and credential.api_key.startswith(PREFIX):
        credential = await services.entra.resolve(credential)
    request = _outgoing(exchange, attempt, credential)
    watchdog = exchange.watchdog = timeouts_of(exchange, attempt.candidate.provider)

    def before_send(reused: bool) -> None:
        attempt.opening(reused)
        watchdog.sent()

    with watchdog:
        response = await services.upstream.send(request, before_send)
        attempt.answered(response)
        watchdog.streaming()
        if response.status >= ERROR_STATUS:
            raise await _refused(response, attempt)
        if not exchange.endpoint.streams(exchange.head):
            exchange.answer = await _whole(exchange, response)


def _outgoing(exchange: Exchange, attempt: Attempt, credential: Credential | None) -> Outgoing:
    """The request for the attempt's target, with this credential. Raises TollwayError for what it cannot be told."""
    adapter = exchange.services.providers[attempt.candidate.provider.kind]
    target = target_for(exchange, attempt.candidate)
    assert target is not None  # `candidates` leaves out who cannot serve the call
    exchange.codec = exchange.endpoint.codec(exchange.asked(), target)
    payload = exchange.codec.payload()
    if payload.dropped and exchange.principal.project.dialect_policy is DialectPolicy.STRICT:
        names = ", ".join(f"'{name}'" for name in payload.dropped)
        raise TollwayError(
            Code.UNSUPPORTED_PARAMETER,
            f"The model '{exchange.route.name}' cannot be told {names}, and this project's policy is strict. "
            "Leave it out.",
            param=payload.dropped[0],
        )
    exchange.dropped = payload.dropped
    return outgoing(payload, adapter, target, credential, attempt.id)


async def _whole(exchange: Exchange, response: Response) -> bytes:
    """The unstreamed answer; read under the watchdog of the call."""
    return await read_whole(response, exchange.services.settings.max_answer_bytes, exchange.watchdog.beat)


async def _refused(response: Response, attempt: Attempt) -> ProviderFault:
    """What an error answer means."""
    try:
        body = await read_whole(response, ERROR_BODY_LIMIT, attempt.exchange.watchdog.beat)
    except ProviderFault:  # the status alone must do
        body = b""
    now = attempt.exchange.services.clock.now_ms() / 1000
    return fault_of(response.status, response.headers, body, now=now)


def _may_be_billed(attempt: Attempt, error: TollwayError) -> bool:
    """Whether the provider may charge for a failed call: it was at work when the limit was reached, or said 200."""
    if not attempt.sent:
        return False
    return error.code is Code.PROVIDER_TIMEOUT or (attempt.status is not None and attempt.status < ERROR_STATUS)


def _abandon(attempt: Attempt) -> None:
    """The client left while the provider was still thinking: what it used cannot be known, so it is estimated."""
    if attempt.response is not None:
        attempt.response.close()
    attempt.exchange.outcome = Outcome.CLIENT_CLOSED
    attempt.close(Outcome.CLIENT_CLOSED, estimated=attempt.sent)


def _settle(exchange: Exchange) -> None:
    """The last word on every way out: nothing stays open, and what left for a provider is booked."""
    if exchange.draining:
        return
    for attempt in exchange.attempts:
        if not attempt.closed:
            _abandon(attempt)
    exchange.book()
