"""One client request on its way through the stages, with everything that is learnt about it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

import uuid_utils
from aiohttp import web

from tollway.core.dialects.head import Head
from tollway.core.errors import TollwayError
from tollway.core.ledger import AttemptRow, Cached, Outcome, RequestRow
from tollway.dataplane.admission.counters import Counters
from tollway.dataplane.admission.headers import rate_headers
from tollway.dataplane.admission.permit import Permit
from tollway.dataplane.admission.seats import Seats, seats_for
from tollway.dataplane.admission.service import Admission
from tollway.dataplane.cache.cache import Cache
from tollway.dataplane.config.directory import Directory, Principal
from tollway.dataplane.config.holder import Candidate, CatalogHolder, Route
from tollway.dataplane.endpoints.memory import Memory
from tollway.dataplane.endpoints.port import JSON, Asked, Endpoint
from tollway.dataplane.notices import Notices
from tollway.dataplane.outbox.journal import Journal
from tollway.dataplane.overload import Overload
from tollway.dataplane.providers.registry import Registry
from tollway.dataplane.requestlog.request_log import RequestLog
from tollway.dataplane.routing.router import Router
from tollway.dataplane.settings import Settings
from tollway.dataplane.stores.response_store import ResponseStore
from tollway.dataplane.telemetry import Telemetry
from tollway.dataplane.tracing.port import RequestSpan, Tracer
from tollway.dataplane.upstream.entra import EntraTokens
from tollway.dataplane.upstream.port import UpstreamClient
from tollway.dataplane.upstream.watchdog import Ticker
from tollway.runtime.clock import Clock
from tollway.runtime.seal import Sealer
from tollway.runtime.tasks import Tasks

if TYPE_CHECKING:
    from tollway.dataplane.pipeline.attempt import Attempt


SLOW_BODY_MS = 300_000
"""A window that ended longer ago takes no requests any more."""


@dataclass(frozen=True)
class Services:
    """What the stages use; made once for each process."""

    settings: Settings
    clock: Clock
    holder: CatalogHolder
    directory: Directory
    journal: Journal
    upstream: UpstreamClient
    providers: Registry
    router: Router
    telemetry: Telemetry
    tracer: Tracer | None
    tasks: Tasks
    ticker: Ticker
    loop_time: Callable[[], float]
    responses: ResponseStore
    sealer: Sealer
    entra: EntraTokens
    bodies: RequestLog
    notices: Notices
    admission: Admission
    overload: Overload
    cache: Cache | None


class Sink(Protocol):
    """Where the pieces of a streamed answer go."""

    def write(self, data: bytes, /) -> Awaitable[None]:
        """A piece."""

    def write_eof(self) -> Awaitable[None]:
        """The end of a whole answer."""


class Exchange:
    """A request in the making of its answer. Fields are filled by the stage that their comment names."""

    __slots__ = (
        "_asked",
        "_cleanups",
        "answering",
        "attempts",
        "body",
        "booked",
        "cached",
        "candidates",
        "client_request_id",
        "content_type",
        "draining",
        "endpoint",
        "error_code",
        "head",
        "id",
        "memory",
        "model",
        "outcome",
        "output_cap",
        "permit",
        "principal",
        "received",
        "request",
        "response",
        "route",
        "rows",
        "seats",
        "services",
        "serving",
        "started",
        "started_ms",
        "status",
        "tags",
        "trace",
    )

    def __init__(
        self, request: web.BaseRequest, services: Services, endpoint: Endpoint, started: float, model: str | None
    ) -> None:
        """`started` is the loop's time; `model` is named by the path, and counts more than the body's."""
        self.request = request
        self.services = services
        self.endpoint = endpoint
        self.id = str(uuid_utils.uuid7())
        self.started = started
        self.model = model
        self.started_ms = services.clock.now_ms()
        self.client_request_id = request.headers.get("x-request-id")
        self.tags: dict[str, str] = {}
        self.principal: Principal  # authenticate
        self.body: bytes = b""  # parse
        self.received: bytes = b""  # parse: the body as the client sent it, unpacked
        self.content_type = JSON  # parse
        self.head: Head  # parse
        self.memory: Memory | None = None  # recall: what a response goes on from and leaves
        self.route: Route  # authorize
        self.serving: Route  # authorize: what is called: the route, or a fallback of it
        self.candidates: list[Candidate]  # candidates
        self.seats: Seats | None = None  # limit: the accounts that count the request
        self.cached = Cached.NO  # cached: what the response cache did
        self.permit: Permit | None = None  # limit, reserve: what is reserved until the request is booked
        self.output_cap: int | None = None  # reserve: the most that each answer may be, where the client sets no limit
        self.attempts: list[Attempt] = []  # call
        self.answering: Attempt | None = None  # call: the attempt that has an answer
        self.rows: list[AttemptRow] = []  # call, relay: attempts that are over
        self.draining = False  # relay: the client left and the upstream runs on for its usage
        self.booked = False
        self.response: web.StreamResponse | None = None  # relay
        self.outcome = Outcome.OK
        self.status: int | None = None
        self.error_code: str | None = None
        self.trace: RequestSpan | None = None
        self._asked: Asked | None = None
        self._cleanups: list[Callable[[], None]] = []

    @property
    def shown_id(self) -> str:
        """The request id that the client sees: its own, or ours."""
        return self.client_request_id or self.id

    @property
    def left(self) -> bool:
        """Whether anything of the request left for a provider."""
        return any([attempt.sent for attempt in self.attempts])  # noqa: C419 - there is one, and a list is quicker

    @property
    def given(self) -> bool:
        """Whether its answer is one that was made for another request."""
        return self.cached == Cached.HIT or self.cached == Cached.SHARED

    @property
    def input_tokens(self) -> int:
        """How many tokens the request may be, where its provider does not tell."""
        return self.endpoint.input_tokens(self.head, self.body)

    def asked(self, output_cap: int | None) -> Asked:
        """What the client asks for, whoever answers; `output_cap` limits each answer where the client does not."""
        found = self._asked
        if found is None or found.output_cap != output_cap:
            found = self._asked = Asked(
                self.head,
                self.body,
                self.content_type,
                self.request.headers,
                self.route.name,
                self.id,
                self.started_ms // 1000,
                self.memory,
                output_cap,
            )
        return found

    @property
    def counted_ms(self) -> int:
        """When the request began, for the windows of budgets and limits: one whose body took minutes began later."""
        return max(self.started_ms, self.services.clock.now_ms() - SLOW_BODY_MS)

    def find_seats(self) -> Seats:
        """Looks up the accounts that count this request."""
        counters = self.services.admission.counters(self.principal.project.organisation)
        self.seats = seats_for(counters, self.principal, self.route, self.counted_ms)
        return self.seats

    def rate_headers(self) -> dict[str, str]:
        """What is left of the limits that count this request, in its client's words."""
        if self.seats is None or not self.seats.limits:
            return {}
        services = self.services
        return rate_headers(self.seats.told, self.endpoint.dialect, services.clock.now_ms(), services.loop_time())

    def reserving(self, counters: Counters) -> Permit:
        """Where the request's reservations go; they end when it does."""
        if self.permit is None:
            self.permit = Permit(counters)
        return self.permit

    def release(self) -> None:
        """Ends what the request has reserved, once: with what is booked, or with nothing."""
        if self.permit is not None and not self.draining:
            self.permit.settle(self.rows, sent=self.booked and (self.left or self.given))

    def cleanup(self, action: Callable[[], None]) -> None:
        """Registers what must be done however the request ends. Actions run once, last in first out, and never wait."""
        self._cleanups.append(action)

    def finish(self) -> None:
        """Runs the clean-ups; what is reserved goes last, when it is known what is booked."""
        try:
            while self._cleanups:
                self._cleanups.pop()()
        finally:
            if self._cleanups:
                self.finish()
            else:
                self.release()

    def book(self) -> None:
        """Writes the request's row, once, when anything of it left for a provider, or the cache answered it.

        Every attempt must be closed.
        """
        if self.booked or self.draining:
            return
        self.booked = True
        if self.left or self.given:
            charges = self.permit.bill(self.rows) if self.permit is not None else ()
            self.services.journal.finish(self.row(tuple(self.rows), self.services.clock.now_ms()), charges)
            self.release()  # after the journal: what is settled is in its totals

    def row(self, attempts: tuple[AttemptRow, ...], ended_ms: int = 0) -> RequestRow:
        """The ledger's row of this request as far as it is known."""
        principal = self.principal
        project, entry = principal.project, principal.entry
        return RequestRow(
            id=self.id,
            organisation=project.organisation,
            business_unit=project.business_unit,
            project=project.id,
            key_id=entry.key_id,
            key_public_id=entry.public_id,
            endpoint=self.endpoint.path,
            model=self.route.name,
            stream=self.head.stream,
            started_ms=self.started_ms,
            ended_ms=ended_ms,
            status=self.status,
            outcome=self.outcome,
            error_code=self.error_code,
            client_request_id=self.client_request_id,
            tags={**entry.tags, **self.tags} if self.tags else entry.tags,
            user=entry.user,
            cache=self.cached,
            attempts=attempts,
        )

    def begin(self, headers: dict[str, str]) -> Awaitable[Sink]:
        """Sends status and headers of a streamed answer; what follows goes to what this returns."""
        return self._prepare(self.services.bodies.stream(self.principal.project, headers))

    async def _prepare(self, response: web.StreamResponse) -> Sink:
        self.response = response
        self.status = 200
        await response.prepare(self.request)
        return response

    async def break_off(self, event: bytes, fault: TollwayError, *, told: bool = False) -> None:  # noqa: ARG002
        """Ends a streamed answer that has begun with the error event of `fault`; its connection can be used again.

        `told`: the event has been written.
        """
        response, transport = self.response, self.request.transport
        assert response is not None
        if not (event or told) and transport is not None:
            response.force_close()
            transport.abort()  # an answer that has no room for an error must not look complete either
            return
        with suppress(ConnectionError):  # the client may be gone as well; the row is booked either way
            if event:
                await response.write(event)
            await response.write_eof()
