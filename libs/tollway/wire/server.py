"""gRPC servers: the management API, the planes' own services, health. Handlers see plain values and never gRPC.

A handler fails with `CallFailed` (shown to the caller as it is) or `Unavailable`; anything else is a defect, logged by
the owner of the handler through `on_defect` and answered with INTERNAL and no detail.
"""

from __future__ import annotations

import contextlib
import hmac
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NoReturn

import grpc
import grpc.aio
from google.protobuf import any_pb2
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2  # type: ignore[import-untyped]  # ships without types
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from tollway.core.ledger import RequestRow
from tollway.core.notices import Notice
from tollway.core.requestlog import LoggedBody
from tollway.wire.balances_codec import BalancesAsked, BalancesRead, decode_balances_request, encode_balances
from tollway.wire.bodies_codec import Unreadable, decode_bodies
from tollway.wire.client import MAX_MESSAGE_BYTES
from tollway.wire.config_codec import ConfigEvent, Subscription, decode_subscription, encode_event
from tollway.wire.contract import MethodContract
from tollway.wire.gen.tollway.config.v1 import config_pb2_grpc
from tollway.wire.gen.tollway.usage.v1 import (
    balances_pb2_grpc,
    bodies_pb2,
    bodies_pb2_grpc,
    notices_pb2,
    notices_pb2_grpc,
    usage_pb2,
    usage_pb2_grpc,
)
from tollway.wire.notices_codec import decode_report
from tollway.wire.usage_codec import IngestResult, decode_batch

