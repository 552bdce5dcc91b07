"""Puts one data-plane process together, starts it, and ends it in order."""

from __future__ import annotations

import asyncio
import gc
import json
import os
import resource
import signal
import socket
import ssl
import sys
from collections.abc import Callable
from pathlib import Path

import grpc.aio
import uuid_utils
from aiohttp import web

from tollway.dataplane.admission.redis_counters import RedisCounters
from tollway.dataplane.admission.service import Admission
from tollway.dataplane.config.directory import Directory
from tollway.dataplane.config.follower import CatalogFile, Follower
from tollway.dataplane.config.holder import CatalogHolder
from tollway.dataplane.http.routes import Routes
from tollway.dataplane.notices import Notices
from tollway.dataplane.outbox.copies import Copies
from tollway.dataplane.outbox.copy_metrics import CopyMetrics
from tollway.dataplane.outbox.journal import Journal
from tollway.dataplane.outbox.lost_nodes import LostNodes
from tollway.dataplane.outbox.shipper import Shipper
from tollway.dataplane.pipeline.exchange import Services
from tollway.dataplane.pipeline.health import TargetHealth
from tollway.dataplane.pipeline.relay import DRAIN_TASK
from tollway.dataplane.providers.registry import REGISTRY
from tollway.dataplane.requestlog.counts import BodyMetrics
from tollway.dataplane.requestlog.request_log import RequestLog
from tollway.dataplane.settings import Settings
from tollway.dataplane.stores.ports import StoreUnavailable
from tollway.dataplane.stores.redis_connection import RedisConnection
from tollway.dataplane.stores.redis_copies import RedisCopies
from tollway.dataplane.stores.redis_directory import RedisDirectory
from tollway.dataplane.stores.redis_responses import RedisResponses
from tollway.dataplane.stores.refuge import RefugeDirectory
from tollway.dataplane.telemetry import Telemetry, render
from tollway.dataplane.upstream.choice import client_of
from tollway.dataplane.upstream.entra import EntraTokens
from tollway.dataplane.upstream.watchdog import Ticker
from tollway.runtime import log
from tollway.runtime.admin import admin_app
from tollway.runtime.clock import Clock, SystemClock
from tollway.runtime.health import Health
from tollway.runtime.lifecycle import StartError
from tollway.runtime.seal import Sealer
from tollway.runtime.tasks import Tasks
from tollway.wire.balances_client import BalancesClient
from tollway.wire.bodies_client import BodyIngestClient
from tollway.wire.client import ConfigPushClient, UsageIngestClient, connect
from tollway.wire.notices_client import NoticeIngestClient

_log = log.get(__name__)
BACKLOG = 4096
GAUGE_SECONDS = 1.0
GC_THRESHOLDS = (20_000, 20, 50)
FLUSH_SECONDS = 10.0
BODIES_FLUSH_SECONDS = 2.0
NOTICES_FLUSH_SECONDS = 2.0
KEEPALIVE_SECONDS = 75.0
MEBIBYTE = 1 << 20


