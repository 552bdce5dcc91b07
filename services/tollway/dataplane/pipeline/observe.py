"""What metrics and spans get of a request and of its calls. Nothing here waits or fails; bodies and keys go nowhere."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from tollway.core.errors import Fault, TollwayError
from tollway.core.ledger import AttemptRow
from tollway.dataplane.config.holder import Route
from tollway.dataplane.metrics.series import OTHER
from tollway.dataplane.pipeline.exchange import Exchange
from tollway.dataplane.tracing.port import Ended

if TYPE_CHECKING:
    from tollway.dataplane.pipeline.attempt import Attempt

ERROR_STATUS = 400
CLIENT_CLOSED_STATUS = 499


def label_of(route: Route | None) -> str:
    """The model as a label: clients choose the names of those that are not in the catalog, and labels are bounded."""
    if route is None:
        return ""
    return route.name if route.model is not None else OTHER


def request_ended(exchange: Exchange, status: int, error: TollwayError | None, seconds: float) -> None:
    """A client request is over, with this status. `error`: what it was refused for before its answer began."""
    principal, route = getattr(exchange, "principal", None), getattr(exchange, "route", None)
    project = principal.project.name if principal is not None else ""
    model = label_of(route)
    telemetry = exchange.services.telemetry
    telemetry.request(exchange.endpoint.path, model, project, status, seconds)
    code: str | None = None
    if status >= ERROR_STATUS:
        code = error.code.value if error is not None else exchange.error_code
        if code is None and status == CLIENT_CLOSED_STATUS:
            code = "client_closed"
        telemetry.error(code or "other", model, project)
    if exchange.trace is not None:
        name = route.name if route is not None else exchange.model or ""
        head = getattr(exchange, "head", None)
        stream = head is not None and exchange.endpoint.streams(head)
        attempts, cache = len(exchange.attempts), exchange.cached
        exchange.trace.end(Ended(status, code, name, project, stream, attempts, cache))


def call_begins(attempt: Attempt, headers: dict[str, str]) -> None:
    """An upstream call is about to be made with these headers: its span begins, and the provider is told of it."""
    trace = attempt.exchange.trace
    if trace is not None:
        provider = attempt.candidate.provider
        attempt.span = trace.call(provider.kind.value, provider.name, attempt.candidate.model)
        headers.update(attempt.span.headers)


def first_bytes_of(attempt: Attempt) -> Callable[[bytes], None] | None:
    """Who is to be shown the first bytes of the call's stream; None: nobody."""
    span = attempt.span
    if span is None:
        return None
    clock, started_ms = attempt.exchange.services.clock, attempt.started_ms
    return lambda data: span.content(data, (clock.now_ms() - started_ms) / 1000)


def first_content(attempt: Attempt) -> None:
    """The stream has its first content."""
    attempt.content_seen = True
    exchange = attempt.exchange
    seconds = exchange.services.loop_time() - exchange.started
    exchange.services.telemetry.first_token(attempt.candidate.provider.name, label_of(attempt.route), seconds)


def call_ended(attempt: Attempt, row: AttemptRow, error: TollwayError | None) -> None:
    """An upstream call is over and booked so."""
    exchange = attempt.exchange
    provider, model = attempt.candidate.provider.name, label_of(attempt.route)
    telemetry = exchange.services.telemetry
    first_byte = (attempt.first_byte_ms - attempt.started_ms) / 1000 if attempt.first_byte_ms is not None else None
    project = exchange.principal.project.name
    usage = row.usage
    telemetry.attempt((provider, model, project, row.outcome), first_byte, usage.input, usage.output, row.cost_nano)
    if error is not None and error.fault is not Fault.CLIENT:
        telemetry.attempt_error(provider, model, error.code.value)
    if attempt.span is not None:
        attempt.span.end(row)
