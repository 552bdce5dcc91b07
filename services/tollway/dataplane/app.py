"""Puts one data-plane process together, starts it, and ends it in order."""

from __future__ import annotations

import asyncio
import gc
import os
import resource
import signal
import socket
from collections.abc import Callable
from pathlib import Path

import grpc.aio
import uuid_utils

from tollway.core.errors import Code, TollwayError
from tollway.dataplane import aside
from tollway.dataplane.admission.redis_counters import RedisCounters
from tollway.dataplane.admission.service import Admission
from tollway.dataplane.cache.flight import TASK as SHARED_CALL
from tollway.dataplane.cache.start import cache_of
from tollway.dataplane.config.directory import Directory
from tollway.dataplane.config.follower import CatalogFile, Follower
from tollway.dataplane.config.holder import CatalogHolder
from tollway.dataplane.http.listener import Listener, limits_of
from tollway.dataplane.http.port_metrics import PortMetrics
from tollway.dataplane.http.routes import Routes
from tollway.dataplane.http.tls import certificate_of
from tollway.dataplane.measures import Measures
from tollway.dataplane.notices import Notices
from tollway.dataplane.outbox.copies import Copies
from tollway.dataplane.outbox.copy_metrics import CopyMetrics
from tollway.dataplane.outbox.journal import Journal
from tollway.dataplane.outbox.lost_nodes import LostNodes
from tollway.dataplane.outbox.shipper import Shipper
from tollway.dataplane.overload import Overload, OverloadMetrics
from tollway.dataplane.pipeline.exchange import Services
from tollway.dataplane.pipeline.leave import DRAIN_TASK
from tollway.dataplane.providers.registry import REGISTRY
from tollway.dataplane.requestlog.counts import BodyMetrics
from tollway.dataplane.requestlog.request_log import RequestLog
from tollway.dataplane.routing.probes import HttpGet, Probes
from tollway.dataplane.routing.router import Router
from tollway.dataplane.settings import Settings
from tollway.dataplane.stores.ports import StoreUnavailable
from tollway.dataplane.stores.redis_connection import RedisConnection
from tollway.dataplane.stores.redis_copies import RedisCopies
from tollway.dataplane.stores.redis_directory import RedisDirectory
from tollway.dataplane.stores.redis_responses import RedisResponses
from tollway.dataplane.stores.refuge import RefugeDirectory
from tollway.dataplane.telemetry import Telemetry, render
from tollway.dataplane.tracing.choice import tracer_of
from tollway.dataplane.upstream.choice import client_of
from tollway.dataplane.upstream.entra import EntraTokens
from tollway.dataplane.upstream.watchdog import Ticker
from tollway.runtime import log
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
GAUGE_SECONDS = 1.0
GC_THRESHOLDS = (5_000, 10, 10)
FLUSH_SECONDS = 10.0
BODIES_FLUSH_SECONDS = 2.0
NOTICES_FLUSH_SECONDS = 2.0
MEBIBYTE = 1 << 20


