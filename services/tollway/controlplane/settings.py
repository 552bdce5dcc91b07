"""The control plane's settings: the only place of this service that reads the environment."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network, ip_network

from tollway.controlplane.alerts.sending import SmtpServer, parse_smtp
from tollway.controlplane.credentials.keks import GivenKek, parse_keks
from tollway.controlplane.requestlog.place import Place, parse_endpoint, parse_place
from tollway.controlplane.signin.headers import parse_public_url
from tollway.core.proxies import proxy_url
from tollway.runtime.seal import parse_key
from tollway.runtime.settings import choice, port, positive, setting

MEBIBYTE = 1 << 20
MIN_TOKEN = 16
MIN_RETENTION_DAYS = 35


def fleet_keys(text: str) -> tuple[bytes, ...]:
    """One or two comma-separated keys, the current one first."""
    keys = tuple(parse_key(part, "TOLLWAY_FLEET_KEY") for part in text.split(","))
    if len(keys) > 2:
        raise ValueError("at most two keys: the current and the next")
    return keys


def keks(text: str) -> tuple[GivenKek, ...]:
    """One or two comma-separated key-encryption keys, the current one first. Reads the files that are named."""
    return tuple(parse_keks(text))


def networks(text: str) -> tuple[IPv4Network | IPv6Network, ...]:
    """Comma-separated networks in CIDR notation."""
    try:
        return tuple(ip_network(part.strip()) for part in text.split(","))
    except ValueError:
        raise ValueError("must be networks such as 10.0.0.0/8, separated by commas") from None


def retention_days(text: str) -> int:
    """Days, or 0 for ever. Less than 35 would take the rows of a month that budgets still count."""
    days = int(text)
    if days and not MIN_RETENTION_DAYS <= days <= 36_500:
        raise ValueError(f"0, or {MIN_RETENTION_DAYS} to 36500")
    return days


def token(text: str) -> str:
    """A token that cannot be guessed; short ones are refused."""
    if len(text) < MIN_TOKEN or not all("\x21" <= character <= "\x7e" for character in text):
        raise ValueError(f"at least {MIN_TOKEN} printable ASCII characters without spaces")
    return text


@dataclass(frozen=True)
class DatabaseSettings:
    """What `migrate` needs, and every other command too."""

    database_url: str = setting("TOLLWAY_DATABASE_URL", "Postgres, as postgresql://user:password@host/db", secret=True)
    log_level: str = setting(
        "TOLLWAY_LOG_LEVEL",
        "debug, info, warning or error",
        parse=choice("debug", "info", "warning", "error"),
        default="info",
    )
    log_format: str = setting("TOLLWAY_LOG_FORMAT", "json or console", parse=choice("json", "console"), default="json")


@dataclass(frozen=True, kw_only=True)
class Settings(DatabaseSettings):
    """Everything that one control-plane process needs to know. Durations are in seconds, sizes in bytes."""

    keks: tuple[GivenKek, ...] = setting(
        "TOLLWAY_KEK",
        "key-encryption key: 32 bytes in base64 or hex, file:/path, or aws-kms:ARN; while it rotates, the current and "
        "the previous one",
        parse=keks,
        secret=True,
    )
    fleet_keys: tuple[bytes, ...] = setting(
        "TOLLWAY_FLEET_KEY",
        "32 bytes in base64 or hex; seals what goes to the data planes",
        parse=fleet_keys,
        secret=True,
    )
    join_token: str = setting(
        "TOLLWAY_JOIN_TOKEN",
        "token with which data planes join, at least 16 characters",
        parse=token,
        secret=True,
    )
    admin_token: str = setting(
        "TOLLWAY_ADMIN_TOKEN", "the first administrator's token, at least 16 characters", parse=token, secret=True
    )
    bind: str = setting("TOLLWAY_BIND", "address to listen on", default="127.0.0.1")
    bind_internal: str = setting(
        "TOLLWAY_BIND_INTERNAL",
        "address of the gRPC and admin ports, which are plain; default: TOLLWAY_BIND",
        default="",
    )
    public_url: str = setting(
        "TOLLWAY_PUBLIC_URL",
        "where browsers find the REST port, as https://tollway.example.com; default: what each request says",
        parse=parse_public_url,
        default="",
    )
    gateway_url: str = setting(
        "TOLLWAY_GATEWAY_URL",
        "where clients find the data plane, as https://llm.example.com; for the portal's snippets and playground",
        parse=parse_public_url,
        default="",
    )
    port_control: int = setting("TOLLWAY_PORT_CONTROL", "port for REST; 0 picks a free one", parse=port, default=8081)
    port_grpc: int = setting("TOLLWAY_PORT_GRPC", "port for gRPC", parse=port, default=8082)
    port_admin: int = setting("TOLLWAY_PORT_ADMIN", "port for probes and metrics", parse=port, default=9091)
    tls_cert: str = setting("TOLLWAY_TLS_CERT", "certificate chain (PEM) for the REST port", default="")
    tls_key: str = setting("TOLLWAY_TLS_KEY", "path of the certificate's private key (PEM)", default="")
    database_connections: int = setting(
        "TOLLWAY_DATABASE_CONNECTIONS", "connections to Postgres of this process, at most", parse=positive, default=16
    )
    max_body_bytes: int = setting(
        "TOLLWAY_MAX_BODY_BYTES", "largest request body of the management API", parse=positive, default=16 * MEBIBYTE
    )
    trusted_proxies: tuple[IPv4Network | IPv6Network, ...] = setting(
        "TOLLWAY_TRUSTED_PROXIES",
        "networks of the proxies before the REST and gRPC ports, as 10.0.0.0/8: their X-Forwarded-For says who called; "
        "default: none",
        parse=networks,
        default=(),
    )
    webhook_networks: tuple[IPv4Network | IPv6Network, ...] = setting(
        "TOLLWAY_WEBHOOK_NETWORKS",
        "private networks that webhooks may reach, as 10.0.0.0/8,192.168.0.0/16; default: public addresses alone",
        parse=networks,
        default=(),
    )
    http_proxy: str = setting(
        "HTTP_PROXY", "proxy to http:// providers, for checks of keys", parse=proxy_url, default="", secret=True
    )
    https_proxy: str = setting(
        "HTTPS_PROXY", "proxy to https:// providers, for checks of keys", parse=proxy_url, default="", secret=True
    )
    no_proxy: str = setting(
        "NO_PROXY", "comma-separated hosts, domains, addresses and networks that are called directly", default=""
    )
    smtp: SmtpServer | None = setting(
        "TOLLWAY_SMTP_URL",
        "mail server for alerts: smtp://user:password@host:587 (STARTTLS) or smtps://user:password@host:465",
        parse=parse_smtp,
        default=None,
        secret=True,
    )
    smtp_from: str = setting("TOLLWAY_SMTP_FROM", "sender of alerts by e-mail", default="")
    ledger_retention_days: int = setting(
        "TOLLWAY_LEDGER_RETENTION_DAYS",
        "days that rows of the ledger are kept, at least 35 (sums are kept for ever); default: 0, all rows",
        parse=retention_days,
        default=0,
    )
    drain_seconds: int = setting(
        "TOLLWAY_DRAIN_SECONDS", "how long calls in flight may run on after SIGTERM", parse=positive, default=10
    )
    bodies_s3_url: Place | None = setting(
        "TOLLWAY_BODIES_S3_URL",
        "s3://bucket/prefix for the bodies of the request log; default: the database",
        parse=parse_place,
        default=None,
    )
    bodies_s3_endpoint: str = setting(
        "TOLLWAY_BODIES_S3_ENDPOINT",
        "URL of an S3-compatible server; default: Amazon's of the region",
        parse=parse_endpoint,
        default="",
    )
    bodies_s3_region: str = setting("TOLLWAY_BODIES_S3_REGION", "its region; default: us-east-1", default="")
    bodies_s3_access_key: str = setting(
        "TOLLWAY_BODIES_S3_ACCESS_KEY",
        "its access key; default: the machine's role, as the AWS tools find it",
        default="",
        secret=True,
    )
    bodies_s3_secret_key: str = setting("TOLLWAY_BODIES_S3_SECRET_KEY", "its secret key", default="", secret=True)
    kms_endpoint: str = setting(
        "TOLLWAY_KMS_ENDPOINT",
        "URL of AWS KMS for a TOLLWAY_KEK of aws-kms; default: Amazon's of the key's region",
        parse=parse_endpoint,
        default="",
    )
    kms_region: str = setting("TOLLWAY_KMS_REGION", "its region; default: that of the key's ARN", default="")
    kms_access_key: str = setting(
        "TOLLWAY_KMS_ACCESS_KEY",
        "its access key; default: the machine's role, as the AWS tools find it",
        default="",
        secret=True,
    )
    kms_secret_key: str = setting("TOLLWAY_KMS_SECRET_KEY", "its secret key", default="", secret=True)
