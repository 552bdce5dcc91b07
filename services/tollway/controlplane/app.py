"""Puts one control-plane process together, starts it, and ends it in order."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import json
import socket
import ssl
import sys
from collections.abc import Callable
from typing import Any

import psycopg
from aiohttp import web

from tollway.controlplane.alerts.sending import Mailer, WebhookSender
from tollway.controlplane.alerts.service import Alerts
from tollway.controlplane.api import system
from tollway.controlplane.api.dispatcher import Dispatcher
from tollway.controlplane.api.idempotency import Pruning
from tollway.controlplane.api.methods import collect
from tollway.controlplane.api.rest import RestApi
from tollway.controlplane.api.rpc import GrpcApi, add_notices, add_plane_services
from tollway.controlplane.api.telemetry import Telemetry
from tollway.controlplane.audit.watch import AuditWatch, accept_earlier
from tollway.controlplane.auth import Authenticator
from tollway.controlplane.catalog.snapshot import SnapshotSource
from tollway.controlplane.credentials import keks
from tollway.controlplane.credentials.vault import Vault, VaultError, ensure_peppers
from tollway.controlplane.db.migrate import MigrationError, check_schema, connect
from tollway.controlplane.db.pool import OUTAGE, create_pool
from tollway.controlplane.db.statements import Database
from tollway.controlplane.db.versions import ensure_installation
from tollway.controlplane.identity.service import ensure_defaults
from tollway.controlplane.ledger import admin_api as ledger_admin
from tollway.controlplane.ledger.service import Ledger
from tollway.controlplane.portal.routes import MAX_FIELDS, Portal
from tollway.controlplane.prices.watch import PriceWatch
from tollway.controlplane.publish.service import ConfigPublisher
from tollway.controlplane.requestlog import api as request_log_api
from tollway.controlplane.requestlog.service import RequestLog, open_contents
from tollway.controlplane.requestlog.store import ContentStore, StoreUnavailable
from tollway.controlplane.resources import from_ms
from tollway.controlplane.rotation.worker import RotationWorker
from tollway.controlplane.settings import Settings
from tollway.controlplane.signin import forwarded
from tollway.controlplane.signin.headers import Origin
from tollway.controlplane.signin.pushed import KeyPush
from tollway.controlplane.signin.routes import SignInRoutes
from tollway.controlplane.signin.service import SignIn
from tollway.controlplane.workflows.keeper import Keeper
from tollway.core.proxies import Proxies
from tollway.runtime import log
from tollway.runtime.admin import admin_app
from tollway.runtime.clock import SystemClock
from tollway.runtime.health import Health
from tollway.runtime.lifecycle import StartError
from tollway.runtime.seal import Sealer
from tollway.wire import openapi
from tollway.wire.server import HealthService, listen, make_server

_log = log.get(__name__)
DATABASE_SECONDS = 10.0
"""How long a start waits for a database that does not answer yet."""
READY_SECONDS = 10.0
READY_LOOK_SECONDS = 0.01
GRPC_GRACE_SECONDS = 5.0


def database_problem(error: BaseException) -> StartError:
    """A failure to reach the database as one line, without the address's password."""
    return StartError(f"TOLLWAY_DATABASE_URL: the database cannot be used: {log.scrub_text(_first_line(error))}")


def _first_line(error: BaseException) -> str:
    return next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)


async def prepare(url: str, vault: Vault) -> int:
    """Checks the schema, makes what every installation has, and returns the schema's version. Raises StartError."""

    async def peppers(db: Database) -> bool:
        missing = await vault.peppers(db) is None
        await ensure_peppers(db, vault)
        return missing

    try:
        async with await _connect(url) as db:
            version = await check_schema(db)
            await vault.warm(db)
            async with db.transaction():
                await ensure_installation(db, ensure_defaults, peppers)
            await accept_earlier(db, vault, from_ms(SystemClock().now_ms()))
            return version
    except (MigrationError, VaultError) as error:
        raise StartError(str(error)) from error
    except psycopg.Error as error:
        raise database_problem(error) from error


