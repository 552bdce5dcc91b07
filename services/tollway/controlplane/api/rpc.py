"""gRPC: the management API and the planes' own services on one port. The same dispatcher as REST."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tollway.controlplane.api.dispatcher import CallContext, Dispatcher
from tollway.controlplane.api.rest import ANONYMOUS, REASON_HEADER, reason, request_id
from tollway.controlplane.auth import Authenticator
from tollway.controlplane.call import ApiError
from tollway.controlplane.db.pool import OUTAGE
from tollway.controlplane.ledger.service import Ledger
from tollway.controlplane.publish.service import ConfigPublisher
from tollway.core.ledger import RequestRow
from tollway.runtime import log
from tollway.wire.contract import METHODS, PUBLIC, MethodContract
from tollway.wire.server import (
    CallFailed,
    GrpcCall,
    Unavailable,
    add_config_push,
    add_management,
    add_usage_ingest,
)
from tollway.wire.usage_codec import IngestResult

_log = log.get(__name__)


def report_defect(name: str, error: Exception) -> None:
    """Logs what a handler should not have raised."""
    _log.error("a call failed by a defect", method=name, exc_info=error)


class GrpcApi:
    """Management calls over gRPC."""

    def __init__(self, dispatcher: Dispatcher, authenticator: Authenticator) -> None:
        self._dispatcher = dispatcher
        self._authenticator = authenticator

    def add_to(self, server: Any) -> None:
        """Adds every service of the management API to a server."""
        add_management(server, METHODS.values(), self._invoke, report_defect)

    async def _invoke(self, contract: MethodContract, message: Any, call: GrpcCall) -> tuple[Any, str]:
        context = CallContext(
            request_id=request_id(call.metadata.get("x-request-id", "")),
            source=_address(call.peer),
            reason=reason(call.metadata.get(REASON_HEADER, "")),
        )
        try:
            principal = ANONYMOUS
            if contract.permission != PUBLIC:
                principal = self._authenticator.principal(call.authorization, context.source)
            return await self._dispatcher.invoke(principal, contract, message, context), context.request_id
        except ApiError as error:
            raise CallFailed(error.code.value, error.message, error.field) from error


def _address(peer: str) -> str:
    """The address of a gRPC peer, "ipv4:127.0.0.1:4711", without scheme and port."""
    return peer.partition(":")[2].rpartition(":")[0].strip("[]").replace("%5B", "").replace("%5D", "")


def add_plane_services(server: Any, publisher: ConfigPublisher, ledger: Ledger, join_token: str) -> None:
    """Adds config push and usage ingest, for whoever has the join token."""

    async def ingest(replica: str, rows: Sequence[RequestRow]) -> IngestResult:
        try:
            return await ledger.ingest(replica, rows)
        except OUTAGE as error:
            _log.warning("ledger rows could not be stored; they will be sent again", replica=replica, rows=len(rows))
            raise Unavailable("the database does not answer") from error

    add_config_push(server, publisher.subscribe, join_token, report_defect)
    add_usage_ingest(server, ingest, join_token, report_defect)
