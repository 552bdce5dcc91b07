"""One upstream call from its intent to its row.

An attempt is opened in the journal right before its bytes leave, and closed exactly once, on whatever way out. The
request's row is written when the last attempt is closed.
"""

from __future__ import annotations

import contextlib

import uuid_utils

from tollway.core.errors import Code, Fault, TollwayError
from tollway.core.ledger import AttemptRow, Outcome
from tollway.core.notices import NoticeKind
from tollway.core.pricing import cost
from tollway.core.usage import ZERO, Usage
from tollway.dataplane.config.holder import Route
from tollway.dataplane.endpoints.port import Codec, Finished, StreamRelay
from tollway.dataplane.outbox.journal import JournalFull
from tollway.dataplane.outbox.records import Begun, Charges, Intent, Progress, common_of, estimate
from tollway.dataplane.pipeline.exchange import Exchange
from tollway.dataplane.pipeline.observe import call_ended, first_content
from tollway.dataplane.pipeline.reserve import Cover
from tollway.dataplane.routing.tickets import Ended, Ticket
from tollway.dataplane.tracing.port import CallSpan
from tollway.dataplane.upstream.port import Response
from tollway.dataplane.upstream.watchdog import Watchdog
from tollway.runtime import log

_log = log.get(__name__)
PROGRESS_MS = 250
MAX_REQUEST_ID = 200
MIN_SECRET_LENGTH = 8
"""Shorter ones are words of errors sooner than secrets."""