class Process:
    """One event loop that serves clients. `health` says whether it may be sent traffic."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.health = Health()
        self.clock = SystemClock()
        self.tasks = Tasks()
        self.replica = f"{socket.gethostname()}/{os.getpid()}"
        self.telemetry = Telemetry()
        self.body_metrics = BodyMetrics(self.telemetry.registry)
        self.copy_metrics = CopyMetrics(self.telemetry.registry)
        self._closers: list[Callable[[], object]] = []

    async def start(self) -> None:
        """Brings everything up but the listening socket. Raises StartError when something is wrong for good."""
        try:
            await self._start()
        except BaseException:
            await self.tasks.close()  # nothing that has begun may keep the process from ending
            raise

    async def _start(self) -> None:
        settings = self.settings
        self._tls = _tls(settings)
        _raise_file_limit()
        root = settings.data_dir / "journal"
        self.journal = _journal(root, settings)
        redis = await _redis(settings)
        store = RefugeDirectory(RedisDirectory(redis))
        sealer = Sealer(settings.fleet_keys)
        holder = self.holder = CatalogHolder()
        self.directory = Directory(
            store,
            holder,
            sealer,
            self.clock,
            capacity=settings.directory_cache,
            max_stale_seconds=settings.max_stale_seconds,
        )
        self.channel = connect(settings.control_grpc)
        push = ConfigPushClient(self.channel, settings.join_token)
        file = CatalogFile(settings.data_dir / "catalog.sealed")
        self.follower = Follower(self.replica, push, store, holder, self.directory, sealer, file, self.clock)
        self.health.require("configuration", self.follower.problem)
        await self.follower.start(self.tasks)
        self._account(root, holder, redis)
        self.bodies = _bodies(settings, self.replica, self.channel, self.clock, self.notices)
        self.bodies.start(self.tasks)
        self.upstream = client_of(settings)
        services = Services(
            settings=settings,
            clock=self.clock,
            holder=holder,
            directory=self.directory,
            journal=self.journal,
            upstream=self.upstream,
            providers=REGISTRY,
            health=TargetHealth(self.clock),
            telemetry=self.telemetry,
            tasks=self.tasks,
            ticker=Ticker(),
            loop_time=asyncio.get_running_loop().time,
            responses=RedisResponses(redis),
            sealer=sealer,
            entra=EntraTokens(self.upstream, self.tasks, self.clock.monotonic),
            notices=self.notices,
            admission=self.admission,
            bodies=self.bodies,
        )
        self.routes = Routes(services, self.health)
        self.store = store
        self.tasks.keep(self._gauges, "gauges")
        _log.info(
            "journal ready",
            capacity_mib=settings.journal_bytes // MEBIBYTE,
            segment_mib=settings.segment_bytes // MEBIBYTE,
            folder=str(self.journal.folder),
        )

    def _account(self, root: Path, holder: CatalogHolder, redis: RedisConnection) -> None:
        """Starts what keeps count of money: shipping of rows, notices, budgets and limits."""
        settings, token = self.settings, self.settings.join_token
        self.shipper = Shipper(self.replica, self.journal, root, UsageIngestClient(self.channel, token), self.clock)
        self.notices = Notices(self.replica, NoticeIngestClient(self.channel, token), self.clock)
        self.notices.start(self.tasks)
        self.counters = RedisCounters(settings.redis_url)
        self.admission = Admission(
            self.replica,
            self.journal,
            self.shipper,
            self.counters,
            BalancesClient(self.channel, token),
            self.notices,
            self.clock,
            self.tasks,
            _end,
        )
        holder.on_swap(self.admission.prepare)
        if holder.routes is not None:
            self.admission.prepare(holder.routes)
        self._start_copies(redis)
        self.shipper.start(self.tasks)

    def _start_copies(self, redis: RedisConnection) -> None:
        """Second copies of what is not in the ledger yet, and the care for those of lost nodes."""
        lost_seconds = self.settings.lost_node_seconds
        store = RedisCopies(redis)
        self.copies = self.shipper.copies = Copies(
            self.journal, store, self.clock, capacity=self.settings.copy_bytes, lost_seconds=lost_seconds
        )
        self.lost_nodes = LostNodes(
            self.copies.holder, store, self.shipper, self.admission, self.notices, lost_seconds=lost_seconds
        )
        self.copies.start(self.tasks)
        self.lost_nodes.start(self.tasks)

    async def _gauges(self) -> None:
        while True:
            self.telemetry.flush()
            self.telemetry.in_flight.set(self.routes.in_flight)
            self.telemetry.backlog.set(self.journal.backlog_bytes)
            self.notices.pressure("journal", self.journal.backlog_bytes, self.settings.journal_bytes)
            self.telemetry.staleness.set(min(self.follower.stale_seconds, 1e9))
            self.telemetry.admission(*self.admission.levels())
            self.bodies.tick(self.body_metrics)
            self.copy_metrics.update(self.copies, self.lost_nodes)
            await asyncio.sleep(GAUGE_SECONDS)

    def metrics(self) -> bytes:
        """This process's metrics in the Prometheus text format."""
        self.telemetry.flush()
        self.body_metrics.update(self.bodies.counts, self.bodies.levels())
        self.copy_metrics.update(self.copies, self.lost_nodes)
        return render(self.telemetry.registry, "")

    async def listen(self, sock: socket.socket) -> None:
        """Serves clients on a bound socket."""
        server = web.Server(
            self.routes.handle, handler_cancellation=True, access_log=None, keepalive_timeout=KEEPALIVE_SECONDS
        )
        self.runner = web.ServerRunner(server, shutdown_timeout=self.settings.drain_seconds)
        await self.runner.setup()
        await web.SockSite(self.runner, sock, ssl_context=self._tls, backlog=BACKLOG).start()
        # What is alive now lives as long as the process: the collector need not look at it, nor look often.
        gc.collect()
        gc.freeze()
        gc.set_threshold(*GC_THRESHOLDS)

    async def drain(self) -> None:
        """Not ready first, then no new connections, then the requests in flight run to their end; rows are shipped."""
        self.health.draining = True
        await asyncio.sleep(self.settings.drain_delay_seconds)
        await self.runner.cleanup()
        await self.tasks.end(DRAIN_TASK)
        if not await self.shipper.flush(FLUSH_SECONDS):
            _log.warning("ledger rows stay in the journal for a successor", backlog_bytes=self.journal.backlog_bytes)
        await self.bodies.close(BODIES_FLUSH_SECONDS)
        left = await self.admission.leave()
        await self.copies.leave()
        if not await self.notices.close(NOTICES_FLUSH_SECONDS):
            _log.warning("notices are lost: the control plane did not take them in time")
        await self.tasks.close()
        await self.counters.close()
        await self.upstream.close()
        await self.store.close()
        await self.channel.close()
        self.journal.close(keep=not left)
        self.bodies.give_up()