Server = grpc.aio.Server
DOMAIN = "tollway"
OPTIONS = (
    ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
    ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
    # Clients ping every 20 s, also while a stream is quiet.
    ("grpc.http2.min_recv_ping_interval_without_data_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 10_000),
    # Two processes on one port would each get some of the calls; the second shall fail to start instead.
    ("grpc.so_reuseport", 0),
)
_STATUS = {
    "invalid_argument": grpc.StatusCode.INVALID_ARGUMENT,
    "unauthenticated": grpc.StatusCode.UNAUTHENTICATED,
    "permission_denied": grpc.StatusCode.PERMISSION_DENIED,
    "not_found": grpc.StatusCode.NOT_FOUND,
    "already_exists": grpc.StatusCode.ALREADY_EXISTS,
    "failed_precondition": grpc.StatusCode.FAILED_PRECONDITION,
    "etag_mismatch": grpc.StatusCode.ABORTED,
    "idempotency_key_reused": grpc.StatusCode.INVALID_ARGUMENT,
    "idempotency_answer_gone": grpc.StatusCode.ALREADY_EXISTS,
    "unavailable": grpc.StatusCode.UNAVAILABLE,
}


class CallFailed(Exception):
    """An error for the caller: the stable code, a public message, the request field at fault."""

    def __init__(self, code: str, message: str, field: str | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.field = field


class Unavailable(Exception):
    """The call may be repeated later as it is; the message is public."""


@dataclass(frozen=True)
class GrpcCall:
    """What a management call brings along. `authorization` is the header's value; `metadata` has lower-case names.

    What was sent several times under one name is one text, separated by commas; of some names, `x-forwarded-for` among
    them, gRPC itself keeps the last alone.
    """

    authorization: str
    peer: str
    metadata: dict[str, str]


Invoke = Callable[[MethodContract, Message, GrpcCall], Awaitable[tuple[Message, dict[str, str]]]]
"""Runs a management method; returns the answer and the metadata after it, or raises CallFailed."""
Subscribe = Callable[[Subscription, str], AsyncGenerator[ConfigEvent, None]]
Ingest = Callable[[str, Sequence[RequestRow]], Awaitable[IngestResult]]
ReadBalances = Callable[[BalancesAsked], Awaitable[BalancesRead]]
Report = Callable[[str, Sequence[Notice], int], Awaitable[None]]
StoreBodies = Callable[[str, Sequence[LoggedBody], int], Awaitable[int]]
OnDefect = Callable[[str, Exception], None]


def make_server() -> grpc.aio.Server:
    """A server without services and ports. To be made inside the event loop that runs it."""
    return grpc.aio.server(options=OPTIONS)


def listen(server: grpc.aio.Server, address: str, port: int, *, tls: tuple[bytes, bytes] | None = None) -> int:
    """Binds a port (0 picks one) and returns it; `tls` is private key and certificate chain in PEM.

    Raises OSError when it cannot be bound.
    """
    host = f"[{address}]" if ":" in address else address
    try:
        if tls is None:
            bound: int = server.add_insecure_port(f"{host}:{port}")
        else:
            bound = server.add_secure_port(f"{host}:{port}", grpc.ssl_server_credentials([tls]))
    except RuntimeError as error:
        raise OSError(f"cannot listen on {address}:{port} (is the port in use?)") from error
    return bound


def _metadata(context: Any) -> dict[str, str]:
    found: dict[str, str] = {}
    for key, value in context.invocation_metadata() or ():
        if isinstance(value, str):
            found[str(key)] = f"{found[str(key)]}, {value}" if str(key) in found else value
    return found


class _PlaneGate:
    """Lets in who has the join token, compared in constant time."""

    def __init__(self, token: str, on_defect: OnDefect) -> None:
        self._token = f"Bearer {token}".encode()
        self.on_defect = on_defect

    async def check(self, context: Any) -> None:
        given = _metadata(context).get("authorization", "").encode()
        if not hmac.compare_digest(given, self._token):
            await context.abort(grpc.StatusCode.UNAUTHENTICATED, "the join token is missing or not valid")

    @contextlib.asynccontextmanager
    async def guard(self, context: Any, name: str) -> AsyncIterator[None]:
        """Turns what a handler raises into statuses."""
        await self.check(context)
        try:
            yield
        except Unavailable as error:
            await context.abort(grpc.StatusCode.UNAVAILABLE, str(error))
        except grpc.aio.AbortError:
            raise
        except Exception as error:  # noqa: BLE001 - reported and answered; the server goes on
            self.on_defect(name, error)
            await context.abort(grpc.StatusCode.INTERNAL, "internal error")


class _ConfigPush:
    def __init__(self, subscribe: Subscribe, gate: _PlaneGate) -> None:
        self._subscribe = subscribe
        self._gate = gate

    async def Subscribe(self, request: Any, context: Any) -> AsyncGenerator[Any, None]:
        async with self._gate.guard(context, "ConfigPush/Subscribe"):
            stream = self._subscribe(decode_subscription(request), context.peer())
            async with contextlib.aclosing(stream) as events:
                async for event in events:
                    yield encode_event(event)


class _UsageIngest:
    def __init__(self, ingest: Ingest, gate: _PlaneGate) -> None:
        self._ingest = ingest
        self._gate = gate

    async def Ingest(self, request: Any, context: Any) -> Any:
        async with self._gate.guard(context, "UsageIngest/Ingest"):
            replica, rows = decode_batch(request)
            done = await self._ingest(replica, rows)
            return usage_pb2.IngestResponse(inserted=done.inserted, quarantined=done.quarantined)


class _Balances:
    def __init__(self, read: ReadBalances, gate: _PlaneGate) -> None:
        self._read = read
        self._gate = gate

    async def Read(self, request: Any, context: Any) -> Any:
        async with self._gate.guard(context, "Balances/Read"):
            return encode_balances(await self._read(decode_balances_request(request)))


class _BodyIngest:
    def __init__(self, store: StoreBodies, gate: _PlaneGate) -> None:
        self._store = store
        self._gate = gate

    async def StoreBodies(self, request: Any, context: Any) -> Any:
        async with self._gate.guard(context, "BodyIngest/StoreBodies"):
            try:
                sent = decode_bodies(request)
            except Unreadable as error:
                await context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"batches: {error}")
            return bodies_pb2.StoreBodiesResponse(stored=await self._store(*sent))


class _NoticeIngest:
    def __init__(self, report: Report, gate: _PlaneGate) -> None:
        self._report = report
        self._gate = gate

    async def Report(self, request: Any, context: Any) -> Any:
        async with self._gate.guard(context, "NoticeIngest/Report"):
            await self._report(*decode_report(request))
            return notices_pb2.ReportResponse()


def add_balances(server: grpc.aio.Server, read: ReadBalances, token: str, on_defect: OnDefect) -> None:
    """Serves the ledger's balances to whoever has the join token."""
    add: Any = balances_pb2_grpc.add_BalancesServicer_to_server  # generated without types
    add(_Balances(read, _PlaneGate(token, on_defect)), server)


def add_body_ingest(server: grpc.aio.Server, store: StoreBodies, token: str, on_defect: OnDefect) -> None:
    """Serves the request log to whoever has the join token; `store` returns when the bodies are stored."""
    add: Any = bodies_pb2_grpc.add_BodyIngestServicer_to_server  # generated without types
    add(_BodyIngest(store, _PlaneGate(token, on_defect)), server)


def add_notice_ingest(server: grpc.aio.Server, report: Report, token: str, on_defect: OnDefect) -> None:
    """Serves notices to whoever has the join token; `report` returns when they are committed."""
    add: Any = notices_pb2_grpc.add_NoticeIngestServicer_to_server  # generated without types
    add(_NoticeIngest(report, _PlaneGate(token, on_defect)), server)


def add_config_push(server: grpc.aio.Server, subscribe: Subscribe, token: str, on_defect: OnDefect) -> None:
    """Serves config push to whoever has the join token; `subscribe` gets the subscription and the peer's address."""
    add: Any = config_pb2_grpc.add_ConfigPushServicer_to_server  # generated without types
    add(_ConfigPush(subscribe, _PlaneGate(token, on_defect)), server)


def add_usage_ingest(server: grpc.aio.Server, ingest: Ingest, token: str, on_defect: OnDefect) -> None:
    """Serves usage ingest to whoever has the join token; `ingest` returns when the rows are committed."""
    add: Any = usage_pb2_grpc.add_UsageIngestServicer_to_server  # generated without types
    add(_UsageIngest(ingest, _PlaneGate(token, on_defect)), server)


def add_management(
    server: grpc.aio.Server, methods: Iterable[MethodContract], invoke: Invoke, on_defect: OnDefect
) -> None:
    """Serves the management API; `invoke` does everything, authentication too."""
    services: dict[str, dict[str, Any]] = {}
    for method in methods:
        services.setdefault(method.service, {})[method.name.rpartition("/")[2]] = grpc.unary_unary_rpc_method_handler(
            _management_handler(method, invoke, on_defect),
            request_deserializer=method.request.FromString,
            response_serializer=method.response.SerializeToString,
        )
    server.add_generic_rpc_handlers(
        [grpc.method_handlers_generic_handler(service, handlers) for service, handlers in services.items()]
    )


def _management_handler(method: MethodContract, invoke: Invoke, on_defect: OnDefect) -> Callable[..., Awaitable[Any]]:
    async def handle(request: Message, context: Any) -> Message:
        metadata = _metadata(context)
        call = GrpcCall(metadata.get("authorization", ""), context.peer(), metadata)
        try:
            answer, trailers = await invoke(method, request, call)
        except CallFailed as failure:
            await _abort(context, failure)
        except Exception as error:  # noqa: BLE001 - reported and answered; the server goes on
            on_defect(method.name, error)
            await context.abort(grpc.StatusCode.INTERNAL, "internal error")
        context.set_trailing_metadata(tuple(trailers.items()))
        return answer

    return handle


async def _abort(context: Any, failure: CallFailed) -> NoReturn:
    """The status, with google.rpc error details as most gRPC clients know them."""
    code = _STATUS[failure.code]
    details = [_packed(error_details_pb2.ErrorInfo(reason=failure.code, domain=DOMAIN))]
    if failure.field:
        violation = error_details_pb2.BadRequest.FieldViolation(field=failure.field, description=failure.message)
        details.append(_packed(error_details_pb2.BadRequest(field_violations=[violation])))
    status = status_pb2.Status(code=code.value[0], message=failure.message, details=details)
    await context.abort(code, failure.message, (("grpc-status-details-bin", status.SerializeToString()),))
    raise AssertionError("abort returned")


def _packed(detail: Message) -> any_pb2.Any:
    packed = any_pb2.Any()
    packed.Pack(detail)
    return packed


class HealthService:
    """grpc.health.v1 of a server, for the server as a whole."""

    def __init__(self, server: grpc.aio.Server) -> None:
        self._servicer = health.aio.HealthServicer()
        health_pb2_grpc.add_HealthServicer_to_server(self._servicer, server)

    async def set(self, serving: bool) -> None:
        """What health checks and watchers are told from now on."""
        kind = health_pb2.HealthCheckResponse
        await self._servicer.set("", kind.SERVING if serving else kind.NOT_SERVING)
