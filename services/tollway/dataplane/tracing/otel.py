"""Spans by OpenTelemetry, with its conventions for HTTP and generative AI; sent in batches from a thread of its own.

Imported only where an endpoint is set: the SDK takes longer to load than a process may take to start without it. The
SDK reads the standard OTEL_* environment itself: where to send, with which headers, whom to sample, in which batches.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Mapping, Sequence

from opentelemetry.context import Context
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, set_span_in_context
from opentelemetry.trace import Tracer as SdkTracer
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from tollway.core.ledger import AttemptRow, Outcome
from tollway.core.operations import Operation
from tollway.dataplane.tracing.answering import model_of
from tollway.dataplane.tracing.port import Ended, SpanCounts

CLOSE_SECONDS = 5.0
SERVICE = "tollway-dataplane"
UNNAMED = "unknown_service"
MOST_TEXT = 200
SERVER_ERROR = 500
_OPERATIONS = {
    Operation.COMPLETIONS: "text_completion",
    Operation.RESPONSES: "chat",
    Operation.MESSAGES: "chat",
    Operation.FEATURES: "embeddings",
}
"""Where the convention has a word of its own; everything else goes by ours."""
_PROVIDERS = {"azure_openai": "azure.ai.openai"}
_trace_context = TraceContextTextMapPropagator()


class OtelTracer:
    """Spans of one process, to one exporter."""

    def __init__(self, exporter: SpanExporter, queue: int, instance: str) -> None:
        """`queue` bounds the spans that wait to be sent. Raises ValueError when the OTEL_* environment is wrong."""
        # What the SDK would print on its own is in `counts`, and the process logs it in its own format.
        logging.getLogger("opentelemetry").setLevel(logging.CRITICAL + 1)
        self._counts = SpanCounts()
        self._provider = TracerProvider(resource=_resource(instance), shutdown_on_exit=False)
        self._provider.add_span_processor(_Bounded(exporter, queue, self._counts))
        self._tracer = self._provider.get_tracer("tollway")

    @property
    def counts(self) -> SpanCounts:
        """What became of the spans so far."""
        return self._counts

    def request(self, path: str, operation: Operation, request_id: str, headers: Mapping[str, str]) -> OtelRequest:
        """A request begins. See the port."""
        carrier = {name: headers[name] for name in ("traceparent", "tracestate") if name in headers}
        parent = _trace_context.extract(carrier, Context()) if carrier else Context()
        word = _OPERATIONS.get(operation, operation.value)
        attributes = {
            "http.request.method": "POST",
            "http.route": path,
            "url.path": path,
            "gen_ai.operation.name": word,
            "tollway.request_id": request_id,
        }
        span = self._tracer.start_span(f"POST {path}", parent, SpanKind.SERVER, attributes)
        return OtelRequest(self._tracer, span, word)

    async def close(self) -> None:
        """Sends what is left. A collector that does not answer is not waited for longer than some seconds."""
        ending = threading.Thread(target=self._provider.shutdown, name="spans-end", daemon=True)
        ending.start()
        await asyncio.to_thread(ending.join, CLOSE_SECONDS)


class OtelRequest:
    """The server span of one request."""

    __slots__ = ("_context", "_operation", "_span", "_tracer")

    def __init__(self, tracer: SdkTracer, span: Span, operation: str) -> None:
        self._tracer = tracer
        self._span = span
        self._operation = operation
        self._context = set_span_in_context(span, Context())

    def call(self, provider_kind: str, provider: str, model: str) -> OtelCall:
        """An upstream call begins. See the port."""
        model = model[:MOST_TEXT]
        attributes = {
            "gen_ai.operation.name": self._operation,
            "gen_ai.provider.name": _PROVIDERS.get(provider_kind, provider_kind),
            "gen_ai.request.model": model,
            "tollway.provider": provider,
        }
        name = f"{self._operation} {model}"
        return OtelCall(self._tracer.start_span(name, self._context, SpanKind.CLIENT, attributes))

    def end(self, ended: Ended) -> None:
        """The request is over."""
        span = self._span
        if span.is_recording():
            span.set_attributes(
                {
                    "http.response.status_code": ended.status,
                    "gen_ai.request.model": ended.model[:MOST_TEXT],
                    "gen_ai.request.stream": ended.stream,
                    "tollway.project": ended.project,
                    "tollway.attempts": ended.attempts,
                }
            )
            if ended.cache:
                span.set_attribute("tollway.cache", ended.cache)
            if ended.error_code is not None:
                span.set_attribute("error.type", ended.error_code)
            if ended.status >= SERVER_ERROR:
                span.set_status(Status(StatusCode.ERROR))
        span.end()


class OtelCall:
    """The client span of one upstream call."""

    __slots__ = ("_span", "headers")

    def __init__(self, span: Span) -> None:
        self._span = span
        self.headers: dict[str, str] = {}
        _trace_context.inject(self.headers, set_span_in_context(span, Context()))

    def content(self, data: bytes, seconds: float | None) -> None:
        """The answer's first bytes are here. See the port."""
        span = self._span
        if not span.is_recording():
            return
        if seconds is not None:
            span.set_attribute("gen_ai.response.time_to_first_chunk", seconds)
        if model := model_of(data):
            span.set_attribute("gen_ai.response.model", model[:MOST_TEXT])

    def end(self, row: AttemptRow) -> None:
        """The call is over and booked so."""
        span = self._span
        if span.is_recording():
            usage = row.usage
            attributes: dict[str, str | int | float | bool] = {
                "gen_ai.usage.input_tokens": usage.input,
                "gen_ai.usage.output_tokens": usage.output,
                "tollway.attempt": row.number,
                "tollway.outcome": row.outcome,
                "tollway.cost_dollars": row.cost_nano * 1e-9,
                "tollway.usage_estimated": row.estimated,
            }
            if usage.cached_input:
                attributes["gen_ai.usage.cache_read.input_tokens"] = usage.cached_input
            if row.status is not None:
                attributes["http.response.status_code"] = row.status
            if row.provider_request_id is not None:
                attributes["tollway.provider_request_id"] = row.provider_request_id
            if row.error_code is not None:
                attributes["error.type"] = row.error_code
            span.set_attributes(attributes)
            if row.outcome == Outcome.ERROR:
                span.set_status(Status(StatusCode.ERROR))
        span.end()


