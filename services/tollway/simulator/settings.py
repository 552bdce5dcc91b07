"""The simulator's settings: the only place of this service that reads the environment. It holds no secrets."""

from __future__ import annotations

from dataclasses import dataclass

from tollway.runtime.settings import choice, port, positive, setting

MEBIBYTE = 1 << 20


@dataclass(frozen=True)
class Settings:
    """Where the simulator listens, and the bounds of everything that a request may ask of it. Durations in seconds."""

    bind: str = setting("TOLLWAY_BIND", "address to listen on", default="127.0.0.1")
    port: int = setting("TOLLWAY_PORT_SIMULATOR", "port; 0 picks a free one", parse=port, default=8089)
    max_body_bytes: int = setting(
        "TOLLWAY_SIMULATOR_MAX_BODY_BYTES", "largest request body, unpacked", parse=positive, default=64 * MEBIBYTE
    )
    max_tokens: int = setting(
        "TOLLWAY_SIMULATOR_MAX_TOKENS", "longest answer, all choices together", parse=positive, default=200_000
    )
    max_seconds: int = setting(
        "TOLLWAY_SIMULATOR_MAX_SECONDS", "longest time that an answer may take or be stuck", parse=positive, default=600
    )
    max_records: int = setting(
        "TOLLWAY_SIMULATOR_MAX_RECORDS",
        "finished requests that are remembered one by one",
        parse=positive,
        default=100_000,
    )
    log_level: str = setting(
        "TOLLWAY_LOG_LEVEL",
        "debug, info, warning or error",
        parse=choice("debug", "info", "warning", "error"),
        default="info",
    )
    log_format: str = setting("TOLLWAY_LOG_FORMAT", "json or console", parse=choice("json", "console"), default="json")