def open_vault(settings: Settings) -> Vault:
    """The vault with the key-encryption keys that the settings name. Nothing is asked yet."""
    access = keks.KmsAccess(
        endpoint=settings.kms_endpoint,
        region=settings.kms_region,
        access_key=settings.kms_access_key,
        secret_key=settings.kms_secret_key,
    )
    return Vault(keks.opened(settings.keks, access))


async def _connect(url: str) -> Any:
    deadline = asyncio.get_running_loop().time() + DATABASE_SECONDS
    while True:
        try:
            return await connect(url)
        except psycopg.OperationalError as error:
            if error.sqlstate is not None or asyncio.get_running_loop().time() > deadline:
                raise  # it answered and refused, or does not come
            _log.warning("waiting for the database", reason=log.scrub_text(_first_line(error)))
            await asyncio.sleep(0.5)


class ControlPlane:
    """One process. `start` it, then `stop` it; `ports` are those it listens on."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.health = Health()
        self.telemetry = Telemetry()
        self.clock = SystemClock()
        self.vault = open_vault(settings)
        self.ports: dict[str, int] = {}
        self._opened = contextlib.AsyncExitStack()

    async def start(self) -> None:
        """Opens everything and listens. Raises StartError or OSError, with nothing left open."""
        try:
            await self._open()
            await self._listen()
        except BaseException:
            await self._opened.aclose()
            raise
        await self._first_read()

    async def _open(self) -> None:
        settings = self.settings
        self._tls = _tls(settings)
        await prepare(settings.database_url, self.vault)
        self.pool = create_pool(settings.database_url, settings.database_connections)
        self._opened.push_async_callback(self.pool.close)
        try:
            await self.pool.open(wait=True, timeout=DATABASE_SECONDS)
        except psycopg.OperationalError as error:
            raise database_problem(error) from error
        source = SnapshotSource(self.vault)
        self.publisher = ConfigPublisher(
            self.pool, settings.database_url, source, Sealer(settings.fleet_keys), self.clock
        )
        self.ledger = Ledger(self.pool, self.clock, retention_days=settings.ledger_retention_days)
        self.prices = PriceWatch(self.pool, self.clock)
        self.audit = AuditWatch(self.pool, self.vault, self.clock)
        self.rotation = RotationWorker(self.pool, self.vault, self.clock)
        self.pruning = Pruning(self.pool, self.clock)
        self._opened.push_async_callback(self.rotation.close)
        await self.rotation.open()
        self.request_log = RequestLog(self.pool, self.clock, await _contents(settings))
        self._opened.push_async_callback(self.request_log.close)
        self.alerts = Alerts(
            self.pool,
            self.vault,
            self.clock,
            WebhookSender(settings.webhook_networks),
            _mailer(settings),
        )
        self.approvals = Keeper(self.pool, self.vault, self.clock)
        await self.alerts.open()
        self._opened.push_async_callback(self.alerts.close)
        methods = collect(
            system.methods(self.publisher.subscribers),
            ledger_admin.methods(self.ledger),
            request_log_api.methods(self.request_log.contents),
            self.alerts.methods(),
        )
        self.dispatcher = Dispatcher(
            self.pool,
            methods,
            self.clock,
            self.vault,
            self.telemetry,
            networks=settings.webhook_networks,
            proxies=Proxies(settings.http_proxy, settings.https_proxy, settings.no_proxy),
        )
        await self._open_signin()
        self._measure()
        self.health.require("configuration", self.publisher.problem)
        self.health.require("database", self._database_problem)
        self._start_work()

    def _start_work(self) -> None:
        """What runs in the background; it is closed before what it works with."""
        self._opened.push_async_callback(self.publisher.close)
        self._opened.push_async_callback(self.ledger.close)
        self._opened.push_async_callback(self.prices.close)
        self._opened.push_async_callback(self.approvals.close)
        self._opened.push_async_callback(self.audit.close)
        self._opened.push_async_callback(self.pruning.close)
        self.publisher.start()
        self.ledger.start()
        self.prices.start()
        self.audit.start()
        self.pruning.start()
        self.rotation.start()
        self.alerts.start()
        self.approvals.start()
        self.request_log.start()

    async def _open_signin(self) -> None:
        origin = Origin(self.settings.public_url, tls=self._tls is not None)
        self.signin = SignIn(self.pool, self.vault, self.clock, self.settings.admin_token, origin)
        self._opened.push_async_callback(self.signin.close)
        await self.signin.open()
        self.key_push = KeyPush(self.pool, self.signin.issuers, self.clock)
        self._opened.push_async_callback(self.key_push.close)
        self.key_push.start()
        self.authenticator = Authenticator(self.settings.admin_token, self.signin, self.pool)

    def _database_problem(self) -> str | None:
        return None if self.publisher.fresh else "the database does not answer"

    async def _listen(self) -> None:
        settings = self.settings
        internal = settings.bind_internal or settings.bind
        rest = RestApi(self.dispatcher, self.authenticator, openapi.document_bytes)
        control = rest.application(self.health, settings.max_body_bytes, MAX_FIELDS)
        if settings.trusted_proxies:
            control.middlewares.insert(0, forwarded.middleware(settings.trusted_proxies))
        SignInRoutes(self.signin, self.authenticator.of_request).add_to(control)
        portal = Portal(self.dispatcher, self.clock, settings.gateway_url)
        self._opened.push_async_callback(portal.close)
        portal.add_to(control)
        admin = admin_app(self.health, self.telemetry.render)
        self.grpc = make_server()
        self._opened.push_async_callback(self.grpc.stop, GRPC_GRACE_SECONDS)
        self.grpc_health = HealthService(self.grpc)
        GrpcApi(self.dispatcher, self.authenticator, settings.trusted_proxies).add_to(self.grpc)
        add_plane_services(self.grpc, self.publisher, self.ledger, self.request_log, settings.join_token)
        add_notices(self.grpc, self.alerts, settings.join_token)
        self.ports["control"] = await self._serve(control, settings.bind, settings.port_control, self._tls)
        self.ports["admin"] = await self._serve(admin, internal, settings.port_admin, None)
        self.ports["grpc"] = listen(self.grpc, internal, settings.port_grpc)
        await self.grpc.start()
        await self.grpc_health.set(True)

    async def _serve(self, app: web.Application, address: str, port: int, tls: ssl.SSLContext | None) -> int:
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=self.settings.drain_seconds)
        self._opened.push_async_callback(runner.cleanup)
        await runner.setup()
        sock = bind_socket(address, port)
        await web.SockSite(runner, sock, ssl_context=tls).start()
        bound: int = sock.getsockname()[1]
        return bound

    async def _first_read(self) -> None:
        """Waits until the configuration was read, so that who is told of our ports finds us ready."""
        for _ in range(round(READY_SECONDS / READY_LOOK_SECONDS)):
            if not self.health.problems():
                return
            await asyncio.sleep(READY_LOOK_SECONDS)
        _log.warning("listening without being ready", problems=self.health.problems())

    def _measure(self) -> None:
        measure = self.telemetry
        measure.totals("config", "Config push", _counters(self.publisher.counters))
        measure.totals("ledger", "Ledger ingest", _counters(self.ledger.counters))
        measure.totals("alerts", "Alerts", _counters(self.alerts.counters))
        measure.totals("audit", "Checks of the audit log", _counters(self.audit.counters))
        measure.totals("alert_deliveries", "Deliveries of alerts", _counters(self.alerts.deliverer.counters))
        measure.totals("approvals", "Requests that wait", _counters(self.approvals.counters))
        measure.totals("request_log", "Request log", _counters(self.request_log.counters))
        measure.gauge(
            "config_subscribers", "Data planes on the push stream.", lambda: len(self.publisher.subscribers())
        )
        measure.gauge("config_version", "Version of the configuration.", self._version)
        stats = self.pool.get_stats
        measure.gauge("database_connections", "Connections to Postgres.", lambda: stats().get("pool_size", 0))
        measure.gauge(
            "database_waiting", "Calls that wait for a connection.", lambda: stats().get("requests_waiting", 0)
        )

    def _version(self) -> float:
        position = self.publisher.position
        return 0 if position is None else position.version

    async def stop(self) -> None:
        """Not ready, streams closed, calls in flight finished, connections given back."""
        self.health.draining = True
        await self.grpc_health.set(False)
        await self.publisher.close()  # ends the streams, for which the servers would wait
        await self._opened.aclose()


def _mailer(settings: Settings) -> Mailer:
    """What sends e-mail. Raises StartError when half of its settings is missing."""
    if settings.smtp is not None and "@" not in settings.smtp_from:
        raise StartError("TOLLWAY_SMTP_FROM: set the address that alerts by e-mail come from, with TOLLWAY_SMTP_URL")
    return Mailer(settings.smtp, settings.smtp_from, public_url=settings.public_url)


async def _contents(settings: Settings) -> ContentStore:
    """Where bodies are kept. Raises StartError when the object store refuses."""
    try:
        return await open_contents(
            settings.bodies_s3_url,
            endpoint=settings.bodies_s3_endpoint,
            region=settings.bodies_s3_region,
            access_key=settings.bodies_s3_access_key,
            secret_key=settings.bodies_s3_secret_key,
        )
    except StoreUnavailable as error:
        raise StartError(f"TOLLWAY_BODIES_S3_URL: {error}") from error


def _counters(counters: Any) -> Callable[[], dict[str, int]]:
    return lambda: dataclasses.asdict(counters)


def _tls(settings: Settings) -> ssl.SSLContext | None:
    if not settings.tls_cert:
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    try:
        context.load_cert_chain(settings.tls_cert, settings.tls_key or None)
    except (OSError, ssl.SSLError) as error:
        raise StartError(f"TOLLWAY_TLS_CERT and TOLLWAY_TLS_KEY cannot be loaded: {error}") from error
    return context


def bind_socket(address: str, port: int) -> socket.socket:
    """A bound TCP socket. Raises StartError that names the port."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        sock.bind((address, port))
    except OSError as error:
        sock.close()
        raise StartError(f"cannot listen on {address}:{port}: {error.strerror}") from error
    sock.setblocking(False)
    return sock


