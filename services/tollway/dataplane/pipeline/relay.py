"""Gives the provider's answer to the client: whole, or chunk by chunk as it comes; counts and books on the way.

What comes here has answered: a failure from now on is the dialect's error event, and never a false end.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable
from urllib.parse import quote

from aiohttp import web

from tollway.core.errors import Code, TollwayError, let_go
from tollway.core.ledger import Outcome
from tollway.core.money import format_dollars
from tollway.dataplane.endpoints.port import Dialect, StreamRelay
from tollway.dataplane.http.errors import SERVER, error_type, status_of
from tollway.dataplane.pipeline.attempt import Attempt
from tollway.dataplane.pipeline.exchange import Exchange, Sink
from tollway.dataplane.pipeline.leave import leave
from tollway.dataplane.pipeline.recall import keep
from tollway.dataplane.upstream.port import Response

READ_ON_SECONDS = 1.0
MAX_FIELDS = 50
MAX_FIELD_NAME = 100
UNBUFFERED = {"Cache-Control": "no-cache", "X-Accel-Buffering": "no"}
"""What keeps those on the way from holding a stream back."""
_SHOWN = "!#$&'()*+./:;<=>?@[]^`{|}~ "


def relay(exchange: Exchange) -> Awaitable[None]:
    """Answers whole or streamed, as the client asked."""
    attempt = exchange.answering
    assert attempt is not None
    return _stream(exchange, attempt) if exchange.endpoint.streams(exchange.head) else _whole(exchange, attempt)


def headers_of(
    exchange: Exchange, model: str, provider: str, dropped: tuple[str, ...], attempts: int, cache: str
) -> dict[str, str]:
    """The headers of an answer, whoever made it; `attempts` counts the calls that were made for this request."""
    headers = {
        "x-request-id": exchange.shown_id,
        "x-tollway-model": model,
        "x-tollway-provider": provider,
        "x-tollway-attempts": str(attempts),
        "x-tollway-cache": cache,
        "Server": SERVER,
    }
    if exchange.endpoint.dialect == Dialect.ANTHROPIC:
        headers["request-id"] = exchange.shown_id  # what Anthropic's SDKs show
    if exchange.seats is not None and exchange.seats.limits:
        headers |= exchange.rate_headers()
    if dropped:
        headers["x-tollway-dropped"] = _listed(dropped)
    return headers


def _headers(exchange: Exchange, attempt: Attempt) -> dict[str, str]:
    headers = headers_of(
        exchange,
        exchange.serving.name,
        attempt.candidate.provider.name,
        attempt.dropped,
        len(exchange.attempts),
        exchange.cached or "off",
    )
    if attempt.provider_request_id is not None:
        headers["x-tollway-provider-request-id"] = attempt.provider_request_id
    return headers


def _listed(names: tuple[str, ...]) -> str:
    """Names of fields as a header's value: clients choose them, so what no header may hold is percent-encoded."""
    shown = [quote(name[:MAX_FIELD_NAME], safe=_SHOWN) for name in names[:MAX_FIELDS]]
    more = len(names) - len(shown)
    return ", ".join([*shown, f"+{more}"] if more else shown)


async def _whole(exchange: Exchange, attempt: Attempt) -> None:
    """Books the answer, then sends it: an answer that was given is in the journal first."""
    finished = attempt.finished
    exchange.status = 200
    attempt.close(
        Outcome.OK, usage=finished.usage, output_chars=finished.output_chars, estimated=finished.usage is None
    )
    if exchange.memory is not None:
        await keep(exchange)
    headers = _headers(exchange, attempt)
    headers["Content-Type"] = finished.content_type
    row = exchange.rows[-1]
    if row.price_version is not None:
        headers["x-tollway-cost"] = format_dollars(row.cost_nano)
    exchange.response = web.Response(body=finished.body, headers=headers)


async def _stream(exchange: Exchange, attempt: Attempt) -> None:
    upstream, stream = attempt.response, attempt.stream
    assert upstream is not None
    assert stream is not None
    try:
        with attempt.watchdog as watchdog:
            watchdog.streaming()
            await _pump(exchange, attempt, stream)
    except TollwayError as fault:
        upstream.close()
        exchange.outcome, exchange.error_code, exchange.status = Outcome.ERROR, fault.code.value, status_of(fault)
        silent = fault.code is Code.PROVIDER_TIMEOUT  # at work, but nothing came of it
        attempt.close_stream(Outcome.ERROR, stream, error=fault, estimated=stream.started or silent)
        let_go(fault)
        await _fail(exchange, stream, fault)
    except (asyncio.CancelledError, ConnectionError):
        leave(exchange, attempt)
        raise


async def _pump(exchange: Exchange, attempt: Attempt, stream: StreamRelay) -> None:
    """Provider's bytes in, client's bytes out, until the provider ends. Raises ProviderFault, ConnectionError.

    The row is booked before the last bytes leave: a client that has the whole answer finds it in the ledger.
    """
    assert attempt.response is not None
    upstream, watchdog = attempt.response, attempt.watchdog
    pending = attempt.held
    response = await _begin(exchange, attempt)
    while True:
        if stream.done and not exchange.booked:
            await _book(exchange, attempt, stream)
        if pending:
            watchdog.hold()
            await response.write(pending)
        watchdog.beat()
        if upstream.ended:
            break
        if stream.done:  # the client need not wait for what a provider keeps open behind the end of its answer
            exchange.services.tasks.spawn(_read_on(upstream), "end of an answer")
            break
        data = await upstream.read_some()
        pending = stream.feed(data) if data else b""
        if not attempt.closed:
            attempt.mark(stream)
    pending = stream.end()
    if not exchange.booked:
        await _book(exchange, attempt, stream)
    if pending:
        await response.write(pending)
    await response.write_eof()


async def _read_on(upstream: Response) -> None:
    """Reads what comes behind the end of an answer, so that the connection can be used again; soon it is closed."""
    with contextlib.suppress(TollwayError, TimeoutError):
        async with asyncio.timeout(READ_ON_SECONDS):
            while not upstream.ended:
                await upstream.read_some()
    if not upstream.ended:
        upstream.close()


async def _book(exchange: Exchange, attempt: Attempt, stream: StreamRelay) -> None:
    """Books a stream whose end has been seen, and keeps it; what comes after the end cannot change the bill."""
    exchange.status = 200
    attempt.close_stream(Outcome.OK, stream, estimated=stream.usage is None)
    exchange.book()
    if exchange.memory is not None:
        await keep(exchange)


def _begin(exchange: Exchange, attempt: Attempt) -> Awaitable[Sink]:
    """Sends status and headers of a stream."""
    assert attempt.response is not None
    headers = _headers(exchange, attempt)
    headers["Content-Type"] = attempt.codec.content_type(attempt.response.headers)
    headers |= UNBUFFERED
    return exchange.begin(headers)


async def _fail(exchange: Exchange, stream: StreamRelay, fault: TollwayError) -> None:
    """Ends a stream that has begun with the dialect's error event."""
    kind = error_type(fault, exchange.endpoint.dialect)
    await exchange.break_off(stream.fail(fault.message, kind, fault.code.value, fault.param), fault)
