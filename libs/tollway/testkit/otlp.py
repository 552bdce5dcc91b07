"""A collector that keeps what it is sent: OTLP over gRPC and over HTTP, on real sockets."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc.aio
from aiohttp import web
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as service
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.trace.v1.trace_pb2 import Span

EXPORT = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"


class Collector:
    """`spans` are those that came, `raw` all bytes; `refuse` makes it answer with errors that are not retried."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.resources: list[dict[str, Any]] = []
        self.raw = b""
        self.refuse = False

    async def __aenter__(self) -> Collector:
        app = web.Application()
        app.router.add_post("/v1/traces", self._over_http)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        self.http = f"http://127.0.0.1:{self._runner.addresses[0][1]}"
        self._server = grpc.aio.server()
        self._server.add_generic_rpc_handlers((_Handler(self),))
        self.grpc = f"http://127.0.0.1:{self._server.add_insecure_port('127.0.0.1:0')}"
        await self._server.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._server.stop(0)
        await self._runner.cleanup()

    def take(self, body: bytes) -> None:
        """An export request."""
        self.raw += body
        for resource in service.ExportTraceServiceRequest.FromString(body).resource_spans:
            self.resources.append(read(resource.resource.attributes))
            for scope in resource.scope_spans:
                self.spans.extend(scope.spans)

    async def _over_http(self, request: web.Request) -> web.Response:
        if self.refuse:
            return web.Response(status=400)
        self.take(await request.read())
        return web.Response(body=service.ExportTraceServiceResponse().SerializeToString())

    async def wait(self, count: int, seconds: float = 8) -> list[Span]:
        """The spans, once there are as many; oldest first."""
        async with asyncio.timeout(seconds):
            while len(self.spans) < count:
                await asyncio.sleep(0.02)
        return sorted(self.spans, key=lambda span: span.start_time_unix_nano)


class _Handler(grpc.GenericRpcHandler):  # type: ignore[misc]
    def __init__(self, collector: Collector) -> None:
        self._collector = collector

    def service(self, call: Any) -> Any:
        """The one method."""
        if call.method != EXPORT:
            return None
        return grpc.unary_unary_rpc_method_handler(self._export)

    async def _export(self, body: bytes, context: Any) -> bytes:
        if self._collector.refuse:
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "refused")
        self._collector.take(body)
        return bytes(service.ExportTraceServiceResponse().SerializeToString())


def read(attributes: Any) -> dict[str, Any]:
    """Attributes as a dict."""
    return {pair.key: _value(pair.value) for pair in attributes if isinstance(pair, KeyValue)}


def _value(value: AnyValue) -> Any:
    kind = value.WhichOneof("value")
    return getattr(value, kind) if kind else None
