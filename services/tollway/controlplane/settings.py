"""The control plane's settings: the only place of this service that reads the environment."""

from __future__ import annotations

from dataclasses import dataclass

from tollway.runtime.seal import parse_key
from tollway.runtime.settings import choice, port, positive, setting

MIN_TOKEN_LENGTH = 16


def keys(text: str) -> tuple[bytes, ...]:
    """One or two comma-separated 32-byte keys, the current one first."""
    found = tuple(parse_key(part, "the key") for part in text.split(","))
    if len(found) > 2:
        raise ValueError("at most two keys: the current and another")
    return found


def token(text: str) -> str:
    """A bearer token; a short one could be guessed."""
    if len(text) < MIN_TOKEN_LENGTH:
        raise ValueError(f"must have at least {MIN_TOKEN_LENGTH} characters")
    return text


@dataclass(frozen=True)
class Settings:
    """Everything that one control-plane process needs to know."""

    database_url: str = setting("TOLLWAY_DATABASE_URL", "Postgres, as a postgresql:// URL", secret=True)
    keks: tuple[bytes, ...] = setting(
        "TOLLWAY_KEK", "key-encryption key: 32 bytes in base64 or hexadecimal", parse=keys, secret=True
    )
    fleet_keys: tuple[bytes, ...] = setting(
        "TOLLWAY_FLEET_KEY", "32 bytes in base64; seals what is sent to the data planes", parse=keys, secret=True
    )
    join_token: str = setting("TOLLWAY_JOIN_TOKEN", "token with which data planes join", parse=token, secret=True)
    admin_token: str = setting("TOLLWAY_ADMIN_TOKEN", "the bootstrap administrator's token", parse=token, secret=True)
    bind: str = setting("TOLLWAY_BIND", "address to listen on", default="127.0.0.1")
    port_control: int = setting("TOLLWAY_PORT_CONTROL", "port of REST and portal", parse=port, default=8081)
    port_grpc: int = setting("TOLLWAY_PORT_GRPC", "port of gRPC", parse=port, default=8082)
    port_admin: int = setting("TOLLWAY_PORT_ADMIN", "port for probes and metrics", parse=port, default=9091)
    pool_size: int = setting("TOLLWAY_DATABASE_POOL", "most database connections", parse=positive, default=20)
    max_body_bytes: int = setting("TOLLWAY_MAX_API_BYTES", "largest API request", parse=positive, default=8 << 20)
    tls_cert: str = setting("TOLLWAY_TLS_CERT", "certificate chain (PEM) for the REST port", default="")
    tls_key: str = setting("TOLLWAY_TLS_KEY", "path of the certificate's private key (PEM)", default="")
    log_level: str = setting(
        "TOLLWAY_LOG_LEVEL",
        "debug, info, warning or error",
        parse=choice("debug", "info", "warning", "error"),
        default="info",
    )
    log_format: str = setting("TOLLWAY_LOG_FORMAT", "json or console", parse=choice("json", "console"), default="json")