class _Counting(SpanExporter):
    """An exporter that counts what it was given and what was taken; runs in the thread that sends."""

    def __init__(self, exporter: SpanExporter, counts: SpanCounts) -> None:
        self._exporter = exporter
        self._counts = counts
        self.begun = 0

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        """Sends a batch."""
        self.begun += len(spans)
        result = SpanExportResult.FAILURE
        try:
            result = self._exporter.export(spans)
        finally:
            if result is SpanExportResult.SUCCESS:
                self._counts.exported += len(spans)
            else:
                self._counts.failed += len(spans)
        return result

    def shutdown(self) -> None:
        """Ends the exporter."""
        self._exporter.shutdown()


class _Bounded(BatchSpanProcessor):
    """Batches from a bounded queue: what finds it full is dropped, and counted."""

    def __init__(self, exporter: SpanExporter, queue: int, counts: SpanCounts) -> None:
        self._counting = _Counting(exporter, counts)
        super().__init__(self._counting, max_queue_size=queue)
        self._most = queue
        self._counts = counts
        self._offered = 0

    def on_end(self, span: ReadableSpan) -> None:
        """A span is over; called on the event loop, waits for nothing."""
        context = span.context
        if context is None or not context.trace_flags.sampled:
            return
        if self._offered - self._counting.begun >= self._most:
            self._counts.queue_full += 1
            return
        self._offered += 1
        super().on_end(span)


def _resource(instance: str) -> Resource:
    """Who sends: by the OTEL_* environment, with a name of our own where that gives none."""
    found = Resource.create({"service.instance.id": instance})
    if str(found.attributes.get("service.name", UNNAMED)).startswith(UNNAMED):
        found = found.merge(Resource({"service.name": SERVICE}))
    return found