class Attempt:
    """The state of one upstream call. `sent` says whether its request left; `exchange` is there until it is closed."""

    __slots__ = (
        "candidate",
        "closed",
        "codec",
        "content_seen",
        "credential",
        "dropped",
        "exchange",
        "finished",
        "first_byte_ms",
        "held",
        "id",
        "marked_ms",
        "most_nano",
        "number",
        "output_cap",
        "provider_request_id",
        "response",
        "reused",
        "route",
        "sent",
        "span",
        "started_ms",
        "status",
        "stream",
        "ticket",
        "watchdog",
    )

    def __init__(self, exchange: Exchange, route: Route, ticket: Ticket, cover: Cover) -> None:
        """`route` is the model that is asked, with its price; `ticket` the call's place at the target; `cover` pays."""
        self.exchange = exchange
        self.route = route
        self.ticket = ticket
        self.candidate = ticket.candidate
        self.credential = ticket.credential
        self.id = str(uuid_utils.uuid7())
        self.number = len(exchange.attempts) + 1
        self.started_ms = exchange.services.clock.now_ms()
        self.sent = False
        self.reused = False
        self.closed = False
        self.content_seen = False
        self.span: CallSpan | None = None
        self.first_byte_ms: int | None = None
        self.marked_ms = self.started_ms
        self.status: int | None = None
        self.provider_request_id: str | None = None
        self.response: Response | None = None
        self.most_nano, self.output_cap = cover
        self.codec: Codec  # between the client and the target
        self.dropped: tuple[str, ...] = ()  # request fields that the provider's dialect cannot express
        self.watchdog: Watchdog
        self.finished: Finished  # the unstreamed answer
        self.stream: StreamRelay | None = None  # the streamed answer, read up to its first content
        self.held = b""  # what of the stream is to be written first
        exchange.attempts.append(self)

    def opening(self, reused: bool) -> None:
        """The request is about to leave: its intent goes to the journal first. Raises TollwayError when it is full."""
        self.reused = reused
        try:
            self._intend()
        except JournalFull as error:
            raise TollwayError(
                Code.OVERLOADED,
                "The gateway cannot record further requests at the moment. Please retry later.",
                retry_after_seconds=5,
                operator_note=f"journal: {error}",
            ) from error
        self.sent = True

    def answered(self, response: Response) -> None:
        """Status and headers of the provider's answer are here."""
        self.response = response
        self.first_byte_ms = self.exchange.services.clock.now_ms()
        self.status = response.status
        headers, services = response.headers, self.exchange.services
        self.ticket.told(headers, services.loop_time(), self.first_byte_ms / 1000)
        told = headers.get("x-request-id") or headers.get("request-id") or headers.get("apim-request-id")
        # It goes into a header and a row: what is no short plain text is no id.
        self.provider_request_id = (
            told if told and len(told) <= MAX_REQUEST_ID and told.isascii() and told.isprintable() else None
        )

    def mark(self, stream: StreamRelay) -> None:
        """Writes how far the stream is, at most every 250 ms."""
        services = self.exchange.services
        now = services.clock.now_ms()
        if now - self.marked_ms >= PROGRESS_MS:
            self.marked_ms = now
            if stream.started and not self.content_seen:  # it was begun before, to be no silent one
                first_content(self)
            services.journal.progress(
                Progress(self.exchange.id, now, stream.output_chars, stream.usage, stream.output_events)
            )
            permit = self.exchange.permit
            if permit is not None and permit.counts_tokens:
                so_far = estimate(stream.usage, self.exchange.input_tokens, stream.output_chars, stream.output_events)
                permit.outran(so_far.input + so_far.output)

    def chosen(self) -> None:
        """The call has answered before another of the same request: the journal is told which one goes on."""
        permit = self.exchange.permit
        # Without room the earlier intents stand: the request is booked from them if the process dies.
        with contextlib.suppress(JournalFull):
            self.exchange.services.journal.intend(self._intent(permit.charges() if permit is not None else ()))

    def _intend(self) -> None:
        """Writes the intent: in short for the first call of a request that has met others like it."""
        exchange = self.exchange
        permit, journal = exchange.permit, exchange.services.journal
        reserved = permit.charges() if permit is not None else ()
        seats = exchange.seats
        if (
            seats is None
            or len(exchange.attempts) > 1
            or exchange.cached  # what requests have in common does not say it
            or self.route is not exchange.route
            or len(reserved) != seats.charged  # a model that could not be fallen back to left limits of its own
        ):
            journal.intend(self._intent(reserved))
            return
        provider, credential = self.candidate.provider, self.credential
        place = (provider.id, self.candidate.model, "" if credential is None else credential.id)
        key = (*place, exchange.endpoint.path, exchange.head.stream)
        common = seats.intents.get(key)
        if common is None:
            common = seats.intents[key] = common_of(self._intent(reserved))
        amounts = tuple([amount for _, amount in reserved])
        tags = {**exchange.principal.entry.tags, **exchange.tags} if exchange.tags else None
        journal.begin(
            Begun(
                common,
                exchange.id,
                self.id,
                exchange.started_ms,
                self.started_ms,
                exchange.client_request_id,
                tags,
                exchange.input_tokens,
                amounts,
            )
        )

    def _intent(self, reserved: Charges) -> Intent:
        exchange = self.exchange
        beside = [other.lost() for other in exchange.attempts if other is not self and not other.closed]
        last = self._row(Outcome.LOST, ZERO, None, estimated=True)
        request = exchange.row((*exchange.rows, *beside, last))
        return Intent(request, self.route.price, exchange.input_tokens, reserved=reserved)

    def lost(self) -> AttemptRow:
        """The row of a call under way, should the process die while another one is made beside it."""
        usage = estimate(None, self.exchange.input_tokens, 0)
        return self._row(Outcome.LOST, usage, None, estimated=True, unseen=not self.exchange.head.stream)

    def close(
        self,
        outcome: str,
        *,
        usage: Usage | None = None,
        output_chars: int = 0,
        output_events: int = 0,
        error: TollwayError | None = None,
        estimated: bool = False,
        learn: bool = True,
    ) -> None:
        """Books the attempt, once. With `estimated`, what the provider did not tell is estimated.

        `learn` False: the failure says nothing about the target.
        """
        if self.closed:
            return
        self.closed = True
        exchange = self.exchange
        if error is not None and self.credential is not None:
            _hide(error, self.credential.api_key)
        unseen = estimated and usage is None and not exchange.head.stream
        if estimated:
            usage = estimate(usage, exchange.input_tokens, output_chars, output_events)
        code = error.code if error is not None else None
        row = self._row(outcome, usage or ZERO, code, estimated=estimated, unseen=unseen)
        exchange.rows.append(row)
        used = None if row.estimated else row.usage.input + row.usage.output
        ended: Ended | TollwayError = Ended.OK if outcome == Outcome.OK else Ended.LEFT
        if error is not None and learn:
            ended = error
        self.ticket.end(exchange.services.loop_time(), ended, used)
        self._observe(row, error)
        del self.exchange  # the two would keep each other, and the body, until the collector comes

    def close_stream(
        self, outcome: str, stream: StreamRelay, *, estimated: bool, error: TollwayError | None = None
    ) -> None:
        """Books the attempt with what its stream has told and delivered."""
        self.close(
            outcome,
            usage=stream.usage,
            output_chars=stream.output_chars,
            output_events=stream.output_events,
            error=error,
            estimated=estimated,
        )

    def _row(
        self, outcome: str, usage: Usage, error_code: Code | None, *, estimated: bool, unseen: bool = False
    ) -> AttemptRow:
        exchange, provider = self.exchange, self.candidate.provider
        price = self.route.price
        return AttemptRow(
            id=self.id,
            number=self.number,
            provider=provider.name,
            provider_kind=provider.kind.value,
            target_model=self.candidate.model,
            credential=self.credential.name if self.credential is not None else "",
            started_ms=self.started_ms,
            ended_ms=exchange.services.clock.now_ms(),
            first_byte_ms=self.first_byte_ms,
            status=self.status,
            outcome=outcome,
            error_code=error_code.value if error_code is not None else None,
            usage=usage,
            cost_nano=self._cost(cost(usage, price), estimated, unseen) if price is not None else 0,
            price_version=price.version if price is not None else None,
            estimated=estimated,
            provider_request_id=self.provider_request_id,
        )

    def _cost(self, amount: int, estimated: bool, unseen: bool) -> int:
        """What is booked: an estimate is never above what was reserved; a bill above it is booked, and told.

        Of an answer that nobody has seen it is not known how long it became: under a hard budget all that was reserved
        is booked.
        """
        most = self.most_nano
        if most is None:
            return amount
        if unseen:
            return most
        if amount <= most:
            return amount
        if estimated:
            return most
        self.exchange.services.notices.tell(
            NoticeKind.BOUND_EXCEEDED,
            provider=self.candidate.provider.name,
            detail=f"request {self.exchange.id}, model {self.candidate.model}",
            amount_nano=amount - most,
        )
        return amount

    def _observe(self, row: AttemptRow, error: TollwayError | None) -> None:
        """Metrics, and the operator's log line when the provider or its credential is at fault."""
        exchange, provider = self.exchange, self.candidate.provider
        services = exchange.services
        call_ended(self, row, error)
        if error is None or error.fault is not Fault.UPSTREAM:
            return
        if error.code is Code.PROVIDER_AUTH_FAILED:
            services.notices.tell(
                NoticeKind.CREDENTIAL_FAILED, provider=provider.name, credential=row.credential, code=error.code.value
            )
        _log.warning(
            "provider call failed",
            request_id=exchange.id,
            client_request_id=exchange.client_request_id,
            provider=provider.name,
            target_model=self.candidate.model,
            credential=row.credential,
            code=error.code.value,
            status=self.status,
            provider_request_id=self.provider_request_id,
            detail=error.message[:500],
            note=error.operator_note,
        )


def _hide(error: TollwayError, secret: str) -> None:
    """A provider may repeat the credential, in a form that no pattern knows: it is shown to nobody."""
    if len(secret) < MIN_SECRET_LENGTH:
        return
    error.message = error.message.replace(secret, "[redacted]")
    if error.operator_note is not None:
        error.operator_note = error.operator_note.replace(secret, "[redacted]")
