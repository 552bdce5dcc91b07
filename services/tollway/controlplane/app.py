"""Puts the control plane together, starts it, and ends it in order."""

from __future__ import annotations

import asyncio
import importlib.metadata
import json
import socket
import ssl
import sys
from collections.abc import Mapping
from datetime import UTC, date, datetime

import psycopg
from aiohttp import web

from tollway.controlplane.api.dispatcher import Dispatcher
from tollway.controlplane.api.grpc import GrpcApi
from tollway.controlplane.api.methods import methods
from tollway.controlplane.api.rest import RestApi
from tollway.controlplane.auth import Authenticator
from tollway.controlplane.catalog.snapshot import SnapshotSource
from tollway.controlplane.credentials.vault import Vault, VaultError, ensure_peppers
from tollway.controlplane.db.installation import ensure_installation
from tollway.controlplane.db.migrate import MigrationError, check_schema
from tollway.controlplane.db.pool import Pool, create_pool
from tollway.controlplane.db.versions import publish
from tollway.controlplane.ledger.service import Ledger
from tollway.controlplane.metrics import Parts, render
from tollway.controlplane.publish.service import ConfigPublisher
from tollway.controlplane.settings import Settings
from tollway.controlplane.system import api as system
from tollway.runtime import log
from tollway.runtime.admin import admin_app
from tollway.runtime.clock import Clock, SystemClock
from tollway.runtime.health import Health
from tollway.runtime.lifecycle import StartError
from tollway.runtime.seal import Sealer
from tollway.wire import server as wire

_log = log.get(__name__)
STOP_SECONDS = 5.0


def version() -> str:
    """The installed version."""
    return importlib.metadata.version("tollway")


def today(clock: Clock) -> date:
    """The day in UTC, which the ledger goes by."""
    return datetime.fromtimestamp(clock.now_ms() / 1000, UTC).date()


async def prepare(settings: Settings, vault: Vault) -> int:
    """Checks the database and creates what every installation has. Returns the schema's version; raises StartError."""
    try:
        async with await psycopg.AsyncConnection.connect(
            settings.database_url, autocommit=True, connect_timeout=10
        ) as db:
            schema = await check_schema(db)
            async with db.transaction():
                await ensure_installation(db)
                if await vault.peppers(db) is None:
                    await ensure_peppers(db, vault)
                    await publish(db, catalog=True, keys=())
            return schema
    except (MigrationError, VaultError) as error:
        raise StartError(str(error)) from error
    except psycopg.Error as error:
        raise StartError(f"TOLLWAY_DATABASE_URL: {str(error).strip().splitlines()[0]}") from error


class ControlPlane:
    """One control-plane process."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.health = Health()
        self._runners: list[web.AppRunner] = []

    async def start(self) -> dict[str, int]:
        """Brings everything up; returns the ports. Raises StartError."""
        settings, clock = self.settings, SystemClock()
        sockets = {
            "control": _bind(settings.bind, settings.port_control),
            "admin": _bind(settings.bind, settings.port_admin),
        }
        vault = Vault(settings.keks)
        await prepare(settings, vault)
        self.pool: Pool = create_pool(settings.database_url, settings.pool_size)
        await self.pool.open()
        self.publisher = ConfigPublisher(
            self.pool, settings.database_url, SnapshotSource(vault), Sealer(settings.fleet_keys), clock
        )
        self.ledger = Ledger(self.pool, clock)
        self.health.require("configuration", self.publisher.problem)
        own = system.methods(version(), self.publisher.subscribers, self.ledger.quarantined_rows)
        self.dispatcher = Dispatcher(self.pool, methods(own), vault, clock)
        authenticator = Authenticator(settings.admin_token, settings.join_token)
        self.server = wire.create()
        GrpcApi(self.dispatcher, authenticator, self.publisher, self.ledger).add_to(self.server)
        self.grpc_health = wire.HealthService(self.server)
        grpc_port = self._listen_grpc()
        self.publisher.start()
        self.ledger.start()
        await self.server.start()
        await self.grpc_health.set(serving=True)
        rest = RestApi(self.dispatcher, authenticator, version())
        await self._serve(rest.app(self.health, settings.max_body_bytes), sockets["control"], _tls(settings))
        await self._serve(admin_app(self.health, self.metrics), sockets["admin"], None)
        return {**{name: sock.getsockname()[1] for name, sock in sockets.items()}, "grpc": grpc_port}

    def _listen_grpc(self) -> int:
        settings = self.settings
        address = f"[{settings.bind}]" if ":" in settings.bind else settings.bind
        try:
            return self.server.add_insecure_port(f"{address}:{settings.port_grpc}")
        except RuntimeError as error:
            raise StartError(f"cannot listen on {settings.bind}:{settings.port_grpc}: address in use") from error

    async def _serve(self, app: web.Application, sock: socket.socket, tls: ssl.SSLContext | None) -> None:
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=STOP_SECONDS)
        await runner.setup()
        await web.SockSite(runner, sock, ssl_context=tls).start()
        self._runners.append(runner)

    def metrics(self) -> bytes:
        """The Prometheus text."""
        subscribers: Mapping[str, int] = {"open": len(self.publisher.subscribers())}
        return render(Parts(self.dispatcher.counts, self.publisher.counters, self.ledger.counters, subscribers))

    async def stop(self) -> None:
        """Not ready first; then the doors close, then the streams end, then the database is left."""
        self.health.draining = True
        await self.grpc_health.set(serving=False)
        for runner in self._runners:
            await runner.cleanup()
        await self.publisher.close()
        await self.server.stop(STOP_SECONDS)
        await self.ledger.close()
        await self.pool.close()


def _bind(address: str, port: int) -> socket.socket:
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


async def serve(settings: Settings, stop: asyncio.Event) -> None:
    """Serves until `stop`."""
    plane = ControlPlane(settings)
    ports = await plane.start()
    sys.stdout.write(f"listening {json.dumps(ports)}\n")
    sys.stdout.flush()
    _log.info("serving", **ports)
    await stop.wait()
    await plane.stop()