class Process:
    """One event loop that serves clients. `health` says whether it may be sent traffic."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.health = Health()
        self.clock = SystemClock()
        self.tasks = Tasks()
        self.replica = f"{socket.gethostname()}/{os.getpid()}"
        self.telemetry = Telemetry(settings.metrics_series)
        self.tracer = tracer_of(settings, self.replica)
        self.body_metrics = BodyMetrics(self.telemetry.registry)
        self.overload = Overload(settings.max_requests, settings.max_bodies_bytes)
        self.overload_metrics = OverloadMetrics(self.telemetry.registry)
        self.copy_metrics = CopyMetrics(self.telemetry.registry)
        self._closers: list[Callable[[], object]] = []

    async def start(self) -> None:
        """Brings everything up but the listening socket. Raises StartError when something is wrong for good."""
        _raise_file_limit()
        aside.prepare()
        try:
            await self._start()
        except BaseException:
            await self.tasks.close()  # nothing that has begun may keep the process from ending
            raise

    async def _start(self) -> None:
        settings = self.settings
        self.certificate = certificate_of(settings.tls_cert, settings.tls_key)
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
        self.cache = cache_of(settings, self.clock, self.tasks)
        self._route(holder)
        services = Services(
            settings=settings,
            clock=self.clock,
            holder=holder,
            directory=self.directory,
            journal=self.journal,
            upstream=self.upstream,
            providers=REGISTRY,
            router=self.router,
            telemetry=self.telemetry,
            tracer=self.tracer,
            tasks=self.tasks,
            ticker=Ticker(),
            loop_time=asyncio.get_running_loop().time,
            responses=RedisResponses(redis),
            sealer=sealer,
            entra=EntraTokens(self.upstream, self.tasks, self.clock.monotonic),
            notices=self.notices,
            admission=self.admission,
            bodies=self.bodies,
            overload=self.overload,
            cache=self.cache,
        )
        Probes(self.router, REGISTRY, HttpGet(), services.entra.resolve, self.clock.monotonic).start(self.tasks)
        self._make_port(services)
        self.store = store
        self._watch()

    def _watch(self) -> None:
        """Looks at the process itself from now on."""
        self.tasks.keep(self._gauges, "gauges")
        self.tasks.keep(self.overload.watch, "overload")
        _log.info(
            "journal ready",
            capacity_mib=self.settings.journal_bytes // MEBIBYTE,
            segment_mib=self.settings.segment_bytes // MEBIBYTE,
            folder=str(self.journal.folder),
        )

    def _route(self, holder: CatalogHolder) -> None:
        """Targets are chosen, and learnt about."""
        self.router = Router(asyncio.get_running_loop().time)
        self.measures = Measures(self.telemetry, holder, self.router, self.upstream, self.tracer, self.cache)
        holder.on_swap(self.router.prepare)
        if holder.routes is not None:
            self.router.prepare(holder.routes)

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
            self._measure()
            self.notices.pressure("journal", self.journal.backlog_bytes, self.settings.journal_bytes)
            self.bodies.tick(self.body_metrics)
            await asyncio.sleep(GAUGE_SECONDS)

    def _measure(self) -> None:
        """Brings the metrics to what is the case now."""
        self.telemetry.flush()
        self.telemetry.in_flight.set(self.routes.in_flight)
        self.telemetry.backlog.set(self.journal.backlog_bytes)
        self.telemetry.staleness.set(min(self.follower.stale_seconds, 1e9))
        self.telemetry.admission(*self.admission.levels())
        self.copy_metrics.update(self.copies, self.lost_nodes)
        self.port_metrics.update(self.listener, self.certificate)
        self.overload_metrics.update(self.overload.load)
        self.measures.update()

    def _make_port(self, services: Services) -> None:
        """The clients' port, not open yet."""
        self.ticker = services.ticker
        self.routes = Routes(services, self.health)
        self.listener = Listener(self.routes.handle, self.routes.refuse, limits_of(self.settings))
        self.port_metrics = PortMetrics(self.telemetry.registry)
        self.tasks.keep(self.listener.watch, "connections")
        if self.certificate is not None:
            self.tasks.keep(self.certificate.watch, "certificate")

    def _cut(self) -> None:
        """Ends calls to providers whose time to drain is over; their clients are told."""
        self.ticker.end(
            TollwayError(
                Code.OVERLOADED, "The gateway is being restarted. Send the request again.", retry_after_seconds=1
            )
        )

    def metrics(self) -> bytes:
        """This process's metrics in the Prometheus text format."""
        self._measure()
        self.body_metrics.update(self.bodies.counts, self.bodies.levels())
        return render(self.telemetry.registry, "")

    async def listen(self, sock: socket.socket) -> None:
        """Serves clients on a bound socket."""
        await self.listener.open(sock, self.certificate.context if self.certificate else None)
        # What is alive now lives as long as the process: the collector need not look at it, nor look often.
        gc.collect()
        gc.freeze()
        gc.set_threshold(*GC_THRESHOLDS)

    async def drain(self, *, replaced: bool = False) -> None:
        """Not ready first, then no new connections, then the requests in flight run to their end; rows are shipped.

        `replaced`: another process serves the port already, which therefore stays ready, and nobody needs to notice.
        """
        self.listener.close_after_answers()
        if not replaced:
            self.health.draining = True
            await asyncio.sleep(self.settings.drain_delay_seconds)
        await self.listener.drain(self.settings.drain_seconds, self._cut)
        await self.tasks.end(SHARED_CALL)  # nobody waits for one any more
        await self.tasks.end(DRAIN_TASK)
        if not await self.shipper.flush(FLUSH_SECONDS):
            _log.warning("ledger rows stay in the journal for a successor", backlog_bytes=self.journal.backlog_bytes)
        await self.bodies.close(BODIES_FLUSH_SECONDS)
        left = await self.admission.leave()
        await self.copies.leave()
        if not await self.notices.close(NOTICES_FLUSH_SECONDS):
            _log.warning("notices are lost: the control plane did not take them in time")
        await self.tasks.close()
        if self.tracer is not None:
            await self.tracer.close()
        await self.counters.close()
        await self.upstream.close()
        await self.store.close()
        if self.cache is not None:
            await self.cache.close()
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