def _end() -> None:
    """Ends this process in order; whoever runs it begins another."""
    signal.raise_signal(signal.SIGTERM)


def _journal(root: Path, settings: Settings) -> Journal:
    """This process's own journal below `root`."""
    try:
        root.mkdir(parents=True, exist_ok=True)
        return Journal(
            root, str(uuid_utils.uuid7()), segment_bytes=settings.segment_bytes, capacity=settings.journal_bytes
        )
    except OSError as error:
        raise StartError(f"the data directory {settings.data_dir} cannot be used: {error.strerror}") from error


def _bodies(settings: Settings, replica: str, channel: grpc.aio.Channel, clock: Clock, notices: Notices) -> RequestLog:
    """This process's request log."""
    client = BodyIngestClient(channel, settings.join_token)
    try:
        return RequestLog(settings, replica, client, clock, notices)
    except OSError as error:
        raise StartError(f"the data directory {settings.data_dir} cannot be used: {error.strerror}") from error


async def _redis(settings: Settings) -> RedisConnection:
    """Connections to Redis; refused when it would evict state. One that does not answer is dealt with later."""
    try:
        connection = RedisConnection(settings.redis_url)
        problem = await RedisDirectory(connection).eviction_problem()
    except ValueError as error:
        raise StartError("TOLLWAY_REDIS_URL is not a valid redis:// or unix:// URL") from error
    except StoreUnavailable:
        return connection
    if problem is not None:
        raise StartError(f"TOLLWAY_REDIS_URL: {problem}")
    return connection


def _raise_file_limit() -> None:
    """As many open connections as the system allows."""
    _soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


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


def bind_socket(address: str, port: int, *, share: bool) -> socket.socket:
    """A bound TCP socket; with `share`, others may bind the same port. Raises StartError that names the port."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    sock = socket.socket(family, socket.SOCK_STREAM)
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if share:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    try:
        sock.bind((address, port))
    except OSError as error:
        sock.close()
        raise StartError(f"cannot listen on {address}:{port}: {error.strerror}") from error
    sock.setblocking(False)
    return sock


def announce(ports: dict[str, int]) -> None:
    """The one line on stdout by which a parent learns the ports that were chosen."""
    sys.stdout.write(f"listening {json.dumps(ports)}\n")
    sys.stdout.flush()


async def serve_admin(health: Health, sock: socket.socket, metrics: Callable[[], bytes]) -> web.AppRunner:
    """The admin port of this pod."""
    runner = web.AppRunner(admin_app(health, metrics), access_log=None)
    await runner.setup()
    await web.SockSite(runner, sock).start()
    return runner


async def serve_alone(settings: Settings, stop: asyncio.Event) -> None:
    """A pod of one process: it serves clients and the admin port."""
    proxy = bind_socket(settings.bind, settings.port_proxy, share=False)
    admin = bind_socket(settings.bind_internal or settings.bind, settings.port_admin, share=False)
    process = Process(settings)
    await process.start()
    runner = await serve_admin(process.health, admin, process.metrics)
    ports = {"proxy": proxy.getsockname()[1], "admin": admin.getsockname()[1]}
    await process.listen(proxy)
    announce(ports)
    await stop.wait()
    await process.drain()
    await runner.cleanup()


async def serve_child(settings: Settings, stop: asyncio.Event) -> None:
    """One of several processes: the socket comes from the supervisor, and a heartbeat goes back to it."""
    listen_fd, heartbeat_fd = (int(number) for number in settings.listen_fds.split(","))
    process = Process(settings)
    await process.start()
    await process.listen(socket.socket(fileno=listen_fd))
    os.set_blocking(heartbeat_fd, False)

    async def beat() -> None:
        while True:
            try:
                os.write(heartbeat_fd, b"n" if process.health.problems() else b"r")
            except BlockingIOError:
                _log.warning("the supervisor does not read the heartbeat")
            except BrokenPipeError:
                _log.error("the supervisor is gone: draining")
                stop.set()
                return
            await asyncio.sleep(0.25)

    process.tasks.keep(beat, "heartbeat")
    await stop.wait()
    await process.drain()


def metrics_dir(settings: Settings) -> Path:
    """Where the processes of a pod keep their metrics."""
    return settings.data_dir / "metrics"
