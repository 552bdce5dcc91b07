"""gRPC: the management API and the planes' own services on one port. The same dispatcher as REST."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any

from tollway.controlplane.alerts.service import Alerts
from tollway.controlplane.api import idempotency
from tollway.controlplane.api.dispatcher import CallContext, Dispatcher
from tollway.controlplane.api.rest import ANONYMOUS, REASON_HEADER, reason, request_id
from tollway.controlplane.auth import Authenticator
from tollway.controlplane.call import ApiError
from tollway.controlplane.db.pool import OUTAGE
from tollway.controlplane.ledger.balances import UnknownQuery
from tollway.controlplane.ledger.service import Ledger
from tollway.controlplane.publish.service import ConfigPublisher
from tollway.controlplane.requestlog.service import RequestLog
from tollway.controlplane.requestlog.store import StoreUnavailable
from tollway.controlplane.signin import forwarded
from tollway.core.ledger import RequestRow
from tollway.core.notices import Notice
from tollway.core.requestlog import LoggedBody
from tollway.runtime import log
from tollway.wire.balances_codec import BalancesAsked, BalancesRead
from tollway.wire.contract import METHODS, PUBLIC, MethodContract
from tollway.wire.server import (
    CallFailed,
    GrpcCall,
    Unavailable,
    add_balances,
    add_body_ingest,
    add_config_push,
    add_management,
    add_notice_ingest,
    add_usage_ingest,
)
from tollway.wire.usage_codec import IngestResult

_log = log.get(__name__)


def report_defect(name: str, error: Exception) -> None:
    """Logs what a handler should not have raised."""
    _log.error("a call failed by a defect", method=name, exc_info=error)


class GrpcApi:
    """Management calls over gRPC. `trusted` are the networks of proxies whose `x-forwarded-for` says who called."""

    def __init__(self, dispatcher: Dispatcher, authenticator: Authenticator, trusted: forwarded.Networks = ()) -> None:
        self._dispatcher = dispatcher
        self._authenticator = authenticator
        self._trusted = trusted

    def add_to(self, server: Any) -> None:
        """Adds every service of the management API to a server."""
        add_management(server, METHODS.values(), self._invoke, report_defect)

    async def _invoke(self, contract: MethodContract, message: Any, call: GrpcCall) -> tuple[Any, dict[str, str]]:
        context = CallContext(
            request_id=request_id(call.metadata.get("x-request-id", "")),
            source=self._source(call),
            reason=reason(call.metadata.get(REASON_HEADER, "")),
            agent=call.metadata.get("user-agent", ""),
            transport="grpc",
        )
        trailers = {"x-request-id": context.request_id}
        try:
            principal = ANONYMOUS
            if contract.permission != PUBLIC:
                principal = await self._authenticator.of_token(call.authorization, context.source)
            if idempotency.applies(contract) and (given := call.metadata.get(idempotency.HEADER.lower())) is not None:
                context = replace(context, idempotency_key=idempotency.given_key([given]))
            answered = await self._dispatcher.answer(principal, contract, message, context)
            if answered.replayed:
                trailers[idempotency.REPLAYED.lower()] = "true"
            return answered.message, trailers
        except ApiError as error:
            raise CallFailed(error.code.value, error.message, error.field) from error

    def _source(self, call: GrpcCall) -> str:
        lines = call.metadata.get(forwarded.HEADER.lower())
        return forwarded.source_of(_address(call.peer), [] if lines is None else [lines], self._trusted)


def _address(peer: str) -> str:
    """The address of a gRPC peer, "ipv4:127.0.0.1:4711", without scheme and port."""
    return peer.partition(":")[2].rpartition(":")[0].strip("[]").replace("%5B", "").replace("%5D", "")


def add_notices(server: Any, alerts: Alerts, join_token: str) -> None:
    """Adds the ear for notices, for whoever has the join token."""

    async def report(replica: str, notices: Sequence[Notice], lost: int) -> None:
        try:
            await alerts.report(replica, notices, lost)
        except OUTAGE as error:
            raise Unavailable("the database does not answer") from error

    add_notice_ingest(server, report, join_token, report_defect)


def _balances(publisher: ConfigPublisher, ledger: Ledger) -> Callable[[BalancesAsked], Awaitable[BalancesRead]]:
    async def read(asked: BalancesAsked) -> BalancesRead:
        _log.info(
            "balances asked for",
            replica=asked.replica,
            organisation=asked.organisation,
            epoch=asked.epoch,
            queries=len(asked.queries),
        )
        try:
            used, cut_us = await ledger.balances(asked.organisation, asked.queries, asked.cut_us)
        except UnknownQuery as error:
            raise Unavailable(f"this control plane does not know the question: {error}") from error
        except OUTAGE as error:
            raise Unavailable("the database does not answer") from error
        replicas = sorted({subscriber.replica for subscriber in publisher.subscribers()})
        return BalancesRead(used=tuple(used), replicas=tuple(replicas), cut_us=cut_us)

    return read


def add_plane_services(
    server: Any, publisher: ConfigPublisher, ledger: Ledger, request_log: RequestLog, join_token: str
) -> None:
    """Adds config push, usage ingest, balances and body ingest, for whoever has the join token."""

    async def ingest(replica: str, rows: Sequence[RequestRow]) -> IngestResult:
        try:
            return await ledger.ingest(replica, rows)
        except OUTAGE as error:
            _log.warning("ledger rows could not be stored; they will be sent again", replica=replica, rows=len(rows))
            raise Unavailable("the database does not answer") from error

    async def store(replica: str, bodies: Sequence[LoggedBody], dropped: int) -> int:
        try:
            return await request_log.store(replica, bodies, dropped)
        except (*OUTAGE, StoreUnavailable) as error:
            _log.warning("bodies could not be stored; they will be sent again", replica=replica, bodies=len(bodies))
            raise Unavailable("the store of bodies does not answer") from error

    add_balances(server, _balances(publisher, ledger), join_token, report_defect)
    add_body_ingest(server, store, join_token, report_defect)
    add_config_push(server, publisher.subscribe, join_token, report_defect)
    add_usage_ingest(server, ingest, join_token, report_defect)
