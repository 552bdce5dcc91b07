"""What the request log gets of a request: references to what the client sent and was given, once it is over.

On the path of requests: nothing is parsed, compressed or masked here, and nothing waits or fails.
"""

from __future__ import annotations

from aiohttp import web

from tollway.core.catalog import Bodies
from tollway.core.ledger import Outcome
from tollway.dataplane.pipeline.exchange import Exchange
from tollway.dataplane.requestlog.capture import OVERHEAD_BYTES, Captured, LoggedStream

ERROR_CODE = "x-tollway-error-code"


def record(exchange: Exchange, response: web.StreamResponse | None) -> None:
    """A request is over: `response` is what its client got; None: the client was gone.

    Nothing is kept of a caller who is not known, or whose project wants no bodies.
    """
    principal = getattr(exchange, "principal", None)
    if principal is None or principal.project.logging.bodies is Bodies.NONE:
        return
    exchange.services.bodies.offer(_captured(exchange, response))


def _captured(exchange: Exchange, answered: web.StreamResponse | None) -> Captured | None:
    """References to what is logged; None when there is no memory for them."""
    log = exchange.services.bodies
    limit, memory = log.limit, log.memory
    response = answered if answered is not None else exchange.response
    body, body_cut = exchange.received, len(exchange.received) > limit
    if body_cut:
        body = body[:limit]
    held = len(body) + OVERHEAD_BYTES
    stream = response if isinstance(response, LoggedStream) else None
    answer: tuple[bytes, ...] = ()
    answer_cut = False
    if stream is not None:
        if stream.lost:
            return None
        answer, answer_cut = tuple(stream.chunks), stream.cut
    elif isinstance(response, web.Response) and isinstance(response.body, bytes):
        whole, answer_cut = response.body, len(response.body) > limit
        answer = (whole[:limit] if answer_cut else whole,)
        held += len(answer[0])
    if not memory.take(held):
        if stream is not None:
            stream.let_go()
        return None
    principal = exchange.principal
    return Captured(
        request_id=exchange.id,
        started_ms=exchange.started_ms,
        ended_ms=exchange.services.clock.now_ms(),
        project=principal.project,
        entry=principal.entry,
        endpoint=exchange.endpoint.path,
        model=_model(exchange),
        provider=_provider(exchange, response),
        stream=stream is not None,
        status=response.status if response is not None else 0,
        outcome=_outcome(exchange, answered),
        error_code=_error_code(exchange, response),
        client_request_id=exchange.client_request_id or "",
        tags=exchange.tags,
        client_address=exchange.request.remote or "",
        headers=exchange.request.headers,
        body=body,
        body_cut=body_cut,
        answer_headers=tuple(response.headers.items()) if response is not None else (),
        answer=answer,
        answer_cut=answer_cut,
        secrets=_secrets(exchange),
        held=held + (stream.held if stream is not None else 0),
    )


def _provider(exchange: Exchange, response: web.StreamResponse | None) -> str:
    """Who answered, or was asked last; of an answer from the cache, who made it."""
    attempts = exchange.attempts
    if attempts:
        return (exchange.answering or attempts[-1]).candidate.provider.name
    return response.headers.get("x-tollway-provider", "") if exchange.given and response is not None else ""


def _secrets(exchange: Exchange) -> tuple[str, ...]:
    """Credentials that may be in the answer; of one from the cache it is not known with which it was made."""
    if exchange.given:
        return tuple(each.api_key for candidate in exchange.route.candidates for each in candidate.credentials)
    return tuple(attempt.credential.api_key for attempt in exchange.attempts if attempt.credential is not None)


def _model(exchange: Exchange) -> str:
    """The model's name as far as the request came: as it is routed, as the body has it, as the path has it."""
    route, head = getattr(exchange, "route", None), getattr(exchange, "head", None)
    if route is not None:
        return exchange.route.name
    return exchange.head.model if head is not None else exchange.model or ""


def _error_code(exchange: Exchange, response: web.StreamResponse | None) -> str:
    if exchange.error_code is not None:
        return exchange.error_code
    return response.headers.get(ERROR_CODE, "") if response is not None else ""


def _outcome(exchange: Exchange, answered: web.StreamResponse | None) -> str:
    """As the ledger has it; of a request that never came so far: an error, or the client left."""
    if exchange.outcome != Outcome.OK:
        return exchange.outcome
    if answered is None:
        return Outcome.CLIENT_CLOSED
    return Outcome.ERROR if _error_code(exchange, answered) else Outcome.OK