async def serve(settings: Settings, stop: asyncio.Event) -> None:
    """Serves until `stop`."""
    plane = ControlPlane(settings)
    await plane.start()
    sys.stdout.write(f"listening {json.dumps(plane.ports)}\n")
    sys.stdout.flush()
    await stop.wait()
    await plane.stop()


async def accept_audit(settings: Settings) -> int:
    """Vouches for the entries of the audit log without a seal; returns up to which number, 0: there are none."""
    vault = open_vault(settings)
    try:
        async with await connect(settings.database_url) as db:
            await check_schema(db)
            await vault.warm(db)
            return await accept_earlier(db, vault, from_ms(SystemClock().now_ms()), vouch=True)
    except (MigrationError, VaultError) as error:
        raise StartError(str(error)) from error
    except OUTAGE as error:
        raise database_problem(error) from error


async def check(settings: Settings) -> str:
    """Verifies database, schema and keys without changing anything; returns a line for the operator."""
    vault = open_vault(settings)
    _tls(settings)
    try:
        async with await connect(settings.database_url) as db:
            version = await check_schema(db)
            await vault.warm(db)
            peppers = await vault.peppers(db)
    except (MigrationError, VaultError) as error:
        raise StartError(str(error)) from error
    except OUTAGE as error:
        raise database_problem(error) from error
    known = "readable" if peppers is not None else "not made yet"
    return f"settings are complete, the database answers, its schema is at {version}, its secrets are {known}"
