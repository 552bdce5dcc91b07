"""Whether requests are traced, and how spans travel, by the settings."""

from __future__ import annotations

from tollway.dataplane.settings import GRPC, Settings
from tollway.dataplane.tracing.port import Tracer
from tollway.runtime.lifecycle import StartError


def tracer_of(settings: Settings, instance: str) -> Tracer | None:
    """The tracer; None where no endpoint is set. Raises StartError when it is set and cannot be used."""
    endpoint = settings.otlp_traces_endpoint or settings.otlp_endpoint
    if not endpoint or settings.otel_disabled or settings.otel_traces_exporter == "none":
        return None
    try:
        from tollway.dataplane.tracing.otel import OtelTracer

        if (settings.otlp_traces_protocol or settings.otlp_protocol) == GRPC:
            from opentelemetry.exporter.otlp.proto.grpc.trace_exporter import OTLPSpanExporter as GrpcExporter

            return OtelTracer(GrpcExporter(), settings.span_queue, instance)
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter as HttpExporter

        return OtelTracer(HttpExporter(), settings.span_queue, instance)
    except ImportError as error:
        raise StartError(
            "OTEL_EXPORTER_OTLP_ENDPOINT is set, but OpenTelemetry is not installed: install tollway[telemetry]"
        ) from error
    except ValueError as error:
        raise StartError(f"the OTEL_* environment cannot be used: {error}") from error
