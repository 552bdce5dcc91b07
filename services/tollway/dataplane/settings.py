"""The data plane's settings: the only place of this service that reads the environment."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from tollway.core.proxies import proxy_url
from tollway.runtime.seal import parse_key
from tollway.runtime.settings import choice, flag, port, positive, setting

MEBIBYTE = 1 << 20
NATIVE, AIOHTTP = "native", "aiohttp"
GRPC, HTTP_PROTOBUF = "grpc", "http/protobuf"
MIN_LOST_NODE_SECONDS = 60


def fleet_keys(text: str) -> tuple[bytes, ...]:
    """One or two comma-separated keys, the current one first."""
    keys = tuple(parse_key(part, "TOLLWAY_FLEET_KEY") for part in text.split(","))
    if len(keys) > 2:
        raise ValueError("at most two keys: the current and the next")
    return keys


def lost_node_seconds(text: str) -> int:
    """Long enough for a process that restarts, and for one that cannot be heard for a moment."""
    number = int(text)
    if number < MIN_LOST_NODE_SECONDS:
        raise ValueError(f"must be at least {MIN_LOST_NODE_SECONDS}")
    return number


def inherited() -> dict[str, str]:
    """The environment of this process, which the supervisor hands on to its children."""
    return dict(os.environ)


@dataclass(frozen=True)
class Settings:
    """Everything that one data-plane pod needs to know. Durations are in seconds, sizes in bytes."""

    redis_url: str = setting("TOLLWAY_REDIS_URL", "Redis or Valkey with the key directory", secret=True)
    control_grpc: str = setting("TOLLWAY_CONTROL_GRPC", "host:port of the control plane's gRPC port")
    fleet_keys: tuple[bytes, ...] = setting(
        "TOLLWAY_FLEET_KEY", "32 bytes in base64; opens what the control plane sends", parse=fleet_keys, secret=True
    )
    join_token: str = setting(
        "TOLLWAY_JOIN_TOKEN", "token with which this process joins the control plane", secret=True
    )
    data_dir: Path = setting(
        "TOLLWAY_DATA_DIR", "directory of the journal; must outlive the process", parse=Path, default=Path("data")
    )
    bind: str = setting("TOLLWAY_BIND", "address to listen on", default="127.0.0.1")
    bind_internal: str = setting(
        "TOLLWAY_BIND_INTERNAL", "address of the admin port, which is plain; default: TOLLWAY_BIND", default=""
    )
    port_proxy: int = setting("TOLLWAY_PORT_PROXY", "port for clients; 0 picks a free one", parse=port, default=8080)
    port_admin: int = setting("TOLLWAY_PORT_ADMIN", "port for probes and metrics", parse=port, default=9090)
    processes: int = setting("TOLLWAY_PROCESSES", "event loops that share the port", parse=positive, default=1)
    tls_cert: str = setting("TOLLWAY_TLS_CERT", "certificate chain (PEM) for the proxy port", default="")
    tls_key: str = setting("TOLLWAY_TLS_KEY", "path of the certificate's private key (PEM)", default="")
    max_body_bytes: int = setting(
        "TOLLWAY_MAX_BODY_BYTES", "largest request body, unpacked", parse=positive, default=32 * MEBIBYTE
    )
    max_bodies_bytes: int = setting(
        "TOLLWAY_MAX_BODIES_BYTES",
        "memory of each process for large request bodies, all together; further ones are refused",
        parse=positive,
        default=512 * MEBIBYTE,
    )
    max_requests: int = setting(
        "TOLLWAY_MAX_REQUESTS",
        "requests under way in each process, at most; a late event loop lowers it",
        parse=positive,
        default=16_384,
    )
    max_answer_bytes: int = setting(
        "TOLLWAY_MAX_ANSWER_BYTES", "largest unstreamed provider answer", parse=positive, default=64 * MEBIBYTE
    )
    journal_bytes: int = setting(
        "TOLLWAY_JOURNAL_BYTES",
        "space for ledger rows that are not shipped yet",
        parse=positive,
        default=4096 * MEBIBYTE,
    )
    segment_bytes: int = setting(
        "TOLLWAY_JOURNAL_SEGMENT_BYTES", "size of one journal segment", parse=positive, default=8 * MEBIBYTE
    )
    copy_bytes: int = setting(
        "TOLLWAY_COPY_BYTES",
        "space of each process in Redis for the second copy of ledger rows",
        parse=positive,
        default=64 * MEBIBYTE,
    )
    lost_node_seconds: int = setting(
        "TOLLWAY_LOST_NODE_SECONDS",
        "after this long without a sign of life, the journal of a process counts as lost with its node",
        parse=lost_node_seconds,
        default=900,
    )
    directory_cache: int = setting(
        "TOLLWAY_DIRECTORY_CACHE", "virtual keys held in memory by each process", parse=positive, default=50_000
    )
    max_stale_seconds: int = setting(
        "TOLLWAY_MAX_STALE_SECONDS",
        "how long known keys are served without the control plane and Redis",
        parse=positive,
        default=12 * 3600,
    )
    drain_seconds: int = setting(
        "TOLLWAY_DRAIN_SECONDS", "how long requests in flight may run on after SIGTERM", parse=positive, default=120
    )
    drain_delay_seconds: int = setting(
        "TOLLWAY_DRAIN_DELAY_SECONDS", "from not ready to closed, for load balancers to notice", parse=int, default=0
    )
    max_connections: int = setting(
        "TOLLWAY_MAX_CONNECTIONS",
        "connections of clients to each process; further ones are refused",
        parse=positive,
        default=16_384,
    )
    idle_seconds: int = setting(
        "TOLLWAY_IDLE_SECONDS", "how long a client's connection may be without a request", parse=positive, default=75
    )
    head_seconds: int = setting(
        "TOLLWAY_HEAD_SECONDS", "within this time a request's headers must be complete", parse=positive, default=10
    )
    write_seconds: int = setting(
        "TOLLWAY_WRITE_SECONDS",
        "an answer of which the client takes nothing for so long is given up",
        parse=positive,
        default=30,
    )
    connection_requests: int = setting(
        "TOLLWAY_CONNECTION_REQUESTS", "requests on one connection before it is closed", parse=positive, default=10_000
    )
    responses_seconds: int = setting(
        "TOLLWAY_RESPONSES_SECONDS", "how long a stored response is kept", parse=positive, default=7 * 86_400
    )
    responses_bytes: int = setting(
        "TOLLWAY_RESPONSES_BYTES", "stored responses of one project, in Redis", parse=positive, default=64 * MEBIBYTE
    )
    cache: bool = setting(
        "TOLLWAY_CACHE", "whether answers may be kept at all; projects ask for it", parse=flag, default=True
    )
    cache_redis_url: str = setting(
        "TOLLWAY_CACHE_REDIS_URL",
        "Redis or Valkey for kept answers, which may evict; default: TOLLWAY_REDIS_URL",
        default="",
        secret=True,
    )
    cache_project_bytes: int = setting(
        "TOLLWAY_CACHE_PROJECT_BYTES", "kept answers of one project, in Redis", parse=positive, default=64 * MEBIBYTE
    )
    cache_answer_bytes: int = setting(
        "TOLLWAY_CACHE_ANSWER_BYTES", "largest answer that is kept or shared", parse=positive, default=MEBIBYTE
    )
    cache_memory_bytes: int = setting(
        "TOLLWAY_CACHE_MEMORY_BYTES",
        "kept answers held in memory by each process",
        parse=positive,
        default=32 * MEBIBYTE,
    )
    bodies_spool_bytes: int = setting(
        "TOLLWAY_BODIES_SPOOL_BYTES",
        "space of each process for bodies that are not shipped yet",
        parse=positive,
        default=1024 * MEBIBYTE,
    )
    bodies_memory_bytes: int = setting(
        "TOLLWAY_BODIES_MEMORY_BYTES",
        "bodies held in memory by each process, under way and not written yet",
        parse=positive,
        default=128 * MEBIBYTE,
    )
    max_logged_body_bytes: int = setting(
        "TOLLWAY_MAX_LOGGED_BODY_BYTES", "how much of a body the request log keeps", parse=positive, default=MEBIBYTE
    )
    upstream_client: str = setting(
        "TOLLWAY_UPSTREAM_CLIENT",
        "which HTTP client calls providers: native or aiohttp",
        parse=choice(NATIVE, AIOHTTP),
        default=NATIVE,
    )
    upstream_connections: int = setting(
        "TOLLWAY_UPSTREAM_CONNECTIONS",
        "connections of each process to all providers; further calls wait (native client)",
        parse=positive,
        default=8192,
    )
    upstream_host_connections: int = setting(
        "TOLLWAY_UPSTREAM_HOST_CONNECTIONS",
        "connections of each process to one host and port (native client)",
        parse=positive,
        default=4096,
    )
    upstream_idle: int = setting(
        "TOLLWAY_UPSTREAM_IDLE",
        "connections of each process kept open for the next call (native client)",
        parse=positive,
        default=1024,
    )
    http_proxy: str = setting(
        "HTTP_PROXY", "proxy to http:// providers (native client)", parse=proxy_url, default="", secret=True
    )
    https_proxy: str = setting(
        "HTTPS_PROXY", "proxy to https:// providers (native client)", parse=proxy_url, default="", secret=True
    )
    no_proxy: str = setting(
        "NO_PROXY", "comma-separated hosts, domains, addresses and networks that are called directly", default=""
    )
    metrics_series: int = setting(
        "TOLLWAY_METRICS_SERIES",
        "label combinations of one metric and process; further ones are counted as other",
        parse=positive,
        default=1000,
    )
    otlp_endpoint: str = setting(
        "OTEL_EXPORTER_OTLP_ENDPOINT", "OpenTelemetry collector that spans go to; default: no spans", default=""
    )
    otlp_traces_endpoint: str = setting(
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "the same, for spans alone: the whole address", default=""
    )
    otlp_protocol: str = setting(
        "OTEL_EXPORTER_OTLP_PROTOCOL",
        "grpc or http/protobuf",
        parse=choice(GRPC, HTTP_PROTOBUF),
        default=HTTP_PROTOBUF,
    )
    otlp_traces_protocol: str = setting(
        "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
        "the same, for spans alone",
        parse=choice(GRPC, HTTP_PROTOBUF),
        default="",
    )
    otel_disabled: bool = setting("OTEL_SDK_DISABLED", "no spans, whatever else is set", parse=flag, default=False)
    otel_traces_exporter: str = setting(
        "OTEL_TRACES_EXPORTER", "otlp, or none: no spans", parse=choice("otlp", "none"), default="otlp"
    )
    span_queue: int = setting(
        "OTEL_BSP_MAX_QUEUE_SIZE",
        "spans that wait to be sent; further ones are dropped, and counted",
        parse=positive,
        default=2048,
    )
    log_level: str = setting(
        "TOLLWAY_LOG_LEVEL",
        "debug, info, warning or error",
        parse=choice("debug", "info", "warning", "error"),
        default="info",
    )
    log_format: str = setting("TOLLWAY_LOG_FORMAT", "json or console", parse=choice("json", "console"), default="json")
    multiprocess_dir: str = setting(
        "PROMETHEUS_MULTIPROC_DIR", "set by the supervisor: where processes keep their metrics", default=""
    )
    child: bool = setting(
        "TOLLWAY_CHILD", "set by the supervisor on the processes it starts", parse=flag, default=False
    )
    listen_fds: str = setting("TOLLWAY_LISTEN_FD", "set by the supervisor: the inherited listening socket", default="")
