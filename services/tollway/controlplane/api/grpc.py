"""The control plane over gRPC: the management API, config push and usage ingest, each behind its own token."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Mapping, Sequence

import uuid_utils
from google.protobuf.message import Message

from tollway.controlplane.api.dispatcher import Context, Dispatcher
from tollway.controlplane.auth import Authenticator
from tollway.controlplane.call import ApiCode, ApiError
from tollway.controlplane.db.pool import OUTAGE
from tollway.controlplane.ledger.service import Ledger
from tollway.controlplane.publish.service import ConfigPublisher
from tollway.core.ledger import RequestRow
from tollway.runtime import log
from tollway.wire import server as wire
from tollway.wire.config_codec import ConfigEvent, Subscription
from tollway.wire.contract import MethodContract, management
from tollway.wire.usage_codec import IngestResult

_log = log.get(__name__)
STATUSES: Mapping[ApiCode, str] = {
    ApiCode.INVALID: "INVALID_ARGUMENT",
    ApiCode.UNAUTHENTICATED: "UNAUTHENTICATED",
    ApiCode.PERMISSION_DENIED: "PERMISSION_DENIED",
    ApiCode.NOT_FOUND: "NOT_FOUND",
    ApiCode.ALREADY_EXISTS: "ALREADY_EXISTS",
    ApiCode.FAILED_PRECONDITION: "FAILED_PRECONDITION",
    ApiCode.ETAG_MISMATCH: "ABORTED",
    ApiCode.UNAVAILABLE: "UNAVAILABLE",
}


def status_of(error: Exception) -> wire.Refusal:
    """How a failure is told to the caller; what was not foreseen is logged and told as nothing."""
    if isinstance(error, ApiError):
        details = {"tollway-error-code": error.code.value}
        if error.field:
            details["tollway-error-field"] = error.field
        return wire.Refusal(STATUSES[error.code], error.message, details)
    if isinstance(error, OUTAGE):
        return wire.Refusal("UNAVAILABLE", "the database does not answer", {})
    _log.error("grpc call failed", exc_info=error)
    return wire.Refusal("INTERNAL", "something went wrong", {})


class GrpcApi:
    """The handlers of the gRPC port."""

    def __init__(
        self, dispatcher: Dispatcher, authenticator: Authenticator, publisher: ConfigPublisher, ledger: Ledger
    ) -> None:
        self._dispatcher = dispatcher
        self._authenticator = authenticator
        self._publisher = publisher
        self._ledger = ledger

    def add_to(self, server: wire.grpc.aio.Server) -> None:
        """Adds every service to a server."""
        wire.add_management(server, management(), self._invoke, status_of)
        wire.add_planes(server, self._subscribe, self._ingest, status_of)

    async def _invoke(self, contract: MethodContract, message: Message, caller: wire.Caller) -> Message:
        principal = self._authenticator.administrator(caller.metadata)
        context = Context(
            request_id=caller.metadata.get("x-request-id", "")[:100] or str(uuid_utils.uuid7()),
            source=f"grpc {caller.peer}",
            reason=caller.metadata.get("x-tollway-reason", "")[:1000],
        )
        return await self._dispatcher.invoke(principal, contract, message, context)

    async def _subscribe(
        self, subscription: Subscription, caller: wire.Caller
    ) -> AsyncGenerator[ConfigEvent, None]:
        self._authenticator.data_plane(caller.metadata)
        async for event in self._publisher.subscribe(subscription, caller.peer):
            yield event

    async def _ingest(self, replica: str, rows: Sequence[RequestRow], caller: wire.Caller) -> IngestResult:
        self._authenticator.data_plane(caller.metadata)
        return await self._ledger.ingest(replica, rows)
